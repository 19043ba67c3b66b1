"""tests/fixtures/pipelines/flux_tiny_pictures: what flux_tiny_dev draws from the pictures of sd_tiny, image to image and
inpainting (see pipeline_runs.py)."""

import torch
from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline, FluxPipeline
from PIL import Image

from common import FIXTURES, fresh_folder, generator, report, save_tensors, write_json

INIT, PAINT = dict(init="../sd_tiny/init.png"), dict(init="../sd_tiny/init.png", mask="../sd_tiny/mask.png")
CASES = [
    dict(prompt="a fox", width=48, height=64, steps=5, guidance=3.5, seed=3, strength=0.5, length=16, **INIT),
    dict(prompt="the sea", negative="a hen", true_cfg=2.0, width=64, height=48, steps=3, guidance=7.0, seed=4, strength=1.0,
         length=24, count=2, **INIT),
    dict(prompt="a boat", width=48, height=32, steps=7, guidance=4.0, seed=5, strength=0.75, length=16, count=2, **PAINT),
    dict(prompt="neon", width=64, height=64, steps=3, guidance=2.0, seed=6, strength=1.0, length=8, **PAINT),
    dict(prompt="two pears", negative="", true_cfg=3.0, width=32, height=64, steps=6, guidance=2.0, seed=7, strength=0.3,
         length=16, **PAINT),
    dict(prompt="a hen", width=48, height=48, steps=3, guidance=2.0, seed=8, strength=0.7, length=8, given=True, **PAINT),
]


def run(pipe, folder, case):
    """pipe: FluxPipeline. -> final latents [B,C,h,w], pictures, the given latents"""
    cls = FluxInpaintPipeline if "mask" in case else FluxImg2ImgPipeline
    other, last, count = cls(**{k: v for k, v in pipe.components.items() if v is not None}), {}, case.get("count", 1)
    other.set_progress_bar_config(disable=True)
    extra = {"mask_image": Image.open(folder / case["mask"])} if "mask" in case else {}
    if "negative" in case:
        extra |= dict(negative_prompt=case["negative"], true_cfg_scale=case["true_cfg"])
    if case.get("given"):
        patch = 2 * pipe.vae_scale_factor
        extra["latents"] = last["initial_latents_nchw"] = torch.rand(
            count, pipe.transformer.config.in_channels // 4, 2 * (case["height"] // patch), 2 * (case["width"] // patch),
            generator=generator(case["seed"])) * 3 - 1.5

    def keep(_pipe, _index, _t, values):
        last["final_latents"] = values["latents"]
        return {}

    image = other(
        prompt=case["prompt"], image=Image.open(folder / case["init"]), width=case["width"], height=case["height"],
        strength=case["strength"], num_inference_steps=case["steps"], guidance_scale=case["guidance"],
        num_images_per_prompt=count, generator=[generator(case["seed"] + i) for i in range(count)], output_type="pt",
        max_sequence_length=case["length"], callback_on_step_end=keep, **extra).images
    last["final_latents"] = FluxPipeline._unpack_latents(
        last["final_latents"], case["height"], case["width"], pipe.vae_scale_factor)
    return last | {"image_u8": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)}


def describe(case, index):
    return {"file": f"case_{index}.safetensors", "prompt": case["prompt"], "negative_prompt": case.get("negative"),
            "true_cfg_scale": case.get("true_cfg", 1.0), "width": case["width"], "height": case["height"],
            "num_inference_steps": case["steps"], "guidance_scale": case["guidance"], "seed": case["seed"],
            "count": case.get("count", 1), "max_sequence_length": case["length"], "latents_given": case.get("given", False),
            **{k: case[k] for k in ("init", "mask", "strength") if k in case}}


def main():
    pipe = FluxPipeline.from_pretrained(FIXTURES / "pipelines" / "flux_tiny_dev", torch_dtype=torch.float32)
    folder = fresh_folder("pipelines", "flux_tiny_pictures")
    for index, case in enumerate(CASES):
        tensors = run(pipe, folder, case)
        save_tensors(folder / f"case_{index}.safetensors", tensors)
        print(f"  case {index}: latents std {tensors['final_latents'].std():.2f}")
    write_json(folder / "cases.json", [describe(case, index) for index, case in enumerate(CASES)])
    report(folder)


if __name__ == "__main__":
    main()
