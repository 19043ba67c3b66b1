"""tests/fixtures/audio/voices/: two voices of 22 rows of 12 sines, as numpy and PyTorch save them."""

import numpy as np
import torch

from common import FIXTURES


def voice(first):
    return np.sin(first + np.arange(22 * 12), dtype=np.float32).reshape(22, 1, 12)


def main():
    folder = FIXTURES / "audio" / "voices"
    folder.mkdir(exist_ok=True)
    np.savez(folder / "both.npz", sun=voice(1), moon=voice(2))
    np.savez_compressed(folder / "packed.npz", voice(1))
    np.save(folder / "one.npy", voice(1))
    torch.save(torch.from_numpy(voice(1)), folder / "one.pt")
    torch.save(torch.from_numpy(voice(1)), folder / "old.bin", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
