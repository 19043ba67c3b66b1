"""tests/configs/*/<part>/parameters.txt: name and shape of every tensor that the published configuration asks for.

The reference class is built from the config.json on the meta device, so this takes neither the weights nor memory. CLIP's
names are those of the published files (`text_model.` in front); T5's table is listed once, as shared.weight.
"""

import json

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from common import FIXTURES

CONFIGS = FIXTURES.parent / "configs"
BFLOAT16_BYTES = {"FLUX.1-dev": 23802816640}  # what the published index file gives as total_size of the transformer


def build(part, config):
    if part == "transformer":
        return FluxTransformer2DModel.from_config(config)
    if part == "vae":
        return AutoencoderKL.from_config(config)
    if part == "text_encoder":
        return CLIPTextModel(CLIPTextConfig(**config))
    return T5EncoderModel(T5Config(**config))


def published_name(part, name):
    return f"text_model.{name}" if part == "text_encoder" else name


def main():
    for folder in sorted(CONFIGS.glob("FLUX*/*/config.json")):
        part, model = folder.parent.name, folder.parent.parent.name
        with torch.device("meta"):
            parameters = dict(build(part, json.loads(folder.read_text())).named_parameters())
        count = sum(p.numel() for p in parameters.values())
        if part == "transformer" and model in BFLOAT16_BYTES:
            assert 2 * count == BFLOAT16_BYTES[model]
        lines = [f"{published_name(part, name)} {'x'.join(map(str, p.shape))}" for name, p in sorted(parameters.items())]
        (folder.parent / "parameters.txt").write_text("\n".join(lines) + "\n")
        print(f"{model}/{part}: {len(lines)} tensors, {count} parameters")


if __name__ == "__main__":
    main()
