"""tests/fixtures/networks/lumina2_*: Lumina2Transformer2DModel of Diffusers."""

import torch
from diffusers import Lumina2Transformer2DModel

from common import Inner, check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

# captions: tokens of each of the batch; grid: patches of the picture.
CASES = {
    "lumina2_uneven": dict(dim=24, heads=4, kv=2, axes=(2, 2, 2), channels=4, layers=2, refiners=2, caption=20,
                           multiple=10, captions=(3, 7), padded=9, grid=(3, 4)),
    "lumina2_even_bf16": dict(dim=36, heads=3, kv=1, axes=(4, 4, 4), channels=3, out=5, layers=2, refiners=1,
                              caption=16, multiple=16, factor=0.7, eps=1e-3, captions=(5, 5), padded=8, grid=(2, 5),
                              dtype=torch.bfloat16),
    # every head with keys of its own, patches of 1 x 1 and of 3 x 3, no refiners, axes of different sizes
    "lumina2_own_keys": dict(dim=20, heads=2, kv=None, axes=(6, 4, 0), channels=4, patch=1, layers=2, refiners=0,
                             caption=12, multiple=8, captions=(1, 6, 4), padded=6, grid=(4, 2)),
    "lumina2_refiners_only": dict(dim=16, heads=2, kv=2, axes=(2, 2, 4), channels=2, patch=3, layers=1, refiners=1,
                                  caption=24, multiple=7, factor=1.3, captions=(8, 2), padded=8, grid=(1, 3)),
}


def build(seed, dim, heads, kv, axes, channels, layers, refiners, caption, multiple, patch=2, out=None, factor=None,
          eps=1e-5, dtype=None, lens=(30, 16, 16), **_):
    model = Lumina2Transformer2DModel(
        sample_size=16, patch_size=patch, in_channels=channels, out_channels=out, hidden_size=dim, num_layers=layers,
        num_refiner_layers=refiners, num_attention_heads=heads, num_kv_heads=kv, multiple_of=multiple,
        ffn_dim_multiplier=factor, norm_eps=eps, axes_dim_rope=axes, axes_lens=lens, cap_feat_dim=caption)
    redraw(model, seed)
    if dtype:
        round_parameters(model, dtype)
    return model


def inputs_of(model, seed, grid, captions, padded):
    c, batch = model.config, len(captions)
    return {
        "hidden_states": randn(seed, batch, c.in_channels, grid[0] * c.patch_size, grid[1] * c.patch_size),
        "timestep": torch.tensor([0.269, 0.9375, 0.0][:batch]),
        "encoder_hidden_states": randn(seed + 1, batch, padded, c.cap_feat_dim),
        "encoder_attention_mask": (torch.arange(padded)[None] < torch.tensor(captions)[:, None]).long(),
    }


def main():
    for index, (name, case) in enumerate(CASES.items()):
        model = build(800 + index, **case)
        inputs = inputs_of(model, 810 + 10 * index, case["grid"], case["captions"], case["padded"])
        run = lambda: [model(**inputs, return_dict=False)[0]]
        least, where = check_alive(model, run)
        wanted = {"x_embedder": "x_embedder", "time_caption_embed": ("temb", "captions"), "norm_out": "norm_out"}
        for kind in ("noise_refiner", "context_refiner", "layers"):
            wanted |= {f"{kind}.{i}": f"{kind}.{i}" for i in range(len(getattr(model, kind)))}
        inner = Inner(model, wanted)
        output = run()[0]
        folder = fresh_folder("networks", name)
        save_tensors(folder / "io.safetensors",
                     {f"input.{k}": v for k, v in inputs.items()} | {"output": output} | inner.take())
        if "dtype" in case:
            model.to(case["dtype"])
        model.save_pretrained(folder)
        again = Lumina2Transformer2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        assert torch.equal(again(**inputs, return_dict=False)[0], output)
        report(folder, f"std {output.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
