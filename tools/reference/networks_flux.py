"""tests/fixtures/networks/flux_*: FluxTransformer2DModel of Diffusers."""

import torch
from diffusers import FluxTransformer2DModel

from common import Inner, check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

# No size equals another by chance; axes sum to the head size.
CASES = {
    "flux_dev": dict(heads=2, head=16, axes=(4, 6, 6), double=1, single=2, channels=16, joint=20, pooled=12,
                     guidance=True, grid=(5, 3), text=7),
    "flux_schnell": dict(heads=3, head=8, axes=(2, 2, 4), double=1, single=1, channels=12, out=8, joint=28, pooled=20,
                         grid=(2, 6), text=9),
    "flux_odd_heads_bf16": dict(heads=3, head=20, axes=(4, 8, 8), double=1, single=2, channels=16, joint=24, pooled=8,
                                guidance=True, grid=(4, 3), text=5, dtype=torch.bfloat16, ids="drawn"),
    "flux_double_only": dict(heads=1, head=24, axes=(8, 8, 8), double=3, single=0, channels=16, joint=20, pooled=12,
                             grid=(3, 4), text=3),
    "flux_single_only": dict(heads=4, head=6, axes=(2, 2, 2), double=0, single=3, channels=16, joint=20, pooled=12,
                             guidance=True, grid=(1, 5), text=1),
    "flux_sharded": dict(heads=2, head=12, axes=(4, 4, 4), double=2, single=1, channels=16, joint=20, pooled=12,
                         guidance=True, grid=(4, 4), text=6, shard="100KB"),
}


def position_ids(rows, columns):
    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] += torch.arange(rows)[:, None]
    ids[..., 2] += torch.arange(columns)[None, :]
    return ids.reshape(-1, 3)


def build(seed, heads, head, axes, double, single, channels, joint, pooled, guidance=False, out=None, dtype=None, **_):
    model = FluxTransformer2DModel(
        in_channels=channels, out_channels=out, num_layers=double, num_single_layers=single, attention_head_dim=head,
        num_attention_heads=heads, joint_attention_dim=joint, pooled_projection_dim=pooled, guidance_embeds=guidance,
        axes_dims_rope=axes)
    redraw(model, seed)
    if dtype:
        round_parameters(model, dtype)
    return model


def inputs_of(seed, grid, text, channels, joint, pooled, guidance=False, ids="grid", **_):
    tokens = grid[0] * grid[1]
    inputs = {
        "hidden_states": randn(seed, 2, tokens, channels),
        "encoder_hidden_states": randn(seed + 1, 2, text, joint),
        "pooled_projections": randn(seed + 2, 2, pooled),
        "timestep": torch.tensor([0.731, 0.0625]),
        "img_ids": position_ids(*grid),
        "txt_ids": torch.zeros(text, 3),
    }
    if ids == "drawn":
        inputs["img_ids"] = torch.randint(0, 64, (tokens, 3), generator=torch.Generator().manual_seed(seed)).float()
        inputs["txt_ids"] = torch.randint(0, 64, (text, 3), generator=torch.Generator().manual_seed(seed + 1)).float()
    if guidance:
        inputs["guidance"] = torch.tensor([3.5, 1.75])
    return inputs


def inner_of(model):
    wanted = {"pos_embed": ("rope_cos", "rope_sin"), "time_text_embed": "temb", "x_embedder": "x_embedder",
              "context_embedder": "context_embedder", "norm_out": "norm_out"}
    for kind in ("transformer_blocks", "single_transformer_blocks"):
        for i in range(len(getattr(model, kind))):
            wanted[f"{kind}.{i}"] = (f"{kind}.{i}.encoder_hidden_states", f"{kind}.{i}.hidden_states")
    if len(model.transformer_blocks):
        wanted["transformer_blocks.0.norm1"] = "transformer_blocks.0.norm1"
        wanted["transformer_blocks.0.attn"] = ("transformer_blocks.0.attn.hidden_states",
                                               "transformer_blocks.0.attn.encoder_hidden_states")
    if len(model.single_transformer_blocks):
        wanted["single_transformer_blocks.0.attn"] = "single_transformer_blocks.0.attn"
    return wanted


def main():
    for index, (name, case) in enumerate(CASES.items()):
        model = build(100 + index, **case)
        inputs = inputs_of(200 + 10 * index, **case)
        run = lambda: [model(**inputs, return_dict=False)[0]]
        # The last double block's text side feeds nothing when no single block follows.
        allow = [] if case["single"] else [f"transformer_blocks.{case['double'] - 1}.{part}" for part in (
            "attn.to_add_out", "ff_context", "attn.add_q_proj", "attn.norm_added_q")]
        least, where = check_alive(model, run, allow)
        inner = Inner(model, inner_of(model))
        output = run()[0]
        folder = fresh_folder("networks", name)
        tensors = {f"input.{k}": v for k, v in inputs.items()} | {"output": output} | inner.take()
        save_tensors(folder / "io.safetensors", tensors)
        if "dtype" in case:
            model.to(case["dtype"])
        model.save_pretrained(folder, max_shard_size=case.get("shard", "5GB"))
        again = FluxTransformer2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        assert torch.equal(again(**inputs, return_dict=False)[0], output)
        report(folder, f"std {output.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
