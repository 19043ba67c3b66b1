"""tests/fixtures/pipelines/sd3_tiny*: whole StableDiffusion3Pipeline folders and what they draw (see pipeline_runs.py).

sd3_tiny has three text encoders, as published; in sd3_tiny_no_t5 the third and its tokenizer are null. sd3_tiny_pictures
starts from init.png (image to image) and repaints the white of mask.png (inpainting, which wants 16 channels).
"""

import numpy as np
import torch
from diffusers import (AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Img2ImgPipeline,
                       StableDiffusion3InpaintPipeline, StableDiffusion3Pipeline)
from PIL import Image
from transformers import (CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel,
                          T5TokenizerFast)

import tiny_tokenizers
from common import fresh_folder, generator, randn, redraw, report, save_tensors, write_json
from pipeline_flux import LONG
from pipeline_runs import check_parts, describe, save_folder, write_cases

FOLDERS = {
    "sd3_tiny": dict(
        seed=1500, joint=44, pooled=20, scheduler=dict(shift=3.0),
        clips=(dict(hidden_size=12, projection_dim=8, num_attention_heads=3, hidden_act="quick_gelu"),
               dict(hidden_size=20, projection_dim=12, num_attention_heads=2, hidden_act="gelu")),
        t5=dict(d_kv=6, num_heads=3, d_ff=32, num_layers=2),
        transformer=dict(num_attention_heads=2, attention_head_dim=12, num_layers=3, pos_embed_max_size=6, qk_norm="rms_norm",
                         dual_attention_layers=(0,)),
        cases=[
            dict(prompt="a red heart on a blue background", width=64, height=48, steps=3, guidance=7.0, seed=0,
                 options=dict(max_sequence_length=24)),
            dict(prompt="two yellow pears!!! ½ 🦊 über", negative="blurry, low quality!", width=32, height=48, steps=4,
                 guidance=4.5, seed=5, count=2, options=dict(max_sequence_length=40, clip_skip=1)),
            dict(prompt=LONG, negative=LONG, width=48, height=32, steps=6, guidance=3.0, seed=2**33 + 5,
                 options=dict(max_sequence_length=33, skip_guidance_layers=[0, 2], skip_layer_guidance_start=0.2,
                              skip_layer_guidance_stop=0.7, skip_layer_guidance_scale=1.75)),
            dict(prompt="", width=16, height=96, steps=2, guidance=5.0, seed=7),
            dict(prompt="a boat's sail", width=48, height=32, steps=5, guidance=1.0, seed=13, given=True,
                 options=dict(max_sequence_length=8, skip_guidance_layers=[1])),
            dict(prompt="the sea", width=32, height=32, steps=8, guidance=2.0, seed=14,
                 options=dict(max_sequence_length=12, skip_guidance_layers=[1])),
        ]),
    "sd3_tiny_no_t5": dict(
        seed=1600, joint=24, pooled=24, scheduler=dict(shift=1.0, use_dynamic_shifting=True, base_image_seq_len=4,
                                                      max_image_seq_len=64),
        # Wider together than the transformer takes: cut.
        clips=(dict(hidden_size=16, projection_dim=10, num_attention_heads=2, hidden_act="gelu"),
               dict(hidden_size=12, projection_dim=14, num_attention_heads=4, hidden_act="quick_gelu")), t5=None,
        transformer=dict(num_attention_heads=3, attention_head_dim=8, num_layers=2, pos_embed_max_size=9),
        cases=[
            dict(prompt="a golden dragon made of paper", width=32, height=64, steps=4, guidance=5.0, seed=21,
                 options=dict(max_sequence_length=16)),
            dict(prompt="neon signs", negative="", width=48, height=16, steps=2, guidance=0.0, seed=22, count=3,
                 options=dict(max_sequence_length=1)),
        ]),
}


PICTURES = dict(FOLDERS["sd3_tiny_no_t5"], seed=1650, channels=16, scheduler=dict(shift=3.0), cases=[
    dict(prompt="a fox", width=48, height=32, steps=5, guidance=3.0, seed=3, strength=0.5, init="init.png"),
    dict(prompt="the sea", negative="a hen", width=32, height=48, steps=3, guidance=1.0, seed=4, strength=1.0, init="init.png"),
    dict(prompt="a boat", width=48, height=32, steps=7, guidance=4.0, seed=5, count=2, strength=0.75, init="init.png",
         mask="mask.png"),
    dict(prompt="neon", width=48, height=32, steps=2, guidance=2.0, seed=6, strength=1.0, init="init.png", mask="mask.png"),
])


def write_pictures(pipe, folder, cases):
    noise = np.random.RandomState(0).randint(0, 255, (32, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "init.png")
    mask = np.zeros((32, 48), np.uint8)
    mask[8:24, 16:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    for index, case in enumerate(cases):
        cls = StableDiffusion3InpaintPipeline if "mask" in case else StableDiffusion3Img2ImgPipeline
        other, last, count = cls(**pipe.components), {}, case.get("count", 1)
        other.set_progress_bar_config(disable=True)
        extra = {"mask_image": Image.open(folder / case["mask"])} if "mask" in case else {}

        def keep(_pipe, _index, _t, values):
            last["final_latents"] = values["latents"].clone()
            return {}

        image = other(
            prompt=case["prompt"], negative_prompt=case.get("negative"), image=Image.open(folder / case["init"]),
            width=case["width"], height=case["height"], strength=case["strength"], num_inference_steps=case["steps"],
            guidance_scale=case["guidance"], num_images_per_prompt=count, output_type="pt", callback_on_step_end=keep,
            generator=[generator(case["seed"] + i) for i in range(count)], max_sequence_length=16, **extra).images
        last["image_u8"] = (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
        save_tensors(folder / f"case_{index}.safetensors", last)
    write_json(folder / "cases.json", [describe(case, index) | {"max_sequence_length": 16} | {
        k: case[k] for k in ("init", "mask", "strength") if k in case} for index, case in enumerate(cases)])


def build(folder, spec):
    seed, levels = spec["seed"], 4
    words = tiny_tokenizers.clip(folder / "tokenizer", 90, 20)
    tiny_tokenizers.clip(folder / "tokenizer_2", 90, 20, pad="!")
    tokenizers = {name: CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")}
    parts = {}
    for i, (name, sizes) in enumerate(zip(("text_encoder", "text_encoder_2"), spec["clips"])):
        parts[name] = redraw(CLIPTextModelWithProjection(CLIPTextConfig(
            vocab_size=words, max_position_embeddings=20, num_hidden_layers=3, intermediate_size=28, bos_token_id=words - 2,
            eos_token_id=(2, words - 1)[i], pad_token_id=1, **sizes)), seed + i)
    if spec["t5"]:
        pieces = tiny_tokenizers.t5(folder / "tokenizer_3", 150, 512, "nmt_nfkc")
        tokenizers["tokenizer_3"] = T5TokenizerFast.from_pretrained(folder / "tokenizer_3")
        parts["text_encoder_3"] = redraw(T5EncoderModel(T5Config(
            vocab_size=pieces, d_model=spec["joint"], feed_forward_proj="gated-gelu", is_encoder_decoder=False,
            use_cache=False, **spec["t5"])), seed + 2)
    transformer = SD3Transformer2DModel(
        in_channels=spec.get("channels", 4), out_channels=spec.get("channels", 4), sample_size=6, joint_attention_dim=spec["joint"], pooled_projection_dim=spec["pooled"],
        caption_projection_dim=spec["transformer"]["num_attention_heads"] * spec["transformer"]["attention_head_dim"],
        **spec["transformer"])
    parts["transformer"] = redraw(transformer, seed + 3)
    transformer.pos_embed.pos_embed.copy_(randn(seed + 50, *transformer.pos_embed.pos_embed.shape))
    parts["vae"] = redraw(AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels, latent_channels=spec.get("channels", 4), layers_per_block=1, norm_num_groups=2,
        up_block_types=("UpDecoderBlock2D",) * levels, block_out_channels=(4, 4, 6, 6), scaling_factor=1.5305,
        shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False), seed + 4)
    parts["scheduler"] = FlowMatchEulerDiscreteScheduler(**spec["scheduler"])
    none = {} if spec["t5"] else {"text_encoder_3": None, "tokenizer_3": None}
    pipe = StableDiffusion3Pipeline(**parts, **tokenizers, **none)
    save_folder(pipe, parts, folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main():
    for name, spec in FOLDERS.items():
        folder = fresh_folder("pipelines", name)
        pipe = build(folder, spec)
        texts = [f"text_encoder{n}" for n in ("", "_2", "_3")[:3 if spec["t5"] else 2]]
        check_parts(pipe, spec["cases"][0], 4, texts)
        write_cases(pipe, folder, spec["cases"], 4)
        report(folder)
    folder = fresh_folder("pipelines", "sd3_tiny_pictures")
    write_pictures(build(folder, PICTURES), folder, PICTURES["cases"])
    report(folder)


if __name__ == "__main__":
    main()
