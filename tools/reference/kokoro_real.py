"""tests/fixtures/networks/kokoro_real/io.safetensors: what KModel of the kokoro package says for a few phonemes with
the real weights (tools/weights/get.py kokoro), and what its modules give on the way. The weights are no part of it."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from common import FIXTURES, report, save_tensors
from networks_kokoro import fold, model, watch

PHONEMES, SEED, ROW = "hˈA.", 7, 3


def main():
    home = Path.home() / ".cache/atelier/kokoro"
    config = json.loads((home / "config.json").read_text())
    load, torch.load = torch.load, lambda *_, **__: {}
    kokoro = model.KModel(repo_id="none", config=config, model="none").eval()
    torch.load = load
    fold(kokoro)
    missing, unexpected = kokoro.load_state_dict({k: v.float() for k, v in load_file(home / "model.safetensors").items()},
                                                 strict=False)
    missing = [m for m in missing if "pooler" not in m and "position_ids" not in m and not m.endswith(".norm.weight")
               and not m.endswith(".norm.bias") and "stft" not in m]
    assert not missing and not unexpected, (missing, unexpected)
    ids = torch.tensor([[0, *(config["vocab"][c] for c in PHONEMES), 0]])
    voice = torch.frombuffer(bytearray((home / "voices/af_heart.bin").read_bytes()), dtype=torch.float32)
    style, kept = voice.view(-1, 256)[ROW:ROW + 1], watch(kokoro)
    torch.manual_seed(SEED)
    with torch.no_grad():
        audio, durations = kokoro.forward_with_tokens(ids, style, 1)
    kept["output.predicted"] = torch.sigmoid(kept.pop("durations")).sum(-1).squeeze(0)
    folder = FIXTURES / "networks" / "kokoro_real"
    folder.mkdir(exist_ok=True)
    save_tensors(folder / "io.safetensors", {"input.ids": ids.int(), "input.style": style, "output.audio": audio,
                                             "output.durations": durations.int(), **kept}, {"seed": SEED, "speed": 1})
    for key, value in kept.items():
        print(key, tuple(value.shape), float(value.std()))
    report(folder, f"{int(durations.sum())} frames, std {audio.std():.3f}")


if __name__ == "__main__":
    main()
