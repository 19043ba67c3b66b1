"""tests/fixtures/pipelines/lumina2_tiny_*: whole Lumina2Pipeline folders and what they draw (see pipeline_runs.py)."""

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel
from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM, Gemma2Model

import tiny_tokenizers
from common import fresh_folder, redraw, report, round_parameters
from networks_bert_gemma2 import redraw_gemma
from pipeline_flux import LONG
from pipeline_runs import check_parts, save_folder, write_cases

CHINESE = "一个宇航员在骑马，红色的心"
FOLDERS = {
    "lumina2_tiny": dict(
        seed=1300, cls=Gemma2Model, index="Lumina2Text2ImgPipeline",
        gemma=dict(hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=6, num_hidden_layers=3,
                   intermediate_size=32, query_pre_attn_scalar=9, sliding_window=5),
        transformer=dict(hidden_size=32, num_layers=2, num_refiner_layers=1, num_attention_heads=4, num_kv_heads=2,
                         multiple_of=16, axes_dim_rope=(4, 2, 2)),
        vae=dict(block_out_channels=(4, 8, 8, 8), norm_num_groups=4), scheduler=dict(shift=6.0),
        cases=[
            dict(prompt="a red heart on a blue background", width=64, height=48, steps=3, guidance=4.0, seed=0,
                 options=dict(max_sequence_length=160)),
            dict(prompt=CHINESE, negative="blurry, 低质量", width=32, height=48, steps=5, guidance=2.5, seed=5, count=2,
                 options=dict(cfg_trunc_ratio=0.6, system_prompt="Draw", max_sequence_length=40)),
            dict(prompt="", width=32, height=32, steps=4, guidance=6.0, seed=2**33 + 5,
                 options=dict(cfg_normalization=False, cfg_trunc_ratio=0.5, max_sequence_length=200)),
            dict(prompt="a boat's sail", width=48, height=32, steps=2, guidance=1.0, seed=13, given=True,
                 options=dict(system_prompt="", max_sequence_length=33)),
        ]),
    "lumina2_tiny_dynamic": dict(
        seed=1400, cls=Gemma2ForCausalLM, index=None,
        gemma=dict(hidden_size=20, num_attention_heads=2, num_key_value_heads=1, head_dim=8, num_hidden_layers=2,
                   intermediate_size=28, query_pre_attn_scalar=20, attn_logit_softcapping=2.0),
        transformer=dict(hidden_size=24, num_layers=1, num_refiner_layers=2, num_attention_heads=2, num_kv_heads=1,
                         multiple_of=8, axes_dim_rope=(4, 4, 4)),
        vae=dict(block_out_channels=(6, 6, 6, 9), norm_num_groups=3),
        scheduler=dict(shift=3.0, use_dynamic_shifting=True, base_image_seq_len=4, max_image_seq_len=64),
        cases=[
            dict(prompt=LONG * 2, negative=LONG, width=32, height=64, steps=4, guidance=3.0, seed=21,
                 options=dict(max_sequence_length=64)),
            dict(prompt="Ein süßer Fuchs 🦊, 東京の夜\t（ネオン）  ½ ﬁnal", width=48, height=16, steps=2, guidance=5.0, seed=22,
                 count=3, options=dict(max_sequence_length=250)),
        ]),
}


def build(folder, spec):
    seed, levels = spec["seed"], 4
    pieces = tiny_tokenizers.gemma(folder / "tokenizer", 420)
    gemma = redraw_gemma(spec["cls"](Gemma2Config(vocab_size=pieces, **spec["gemma"])), seed)
    transformer = redraw(Lumina2Transformer2DModel(
        in_channels=4, sample_size=8, axes_lens=(300, 16, 16), cap_feat_dim=gemma.config.hidden_size, **spec["transformer"]),
        seed + 1)
    parts = {
        "text_encoder": gemma,
        "transformer": transformer,
        "vae": redraw(AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * levels, latent_channels=4, layers_per_block=1,
                                    up_block_types=("UpDecoderBlock2D",) * levels, scaling_factor=0.3611,
                                    shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False, **spec["vae"]),
                      seed + 2),
        "scheduler": FlowMatchEulerDiscreteScheduler(**spec["scheduler"]),
    }
    for part in (gemma, transformer):
        round_parameters(part, torch.bfloat16)
    pipe = Lumina2Pipeline(tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"), **parts)
    for part in (gemma, transformer):
        part.to(torch.bfloat16)
    save_folder(pipe, parts, folder, spec["index"])
    parts["text_encoder"] = spec["cls"].from_pretrained(folder / "text_encoder", dtype=torch.float32)
    parts["transformer"] = Lumina2Transformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32)
    pipe = Lumina2Pipeline(tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"), **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main():
    for name, spec in FOLDERS.items():
        folder = fresh_folder("pipelines", name)
        pipe = build(folder, spec)
        check_parts(pipe, spec["cases"][0], 4, ["text_encoder"])
        write_cases(pipe, folder, spec["cases"], 4)
        report(folder)


if __name__ == "__main__":
    main()
