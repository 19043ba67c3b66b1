"""tests/fixtures/emoji_golden: what Diffusers draws with the embedded model (models/emoji), in f32.

golden.json: [{"name", "prompt", "seed", what was passed}]; NAME.safetensors: initial_latents_nchw, final_latents
[1,C,h,w] (what the VAE decodes, before scaling and shift are undone); NAME.png: the picture. To be made again whenever
the model changes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import FluxPipeline
from PIL import Image

from common import FIXTURES, fresh_folder, generator, report, save_tensors, write_json

PROMPTS = ["a fox", "a unicorn on a blue background", "pizza", "red heart on a black background",
           "a frog on a pink background", "smiling face with sunglasses"]
PASSED = dict(height=128, width=128, num_inference_steps=8, guidance_scale=0.0, max_sequence_length=32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=FIXTURES.parents[1] / "models" / "emoji", type=Path)
    pipe = FluxPipeline.from_pretrained(parser.parse_args().model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    folder, described = fresh_folder("emoji_golden"), []
    channels, side = pipe.transformer.config.in_channels // 4, PASSED["height"] // pipe.vae_scale_factor
    for seed, prompt in enumerate(PROMPTS):
        name = prompt.replace(" ", "_")
        latents = pipe(prompt, generator=generator(seed), output_type="latent", **PASSED).images
        final = FluxPipeline._unpack_latents(latents, PASSED["height"], PASSED["width"], pipe.vae_scale_factor)
        image = pipe(prompt, generator=generator(seed), output_type="np", **PASSED).images[0]
        Image.fromarray((image * 255).round().astype(np.uint8)).save(folder / f"{name}.png", optimize=True)
        save_tensors(folder / f"{name}.safetensors", {
            "initial_latents_nchw": torch.randn(1, channels, side, side, generator=generator(seed)),
            "final_latents": final})
        described.append({"name": name, "prompt": prompt, "seed": seed, **PASSED})
    write_json(folder / "golden.json", described)
    report(folder)


if __name__ == "__main__":
    main()
