"""tests/fixtures/checkpoints/single/: tiny random checkpoints in the layouts of latent-diffusion and of Black Forest Labs,
and expected.json: what Diffusers' converters (loaders/single_file_utils) make of them, as a sum for each tensor."""

import inspect
import json
import re

import gguf
import torch
from diffusers import (AuraFlowTransformer2DModel, AutoencoderKL, FluxTransformer2DModel, HunyuanDiT2DModel,
                       Lumina2Transformer2DModel, SD3Transformer2DModel, UNet2DConditionModel)
from diffusers.loaders import single_file_utils as reference
from safetensors.torch import save_file
from transformers import (BertConfig, BertModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, Gemma2Config, Gemma2Model, T5Config,
                          T5EncoderModel, UMT5Config, UMT5EncoderModel)

from common import FIXTURES, fresh_folder, redraw, report

LAYERS = 2
VAE = dict(block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=8, latent_channels=4,
           down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)


def unet_config(kind):
    common = dict(block_out_channels=(8, 16), layers_per_block=LAYERS, norm_num_groups=8, in_channels=4, out_channels=4)
    down, up = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    if kind == "sd1":
        return dict(common, down_block_types=down, up_block_types=up, cross_attention_dim=24, attention_head_dim=8)
    if kind == "sd2":
        return dict(common, down_block_types=down, up_block_types=up, cross_attention_dim=32, use_linear_projection=True)
    ids = 5 if kind == "refiner" else 6
    return dict(common, down_block_types=down[::-1], up_block_types=up[::-1], cross_attention_dim=56 if ids == 6 else 32,
                use_linear_projection=True, transformer_layers_per_block=(1, 2), addition_embed_type="text_time",
                addition_time_embed_dim=16, projection_class_embeddings_input_dim=16 * ids + 40)


def clip(width, projection=None, seed=0):
    config = CLIPTextConfig(vocab_size=60, hidden_size=width, intermediate_size=48, num_hidden_layers=2,
                            num_attention_heads=4, max_position_embeddings=7, projection_dim=projection or width)
    model = (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
    redraw(model, seed)
    return model


# ---- from Diffusers' names to the original ones

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
FIXED = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
         "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
         "add_embedding.linear_2": "label_emb.0.2"}


def unet_name(name, attends):
    block = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|\w+samplers)\.(\d+)\.(.*)", name)
    if block:
        way, level, kind, i, rest = block[1], int(block[2]), block[3], int(block[4]), block[5]
        at = 1 + level * (LAYERS + 1) + i if way == "down" else level * (LAYERS + 1) + i
        side = "input_blocks" if way == "down" else "output_blocks"
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * (LAYERS + 1)}.0.op.{rest.removeprefix('conv.')}"
        if kind == "upsamplers":
            return f"output_blocks.{level * (LAYERS + 1) + LAYERS}.{2 if attends(level) else 1}.{rest}"
        if kind == "attentions":
            return f"{side}.{at}.1.{rest}"
        part, leaf = rest.rsplit(".", 1)
        return f"{side}.{at}.0.{RESNET[part]}.{leaf}"
    mid = re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name)
    if mid and mid[1] == "attentions":
        return f"middle_block.1.{mid[3]}"
    if mid:
        part, leaf = mid[3].rsplit(".", 1)
        return f"middle_block.{2 * int(mid[2])}.{RESNET[part]}.{leaf}"
    part, leaf = name.rsplit(".", 1)
    return f"{FIXED[part]}.{leaf}"


def original_unet(model):
    state = model.state_dict()
    attends = lambda level: f"up_blocks.{level}.attentions.0.norm.weight" in state  # noqa: E731
    return {unet_name(k, attends): v for k, v in state.items()}


def original_vae(model):
    out, last = {}, len(model.config.block_out_channels) - 1
    for name, value in model.state_dict().items():
        name = re.sub(r"(encoder\.)down_blocks\.(\d)\.resnets", r"\1down.\2.block", name)
        name = re.sub(r"(decoder\.)up_blocks\.(\d)", lambda m: f"{m[1]}up.{last - int(m[2])}", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = name.replace(".resnets", ".block" if ".up." in name else ".resnets").replace(".upsamplers.0", ".upsample")
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_shortcut", "nin_shortcut")
        name = name.replace("conv_norm_out", "norm_out")
        if "attn_1" in name:
            for ours, theirs in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
                name = name.replace(f".{ours}.", f".{theirs}.")
            if value.ndim == 2:
                value = value[:, :, None, None]
        out[name] = value
    return out


def hf_clip(model):
    return {k if k.startswith(("text_model.", "text_projection")) else "text_model." + k: v
            for k, v in model.state_dict().items()}


def open_clip(model):
    state, out = hf_clip(model), {}
    for name, value in state.items():
        for ours, theirs in (("text_model.final_layer_norm", "ln_final"),
                             ("text_model.encoder.layers", "transformer.resblocks"), ("layer_norm", "ln_"),
                             ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"), ("self_attn", "attn"),
                             ("text_model.embeddings.token_embedding", "token_embedding"),
                             ("text_model.embeddings.position_embedding.weight", "positional_embedding")):
            name = name.replace(ours, theirs)
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            source = next(k for k, v in state.items() if v is value)
            value = torch.cat([state[source.replace("q_proj", x)] for x in ("q_proj", "k_proj", "v_proj")])
            name = name.replace(".q_proj.", ".in_proj_")
        if name == "text_projection.weight":
            name, value = "text_projection", value.T
        out[name] = value
    return out


def original_flux(model):
    s, out = model.state_dict(), {}
    swap = lambda x: torch.cat(x.chunk(2)[::-1])  # noqa: E731
    for leaf in ("weight", "bias"):
        for ours, theirs in (("time_text_embed.timestep_embedder", "time_in"), ("time_text_embed.text_embedder", "vector_in"),
                             ("time_text_embed.guidance_embedder", "guidance_in")):
            for i, layer in ((1, "in_layer"), (2, "out_layer")):
                if f"{ours}.linear_{i}.{leaf}" in s:
                    out[f"{theirs}.{layer}.{leaf}"] = s[f"{ours}.linear_{i}.{leaf}"]
        out[f"txt_in.{leaf}"], out[f"img_in.{leaf}"] = s[f"context_embedder.{leaf}"], s[f"x_embedder.{leaf}"]
        out[f"final_layer.linear.{leaf}"] = s[f"proj_out.{leaf}"]
        out[f"final_layer.adaLN_modulation.1.{leaf}"] = swap(s[f"norm_out.linear.{leaf}"])
        for i in range(model.config.num_layers):
            a, b = f"double_blocks.{i}.", f"transformer_blocks.{i}."
            for img, qkv, out_name, norm, ff in (("img", ("to_q", "to_k", "to_v"), "to_out.0", "norm1", "ff"),
                                                 ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out",
                                                  "norm1_context", "ff_context")):
                out[f"{a}{img}_mod.lin.{leaf}"] = s[f"{b}{norm}.linear.{leaf}"]
                out[f"{a}{img}_attn.qkv.{leaf}"] = torch.cat([s[f"{b}attn.{x}.{leaf}"] for x in qkv])
                out[f"{a}{img}_attn.proj.{leaf}"] = s[f"{b}attn.{out_name}.{leaf}"]
                out[f"{a}{img}_mlp.0.{leaf}"] = s[f"{b}{ff}.net.0.proj.{leaf}"]
                out[f"{a}{img}_mlp.2.{leaf}"] = s[f"{b}{ff}.net.2.{leaf}"]
                for q in ("q", "k"):
                    kind = {"q": "query", "k": "key"}[q]
                    added = "added_" if img == "txt" else ""
                    out[f"{a}{img}_attn.norm.{kind}_norm.scale"] = s[f"{b}attn.norm_{added}{q}.weight"]
        for i in range(model.config.num_single_layers):
            a, b = f"single_blocks.{i}.", f"single_transformer_blocks.{i}."
            out[f"{a}modulation.lin.{leaf}"] = s[f"{b}norm.linear.{leaf}"]
            out[f"{a}linear1.{leaf}"] = torch.cat([s[f"{b}{x}.{leaf}"] for x in ("attn.to_q", "attn.to_k", "attn.to_v",
                                                                                "proj_mlp")])
            out[f"{a}linear2.{leaf}"] = s[f"{b}proj_out.{leaf}"]
            out[f"{a}norm.query_norm.scale"] = s[f"{b}attn.norm_q.weight"]
            out[f"{a}norm.key_norm.scale"] = s[f"{b}attn.norm_k.weight"]
    return out


LUMINA2 = {"time_caption_embed.caption_embedder": "cap_embedder", "time_caption_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
           "time_caption_embed.timestep_embedder.linear_2": "t_embedder.mlp.2", "norm_out.linear_1": "final_layer.adaLN_modulation.1",
           "norm_out.linear_2": "final_layer.linear", "norm1.linear": "adaLN_modulation.1", "norm1.norm": "attention_norm1",
           "attn.to_out.0": "attention.out", "attn.norm_q": "attention.q_norm", "attn.norm_k": "attention.k_norm",
           "feed_forward.linear_": "feed_forward.w"}


def original_sd3(model):
    s, out = model.state_dict(), {}
    swap = lambda x: torch.cat(x.chunk(2)[::-1])  # noqa: E731
    out["pos_embed"] = s["pos_embed.pos_embed"]
    for leaf in ("weight", "bias"):
        for theirs, ours in (("x_embedder.proj", "pos_embed.proj"), ("context_embedder", "context_embedder"),
                             ("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
                             ("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
                             ("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
                             ("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"), ("final_layer.linear", "proj_out")):
            out[f"{theirs}.{leaf}"] = s[f"{ours}.{leaf}"]
        out[f"final_layer.adaLN_modulation.1.{leaf}"] = swap(s[f"norm_out.linear.{leaf}"])
        for i, block in enumerate(model.transformer_blocks):
            a, b = f"joint_blocks.{i}.", f"transformer_blocks.{i}."
            take = lambda names: torch.cat([s[f"{b}{x}.{leaf}"] for x in names])  # noqa: E731
            norm = s[f"{b}norm1_context.linear.{leaf}"]
            out[f"{a}context_block.adaLN_modulation.1.{leaf}"] = swap(norm) if block.context_pre_only else norm
            out[f"{a}x_block.attn.qkv.{leaf}"] = take([f"attn.to_{x}" for x in "qkv"])
            out[f"{a}context_block.attn.qkv.{leaf}"] = take([f"attn.add_{x}_proj" for x in "qkv"])
            pairs = {"x_block.adaLN_modulation.1": "norm1.linear", "x_block.attn.proj": "attn.to_out.0",
                     "x_block.mlp.fc1": "ff.net.0.proj", "x_block.mlp.fc2": "ff.net.2"}
            if not block.context_pre_only:
                pairs |= {"context_block.attn.proj": "attn.to_add_out", "context_block.mlp.fc1": "ff_context.net.0.proj",
                          "context_block.mlp.fc2": "ff_context.net.2"}
            if block.use_dual_attention:
                out[f"{a}x_block.attn2.qkv.{leaf}"] = take([f"attn2.to_{x}" for x in "qkv"])
                pairs["x_block.attn2.proj"] = "attn2.to_out.0"
            norms = {f"x_block.{attn}.ln_{q}": f"{attn}.norm_{q}" for attn in ("attn", "attn2") for q in "qk"}
            norms |= {f"context_block.attn.ln_{q}": f"attn.norm_added_{q}" for q in "qk"}
            out |= {f"{a}{k}.{leaf}": s[f"{b}{v}.{leaf}"] for k, v in {**pairs, **norms}.items() if f"{b}{v}.{leaf}" in s}
    return out


def original_auraflow(model):
    out, swap = {}, lambda x: torch.cat(x.chunk(2)[::-1])  # noqa: E731
    fixed = {"pos_embed.pos_embed": "positional_encoding", "pos_embed.proj": "init_x_linear", "proj_out": "final_linear",
             "context_embedder": "cond_seq_linear", "time_step_proj.linear_1": "t_embedder.mlp.0",
             "time_step_proj.linear_2": "t_embedder.mlp.2", "norm_out.linear": "modF.1"}
    for name, value in model.state_dict().items():
        for ours, theirs in fixed.items():
            if name.startswith(ours):
                name, value = theirs + name[len(ours):], swap(value) if theirs == "modF.1" else value
        joint = name.startswith("joint")
        for ours, theirs in (("joint_transformer_blocks", "double_layers"), ("single_transformer_blocks", "single_layers"),
                             ("norm1_context.linear", "modC.1"), ("norm1.linear", "modX.1" if joint else "modCX.1"),
                             ("ff_context", "mlpC"), (".ff.", ".mlpX." if joint else ".mlp."), ("linear_1", "c_fc1"),
                             ("linear_2", "c_fc2"), ("out_projection", "c_proj"), ("to_add_out", "w1o"),
                             *((f"add_{x}_proj", f"w1{x}") for x in "qkv"),
                             *((f"to_{x}", f"w{2 if joint else 1}{x}") for x in "qkv"), ("to_out.0", f"w{2 if joint else 1}o")):
            name = name.replace(ours, theirs)
        out[name] = value
    return out


def original_lumina2(model):
    state, out = model.state_dict(), {"norm_final.weight": torch.ones(model.config.hidden_size)}
    for name, value in state.items():
        if ".to_k." in name or ".to_v." in name:
            continue
        if ".to_q." in name:
            value = torch.cat([state[name.replace("to_q", x)] for x in ("to_q", "to_k", "to_v")])
            name = name.replace("attn.to_q", "attention.qkv")
        for ours, theirs in LUMINA2.items():
            name = name.replace(ours, theirs)
        out[re.sub(r"(?<!ffn_)(?<!attention_)norm([12])\.", r"attention_norm\1.", name)] = value
    return out


HUNYUAN = {"pos_embed.proj": "x_embedder.proj", "text_embedder.linear_1": "mlp_t5.0", "text_embedder.linear_2": "mlp_t5.2",
           "time_extra_emb.timestep_embedder.linear_1": "t_embedder.mlp.0", "norm1.linear": "default_modulation.1",
           "time_extra_emb.timestep_embedder.linear_2": "t_embedder.mlp.2", "time_extra_emb.extra_embedder.linear_1":
           "extra_embedder.0", "time_extra_emb.extra_embedder.linear_2": "extra_embedder.2", "norm1.norm": "norm1",
           "time_extra_emb.": "", "norm_out.linear": "final_layer.adaLN_modulation.1", "proj_out": "final_layer.linear",
           ".norm_q": ".q_norm", ".norm_k": ".k_norm", "to_out.0": "out_proj", "attn2.to_q": "attn2.q_proj",
           "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2"}


def original_hunyuan(model):
    """What Diffusers' scripts/convert_hunyuandit_to_diffusers.py begins with. Tencent's class, strictly loaded with it,
    gives the numbers of Diffusers' class to the bit."""
    state, out, swap = model.state_dict(), {}, lambda x: torch.cat(x.chunk(2)[::-1])  # noqa: E731
    for name, value in state.items():
        if re.search(r"attn1\.to_[kv]|attn2\.to_v", name):
            continue
        if "attn1.to_q" in name:
            value = torch.cat([state[name.replace("to_q", f"to_{x}")] for x in "qkv"])
            name = name.replace("to_q", "Wqkv")
        if "attn2.to_k" in name:
            value = torch.cat([state[name.replace("to_k", f"to_{x}")] for x in "kv"])
            name = name.replace("to_k", "kv_proj")
        name = re.sub(r"\.norm([23])\.", lambda m: f".norm{5 - int(m[1])}.", name)
        for ours, theirs in HUNYUAN.items():
            name = name.replace(ours, theirs)
        out[name] = swap(value) if "final_layer.adaLN" in name else value
    return out


# ---- what the reference makes of them

def check(name, converted, model, prefix=""):
    state = model.state_dict()
    converted = {k.removeprefix(prefix): v for k, v in converted.items()}
    assert set(converted) == set(state), (name, set(converted) ^ set(state))
    for k, v in state.items():
        assert converted[k].shape == v.shape and torch.equal(converted[k].float(), v.float()), (name, k)


def convert_flux(checkpoint, dim):
    """The reference's function with the width of a tiny model in the place of Flux.1's."""
    source = inspect.getsource(reference.convert_flux_transformer_checkpoint_to_diffusers)
    scope = dict(vars(reference))
    exec(source.replace("inner_dim = 3072", f"inner_dim = {dim}"), scope)
    return scope["convert_flux_transformer_checkpoint_to_diffusers"](dict(checkpoint))


def weigh(value):
    """A number that depends on every element and its place."""
    flat = value.double().flatten()
    return float((flat * (torch.arange(flat.numel()).double() * 7919 % 1009 + 1)).sum())


def describe(model, keys):
    config = {k: model.config.to_dict()[k] if hasattr(model.config, "to_dict") else model.config[k] for k in keys}
    names = hf_clip(model) if isinstance(model, (CLIPTextModel, CLIPTextModelWithProjection)) else model.state_dict()
    tied = {k: v for k, v in names.items() if k != "encoder.embed_tokens.weight"}
    return {"config": config, "tensors": {k: [*v.shape, weigh(v)] for k, v in tied.items()}}


UNET_KEYS = ["in_channels", "out_channels", "block_out_channels", "down_block_types", "up_block_types", "cross_attention_dim",
             "norm_num_groups", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim",
             "projection_class_embeddings_input_dim"]
VAE_KEYS = ["latent_channels", "block_out_channels", "layers_per_block", "norm_num_groups"]
CLIP_KEYS = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "max_position_embeddings"]
T5_KEYS = ["vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets",
           "feed_forward_proj"]
LUMINA2_KEYS = ["in_channels", "hidden_size", "num_layers", "num_refiner_layers", "num_attention_heads", "num_kv_heads",
                "axes_dim_rope", "cap_feat_dim"]
GEMMA2_KEYS = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
               "num_key_value_heads", "head_dim"]
FLUX_KEYS = ["in_channels", "num_layers", "num_single_layers", "attention_head_dim", "num_attention_heads",
             "joint_attention_dim", "pooled_projection_dim", "guidance_embeds", "axes_dims_rope"]


def save(folder, name, tensors, metadata=None):
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / f"{name}.safetensors", metadata=metadata)


def half(model):
    """Values that f16 holds, so that the small files are exact."""
    for p in model.parameters():
        p.copy_(p.half())
    return model


def stable_diffusion(folder, kind, expected):
    unet = UNet2DConditionModel(**unet_config(kind), **({} if kind == "sd1" else {"attention_head_dim": 4}))
    vae = AutoencoderKL(**VAE)
    redraw(unet, 1)
    redraw(vae, 2)
    half(unet), half(vae)
    prefixed = lambda prefix, d: {prefix + k: v.half() for k, v in d.items()}  # noqa: E731
    file = prefixed("model.diffusion_model.", original_unet(unet)) | prefixed("first_stage_model.", original_vae(vae))
    file["alphas_cumprod"] = torch.rand(5)
    for name in list(original_unet(unet))[:2]:
        file["model_ema.diffusion_model" + name.replace(".", "")] = torch.zeros(1)
    check(kind, reference.convert_ldm_unet_checkpoint(dict(file), unet.config), unet)
    check(kind, reference.convert_ldm_vae_checkpoint(dict(file), vae.config), vae)
    parts = {"unet": describe(unet, UNET_KEYS), "vae": describe(vae, VAE_KEYS)}
    if kind == "sd1":
        text = half(clip(24, seed=3))
        file |= prefixed("cond_stage_model.transformer.", hf_clip(text))
        file["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(7)[None]
        got = reference.convert_ldm_clip_checkpoint(dict(file))
        got.pop("text_model.embeddings.position_ids")
        check(kind, got, text, "text_model.")
        parts["text_encoder"] = describe(text, CLIP_KEYS)
    if kind == "sd2":
        text = half(clip(32, seed=4))
        file |= prefixed("cond_stage_model.model.", open_clip(text))
        file["cond_stage_model.model.text_projection"] = torch.zeros(32, 32)
        check(kind, reference.convert_open_clip_checkpoint(text, dict(file)), text, "text_model.")
        parts["text_encoder"] = describe(text, CLIP_KEYS)
    if kind == "xl":
        text = half(clip(24, seed=5))
        file |= prefixed("conditioner.embedders.0.transformer.", hf_clip(text))
        parts["text_encoder"] = describe(text, CLIP_KEYS)
    if kind in ("xl", "refiner"):
        text = half(clip(32, 40, seed=6))
        prefix = f"conditioner.embedders.{int(kind == 'xl')}.model."
        file |= prefixed(prefix, open_clip(text))
        file[prefix + "logit_scale"] = torch.tensor(4.6)
        file = {k: v for k, v in file.items()}
        width = {"text_projection": file[prefix + "text_projection"]}
        state = dict(file) | {prefix + "text_projection": torch.zeros(32, 40)}  # the reference cuts in_proj by its rows
        got = reference.convert_open_clip_checkpoint(text, state, prefix=prefix)
        got["text_projection.weight"] = width["text_projection"].T
        check(kind, got, text)
        parts["text_encoder_2"] = describe(text, [*CLIP_KEYS, "projection_dim"])
    save(folder, kind, file)
    expected[kind] = parts
    return file


def flux(folder, expected):
    model = FluxTransformer2DModel(in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
                                   num_attention_heads=2, joint_attention_dim=20, pooled_projection_dim=24,
                                   guidance_embeds=True, axes_dims_rope=(4, 4, 8))
    redraw(model, 7)
    vae = AutoencoderKL(**dict(VAE, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False))
    redraw(vae, 8)
    text, t5 = half(clip(24, seed=9)), T5EncoderModel(T5Config(
        vocab_size=50, d_model=20, d_kv=6, d_ff=28, num_layers=2, num_heads=3, relative_attention_num_buckets=8,
        feed_forward_proj="gated-gelu"))
    redraw(t5, 10)
    half(model), half(vae), half(t5)
    bfl = {k: v.half() for k, v in original_flux(model).items()}
    check("flux", convert_flux(bfl, 32), model)
    ae = {k: v.half() for k, v in original_vae(vae).items()}
    check("ae", reference.convert_ldm_vae_checkpoint(dict(ae), vae.config), vae)
    clip_l = {k: v.half() for k, v in hf_clip(text).items()}
    t5xxl = {k: v.half() for k, v in t5.state_dict().items() if k != "encoder.embed_tokens.weight"}
    parts = {"transformer": describe(model, FLUX_KEYS), "vae": describe(vae, VAE_KEYS),
             "text_encoder": describe(text, CLIP_KEYS), "text_encoder_2": describe(t5, T5_KEYS)}
    save(folder, "flux_all", {f"{prefix}{k}": v for prefix, part in (
        ("model.diffusion_model.", bfl), ("vae.", ae), ("text_encoders.clip_l.transformer.", clip_l),
        ("text_encoders.t5xxl.transformer.", t5xxl)) for k, v in part.items()})
    expected["flux_all"] = parts
    for name, part, tensors in (("flux_unet", "transformer", bfl), ("ae", "vae", ae), ("clip_l", "text_encoder", clip_l),
                                ("t5xxl", "text_encoder_2", t5xxl)):
        save(folder, name, tensors)
        expected[name] = {part: parts[part]}


def convert_lumina2(checkpoint, q, k):
    """The reference's function with the widths of a tiny model in the place of the published ones."""
    source = inspect.getsource(reference.convert_lumina2_to_diffusers)
    scope = dict(vars(reference))
    exec(source.replace("q_dim = 2304", f"q_dim = {q}").replace("v_dim = 768", f"v_dim = {k}"), scope)
    return scope["convert_lumina2_to_diffusers"](dict(checkpoint))


def llama_gemma2(model):
    """As llama.cpp's convert_hf_to_gguf.py writes it: its own names, norms in f32 with 1 added."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA2, model.config.num_hidden_layers)
    return {names.get_name(f"model.{k}", try_suffixes=(".weight",)): v.float() + 1 if "norm" in k else v.half()
            for k, v in model.state_dict().items()}


def lumina2(folder, expected):
    model = Lumina2Transformer2DModel(
        hidden_size=36, num_layers=2, num_refiner_layers=1, num_attention_heads=6, num_kv_heads=2, multiple_of=16,
        axes_dim_rope=(2, 2, 2), cap_feat_dim=20)
    redraw(model, 11)
    vae = AutoencoderKL(**dict(VAE, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False))
    redraw(vae, 12)
    gemma = Gemma2Model(Gemma2Config(vocab_size=40, hidden_size=20, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
                                     num_hidden_layers=2, intermediate_size=28))
    redraw(gemma, 13)
    half(model), half(vae), half(gemma)
    alpha = {k: v.half() for k, v in original_lumina2(model).items()}
    check("lumina2", convert_lumina2(alpha, 36, 12), model)
    ae = {k: v.half() for k, v in original_vae(vae).items()}
    parts = {"transformer": describe(model, LUMINA2_KEYS), "vae": describe(vae, VAE_KEYS),
             "text_encoder": describe(gemma, GEMMA2_KEYS)}
    text = {f"model.{k}": v.half() for k, v in gemma.state_dict().items()}
    save(folder, "lumina2_all", {f"{prefix}{k}": v for prefix, part in (
        ("model.diffusion_model.", alpha), ("vae.", ae), ("text_encoders.gemma2_2b.transformer.", text)) for k, v in part.items()})
    expected["lumina2_all"] = parts
    for name, part, tensors in (("lumina2_alone", "transformer", alpha), ("gemma2", "text_encoder", text),
                                ("gemma2_llama", "text_encoder", llama_gemma2(gemma))):
        save(folder, name, tensors)
        expected[name] = {part: parts[part]}


SD3_KEYS = ["patch_size", "in_channels", "num_layers", "attention_head_dim", "num_attention_heads", "joint_attention_dim",
            "caption_projection_dim", "pooled_projection_dim", "out_channels", "pos_embed_max_size", "qk_norm"]
AURAFLOW_KEYS = ["patch_size", "in_channels", "num_mmdit_layers", "num_single_dit_layers", "attention_head_dim",
                 "num_attention_heads", "joint_attention_dim", "caption_projection_dim", "out_channels", "pos_embed_max_size"]


def save_whole(folder, expected, name, places, parts):
    save(folder, name, {prefix + k: v for prefix, part in places for k, v in part.items()})
    expected[name] = parts


def sd3(folder, expected):
    model = SD3Transformer2DModel(
        num_layers=2, num_attention_heads=2, attention_head_dim=8, joint_attention_dim=20, caption_projection_dim=16,
        pooled_projection_dim=36, pos_embed_max_size=5, qk_norm="rms_norm", dual_attention_layers=(0,))
    vae = AutoencoderKL(**dict(VAE, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False))
    texts = clip(24, 16, seed=15), clip(32, 20, seed=16)
    t5 = T5EncoderModel(T5Config(vocab_size=50, d_model=20, d_kv=6, d_ff=28, num_layers=2, num_heads=3,
                                 relative_attention_num_buckets=8, feed_forward_proj="gated-gelu"))
    for i, part in enumerate((model, vae, t5)):
        half(redraw(part, 17 + i))
    half(texts[0]), half(texts[1])
    model.pos_embed.pos_embed.copy_(model.pos_embed.pos_embed.half())
    stability = {k: v.half() for k, v in original_sd3(model).items()}
    check("sd3", reference.convert_sd3_transformer_checkpoint_to_diffusers(dict(stability)), model)
    ae = {k: v.half() for k, v in original_vae(vae).items()}
    parts = {"transformer": describe(model, SD3_KEYS), "vae": describe(vae, VAE_KEYS)}
    places = [("model.diffusion_model.", stability), ("first_stage_model.", ae)]
    save_whole(folder, expected, "sd3_bare", places, dict(parts))
    for name, letter, text in zip(("text_encoder", "text_encoder_2"), "lg", texts):
        parts[name] = describe(text, [*CLIP_KEYS, "projection_dim"])
        places.append((f"text_encoders.clip_{letter}.transformer.", {k: v.half() for k, v in hf_clip(text).items()}))
    parts["text_encoder_3"] = describe(t5, T5_KEYS)
    tied = {k: v.half() for k, v in t5.state_dict().items() if k != "encoder.embed_tokens.weight"}
    save_whole(folder, expected, "sd3_all", [*places, ("text_encoders.t5xxl.transformer.", tied)], parts)


def auraflow(folder, expected):
    model = AuraFlowTransformer2DModel(num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=6, num_attention_heads=2,
                                       joint_attention_dim=20, caption_projection_dim=12, pos_embed_max_size=9)
    umt5 = UMT5EncoderModel(UMT5Config(vocab_size=50, d_model=20, d_kv=6, d_ff=28, num_layers=2, num_heads=3,
                                       relative_attention_num_buckets=8))
    half(redraw(model, 20)), half(redraw(umt5, 21))
    fal = {k: v.half() for k, v in original_auraflow(model).items()}
    check("auraflow", reference.convert_auraflow_transformer_checkpoint_to_diffusers(dict(fal)), model)
    tied = {k: v.half() for k, v in umt5.state_dict().items() if k != "encoder.embed_tokens.weight"}
    parts = {"transformer": describe(model, AURAFLOW_KEYS), "text_encoder": describe(umt5, T5_KEYS)}
    save_whole(folder, expected, "auraflow_all",
               [("model.diffusion_model.", fal), ("text_encoders.pile_t5xl.transformer.", tied)], parts)
    save_whole(folder, expected, "auraflow_alone", [("", fal)], {"transformer": parts["transformer"]})


HUNYUAN_KEYS = ["num_attention_heads", "attention_head_dim", "in_channels", "patch_size", "hidden_size", "num_layers",
                "learn_sigma", "cross_attention_dim", "cross_attention_dim_t5", "pooled_projection_dim", "text_len",
                "text_len_t5", "use_style_cond_and_image_meta_size", "activation_fn"]
BERT_KEYS = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
             "max_position_embeddings", "type_vocab_size"]


def hunyuan(folder, expected):
    """As ComfyUI keeps 1.1: BERT without its pooler, mT5, its sentencepiece file; and the file of Tencent's folder."""
    model = HunyuanDiT2DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, patch_size=2, sample_size=8,
                              hidden_size=16, num_layers=4, mlp_ratio=2.3, cross_attention_dim=16, cross_attention_dim_t5=24,
                              pooled_projection_dim=10, text_len=7, text_len_t5=9)
    bert = BertModel(BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=20,
                                max_position_embeddings=9), add_pooling_layer=False)
    t5 = T5EncoderModel(T5Config(vocab_size=50, d_model=24, d_kv=6, d_ff=28, num_layers=2, num_heads=3,
                                 relative_attention_num_buckets=8, feed_forward_proj="gated-gelu"))
    half(redraw(model, 22)), half(redraw(bert, 23)), half(redraw(t5, 24))
    parts = {"transformer": describe(model, HUNYUAN_KEYS), "text_encoder": describe(bert, BERT_KEYS),
             "text_encoder_2": describe(t5, T5_KEYS)}
    words = {f"bert.{k}": v.half() for k, v in bert.state_dict().items() if "position_ids" not in k}
    tied = {k: v.half() for k, v in t5.state_dict().items() if k != "encoder.embed_tokens.weight"}
    pieces = (FIXTURES / "tokenizers" / "folders" / "t5_old" / "spiece.model").read_bytes()
    save_whole(folder, expected, "hunyuan_all", [
        ("model.diffusion_model.", {k: v.half() for k, v in original_hunyuan(model).items()}),
        ("text_encoders.hydit_clip.transformer.", words), ("text_encoders.mt5xl.transformer.", tied),
        ("text_encoders.mt5xl.", {"spiece_model": torch.frombuffer(bytearray(pieces), dtype=torch.uint8)})], parts)
    tiny = HunyuanDiT2DModel.from_pretrained(FIXTURES / "pipelines" / "hunyuan_tiny_1_2" / "transformer", torch_dtype=torch.bfloat16)
    torch.save({k: v.clone() for k, v in original_hunyuan(tiny).items()}, folder / "hunyuan_tiny_1_2.pt")


if __name__ == "__main__":
    folder = fresh_folder("checkpoints", "single")
    expected = {}
    for kind in ("sd1", "sd2", "xl", "refiner"):
        file = stable_diffusion(folder, kind, expected)
        if kind == "xl":
            lone = {k.removeprefix("model.diffusion_model."): v for k, v in file.items() if k.startswith("model.diff")}
            save(folder, "xl_unet", lone, {"modelspec.prediction_type": "v"})
            unet = json.loads(json.dumps(expected["xl"]["unet"]))
            del unet["config"]["addition_time_embed_dim"]  # follows from the text encoder, which is not there
            expected["xl_unet"] = {"unet": unet}
    flux(folder, expected)
    lumina2(folder, expected)
    sd3(folder, expected)
    auraflow(folder, expected)
    hunyuan(folder, expected)
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
    report(folder)
