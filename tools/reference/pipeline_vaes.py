"""tests/fixtures/pipelines/xl_tiny_vaes: what xl_tiny draws with other autoencoders: vae_normal has latents_mean and
latents_std, vae_tiny is an AutoencoderTiny. Cases as in pipeline_stable_diffusion.py, each with the folder of its `vae`."""

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionXLPipeline

from common import FIXTURES, fresh_folder, redraw, report, save_tensors, write_json
from pipeline_stable_diffusion import PAINT, describe, run

VAES = {
    "vae_normal": lambda: AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4,
        layers_per_block=1, norm_num_groups=2, block_out_channels=(4, 4, 6, 6), scaling_factor=0.5,
        latents_mean=[-1.6, 0.4, 0.9, -0.2], latents_std=[8.4, 5.0, 2.5, 0.7]),
    "vae_tiny": lambda: AutoencoderTiny(
        encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4, num_encoder_blocks=(1, 1, 0, 1),
        num_decoder_blocks=(1, 1, 1, 1), scaling_factor=0.8),
}
STARTS = [
    dict(prompt="a fox", width=40, height=48, steps=5, guidance=5.0, seed=7, init="init.png", strength=0.7, count=2),
    dict(prompt="a boat", width=56, height=64, steps=4, guidance=6.0, seed=9, strength=0.8, **PAINT),
    dict(prompt="neon", width=48, height=40, steps=4, guidance=6.0, seed=10, strength=1.0, **PAINT),
]
CASES = [dict(prompt="a red heart!!", width=64, height=48, steps=3, guidance=5.0, seed=0), *STARTS]


def main():
    model = FIXTURES / "pipelines" / "xl_tiny"
    folder = fresh_folder("pipelines", "xl_tiny_vaes")
    described = []
    for number, (name, make) in enumerate(VAES.items()):
        pipe = StableDiffusionXLPipeline.from_pretrained(
            model, vae=redraw(make(), 2350 + number, gain=(1.0, 0.8)[number]), add_watermarker=False, torch_dtype=torch.float32)
        pipe.vae.save_pretrained(folder / name)
        for case in CASES:
            index = len(described)
            tensors = run(pipe, model, case, True)
            save_tensors(folder / f"case_{index}.safetensors", tensors)
            pictures = {key: f"../xl_tiny/{case[key]}" for key in ("init", "mask") if key in case}
            described.append(describe(case, index) | pictures | {"vae": name})
            u8 = tensors["image_u8"]
            print(f"  {name} {index}: latents std {tensors['final_latents'].std():.2f}, cut pixels "
                  f"{((u8 == 0) | (u8 == 255)).float().mean():.0%}")
    write_json(folder / "cases.json", described)
    report(folder)


if __name__ == "__main__":
    main()
