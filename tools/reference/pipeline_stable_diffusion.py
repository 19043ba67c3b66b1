"""tests/fixtures/pipelines/sd_tiny*, xl_tiny*: whole Stable Diffusion folders and what they draw (see pipeline_runs.py).

Text to image, image to image and inpainting as Diffusers' classes for them do it, over the same components. init.png and
mask.png have sizes of their own; where a class takes no size, the picture is resized before, as its image processor would.
"""

import json
import sys

import numpy as np
import torch
from diffusers import (AutoencoderKL, DDPMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline,
                       StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline,
                       StableDiffusionXLPipeline, UNet2DConditionModel)
import diffusers
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import tiny_tokenizers
from common import fresh_folder, generator, redraw, report, save_tensors, write_json
from pipeline_flux import LONG
from pipeline_runs import save_folder

SAMPLERS = {"ddim": "DDIMScheduler", "ddpm": "DDPMScheduler", "pndm": "PNDMScheduler", "euler": "EulerDiscreteScheduler",
            "euler_a": "EulerAncestralDiscreteScheduler", "heun": "HeunDiscreteScheduler", "lms": "LMSDiscreteScheduler",
            "dpmpp_2m": "DPMSolverMultistepScheduler", "unipc": "UniPCMultistepScheduler", "lcm": "LCMScheduler"}
CLASSES = {False: (StableDiffusionPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline),
           True: (StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline)}
SD_BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
DOWN, UP = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
XL_DOWN, XL_UP = DOWN[::-1], UP[::-1]
UNET = dict(block_out_channels=(8, 12), layers_per_block=1, norm_num_groups=4, sample_size=6)
PAINT = dict(init="init.png", mask="mask.png")

FOLDERS = {
    "sd_tiny": dict(
        seed=2000, scheduler=SD_BETAS, clips=(dict(hidden_size=20, num_attention_heads=2, hidden_act="quick_gelu"),),
        unet=dict(down_block_types=DOWN, up_block_types=UP, attention_head_dim=2),
        cases=[
            dict(prompt="a red heart on a blue background", width=64, height=48, steps=3, guidance=7.5, seed=0),
            dict(prompt="two yellow pears!!!", negative="blurry, low quality!", width=32, height=56, steps=4, guidance=4.5,
                 seed=5, count=2, options=dict(clip_skip=1, guidance_rescale=0.7)),
            dict(prompt=LONG, negative=LONG, width=48, height=32, steps=2, guidance=1.0, seed=2**33 + 5, given=True),
            dict(prompt="a fox", width=40, height=48, steps=5, guidance=5.0, seed=6, init="init.png", strength=0.7, count=2),
            dict(prompt="the sea", negative="", width=56, height=40, steps=3, guidance=3.0, seed=7, init="init.png",
                 strength=1.0, options=dict(clip_skip=2)),
            dict(prompt="a boat's sail", width=56, height=64, steps=4, guidance=6.0, seed=8, count=2, strength=0.8, **PAINT),
            dict(prompt="neon signs", width=48, height=40, steps=3, guidance=0.5, seed=9, strength=1.0, **PAINT),
            *(dict(prompt="a hen", width=24, height=40, steps=4, guidance=3.0, seed=20 + i, sampler=name,
                   options=dict(eta=0.6) if name == "ddim" else {}) for i, name in enumerate(SAMPLERS)),
            *(dict(prompt="a hen", width=32, height=32, steps=5, guidance=3.0, seed=40 + i, sampler=name, init="init.png",
                   strength=0.65) for i, name in enumerate(("pndm", "euler_a", "heun", "dpmpp_2m", "unipc", "lcm"))),
            *(dict(prompt="a hen", width=24, height=48, steps=6, guidance=3.0, seed=50 + i, sampler=name, strength=0.5,
                   **PAINT) for i, name in enumerate(("ddim", "euler", "heun", "lms", "dpmpp_2m", "pndm"))),
        ]),
    "sd_tiny_inpaint": dict(  # as Stable Diffusion 2: v, linear projections
        seed=2100, scheduler=SD_BETAS | dict(prediction_type="v_prediction"),
        clips=(dict(hidden_size=16, num_attention_heads=2, hidden_act="gelu"),),
        unet=dict(down_block_types=DOWN, up_block_types=UP, attention_head_dim=(2, 3), use_linear_projection=True,
                  in_channels=9),
        cases=[
            dict(prompt="a golden dragon made of paper", width=40, height=48, steps=3, guidance=7.5, seed=0, strength=1.0,
                 **PAINT),
            dict(prompt="a hen", negative="a fox", width=64, height=32, steps=5, guidance=3.0, seed=4, strength=0.5, count=2,
                 **PAINT),
            dict(prompt="a hen", width=32, height=24, steps=4, guidance=3.0, seed=5, strength=0.8, sampler="pndm", **PAINT),
        ]),
    "sd_tiny_distilled": dict(  # guidance is an input
        seed=2200, scheduler=SD_BETAS, clips=(dict(hidden_size=16, num_attention_heads=2, hidden_act="gelu"),),
        unet=dict(down_block_types=DOWN, up_block_types=UP, attention_head_dim=2, time_cond_proj_dim=14),
        cases=[dict(prompt="a hen", width=48, height=48, steps=3, guidance=8.5, seed=0, count=2),
               dict(prompt="a hen", width=48, height=40, steps=4, guidance=2.0, seed=1, init="init.png", strength=0.5)]),
    "xl_tiny": dict(
        seed=2300, scheduler=SD_BETAS | dict(timestep_spacing="leading"), force=True,
        clips=(dict(hidden_size=12, num_attention_heads=3, hidden_act="quick_gelu"),
               dict(hidden_size=16, projection_dim=10, num_attention_heads=2, hidden_act="gelu")),
        unet=dict(down_block_types=XL_DOWN, up_block_types=XL_UP, attention_head_dim=(2, 3), transformer_layers_per_block=(1, 2),
                  use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=4,
                  projection_class_embeddings_input_dim=10 + 6 * 4),
        cases=[
            dict(prompt="a red heart!!", width=64, height=48, steps=3, guidance=5.0, seed=0),
            dict(prompt="two yellow pears", negative="", width=32, height=56, steps=4, guidance=7.0, seed=5,
                 options=dict(clip_skip=1, guidance_rescale=0.4, original_size=(512, 768), crops_coords_top_left=(16, 32),
                              target_size=(256, 320), negative_original_size=(128, 96), negative_target_size=(64, 200),
                              negative_crops_coords_top_left=(8, 4))),
            dict(prompt="a fox", negative="a hen", width=48, height=40, steps=5, guidance=4.0, seed=6, count=2,
                 options=dict(denoising_end=0.6)),
            dict(prompt="a fox", width=40, height=48, steps=5, guidance=5.0, seed=7, init="init.png", strength=0.7, count=2,
                 options=dict(negative_original_size=(100, 50), guidance_rescale=0.5)),
            dict(prompt="the sea", width=56, height=40, steps=6, guidance=1.0, seed=8, init="init.png", strength=0.3,
                 options=dict(denoising_start=0.4, denoising_end=0.9)),
            dict(prompt="a boat", width=56, height=64, steps=4, guidance=6.0, seed=9, count=2, strength=0.8, **PAINT),
            dict(prompt="neon", width=48, height=40, steps=4, guidance=6.0, seed=10, strength=1.0,
                 options=dict(denoising_start=0.5), **PAINT),
            dict(prompt="a hen", width=24, height=40, steps=5, guidance=3.0, seed=11, sampler="euler",
                 options=dict(denoising_end=0.7)),
            dict(prompt="a hen", width=32, height=32, steps=6, guidance=3.0, seed=12, sampler="heun", init="init.png",
                 options=dict(denoising_start=0.45)),
            dict(prompt="a fox", width=24, height=32, steps=4, guidance=3.0, seed=13, init="init.png", strength=0.6,
                 options=dict(crops_coords_top_left=(300, 200), negative_crops_coords_top_left=(900, 700))),
        ]),
    "xl_tiny_refiner": dict(
        seed=2400, scheduler=SD_BETAS, force=False, aesthetic=True,
        clips=(None, dict(hidden_size=16, projection_dim=10, num_attention_heads=2, hidden_act="gelu")),
        unet=dict(down_block_types=XL_DOWN, up_block_types=XL_UP, attention_head_dim=(2, 3), use_linear_projection=True,
                  addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=10 + 5 * 4),
        cases=[
            dict(prompt="a red heart", width=40, height=48, steps=6, guidance=5.0, seed=0, init="init.png", strength=0.5,
                 options=dict(aesthetic_score=7.5, negative_aesthetic_score=1.5)),
            dict(prompt="a fox", width=56, height=48, steps=5, guidance=4.0, seed=3, given=True,
                 options=dict(denoising_start=0.6)),
        ]),
}


def build(folder, spec):
    seed, xl, levels = spec["seed"], len(spec["clips"]) == 2, 4
    parts, tokenizers = {}, {}
    for i, sizes in enumerate(spec["clips"]):
        n = "_2" if i else ""
        if sizes is None:
            parts["text_encoder"] = tokenizers["tokenizer"] = None
            continue
        words = tiny_tokenizers.clip(folder / f"tokenizer{n}", 90, 20, pad="!" if i else None)
        tokenizers[f"tokenizer{n}"] = CLIPTokenizer.from_pretrained(folder / f"tokenizer{n}")
        cls = CLIPTextModelWithProjection if i else CLIPTextModel
        parts[f"text_encoder{n}"] = redraw(cls(CLIPTextConfig(
            vocab_size=words, max_position_embeddings=20, num_hidden_layers=4, intermediate_size=28, bos_token_id=words - 2,
            eos_token_id=(2, words - 1)[i], pad_token_id=1, **sizes)), seed + i)
        # What clip_skip of Diffusers asks for, and transformers 5 no longer has.
        if not i:
            object.__setattr__(parts["text_encoder"], "text_model", parts["text_encoder"])
    width = sum(c["hidden_size"] for c in spec["clips"] if c)
    parts["unet"] = redraw(UNet2DConditionModel(cross_attention_dim=width, **UNET, **spec["unet"]), seed + 3)
    parts["vae"] = redraw(AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels, latent_channels=4, layers_per_block=1, norm_num_groups=2,
        up_block_types=("UpDecoderBlock2D",) * levels, block_out_channels=(4, 4, 6, 6),
        scaling_factor=0.13025 if xl else 0.18215), seed + 4)
    parts["scheduler"] = DDPMScheduler(**spec["scheduler"])
    if xl and spec.get("aesthetic"):
        pipe = StableDiffusionXLImg2ImgPipeline(**parts, **tokenizers, requires_aesthetics_score=True,
                                                force_zeros_for_empty_prompt=spec["force"], add_watermarker=False)
    elif xl:
        pipe = StableDiffusionXLPipeline(**parts, **tokenizers, force_zeros_for_empty_prompt=spec["force"],
                                         add_watermarker=False)
    else:
        cls = StableDiffusionInpaintPipeline if spec["unet"].get("in_channels") == 9 else StableDiffusionPipeline
        pipe = cls(**parts, **tokenizers, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    save_folder(pipe, {k: v for k, v in parts.items() if v is not None}, folder)
    if not xl:  # as published: other classes then take their own
        config = scheduler_config(folder)
        del config["timestep_spacing"]
        write_json(folder / "scheduler" / "scheduler_config.json", config)
    return pipe


def pictures(folder, seed):
    g = np.random.default_rng(seed)
    y, x = np.mgrid[0:50, 0:44]
    waves = [127.5 + 90 * np.sin(x / a + y / b) for a, b in ((5, 9), (11, 4), (7, -6))]
    picture = np.stack(waves, -1) + g.normal(0, 15, (50, 44, 3))
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / "init.png")
    mask = 255 / (1 + np.exp(-(14 - np.hypot(x - 20, y - 28)) / 2))
    Image.fromarray(mask.astype(np.uint8), "L").save(folder / "mask.png")


def scheduler_config(folder):
    return json.loads((folder / "scheduler" / "scheduler_config.json").read_text())


def pipeline_for(pipe, folder, xl, case):
    own = dict(pipe.components)
    own.pop("image_encoder", None)
    if "sampler" in case:
        own["scheduler"] = getattr(diffusers, SAMPLERS[case["sampler"]]).from_config(scheduler_config(folder))
    if xl:
        own.pop("feature_extractor", None)
        own |= dict(force_zeros_for_empty_prompt=pipe.config.force_zeros_for_empty_prompt, add_watermarker=False)
    else:
        own |= dict(requires_safety_checker=False)
    refines = "denoising_start" in case.get("options", {})
    which = 2 if case.get("mask") else 1 if case.get("init") or refines else 0
    if xl and which:
        own["requires_aesthetics_score"] = pipe.config.get("requires_aesthetics_score", False)
    out = CLASSES[xl][which](**own)
    out.set_progress_bar_config(disable=True)
    return out, which


def run(pipe, folder, case, xl):
    pipe, which = pipeline_for(pipe, folder, xl, case)
    count, size = case.get("count", 1), (case["width"], case["height"])
    passed = dict(prompt=case["prompt"], num_inference_steps=case["steps"], guidance_scale=case["guidance"],
                  num_images_per_prompt=count, negative_prompt=case.get("negative"),
                  generator=[generator(case["seed"] + i) for i in range(count)], **case.get("options", {}))
    if which != 1:
        passed |= dict(width=size[0], height=size[1])
    if "strength" in case:
        passed["strength"] = case["strength"]
    if case.get("init"):
        image = Image.open(folder / case["init"]).convert("RGB")
        passed["image"] = image if which == 2 else image.resize(size, Image.LANCZOS)
    if case.get("mask"):
        passed["mask_image"] = Image.open(folder / case["mask"])
    tensors = {}
    if case.get("given"):
        channels = pipe.vae.config.latent_channels
        initial = torch.rand(count, channels, size[1] // 8, size[0] // 8, generator=generator(case["seed"])) * 3 - 1.5
        tensors["initial_latents_nchw"] = initial
        passed["image" if which == 1 else "latents"] = initial

    def keep(_pipe, index, _t, values):
        tensors["final_latents"] = values["latents"].clone()
        return {}

    image = pipe(**passed, output_type="pt", callback_on_step_end=keep).images
    return tensors | {"image_u8": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)}


def describe(case, index):
    flat = {}
    for key, value in case.get("options", {}).items():  # pairs: width first, left first
        flat[key] = list(value)[::-1] if isinstance(value, tuple) else value
    return {"file": f"case_{index}.safetensors", "prompt": case["prompt"], "negative_prompt": case.get("negative"),
            "width": case["width"], "height": case["height"], "num_inference_steps": case["steps"],
            "guidance_scale": case["guidance"], "seed": case["seed"], "count": case.get("count", 1),
            "latents_given": case.get("given", False),
            **{k: case[k] for k in ("init", "mask", "strength", "sampler") if k in case}, **flat}


def check_parts(pipe, folder, case, xl):
    before = run(pipe, folder, case, xl)
    for name in ("text_encoder", "text_encoder_2", "unet", "vae"):
        part = getattr(pipe, name, None)
        if part is None:
            continue
        saved = {k: v.clone() for k, v in part.state_dict().items()}
        redraw(part, 1)
        after = run(pipe, folder, case, xl)
        key = "image_u8" if name == "vae" else "final_latents"
        moved = ((after[key].float() - before[key].float()).abs().max() / before[key].float().std()).item()
        part.load_state_dict(saved)
        if moved < 0.05:
            raise SystemExit(f"{name} hardly matters: {moved:.3f}")
        print(f"  another {name} moves the result by {moved:.2f}")


def main():
    for name, spec in FOLDERS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        folder = fresh_folder("pipelines", name)
        xl = len(spec["clips"]) == 2
        pipe = build(folder, spec)
        pictures(folder, spec["seed"])
        check_parts(pipe, folder, spec["cases"][0], xl)
        for index, case in enumerate(spec["cases"]):
            tensors = run(pipe, folder, case, xl)
            save_tensors(folder / f"case_{index}.safetensors", tensors)
            print(f"  case {index}: latents std {tensors['final_latents'].std():.2f}")
        write_json(folder / "cases.json", [describe(c, i) for i, c in enumerate(spec["cases"])])
        report(folder)


if __name__ == "__main__":
    main()
