"""tests/fixtures/pipelines/aura_flow_tiny*: whole AuraFlowPipeline folders and what they draw (see pipeline_runs.py)."""

import torch
from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel, AutoencoderKL, FlowMatchEulerDiscreteScheduler
from transformers import AutoTokenizer, T5TokenizerFast, UMT5Config, UMT5EncoderModel

import tiny_tokenizers
from common import fresh_folder, randn, redraw, report
from pipeline_flux import LONG
from pipeline_runs import check_parts, save_folder, write_cases

FOLDERS = {
    "aura_flow_tiny": dict(
        seed=1700, tokenizer="t5", umt5=dict(d_model=20, d_kv=6, num_heads=3, d_ff=32, num_layers=2),
        transformer=dict(num_attention_heads=2, attention_head_dim=6, num_mmdit_layers=1, num_single_dit_layers=1,
                         pos_embed_max_size=36),
        cases=[
            dict(prompt="a red heart on a blue background", width=64, height=48, steps=3, guidance=3.5, seed=0,
                 options=dict(max_sequence_length=40)),
            dict(prompt="two yellow pears ½ 🦊 über", negative="blurry, low quality", width=32, height=48, steps=4,
                 guidance=4.5, seed=5, count=2, options=dict(max_sequence_length=24)),
            dict(prompt=LONG, negative="", width=48, height=32, steps=5, guidance=3.0, seed=2**33 + 5,
                 options=dict(max_sequence_length=33)),
            dict(prompt="", width=16, height=96, steps=2, guidance=5.0, seed=7),
            dict(prompt="a boat's sail", width=48, height=32, steps=3, guidance=1.0, seed=13, given=True,
                 options=dict(max_sequence_length=8)),
        ]),
    # A tokenizer that pads on the left.
    "aura_flow_tiny_left": dict(
        seed=1800, tokenizer="gemma", umt5=dict(d_model=16, d_kv=8, num_heads=2, d_ff=28, num_layers=3),
        transformer=dict(num_attention_heads=1, attention_head_dim=10, num_mmdit_layers=2, num_single_dit_layers=1,
                         pos_embed_max_size=25),
        cases=[
            dict(prompt="a golden dragon made of paper", width=32, height=64, steps=4, guidance=5.0, seed=21,
                 options=dict(max_sequence_length=40)),
            dict(prompt="neon signs", negative="soft light", width=48, height=16, steps=2, guidance=2.0, seed=22, count=3,
                 options=dict(max_sequence_length=20)),
        ]),
}


def build(folder, spec):
    seed, levels = spec["seed"], 4
    if spec["tokenizer"] == "t5":
        pieces = tiny_tokenizers.t5(folder / "tokenizer", 150, 512, "nmt_nfkc")
        tokenizer = T5TokenizerFast.from_pretrained(folder / "tokenizer")
    else:
        pieces = tiny_tokenizers.gemma(folder / "tokenizer", 400)
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    umt5 = redraw(UMT5EncoderModel(UMT5Config(vocab_size=pieces, is_encoder_decoder=False, use_cache=False, **spec["umt5"])),
                  seed)
    sizes = spec["transformer"]
    transformer = redraw(AuraFlowTransformer2DModel(
        in_channels=4, sample_size=6, joint_attention_dim=umt5.config.d_model,
        caption_projection_dim=sizes["num_attention_heads"] * sizes["attention_head_dim"], **sizes), seed + 1, gain=1.2)
    for i, p in enumerate((transformer.pos_embed.pos_embed, transformer.register_tokens)):
        p.copy_(randn(seed + 50 + i, *p.shape))
    parts = {
        "text_encoder": umt5,
        "transformer": transformer,
        "vae": redraw(AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels, latent_channels=4, layers_per_block=1, norm_num_groups=2,
            up_block_types=("UpDecoderBlock2D",) * levels, block_out_channels=(4, 4, 6, 6), scaling_factor=0.13025), seed + 2),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=1.73),
    }
    pipe = AuraFlowPipeline(tokenizer=tokenizer, **parts)
    save_folder(pipe, parts, folder)
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
