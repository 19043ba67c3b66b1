"""tests/fixtures/networks/hunyuan_*: HunyuanDiT2DModel of Diffusers."""

import torch
from diffusers import HunyuanDiT2DModel
from diffusers.models.embeddings import get_2d_rotary_pos_embed
from diffusers.pipelines.hunyuandit.pipeline_hunyuandit import get_resize_crop_region_for_grid

from common import Inner, check_alive, fresh_folder, generator, randn, redraw, report, round_parameters, save_tensors

# The size of a head is a multiple of 4, the width of T5 one of 8; grid: patches of the picture.
CASES = {
    # 1.0 and 1.1: told the sizes and a style
    "hunyuan_1_1_bf16": dict(heads=2, head=12, channels=4, patch=2, layers=6, ratio=2.3, cross=20, t5=16, pooled=14,
                        text=(5, 7), sized=True, grid=(5, 3), dtype=torch.bfloat16),
    # 1.2: neither
    "hunyuan_1_2_f16": dict(heads=3, head=8, channels=4, patch=2, layers=4, ratio=1.7, cross=12, t5=24, pooled=10,
                            text=(6, 4), sized=False, grid=(3, 7), dtype=torch.float16),
    # no second half, plain gelu, the least number of blocks with a middle
    "hunyuan_no_sigma": dict(heads=1, head=20, channels=3, patch=1, layers=2, ratio=4.0, cross=8, t5=8, pooled=12,
                             text=(3, 9), sized=False, grid=(4, 4), sigma=False, act="gelu"),
    "hunyuan_geglu": dict(heads=2, head=4, channels=5, patch=3, layers=8, ratio=3.1, cross=16, t5=16, pooled=6,
                          text=(4, 5), sized=True, grid=(1, 6), act="geglu"),
}


def build(seed, heads, head, channels, patch, layers, ratio, cross, t5, pooled, text, sized, sigma=True,
          act="gelu-approximate", dtype=None, **_):
    model = HunyuanDiT2DModel(
        num_attention_heads=heads, attention_head_dim=head, in_channels=channels, patch_size=patch, activation_fn=act,
        sample_size=16, hidden_size=heads * head, num_layers=layers, mlp_ratio=ratio, learn_sigma=sigma,
        cross_attention_dim=cross, cross_attention_dim_t5=t5, pooled_projection_dim=pooled, text_len=text[0],
        text_len_t5=text[1], use_style_cond_and_image_meta_size=sized)
    redraw(model, seed)
    pooler = model.time_extra_emb.pooler
    pooler.positional_embedding.mul_(4)  # or it hardly moves the output
    if dtype:
        round_parameters(model, dtype)
    return model


def rope_of(model, grid):
    """As HunyuanDiTPipeline makes it."""
    base = 512 // 8 // model.config.patch_size
    return get_2d_rotary_pos_embed(model.inner_dim // model.num_heads, get_resize_crop_region_for_grid(grid, base),
                                   grid, output_type="pt")


def masks(seed, length, batch=2):
    """Rows of different length; the first token is always one."""
    counts = torch.randint(1, length + 1, (batch,), generator=generator(seed))
    counts[0] = length if length < 3 else length - 2
    return (torch.arange(length)[None] < counts[:, None]).long()


def inputs_of(model, seed, grid, batch=2):
    c = model.config
    inputs = {
        "hidden_states": randn(seed, batch, c.in_channels, grid[0] * c.patch_size, grid[1] * c.patch_size),
        "timestep": torch.tensor([731.0, 62.5, 1.0][:batch]),
        "encoder_hidden_states": randn(seed + 1, batch, c.text_len, c.cross_attention_dim),
        "text_embedding_mask": masks(seed + 2, c.text_len, batch),
        "encoder_hidden_states_t5": randn(seed + 3, batch, c.text_len_t5, c.cross_attention_dim_t5),
        "text_embedding_mask_t5": masks(seed + 4, c.text_len_t5, batch),
    }
    if c.use_style_cond_and_image_meta_size:
        sizes = torch.randint(0, 1500, (batch, 6), generator=generator(seed + 5))
        inputs |= {"image_meta_size": sizes.float(), "style": torch.zeros(batch, dtype=torch.int64)}
    return inputs


def main():
    for index, (name, case) in enumerate(CASES.items()):
        model = build(700 + index, **case)
        inputs = inputs_of(model, 710 + 10 * index, case["grid"])
        rope = rope_of(model, case["grid"])
        call = {"image_meta_size": None, "style": None} | inputs | {"image_rotary_emb": rope}
        run = lambda: [model(**call, return_dict=False)[0]]
        least, where = check_alive(model, run)
        wanted = {"pos_embed": "pos_embed", "time_extra_emb": "time_extra_emb", "time_extra_emb.pooler": "pooler",
                  "text_embedder": "text_embedder", "norm_out": "norm_out", "blocks.0.attn1": "blocks.0.attn1",
                  "blocks.0.attn2": "blocks.0.attn2"} | {f"blocks.{i}": f"blocks.{i}" for i in range(case["layers"])}
        inner = Inner(model, wanted)
        output = run()[0]
        folder = fresh_folder("networks", name)
        tensors = {f"input.{k}": v for k, v in inputs.items()} | {"output": output} | inner.take()
        tensors |= {"inner.rope_cos": rope[0], "inner.rope_sin": rope[1]}
        save_tensors(folder / "io.safetensors", tensors)
        if "dtype" in case:
            model.to(case["dtype"])
        model.save_pretrained(folder)
        again = HunyuanDiT2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        assert torch.equal(again(**call, return_dict=False)[0], output)
        report(folder, f"std {output.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
