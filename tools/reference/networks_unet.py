"""tests/fixtures/networks/unet_*: UNet2DConditionModel of Diffusers.

input.sample [B,C,h,w], input.timestep [B], input.encoder_hidden_states [B,M,D], and where the case has them
input.class_labels, input.timestep_cond, input.text_embeds, input.time_ids -> output [B,C,h,w].
"""

import torch
from diffusers import UNet2DConditionModel

from common import Inner, check_alive, fresh_folder, randn, redraw, report, round_parameters, save_tensors

DOWN, CROSS_DOWN, UP, CROSS_UP = "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"
ONE_LEVEL = dict(block_out_channels=(8,), down_block_types=(CROSS_DOWN,), up_block_types=(CROSS_UP,), layers_per_block=1,
                 norm_num_groups=2, attention_head_dim=2, cross_attention_dim=10)

CASES = {
    # SD 1.x: four levels, 1x1 convolutions around the transformers; sides odd on the way down: 13, 7, 4, 2 and 9, 5, 3, 2.
    "unet_sd1": dict(grid=(13, 9), tokens=7, config=dict(
        block_out_channels=(8, 12, 16, 16), attention_head_dim=4, cross_attention_dim=20, norm_num_groups=4)),
    # SD 2.x: linear projections, heads by level; f16.
    "unet_sd2_f16": dict(grid=(8, 16), tokens=5, dtype=torch.float16, config=dict(
        block_out_channels=(4, 8, 8, 12), attention_head_dim=(1, 2, 2, 3), cross_attention_dim=14, norm_num_groups=2,
        use_linear_projection=True, upcast_attention=True, layers_per_block=1, sample_size=96)),
    # SDXL: three levels, depth by level, text and sizes.
    "unet_xl": dict(grid=(6, 11), tokens=9, pooled=10, ids=6, config=dict(
        block_out_channels=(8, 12, 16), down_block_types=(DOWN, CROSS_DOWN, CROSS_DOWN),
        up_block_types=(CROSS_UP, CROSS_UP, UP), attention_head_dim=(2, 3, 4), cross_attention_dim=18, norm_num_groups=4,
        use_linear_projection=True, transformer_layers_per_block=(1, 2, 3), layers_per_block=1,
        addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=10 + 6 * 4)),
    # Inpainting and a distilled model's guidance input; padding as in the autoencoder.
    "unet_inpaint": dict(grid=(6, 5), tokens=4, guidance=12, config=dict(
        in_channels=9, block_out_channels=(8, 16), down_block_types=(CROSS_DOWN, DOWN), up_block_types=(UP, CROSS_UP),
        attention_head_dim=2, cross_attention_dim=12, norm_num_groups=4, layers_per_block=1, time_cond_proj_dim=12,
        center_input_sample=True, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1)),
    # Pruned models: layers by level, depth by layer, another depth on the way up, no middle.
    "unet_pruned": dict(grid=(7, 6), tokens=6, config=dict(
        block_out_channels=(6, 12, 12), down_block_types=(CROSS_DOWN, CROSS_DOWN, DOWN),
        up_block_types=(UP, CROSS_UP, CROSS_UP), attention_head_dim=(2, 3, 4), cross_attention_dim=[10, 10, 10],
        norm_num_groups=3, layers_per_block=(1, 2, 1), transformer_layers_per_block=[[1], [2, 0], 1],
        reverse_transformer_layers_per_block=[1, [1, 0, 2], [2, 1]], mid_block_type=None,
        only_cross_attention=[True, False, False])),
    # What else resnets and embeddings can be.
    "unet_options": dict(grid=(5, 8), tokens=6, text=13, labels="timestep", config=dict(
        in_channels=3, out_channels=5, block_out_channels=(6, 12), down_block_types=(CROSS_DOWN, DOWN),
        up_block_types=(UP, CROSS_UP), attention_head_dim=3, cross_attention_dim=10, norm_num_groups=3, layers_per_block=1,
        mid_block_type="UNetMidBlock2D", mid_block_scale_factor=1.7, act_fn="gelu", norm_eps=1e-3,
        resnet_time_scale_shift="scale_shift", class_embed_type="timestep", class_embeddings_concat=True,
        time_embedding_dim=20, time_embedding_act_fn="silu", timestep_post_act="gelu", encoder_hid_dim=13,
        conv_in_kernel=5, conv_out_kernel=1)),
    "unet_class_projection": dict(grid=(4, 3), tokens=3, labels=11, config=dict(
        **ONE_LEVEL, class_embed_type="projection", projection_class_embeddings_input_dim=11)),
    "unet_class_simple": dict(grid=(3, 4), tokens=3, labels=9, config=dict(
        **ONE_LEVEL, class_embed_type="simple_projection", projection_class_embeddings_input_dim=9)),
    "unet_class_identity": dict(grid=(2, 5), tokens=3, labels=32, config=dict(**ONE_LEVEL, class_embed_type="identity")),
    "unet_class_table": dict(grid=(5, 2), tokens=3, labels="ids", config=dict(**ONE_LEVEL, num_class_embeds=6)),
}


def inputs_of(case, seed):
    c = case["config"]
    text = case.get("text", c["cross_attention_dim"])
    text = text[0] if isinstance(text, list) else text
    inputs = {"sample": randn(seed, 2, c.get("in_channels", 4), *case["grid"]),
              "timestep": torch.tensor([999.0, 41.0]), "encoder_hidden_states": randn(seed + 1, 2, case["tokens"], text)}
    if labels := case.get("labels"):
        inputs["class_labels"] = (torch.tensor([3.0, 700.0]) if labels == "timestep" else
                                  torch.tensor([4, 1]) if labels == "ids" else randn(seed + 2, 2, labels))
    if guidance := case.get("guidance"):
        inputs["timestep_cond"] = randn(seed + 3, 2, guidance)
    if pooled := case.get("pooled"):
        inputs["text_embeds"] = randn(seed + 4, 2, pooled)
        inputs["time_ids"] = torch.tensor([[1024.0, 768, 0, 16, 1024, 1024], [512, 640, 32, 0, 896, 1152]])[:, :case["ids"]]
    return inputs


def run(model, inputs):
    inputs = dict(inputs)
    added = {k: inputs.pop(k) for k in ("text_embeds", "time_ids") if k in inputs}
    return model(**inputs, added_cond_kwargs=added or None).sample


def inner_of(model):
    wanted = {"conv_in": "conv_in", "time_embedding": "time_embedding", "up_blocks.0": "up_blocks.0"}
    if model.mid_block is not None:
        wanted["mid_block"] = "mid_block"
    return wanted | {f"down_blocks.{i}": f"down_blocks.{i}" for i in range(len(model.down_blocks))}


def main():
    for index, (name, case) in enumerate(CASES.items()):
        dtype = case.get("dtype", torch.float32)
        model = redraw(UNet2DConditionModel(**case["config"]), 900 + index)
        round_parameters(model, dtype)
        inputs = inputs_of(case, 910 + 10 * index)
        least, where = check_alive(model, lambda: [run(model, inputs)], least=1e-3)
        inner = Inner(model, inner_of(model))
        output = run(model, inputs)
        folder = fresh_folder("networks", name)
        save_tensors(folder / "io.safetensors", {f"input.{k}": v for k, v in inputs.items()} | {"output": output} | inner.take())
        model.to(dtype).save_pretrained(folder)
        again = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)
        assert (run(again, inputs) - output).abs().max() < 1e-5
        report(folder, f"least moved {least:.1e} by {where}")


if __name__ == "__main__":
    main()
