"""Runs the binary on single files of Stable Diffusion 1, 2.1 (v) and XL, of inpainting models (9 channels) of all three and of
XL's refiner beside Diffusers' from_single_file of the same file: as `atelier convert` writes it, without its metadata, with
EMA and tables beside, and as a .ckpt.

    heldout_from_single_file.py build/atelier [--seed 5]

The networks are as narrow as configurations that follow from shapes allow. Latents must agree to max|a-b|/std(b) <= 1e-3.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers import (AutoencoderKL, StableDiffusionInpaintPipeline, StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline,
                       StableDiffusionXLInpaintPipeline, StableDiffusionXLPipeline)
from PIL import Image
from safetensors.torch import load_file, save_file

import heldout
import pipeline_stable_diffusion as folders
from common import redraw

KINDS = {"sd1": StableDiffusionPipeline, "sd2": StableDiffusionPipeline, "xl": StableDiffusionXLPipeline,
         "sd1 inpainting": StableDiffusionInpaintPipeline, "sd2 inpainting": StableDiffusionInpaintPipeline,
         "xl inpainting": StableDiffusionXLInpaintPipeline, "refiner": StableDiffusionXLImg2ImgPipeline}
STEPS, WIDTH, HEIGHT, GUIDANCE, PROMPT, AWAY = 3, 40, 24, 4.5, "a red fox", "blue, old"


def make(folder, kind, seed):
    paints, kind = kind.endswith("inpainting"), kind.split()[0]
    refiner, kind = kind == "refiner", "xl" if kind == "refiner" else kind
    clip = lambda heads, **more: dict(hidden_size=64 * heads, num_attention_heads=heads, **more)  # noqa: E731
    folders.UNET = dict(block_out_channels=(32, 64) if kind == "sd1" else (64, 128), layers_per_block=2, norm_num_groups=32, sample_size=6)
    clips = (clip(1, hidden_act="gelu" if kind == "sd2" else "quick_gelu"),)
    unet = dict(attention_head_dim=8 if kind == "sd1" else (1, 2), use_linear_projection=kind != "sd1", down_block_types=folders.DOWN,
                up_block_types=folders.UP)
    scheduler = folders.SD_BETAS | dict(prediction_type="v_prediction" if kind == "sd2" and not paints else "epsilon")
    if kind == "xl":
        clips = (None if refiner else clips[0], clip(2, hidden_act="gelu", projection_dim=32))
        scheduler |= dict(timestep_spacing="leading")
        unet |= dict(down_block_types=folders.XL_DOWN, up_block_types=folders.XL_UP, addition_embed_type="text_time",
                     addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=32 + (6 - refiner) * 8)
    unet |= dict(in_channels=9) if paints else {}
    folders.build(folder, dict(seed=seed, scheduler=scheduler, clips=clips, unet=unet, force=not refiner, aesthetic=refiner))
    folders.pictures(folder, seed)
    if paints and kind == "xl":
        heldout.change_json(folder / "model_index.json", lambda c: c | {"_class_name": "StableDiffusionXLInpaintPipeline"})
    vae = redraw(AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4,
                               layers_per_block=2, norm_num_groups=32, block_out_channels=(32,) * 4,
                               scaling_factor=0.13025 if kind == "xl" else 0.18215), 9)
    shutil.rmtree(folder / "vae")
    vae.save_pretrained(folder / "vae")


def forms(whole, work):
    yield whole
    tensors = load_file(whole)
    save_file(tensors, work / "bare.safetensors")
    yield work / "bare.safetensors"
    torch.save({"state_dict": tensors, "global_step": 5}, work / "file.ckpt")
    yield work / "file.ckpt"
    prefix = "model.diffusion_model."
    ema = {"model_ema." + k[6:].replace(".", ""): torch.zeros_like(v) for k, v in tensors.items() if k.startswith(prefix)}
    save_file(tensors | ema | {"model_ema.decay": torch.tensor(0.99), "alphas_cumprod": torch.rand(1000)}, work / "ema.safetensors")
    yield work / "ema.safetensors"


def compare(binary, kind, folder, file, work, seed):
    xl, cls = kind in ("refiner", "xl", "xl inpainting"), KINDS[kind]
    pipe = cls.from_single_file(str(file), config=str(folder), local_files_only=True, **({} if xl else dict(safety_checker=None)))
    pipe.set_progress_bar_config(disable=True)
    passed, given = dict(width=WIDTH, height=HEIGHT), []
    if kind not in ("sd1", "sd2", "xl"):
        image, mask = Image.open(folder / "init.png").convert("RGB"), Image.open(folder / "mask.png")
        passed = dict(image=image.resize((WIDTH, HEIGHT), Image.LANCZOS)) if kind == "refiner" else passed | dict(image=image, mask_image=mask)
        passed["strength"], given = 1.0, ["--init", folder / "init.png", "--strength", 1]
        given += ["--mask", folder / "mask.png"] if kind != "refiner" else []
    want = pipe(PROMPT, negative_prompt=AWAY, num_inference_steps=STEPS, guidance_scale=GUIDANCE, **passed,
                generator=torch.Generator().manual_seed(seed), output_type="latent").images
    sampler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    tokenizers = [x for n in ("", "-2") if (folder / f"tokenizer{n.replace('-', '_')}").exists()
                  for x in (f"--tokenizer{n}", folder / f"tokenizer{n.replace('-', '_')}")]
    args = [binary, "generate", "--model", file, *tokenizers, "--precision", "f32", "--quiet", "--output", work / "o.png",
            "--save-latents", work / "o.safetensors", "--steps", STEPS, "--width", WIDTH, "--height", HEIGHT, "--guidance", GUIDANCE,
            "--seed", seed, *given, "--sampler", sampler, "--negative", AWAY, "--", PROMPT]
    subprocess.run([str(a) for a in args], check=True)
    return heldout.difference(load_file(work / "o.safetensors")["latents"], want)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    agreed = count = 0
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            make(work / "folder", kind, options.seed)
            subprocess.run([options.binary, "convert", "-q", work / "folder", work / "whole.safetensors"], check=True)
            for file in forms(work / "whole.safetensors", work):
                d = compare(options.binary, kind, work / "folder", file, work, options.seed)
                agreed, count = agreed + (d <= heldout.LATENTS_BAR), count + 1
                print(f"{kind} {file.name} {d}", flush=True)
    print(f"{agreed} of {count} files agree")
    raise SystemExit(agreed != count)


if __name__ == "__main__":
    main()
