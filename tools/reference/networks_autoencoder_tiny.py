"""tests/fixtures/networks/tiny_vae*: random AutoencoderTiny checkpoints with inputs and outputs.

tiny_vae has the published blocks, in f16: as a folder, and as TAESD's own files, in which the decoder's layers count from 1
and the names are numbers. tiny_vae_wide has what published ones do not use.
"""

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from common import check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

CASES = {
    "tiny_vae": dict(latent=4, picture=(456, 8), grid=(57, 1), tiled=True, dtype=torch.float16, config=dict(
        encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4)),
    "tiny_vae_wide": dict(latent=16, picture=(13, 10), grid=(3, 5), dtype=torch.float32, config=dict(
        encoder_block_out_channels=(6,) * 3, decoder_block_out_channels=(5,) * 2, num_encoder_blocks=(1, 0, 2),
        num_decoder_blocks=(2, 1), act_fn="silu", latent_channels=16, upsampling_scaling_factor=3, scaling_factor=0.7,
        shift_factor=0.2)),
}


def run(model, sample, latent):
    return [model.encode(sample).latents, model.decode(latent).sample]


def original(model):
    """-> taesd_encoder, taesd_decoder"""
    halves = {"encoder": {}, "decoder": {}}
    for name, value in model.state_dict().items():
        half, _, index, rest = name.split(".", 3)
        halves[half][f"{int(index) + (half == 'decoder')}.{rest}"] = value.contiguous()
    return halves.values()


def main():
    for index, (name, case) in enumerate(CASES.items()):
        model = redraw(AutoencoderTiny(**case["config"]), 560 + index, gain=1.3)
        round_parameters(model, case["dtype"])
        sample = randn(570 + index, 1, 3, *case["picture"], scale=0.6).clamp(-1, 1)
        latent = randn(580 + index, 1, case["latent"], *case["grid"], scale=2)
        least, where = check_alive(model, lambda: run(model, sample, latent))
        folder = fresh_folder("networks", name)
        latents, decoded = run(model, sample, latent)
        tensors = {"input.sample": sample, "input.latent": latent, "output.latents": latents, "output.sample": decoded}
        if case.get("tiled"):
            model.enable_tiling()
            tensors["output.tiled_latents"], tensors["output.tiled_sample"] = run(model, sample, latent)
            assert (tensors["output.tiled_sample"] - decoded).abs().max() > 1e-3, "tiling changes nothing"
            model.disable_tiling()
        save_tensors(folder / "io.safetensors", tensors)
        model.to(case["dtype"]).save_pretrained(folder)
        if case.get("tiled"):
            for file, state in zip(("taesd_encoder", "taesd_decoder"), original(model)):
                save_file(state, folder / f"{file}.safetensors")
        report(folder, f"latents std {latents.std():.2f}, sample std {decoded.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
