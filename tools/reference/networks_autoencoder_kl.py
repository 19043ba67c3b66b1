"""tests/fixtures/networks/vae_*: AutoencoderKL of Diffusers, encoder and decoder in one case.

input.sample [B,3,H,W] -> output.mean, output.logvar (the posterior); input.latent [B,C,h,w] -> output.sample, without
scaling_factor and shift_factor (the pipeline's). Tiled cases give output.tiled_sample and output.tiled_mean instead,
with the tile sizes in the metadata.
"""

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from common import Inner, check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

CASES = {
    # As Flux has it: no quant convolutions, shift_factor. The picture's sizes are odd on the way down.
    "vae_flux": dict(channels=(8, 12, 20), layers=1, latent=6, groups=4, picture=(22, 29), grid=(5, 7),
                     config=dict(use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611,
                                 shift_factor=0.1159)),
    # As Stable Diffusion has it, with the older names of the attention's parameters.
    "vae_old_keys": dict(channels=(8, 12), layers=2, latent=4, groups=4, picture=(13, 10), grid=(5, 3),
                         config=dict(scaling_factor=0.18215)),
    "vae_no_attention": dict(channels=(6, 6, 12, 15), layers=1, latent=3, groups=3, picture=(24, 40), grid=(2, 3),
                             config=dict(mid_block_add_attention=False, use_post_quant_conv=False)),
    # Only diffusion_pytorch_model.fp16.safetensors in the folder; one level, so no change of size.
    "vae_fp16_variant": dict(channels=(20,), layers=1, latent=5, groups=5, picture=(7, 5), grid=(5, 7), dtype=torch.float16,
                             config=dict(use_quant_conv=False, shift_factor=0.25)),
    # sample_size 16: tiles of 8 latents, 6 apart.
    "vae_tiled": dict(channels=(8, 16), layers=1, latent=4, groups=4, picture=(38, 26), grid=(19, 13), tiled=True,
                      config=dict(sample_size=16)),
}
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def older_keys(path):
    def older(key):
        for new, old in OLD_NAMES.items():
            key = key.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
        return key

    save_file({older(k): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


def inner_of(model, attention):
    wanted = {"encoder.conv_in": "encoder.conv_in", "decoder.conv_in": "decoder.conv_in",
              "encoder.conv_norm_out": "encoder.conv_norm_out", "decoder.up_blocks.0": "decoder.up_blocks.0"}
    for part in ("encoder", "decoder"):
        wanted[f"{part}.mid_block"] = f"{part}.mid_block"
        wanted[f"{part}.mid_block.resnets.0"] = f"{part}.mid_block.resnets.0"
        if attention:
            wanted[f"{part}.mid_block.attentions.0"] = f"{part}.mid_block.attentions.0"
    wanted |= {f"encoder.down_blocks.{i}": f"encoder.down_blocks.{i}" for i in range(len(model.encoder.down_blocks))}
    return wanted


def run(model, sample, latent):
    posterior = model.encode(sample).latent_dist
    return [posterior.mean, posterior.logvar, model.decode(latent).sample]


def main():
    for index, (name, case) in enumerate(CASES.items()):
        levels, dtype = len(case["channels"]), case.get("dtype", torch.float32)
        model = AutoencoderKL(
            block_out_channels=case["channels"], layers_per_block=case["layers"], latent_channels=case["latent"],
            norm_num_groups=case["groups"], down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels, **case["config"])
        redraw(model, 500 + index)
        round_parameters(model, dtype)
        batch = 1 if case.get("tiled") else 2
        sample = randn(510 + index, batch, 3, *case["picture"], scale=0.6).clamp(-1, 1)
        latent = randn(520 + index, batch, case["latent"], *case["grid"])
        least, where = check_alive(model, lambda: run(model, sample, latent))
        folder = fresh_folder("networks", name)
        inputs = {"input.sample": sample, "input.latent": latent}
        if case.get("tiled"):
            whole = run(model, sample, latent)
            model.enable_tiling()
            mean, logvar, decoded = run(model, sample, latent)
            assert not torch.allclose(whole[2], decoded, atol=1e-2), "tiling changes nothing"
            save_tensors(folder / "io.safetensors", inputs | {
                "output.tiled_mean": mean, "output.tiled_logvar": logvar, "output.tiled_sample": decoded,
                "output.mean": whole[0], "output.logvar": whole[1], "output.sample": whole[2]}, {
                    "tile_sample_min_size": model.tile_sample_min_size,
                    "tile_latent_min_size": model.tile_latent_min_size,
                    "tile_overlap_factor": model.tile_overlap_factor})
            model.disable_tiling()
        else:
            inner = Inner(model, inner_of(model, case["config"].get("mid_block_add_attention", True)))
            mean, logvar, decoded = run(model, sample, latent)
            save_tensors(folder / "io.safetensors", inputs | {
                "output.mean": mean, "output.logvar": logvar, "output.sample": decoded} | inner.take())
        model.to(dtype).save_pretrained(folder, variant="fp16" if "variant" in name else None)
        if "old_keys" in name:
            older_keys(folder / "diffusion_pytorch_model.safetensors")
        again = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32,
                                              variant="fp16" if "variant" in name else None)
        if case.get("tiled"):
            again.enable_tiling()
        reloaded = run(again, sample, latent)[2]
        assert (reloaded - decoded).abs().max() < 1e-5, (reloaded - decoded).abs().max()
        report(folder, f"mean std {mean.std():.2f}, sample std {decoded.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
