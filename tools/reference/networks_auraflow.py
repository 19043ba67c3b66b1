"""tests/fixtures/networks/auraflow_*: AuraFlowTransformer2DModel of Diffusers."""

import torch
from diffusers import AuraFlowTransformer2DModel

from common import Inner, check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

# grid: latents, down and right; most: positions of the learned square, of which the middle is used.
CASES = {
    "auraflow_both": dict(heads=2, head=6, joint=1, single=2, channels=4, text_dim=20, most=64, grid=(6, 10), text=7),
    # An odd side of the square and an odd count of patches: both halves round down. 270 channels of 3 D / 3 and a rest.
    "auraflow_odd_bf16": dict(heads=3, head=4, joint=2, single=1, channels=3, out=5, text_dim=12, most=50, grid=(2, 6),
                              text=3, dtype=torch.bfloat16),
    "auraflow_joint_only": dict(heads=1, head=14, joint=2, single=0, channels=2, text_dim=16, most=36, grid=(9, 12), text=4,
                                patch=3),
    # The feed-forward's width past the first multiple of 256.
    "auraflow_single_only": dict(heads=2, head=49, joint=0, single=1, channels=5, text_dim=24, most=16, grid=(4, 2), text=1,
                                 dtype=torch.float16),
}


def build(seed, heads, head, joint, single, channels, text_dim, most, out=4, patch=2, dtype=None, **_):
    model = AuraFlowTransformer2DModel(
        sample_size=16, patch_size=patch, in_channels=channels, num_mmdit_layers=joint, num_single_dit_layers=single,
        attention_head_dim=head, num_attention_heads=heads, joint_attention_dim=text_dim, caption_projection_dim=heads * head,
        out_channels=out, pos_embed_max_size=most)
    redraw(model, seed, gain=1.5)
    for i, p in enumerate((model.pos_embed.pos_embed, model.register_tokens)):
        p.copy_(randn(seed + 50 + i, *p.shape))
    if dtype:
        round_parameters(model, dtype)
    return model


def inputs_of(seed, grid, text, channels, text_dim, **_):
    return {
        "hidden_states": randn(seed, 2, channels, *grid),
        "encoder_hidden_states": randn(seed + 1, 2, text, text_dim),
        "timestep": torch.tensor([0.731, 0.0625]),
    }


def main():
    for index, (name, case) in enumerate(CASES.items()):
        model = build(1200 + index, **case)
        inputs = inputs_of(1210 + 10 * index, **case)
        run = lambda: [model(**inputs, return_dict=False)[0]]
        # The last joint block's text side feeds nothing when no single block follows.
        allow = [] if case["single"] else [f"joint_transformer_blocks.{case['joint'] - 1}.{part}" for part in (
            "attn.to_add_out", "ff_context", "attn.add_q_proj")]
        least, where = check_alive(model, run, allow)
        wanted = {"pos_embed": "pos_embed", "time_step_proj": "temb", "norm_out": "norm_out"}
        wanted |= {f"joint_transformer_blocks.{i}": (f"joint.{i}.encoder_hidden_states", f"joint.{i}.hidden_states")
                   for i in range(case["joint"])}
        wanted |= {f"single_transformer_blocks.{i}": f"single.{i}" for i in range(case["single"])}
        inner = Inner(model, wanted)
        output = run()[0]
        folder = fresh_folder("networks", name)
        save_tensors(folder / "io.safetensors",
                     {f"input.{k}": v for k, v in inputs.items()} | {"output": output} | inner.take())
        if "dtype" in case:
            model.to(case["dtype"])
        model.save_pretrained(folder)
        again = AuraFlowTransformer2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        assert torch.equal(again(**inputs, return_dict=False)[0], output)
        report(folder, f"std {output.std():.2f}, least {least:.3f} {where}")


if __name__ == "__main__":
    main()
