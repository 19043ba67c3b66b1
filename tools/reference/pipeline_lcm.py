"""tests/fixtures/pipelines/lcm_tiny: LatentConsistencyModelPipeline and its Img2Img over the networks of sd_tiny_distilled
(see pipeline_runs.py)."""

import torch
from diffusers import (LatentConsistencyModelImg2ImgPipeline, LatentConsistencyModelPipeline, LCMScheduler,
                       StableDiffusionPipeline)
from PIL import Image

from common import FIXTURES, fresh_folder, generator, report, save_tensors, write_json
from pipeline_runs import save_folder

PARTS, INIT = "../sd_tiny_distilled", "../sd_tiny/init.png"
CASES = [
    dict(prompt="a red heart", width=48, height=40, steps=4, guidance=8.5, seed=0),
    dict(prompt="a hen", width=32, height=56, steps=6, guidance=1.0, seed=5, count=2, original=30),
    dict(prompt="the sea", width=24, height=24, steps=2, guidance=12.0, seed=6, options=dict(clip_skip=1)),
    dict(prompt="a fox", width=40, height=48, steps=4, guidance=8.5, seed=7, count=2, init=INIT, strength=0.5),
    dict(prompt="a boat", width=48, height=32, steps=3, guidance=5.0, seed=8, init=INIT, strength=0.83, original=20),
    dict(prompt="neon", width=32, height=32, steps=1, guidance=5.0, seed=9, init=INIT, strength=1.0),
]


def run(pipe, folder, case):
    cls = LatentConsistencyModelImg2ImgPipeline if "init" in case else LatentConsistencyModelPipeline
    other, last, count = cls(**{k: v for k, v in pipe.components.items()}, requires_safety_checker=False), {}, case.get("count", 1)
    other.set_progress_bar_config(disable=True)
    size = (case["width"], case["height"])
    extra = dict(width=size[0], height=size[1])
    if "init" in case:
        image = Image.open(folder / case["init"]).convert("RGB").resize(size, Image.LANCZOS)
        extra = dict(image=image, strength=case["strength"])

    def keep(_pipe, _index, _t, values):
        last["final_latents"] = values["latents"].clone()
        return {}

    image = other(prompt=case["prompt"], num_inference_steps=case["steps"], original_inference_steps=case.get("original"),
                  guidance_scale=case["guidance"], num_images_per_prompt=count, output_type="pt", callback_on_step_end=keep,
                  generator=[generator(case["seed"] + i) for i in range(count)], **extra, **case.get("options", {})).images
    return last | {"image_u8": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)}


def describe(case, index):
    return {"file": f"case_{index}.safetensors", "parts": PARTS, "prompt": case["prompt"], "width": case["width"],
            "height": case["height"], "num_inference_steps": case["steps"], "guidance_scale": case["guidance"],
            "seed": case["seed"], "count": case.get("count", 1), "original_inference_steps": case.get("original", 0),
            **{k: case[k] for k in ("init", "strength") if k in case}, **case.get("options", {})}


def open_pipeline():
    pipe = StableDiffusionPipeline.from_pretrained(FIXTURES / "pipelines" / "sd_tiny_distilled", safety_checker=None,
                                                   requires_safety_checker=False, torch_dtype=torch.float32)
    object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)  # see pipeline_stable_diffusion.py
    pipe.scheduler = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    return pipe


def main():
    pipe = open_pipeline()
    folder = fresh_folder("pipelines", "lcm_tiny")
    lcm = LatentConsistencyModelPipeline(**pipe.components, requires_safety_checker=False)
    save_folder(lcm, {"scheduler": pipe.scheduler}, folder)
    for index, case in enumerate(CASES):
        tensors = run(pipe, folder, case)
        save_tensors(folder / f"case_{index}.safetensors", tensors)
        print(f"  case {index}: latents std {tensors['final_latents'].std():.2f}")
    write_json(folder / "cases.json", [describe(case, index) for index, case in enumerate(CASES)])
    report(folder)


if __name__ == "__main__":
    main()
