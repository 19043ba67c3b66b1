"""tests/fixtures/pipelines/sd_tiny_hires, flux_tiny_hires and xl_tiny_refined: what Diffusers' pipelines draw one after the
other: a second pass at a larger size (upscaled as A1111 does: torch's interpolate over the latents, or PIL over the picture),
and a refiner. See pipeline_runs.py."""

import torch
from diffusers import (FluxImg2ImgPipeline, FluxPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline,
                       StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline)
from PIL import Image

from common import FIXTURES, fresh_folder, generator, report, save_tensors, write_json

LATENT = {"latent": dict(mode="bilinear"), "latent-antialiased": dict(mode="bilinear", antialias=True),
          "latent-bicubic": dict(mode="bicubic"), "latent-bicubic-antialiased": dict(mode="bicubic", antialias=True),
          "latent-nearest": dict(mode="nearest"), "latent-nearest-exact": dict(mode="nearest-exact")}
PIXELS = {"lanczos": Image.LANCZOS, "nearest": Image.NEAREST}

HIRES = [
    dict(prompt="a hen", width=40, height=24, steps=3, guidance=4.0, seed=3, to=(72, 40), upscaler="latent", strength=0.7,
         second=4, count=2),
    dict(prompt="a fox", negative="a hen", width=24, height=32, steps=2, guidance=3.0, seed=4, to=(48, 64),
         upscaler="latent-antialiased", strength=0.5, second=5),
    dict(prompt="the sea", width=32, height=24, steps=2, guidance=3.0, seed=5, to=(56, 40), upscaler="latent-bicubic",
         strength=0.6, second=3),
    dict(prompt="the sea", width=32, height=24, steps=2, guidance=1.0, seed=6, to=(72, 48),
         upscaler="latent-bicubic-antialiased", strength=0.6, second=3),
    dict(prompt="neon", width=40, height=24, steps=2, guidance=3.0, seed=7, to=(56, 56), upscaler="latent-nearest",
         strength=0.9, second=2),
    dict(prompt="neon", width=40, height=24, steps=2, guidance=3.0, seed=8, to=(56, 56), upscaler="latent-nearest-exact",
         strength=0.9, second=2),
    dict(prompt="a boat", width=40, height=24, steps=3, guidance=3.0, seed=9, to=(64, 40), upscaler="lanczos", strength=0.5,
         second=4),
    dict(prompt="a boat", width=24, height=24, steps=3, guidance=3.0, seed=10, to=(40, 64), upscaler="nearest", strength=1.0,
         second=2),
]
FLUX = [
    dict(prompt="a hen", width=32, height=48, steps=3, guidance=3.5, seed=3, to=(48, 64), upscaler="latent", strength=0.7,
         second=3, length=16),
    dict(prompt="a fox", width=48, height=32, steps=2, guidance=3.5, seed=4, to=(64, 48), upscaler="lanczos", strength=0.6,
         second=4, length=16, count=2),
]
REFINED = [
    dict(prompt="a fox", width=40, height=48, steps=6, guidance=5.0, seed=3, switch=0.6, count=2),
    dict(prompt="a red heart", negative="a hen", width=48, height=40, steps=5, guidance=3.0, seed=4, switch=0.3),
]


def generators(case):
    return [generator(case["seed"] + i) for i in range(case.get("count", 1))]


def arguments(case):
    out = dict(prompt=case["prompt"], guidance_scale=case["guidance"], num_images_per_prompt=case.get("count", 1))
    if "negative" in case:
        out["negative_prompt"] = case["negative"]
    if "length" in case:
        out["max_sequence_length"] = case["length"]
    return out


def last_of(pipe, **passed):
    """-> the last latents, the pictures"""
    last = {}

    def keep(_pipe, _index, _t, values):
        last["latents"] = values["latents"].clone()
        return {}

    images = pipe(**passed, callback_on_step_end=keep).images
    return last["latents"], images


def second_input(latents, images, case):
    size = case["to"]
    if case["upscaler"] in LATENT:
        return torch.nn.functional.interpolate(latents, size=(size[1] // 8, size[0] // 8), **LATENT[case["upscaler"]])
    return [image.resize(size, PIXELS[case["upscaler"]]) for image in images]


def tensors_of(latents, image):
    return {"final_latents": latents, "image_u8": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)}


def hires(pipe, case):
    second = StableDiffusionImg2ImgPipeline(**{k: v for k, v in pipe.components.items()}, requires_safety_checker=False)
    second.set_progress_bar_config(disable=True)
    first = last_of(pipe, **arguments(case), width=case["width"], height=case["height"], num_inference_steps=case["steps"],
                    generator=generators(case), output_type="pil")
    return tensors_of(*last_of(second, **arguments(case), image=second_input(*first, case), strength=case["strength"],
                               num_inference_steps=case["second"], generator=generators(case), output_type="pt"))


def flux_hires(pipe, case):
    """Each picture by itself: FluxImg2ImgPipeline shares one posterior."""
    second = FluxImg2ImgPipeline(**{k: v for k, v in pipe.components.items() if v is not None})
    second.set_progress_bar_config(disable=True)
    scale, parts = pipe.vae_scale_factor, []
    for i in range(case.get("count", 1)):
        one = case | dict(seed=case["seed"] + i, count=1)
        packed, images = last_of(pipe, **arguments(one), width=case["width"], height=case["height"],
                                 num_inference_steps=case["steps"], generator=generators(one), output_type="pil")
        latents = FluxPipeline._unpack_latents(packed, case["height"], case["width"], scale)
        size = case["to"]
        if case["upscaler"] in LATENT:
            image = torch.nn.functional.interpolate(latents, size=(size[1] // scale, size[0] // scale),
                                                    **LATENT[case["upscaler"]])
        else:
            image = second_input(latents, images, case)
        packed, image = last_of(second, **arguments(one), image=image, width=size[0], height=size[1],
                                strength=case["strength"], num_inference_steps=case["second"], generator=generators(one),
                                output_type="pt")
        parts.append(tensors_of(FluxPipeline._unpack_latents(packed, size[1], size[0], scale), image))
    return {k: torch.cat([p[k] for p in parts]) for k in parts[0]}


def refined(base, refiner, case):
    second = StableDiffusionXLImg2ImgPipeline(**{k: v for k, v in refiner.components.items() if k != "image_encoder" and
                                                 k != "feature_extractor"}, requires_aesthetics_score=True,
                                              force_zeros_for_empty_prompt=False, add_watermarker=False)
    second.set_progress_bar_config(disable=True)
    latents, _ = last_of(base, **arguments(case), width=case["width"], height=case["height"], num_inference_steps=case["steps"],
                         generator=generators(case), denoising_end=case["switch"], output_type="latent")
    return tensors_of(*last_of(second, **arguments(case), image=latents, num_inference_steps=case["steps"],
                               generator=generators(case), denoising_start=case["switch"], output_type="pt"))


def describe(case, index):
    out = {"file": f"case_{index}.safetensors", "prompt": case["prompt"], "negative_prompt": case.get("negative"),
           "width": case["width"], "height": case["height"], "num_inference_steps": case["steps"],
           "guidance_scale": case["guidance"], "seed": case["seed"], "count": case.get("count", 1)}
    if "length" in case:
        out["max_sequence_length"] = case["length"]
    if "switch" in case:
        return out | {"refiner": "../xl_tiny_refiner", "refiner_switch": case["switch"]}
    return out | {"hires_size": list(case["to"]), "hires_upscaler": case["upscaler"], "hires_strength": case["strength"],
                  "hires_steps": case["second"]}


def write(name, cases, run):
    folder = fresh_folder("pipelines", name)
    for index, case in enumerate(cases):
        tensors = run(case)
        save_tensors(folder / f"case_{index}.safetensors", tensors)
        print(f"  case {index}: {tuple(tensors['image_u8'].shape)} latents std {tensors['final_latents'].std():.2f}")
    write_json(folder / "cases.json", [describe(case, index) for index, case in enumerate(cases)])
    report(folder)


def opened(cls, name, **options):
    pipe = cls.from_pretrained(FIXTURES / "pipelines" / name, torch_dtype=torch.float32, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main():
    pipe = opened(StableDiffusionPipeline, "sd_tiny", safety_checker=None, requires_safety_checker=False)
    write("sd_tiny_hires", HIRES, lambda case: hires(pipe, case))
    flux = opened(FluxPipeline, "flux_tiny_dev")
    write("flux_tiny_hires", FLUX, lambda case: flux_hires(flux, case))
    base = opened(StableDiffusionXLPipeline, "xl_tiny", add_watermarker=False)
    refiner = opened(StableDiffusionXLImg2ImgPipeline, "xl_tiny_refiner", add_watermarker=False)
    write("xl_tiny_refined", REFINED, lambda case: refined(base, refiner, case))


if __name__ == "__main__":
    main()
