"""tests/fixtures/networks/sd3_*: SD3Transformer2DModel of Diffusers.

io.safetensors is a plain run, io_skip.safetensors one with `skip_layers` (in the metadata), as skip-layer guidance has it.
"""

import torch
from diffusers import SD3Transformer2DModel

from common import Inner, check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

# grid: latents, down and right; most: positions to a side of the table, of which the middle is used.
CASES = {
    # As Stable Diffusion 3: no norms of queries and keys.
    "sd3_medium": dict(heads=3, head=8, layers=3, channels=4, joint=20, pooled=12, most=9, grid=(6, 10), text=7, skip=[1]),
    # As 3.5 medium: norms, and some blocks in which the picture attends a second time.
    "sd3_dual_norm": dict(heads=2, head=12, layers=3, channels=3, out=5, joint=16, pooled=20, most=6, grid=(8, 4), text=5,
                          norm="rms_norm", dual=(0, 1), skip=[0, 2]),
    # As 3.5 large: norms, no second attention; the last block attends twice too where a list says so.
    "sd3_norm_f16": dict(heads=1, head=24, layers=2, channels=4, joint=24, pooled=8, most=8, grid=(2, 6), text=9,
                         norm="rms_norm", skip=[1], dtype=torch.float16),
    # One block, which is the last, with patches of 3 x 3; sizes that leave a rest of their latents.
    "sd3_single_dual": dict(heads=4, head=5, layers=1, channels=2, joint=12, pooled=16, most=5, grid=(10, 14), text=3,
                            patch=3, dual=(0,), skip=[]),
}


def build(seed, heads, head, layers, channels, joint, pooled, most, out=16, patch=2, norm=None, dual=(), dtype=None, **_):
    model = SD3Transformer2DModel(
        sample_size=32, patch_size=patch, in_channels=channels, out_channels=out, num_layers=layers, attention_head_dim=head,
        num_attention_heads=heads, joint_attention_dim=joint, caption_projection_dim=heads * head,
        pooled_projection_dim=pooled, pos_embed_max_size=most, dual_attention_layers=dual, qk_norm=norm)
    redraw(model, seed)
    # The file's own table counts: drawn, so that none is computed in its place.
    model.pos_embed.pos_embed.copy_(randn(seed + 50, *model.pos_embed.pos_embed.shape))
    if dtype:
        round_parameters(model, dtype)
        model.pos_embed.pos_embed.copy_(model.pos_embed.pos_embed.to(dtype).float())
    return model


def inputs_of(seed, grid, text, channels, joint, pooled, **_):
    return {
        "hidden_states": randn(seed, 2, channels, *grid),
        "encoder_hidden_states": randn(seed + 1, 2, text, joint),
        "pooled_projections": randn(seed + 2, 2, pooled),
        "timestep": torch.tensor([731.25, 8.9286]),
    }


def inner_of(model):
    wanted = {"pos_embed": "pos_embed", "time_text_embed": "temb", "context_embedder": "context_embedder",
              "norm_out": "norm_out"}
    for i, block in enumerate(model.transformer_blocks):
        if not block.context_pre_only:
            wanted[f"transformer_blocks.{i}"] = (f"transformer_blocks.{i}.encoder_hidden_states",
                                                 f"transformer_blocks.{i}.hidden_states")
    return wanted


def main():
    for index, (name, case) in enumerate(CASES.items()):
        model = build(1100 + index, **case)
        inputs = inputs_of(1110 + 10 * index, **case)
        run = lambda **extra: [model(**inputs, return_dict=False, **extra)[0]]
        # The text's query of the last block is not asked for anything.
        allow = [f"transformer_blocks.{case['layers'] - 1}.attn.{part}" for part in ("add_q_proj", "norm_added_q")]
        least, where = check_alive(model, run, allow)
        folder = fresh_folder("networks", name)
        inner = Inner(model, inner_of(model))
        output = run()[0]
        save_tensors(folder / "io.safetensors",
                     {f"input.{k}": v for k, v in inputs.items()} | {"output": output} | inner.take())
        skipped = run(skip_layers=case["skip"])[0]
        assert not case["skip"] or not torch.allclose(skipped, output, atol=1e-2)
        save_tensors(folder / "io_skip.safetensors",
                     {f"input.{k}": v for k, v in inputs.items()} |
                     {"input.skip_layers": torch.tensor(case["skip"], dtype=torch.int64), "output": skipped})
        if "dtype" in case:
            model.to(case["dtype"])
        model.save_pretrained(folder)
        again = SD3Transformer2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        assert torch.equal(again(**inputs, return_dict=False)[0], output)
        report(folder, f"std {output.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
