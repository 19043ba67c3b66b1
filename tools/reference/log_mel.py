"""tests/fixtures/audio/log_mel.safetensors: what WhisperFeatureExtractor makes of a second of noise and tones."""

import numpy as np
import torch
from transformers import WhisperFeatureExtractor

from common import FIXTURES, save_tensors


def main():
    rng = np.random.default_rng(3)
    t = np.arange(16000) / 16000
    sound = 0.1 * rng.standard_normal(16000) * (t > 0.4) + 0.3 * np.sin(2 * np.pi * 440 * t) * (t < 0.7)
    sound = sound.astype(np.float32)
    tensors = {"input.samples": torch.from_numpy(sound)}
    for bands in (80, 128):
        extractor = WhisperFeatureExtractor(feature_size=bands, chunk_length=2)
        tensors[f"output.{bands}"] = torch.from_numpy(extractor(sound, sampling_rate=16000).input_features[0])
    save_tensors(FIXTURES / "audio" / "log_mel.safetensors", tensors)


if __name__ == "__main__":
    main()
