"""Runs the binary on random Stable Diffusion and XL folders that no fixture holds, beside Diffusers' pipelines: latent
consistency models, a second pass at a larger size with prompts that change over it, and a refiner.

    heldout_second_pass.py build/atelier --seeds 0:40 [--only lcm|hires|refiner]

A seed makes one tiny folder (two for a refiner) and a run by `atelier generate --precision f32`. Prompts change where the
second pass begins or not at all, so that Diffusers' pipelines can be asked with a text in each.
Latents must agree to max|a-b|/std(b) <= 1e-3.
"""

import argparse
import random
import subprocess
import tempfile
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers import (LatentConsistencyModelPipeline, LCMScheduler, StableDiffusionImg2ImgPipeline,
                       StableDiffusionXLImg2ImgPipeline)
from PIL import Image
from safetensors.torch import load_file

import heldout
import pipeline_second_pass as passes
import pipeline_stable_diffusion as folders
from common import generator

WORDS = ["a red fox", "two pears", "the sea", "a hen on a boat", "neon signs, soft light", "a blue heart"]
PREDICTIONS = ["epsilon", "epsilon", "v_prediction"]
SAMPLERS = ["ddim", "euler", "euler_a", "heun", "dpmpp_2m", "unipc", "lms", None]


def clip(r, second):
    heads = r.randrange(1, 4)
    return dict(hidden_size=heads * r.randrange(3, 9), num_attention_heads=heads,
                hidden_act="gelu" if second else r.choice(["quick_gelu", "gelu"]),
                **({"projection_dim": r.randrange(4, 20)} if second else {}))


def spec(r, kind, refiner=False):
    xl = kind == "refiner" or kind == "hires" and r.random() < 0.5
    clips = (None if refiner else clip(r, False), clip(r, True)) if xl else (clip(r, False),)
    groups, first = r.choice([2, 4]), r.randrange(1, 4)
    folders.UNET = dict(block_out_channels=(4 * first, 4 * first + 4 * r.randrange(0, 3)), layers_per_block=r.randrange(1, 3),
                        norm_num_groups=groups, sample_size=6)
    unet = dict(attention_head_dim=2, use_linear_projection=xl or r.random() < 0.5, down_block_types=folders.DOWN,
                up_block_types=folders.UP)
    if xl:
        time, ids = 2 * r.randrange(1, 5), 5 if refiner else 6
        unet |= dict(down_block_types=folders.XL_DOWN, up_block_types=folders.XL_UP, addition_embed_type="text_time",
                     addition_time_embed_dim=time, transformer_layers_per_block=(1, r.randrange(1, 3)),
                     projection_class_embeddings_input_dim=clips[1]["projection_dim"] + ids * time)
    if kind == "lcm":
        unet |= dict(time_cond_proj_dim=r.randrange(2, 20))
    scheduler = folders.SD_BETAS | dict(prediction_type="epsilon" if kind == "lcm" else r.choice(PREDICTIONS))
    if xl:
        scheduler |= dict(timestep_spacing="leading")
    return dict(seed=r.randrange(10 ** 6), scheduler=scheduler, clips=clips, unet=unet, force=not refiner and r.random() < 0.7,
                aesthetic=refiner)


def case_of(r):
    return dict(prompt=r.choice(WORDS), width=8 * r.randrange(2, 7), height=8 * r.randrange(2, 7), seed=r.randrange(10000),
                steps=r.randrange(2, 7), guidance=r.choice([1.0, 3.0, 5.5, 8.0]), count=r.choice([1, 1, 2]))


def common_options(case):
    return ["--width", case["width"], "--height", case["height"], "--steps", case["steps"], "--guidance", case["guidance"],
            "--count", case["count"], "--seed", case["seed"]]


def lcm(r, folder):
    pipe, case = folders.build(folder, spec(r, "lcm")), case_of(r)
    case |= dict(original=r.choice([None, 20, 50, 37]))
    scheduler = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    scheduler.save_pretrained(folder / "scheduler")
    pipe = LatentConsistencyModelPipeline(**pipe.components | {"scheduler": scheduler}, requires_safety_checker=False)
    pipe.save_config(folder)
    pipe.set_progress_bar_config(disable=True)
    final, _ = passes.last_of(pipe, prompt=case["prompt"], width=case["width"], height=case["height"],
                              num_inference_steps=case["steps"], original_inference_steps=case["original"],
                              guidance_scale=case["guidance"], num_images_per_prompt=case["count"],
                              generator=passes.generators(case), output_type="pt")
    options = common_options(case) + (["--original-steps", case["original"]] if case["original"] else [])
    return final, [*options, "--", case["prompt"]], case


def hires(r, folder):
    description, case = spec(r, "hires"), case_of(r)
    xl = len(description["clips"]) == 2
    pipe = folders.build(folder, description)
    case |= dict(upscaler=r.choice([*passes.LATENT, *passes.PIXELS]), strength=r.choice([0.4, 0.7, 1.0]), second=r.randrange(3, 7),
                 to=(case["width"] + 8 * r.randrange(0, 5), case["height"] + 8 * r.randrange(0, 5)))
    sampler, then = r.choice(SAMPLERS), r.choice([None, *WORDS])
    if sampler:
        case["sampler"] = sampler
    turns = r.random() < 0.7
    text = f"[{case['prompt']}:{then}:{'1.0' if turns else '2.0'}]" if then else case["prompt"]
    after = then if then and turns else case["prompt"]
    first, _ = folders.pipeline_for(pipe, folder, xl, case)
    second, _ = folders.pipeline_for(pipe, folder, xl, case | dict(init=True))
    drawn = passes.last_of(first, **passes.arguments(case), width=case["width"], height=case["height"],
                           num_inference_steps=case["steps"], generator=passes.generators(case), output_type="pil")
    again = passes.arguments(case | dict(prompt=after))
    final, _ = passes.last_of(second, **again, image=passes.second_input(*drawn, case), strength=case["strength"],
                              num_inference_steps=case["second"], generator=passes.generators(case), output_type="pt")
    options = [*common_options(case), "--hires", "x".join(map(str, case["to"])), "--hires-upscaler", case["upscaler"],
               "--hires-strength", case["strength"], "--hires-steps", case["second"]]
    options += ["--sampler", sampler] if sampler else []
    return final, [*options, *(["--prompt-syntax", "a1111"] if then else []), "--", text], case | dict(text=text, xl=xl)


def refiner(r, folder):
    base, case = folders.build(folder / "base", spec(r, "refiner")), case_of(r)
    description = spec(r, "refiner", refiner=True)
    after = folders.build(folder / "refiner", description)
    case |= dict(steps=r.randrange(3, 9), switch=r.choice([0.3, 0.5, 0.66, 0.8]), sampler=r.choice(["ddim", "euler", "dpmpp_2m", "heun"]))
    first, _ = folders.pipeline_for(base, folder / "base", True, case)
    second, _ = folders.pipeline_for(after, folder / "refiner", True, case | dict(init=True))
    latents, _ = passes.last_of(first, **passes.arguments(case), width=case["width"], height=case["height"],
                                num_inference_steps=case["steps"], generator=passes.generators(case),
                                denoising_end=case["switch"], output_type="latent")
    final, _ = passes.last_of(second, **passes.arguments(case), image=latents, num_inference_steps=case["steps"],
                              generator=passes.generators(case), denoising_start=case["switch"], output_type="pt")
    options = [*common_options(case), "--refiner", folder / "refiner", "--refiner-switch", case["switch"], "--sampler",
               case["sampler"]]
    return final, [*options, "--", case["prompt"]], case


def compare(binary, kind, r, work):
    final, options, case = {"lcm": lcm, "hires": hires, "refiner": refiner}[kind](r, work)
    model = work / "base" if kind == "refiner" else work
    args = [binary, "generate", "--precision", "f32", "--quiet", "--model", model, "--output", work / "o.png", "--save-latents",
            work / "o.safetensors", *options]
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if done.returncode:
        return None, case | dict(why=done.stderr.strip())
    ours = load_file(work / "o.safetensors")["latents"]
    return (heldout.difference(ours, final) if ours.shape == final.shape else None), case


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seeds", default="0:20", help="FIRST:END")
    parser.add_argument("--only", choices=["lcm", "hires", "refiner"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    first, end = map(int, options.seeds.split(":"))
    agreed = 0
    for seed in range(first, end):
        r = random.Random(seed)
        kind = options.only or r.choice(["lcm", "hires", "hires", "refiner"])
        with tempfile.TemporaryDirectory() as work:
            try:
                d, case = compare(options.binary, kind, r, Path(work))
            except ValueError as error:  # no step is left
                d, case = None, dict(reference=str(error))
        fine = d is not None and d <= heldout.LATENTS_BAR
        agreed += fine
        print(f"{seed} {'ok    ' if fine else 'FAILED'} {kind} {d} {'' if fine else case}", flush=True)
    print(f"{agreed} of {end - first} runs agree")
    raise SystemExit(agreed != end - first)


if __name__ == "__main__":
    main()
