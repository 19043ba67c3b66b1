"""tests/fixtures/pipelines/hunyuan_tiny_*: whole HunyuanDiTPipeline folders and what they draw (see pipeline_runs.py)."""

import torch
from diffusers import AutoencoderKL, DDPMScheduler, HunyuanDiT2DModel, HunyuanDiTPipeline
from transformers import BertConfig, BertModel, BertTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

import tiny_tokenizers
from common import fresh_folder, redraw, report, round_parameters
from pipeline_flux import LONG
from pipeline_runs import check_parts, save_folder, write_cases

V = dict(beta_start=0.00085, beta_end=0.018, beta_schedule="scaled_linear", clip_sample=False,
         prediction_type="v_prediction", steps_offset=1)
CHINESE = "一个宇航员在骑马，红色的心"
FOLDERS = {
    "hunyuan_tiny_1_1": dict(
        seed=1100, fast=False, sized=True, transformer=dict(num_attention_heads=1, attention_head_dim=16, num_layers=6),
        bert=dict(hidden_size=12, num_attention_heads=2, num_hidden_layers=2, intermediate_size=20),
        t5=dict(d_model=16, d_kv=4, num_heads=2, d_ff=24, num_layers=2, feed_forward_proj="gated-gelu"),
        vae=dict(block_out_channels=(4, 8, 8, 8), norm_num_groups=4, scaling_factor=0.13025), scheduler={**V, "beta_end": 0.03},
        cases=[
            dict(prompt=CHINESE, width=64, height=64, steps=3, guidance=5.0, seed=0),
            dict(prompt="a red heart on a blue background", negative="模糊，低质量 blurry", width=48, height=80, steps=2,
                 guidance=2.5, seed=7, count=2, options=dict(guidance_rescale=0.7)),
            dict(prompt="", width=32, height=16, steps=4, guidance=1.0, seed=3),
        ]),
    "hunyuan_tiny_1_2": dict(
        seed=1200, fast=True, sized=False, transformer=dict(num_attention_heads=2, attention_head_dim=8, num_layers=4),
        bert=dict(hidden_size=16, num_attention_heads=4, num_hidden_layers=1, intermediate_size=28),
        t5=dict(d_model=24, d_kv=6, num_heads=3, d_ff=20, num_layers=1, feed_forward_proj="gated-gelu"),
        vae=dict(block_out_channels=(6, 6, 6, 9), norm_num_groups=3, scaling_factor=0.5), scheduler=V,
        cases=[
            dict(prompt="an astronaut riding a horse on the moon (1969)", width=64, height=32, steps=5, guidance=6.0, seed=11),
            dict(prompt=LONG + CHINESE * 8, negative="", width=48, height=48, steps=2, guidance=4.0, seed=12,
                 options=dict(guidance_rescale=1.0)),
            dict(prompt="Ein süßer Fuchs 🦊, 東京の夜\t（ネオン）  ½ ﬁnal 三只小猫", negative="模糊", width=32, height=64, steps=3,
                 guidance=3.0, seed=2**33 + 5, count=3),
            dict(prompt="the sea, the sea!", width=32, height=48, steps=3, guidance=0.0, seed=14, given=True, count=2),
        ]),
}


def build(folder, spec):
    seed, c = spec["seed"], spec["bert"]
    words = tiny_tokenizers.bert(folder / "tokenizer", 77, spec["fast"])
    pieces = tiny_tokenizers.t5(folder / "tokenizer_2", 120, 256, "nmt_nfkc", spec["fast"])
    t5 = T5Config(vocab_size=pieces, is_encoder_decoder=False, use_cache=False, **spec["t5"])
    transformer = HunyuanDiT2DModel(
        in_channels=4, patch_size=2, sample_size=8, mlp_ratio=2.3, cross_attention_dim=c["hidden_size"],
        cross_attention_dim_t5=t5.d_model, pooled_projection_dim=10, text_len=77, text_len_t5=256,
        hidden_size=spec["transformer"]["num_attention_heads"] * spec["transformer"]["attention_head_dim"],
        use_style_cond_and_image_meta_size=spec["sized"], **spec["transformer"])
    parts = {
        "text_encoder": redraw(BertModel(BertConfig(vocab_size=words, max_position_embeddings=80, **c)), seed),
        "text_encoder_2": redraw(T5EncoderModel(t5), seed + 1),
        "transformer": redraw(transformer, seed + 2),
        "vae": redraw(AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                                    layers_per_block=1, latent_channels=4, **spec["vae"]), seed + 3),
        "scheduler": DDPMScheduler(**spec["scheduler"]),
    }
    round_parameters(transformer, torch.bfloat16)
    pipe = HunyuanDiTPipeline(
        tokenizer=BertTokenizer.from_pretrained(folder / "tokenizer"),
        tokenizer_2=T5TokenizerFast.from_pretrained(folder / "tokenizer_2"), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, **parts)
    transformer.to(torch.bfloat16)
    save_folder(pipe, parts, folder)
    pipe = HunyuanDiTPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main():
    for name, spec in FOLDERS.items():
        folder = fresh_folder("pipelines", name)
        pipe = build(folder, spec)
        cases = [case | {"options": {"use_resolution_binning": False, **case.get("options", {})}} for case in spec["cases"]]
        check_parts(pipe, cases[0], 4, ["text_encoder", "text_encoder_2"])
        write_cases(pipe, folder, cases, 4)
        report(folder)


if __name__ == "__main__":
    main()
