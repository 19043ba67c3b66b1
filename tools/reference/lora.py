"""tests/fixtures/lora/: LoRA files in every dialect over the networks of networks/, and what these then give.

One update of each kind is drawn, put into the network by PEFT (through Diffusers) or by LyCORIS, and written once for
each dialect. expected.safetensors: <file>[@weight] -> the output for the network's own input.
"""

import json

import torch
from diffusers import (FluxPipeline, FluxTransformer2DModel, HunyuanDiT2DModel, Lumina2Transformer2DModel,
                       UNet2DConditionModel)
from lycoris import create_lycoris_from_weights
from lycoris.functional import lokr
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from common import FIXTURES, fresh_folder, generator, report, save_tensors

EXPECTED = {}
FOLDER = fresh_folder("lora")


def load(name):
    folder = FIXTURES / "networks" / name
    io = {k: v for k, v in load_file(folder / "io.safetensors").items()}
    if name.startswith("flux"):
        model = FluxTransformer2DModel.from_pretrained(folder)
        inputs = {k[6:]: v for k, v in io.items() if k.startswith("input.")}
        return model, lambda: model(**inputs).sample
    if name.startswith("lumina2"):
        model = Lumina2Transformer2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        inputs = {k[6:]: v for k, v in io.items() if k.startswith("input.")}
        return model, lambda: model(**inputs).sample
    if name.startswith("hunyuan"):
        model = HunyuanDiT2DModel.from_pretrained(folder, torch_dtype=torch.float32)
        inputs = {k[6:]: v for k, v in io.items() if k.startswith("input.")}
        rope = (io["inner.rope_cos"], io["inner.rope_sin"])
        return model, lambda: model(**inputs, image_rotary_emb=rope).sample
    if name.startswith("unet"):
        model = UNet2DConditionModel.from_pretrained(folder)
        inputs = {k[6:]: v for k, v in io.items() if k.startswith("input.")}
        added = {k: inputs.pop(k) for k in ("text_embeds", "time_ids") if k in inputs}
        return model, lambda: model(**inputs, added_cond_kwargs=added or None).sample
    model = CLIPTextModel.from_pretrained(folder)
    return model, lambda: model(io["input.input_ids"]).last_hidden_state


def draw(seed, *shape, scale):
    return torch.randn(shape, generator=generator(seed)) * scale


def layers_of(model, kinds=(torch.nn.Linear,), only=lambda name: True):
    return {n: m for n, m in model.named_modules() if isinstance(m, kinds) and only(n)}


def low_rank(model, seed, rank=3, kinds=(torch.nn.Linear,), only=lambda name: True):
    """{layer: (down, up)} of every layer, large enough to matter."""
    out = {}
    for i, (name, m) in enumerate(layers_of(model, kinds, only).items()):
        w = m.weight
        down = draw(seed + 2 * i, rank, *w.shape[1:], scale=(1 / w[0].numel()) ** 0.5)
        up = draw(seed + 2 * i + 1, w.shape[0], rank, *([1] * (w.ndim - 2)), scale=0.4)
        out[name] = (down, up)
    return out


def peft_output(network, pairs, weight=1.0, alpha=None, magnitudes=None, biases=None, **options):
    """What PEFT gives with the update in the network."""
    model, run = load(network)
    plain = run()
    rank = next(iter(pairs.values()))[0].shape[0]
    config = LoraConfig(r=rank, lora_alpha=alpha or rank, target_modules=list(pairs), use_dora=bool(magnitudes),
                        lora_bias=bool(biases), init_lora_weights=True, **options)
    inject_adapter_in_model(config, model, adapter_name="a")
    state = {}
    for name, (down, up) in pairs.items():
        state[f"{name}.lora_A.weight"], state[f"{name}.lora_B.weight"] = down, up
        if magnitudes:
            state[f"{name}.lora_magnitude_vector"] = magnitudes[name]
        if biases:
            state[f"{name}.lora_B.bias"] = biases[name]
    missing = set_peft_model_state_dict(model, state, adapter_name="a")
    assert not missing.unexpected_keys, missing.unexpected_keys
    from peft.tuners.tuners_utils import BaseTunerLayer
    for m in model.modules():
        if isinstance(m, BaseTunerLayer):
            m.scale_layer(weight)
    model.eval()
    output = run()
    assert (output - plain).abs().max() > 0.05 * plain.std(), "the update does not matter"
    return output


def lycoris_output(network, state):
    model, run = load(network)
    plain = run()
    net, _ = create_lycoris_from_weights(1.0, "", model, {k.replace("lora_unet_", "lycoris_"): v for k, v in state.items()})
    net.apply_to()  # merge_to of 4.1.3 counts the scale of LoHa twice
    output = run()
    assert (output - plain).abs().max() > 0.05 * plain.std(), "the update does not matter"
    return output


def lokr_output(network, state):
    """LyCORIS' own module allows few factors; its function takes any."""
    model, run = load(network)
    plain = run()
    for name, m in layers_of(model, LINEAR_CONV).items():
        key = f"lora_unet_{name.replace('.', '_')}"
        parts = [state.get(f"{key}.lokr_{p}") for p in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")]
        if any(p is not None for p in parts):
            gamma = state[f"{key}.alpha"].item()
            if parts[6] is not None:  # the function takes the channels for the rank, the module does not
                gamma *= parts[4].shape[1] / parts[5].shape[0]
            m.weight.add_(lokr.diff_weight(*parts, gamma=gamma).reshape(m.weight.shape))
    output = run()
    assert (output - plain).abs().max() > 0.05 * plain.std(), "the update does not matter"
    return output


def write(name, tensors, output, weight=None, metadata=None):
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, FOLDER / f"{name}.safetensors", metadata=metadata)
    EXPECTED[name if weight is None else f"{name}@{weight}"] = output


def plain(name):
    return name.replace(".", "_")


# ---- Flux

QKV = {"attn.to_q": "qkv", "attn.to_k": "qkv", "attn.to_v": "qkv"}
DOUBLE = {"norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin", "attn.to_out.0": "img_attn.proj",
          "attn.to_add_out": "txt_attn.proj", "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
          "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2"}
DOUBLE_FUSED = {"img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
                "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"]}
SINGLE = {"norm.linear": "modulation.lin", "proj_out": "linear2"}
SINGLE_FUSED = {"linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]}
FIXED = {"x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear",
         "norm_out.linear": "final_layer.adaLN_modulation.1",
         "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
         "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
         "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
         "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
         "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
         "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer"}


def share_downs(pairs):
    """Layers that are one layer in the original share what goes in."""
    for name in list(pairs):
        for group in [*DOUBLE_FUSED.values(), *SINGLE_FUSED.values()]:
            for other in group[1:]:
                if name.endswith(f".{other}") and (first := name[: -len(other)] + group[0]) in pairs:
                    if "single" in name or group != ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]:
                        pairs[name] = (pairs[first][0], pairs[name][1])
    return pairs


def to_bfl(pairs):
    """The same with the original's names: {layer: (down, up)}."""
    out = {FIXED[n]: p for n, p in pairs.items() if n in FIXED}
    down, up = out["final_layer.adaLN_modulation.1"]
    out["final_layer.adaLN_modulation.1"] = (down, torch.cat(up.chunk(2)[::-1]))
    for ours, theirs, one, fused in (("transformer_blocks", "double_blocks", DOUBLE, DOUBLE_FUSED),
                                     ("single_transformer_blocks", "single_blocks", SINGLE, SINGLE_FUSED)):
        for i in range(8):
            if not any(n.startswith(f"{ours}.{i}.") for n in pairs):
                break
            for a, b in one.items():
                out[f"{theirs}.{i}.{b}"] = pairs[f"{ours}.{i}.{a}"]
            for b, group in fused.items():
                members = [pairs[f"{ours}.{i}.{a}"] for a in group]
                out[f"{theirs}.{i}.{b}"] = (members[0][0], torch.cat([m[1] for m in members]))
    return out


def flux():
    model, _ = load("flux_dev")
    pairs = share_downs(low_rank(model, 100))
    output = peft_output("flux_dev", pairs)
    both = lambda front, pairs, a, b: {f"{front}{n}.{r}": t for n, p in pairs.items() for r, t in zip((a, b), p)}
    write("flux_peft", both("transformer.", pairs, "lora_A.weight", "lora_B.weight"), output)
    EXPECTED["flux_peft@-0.6"] = peft_output("flux_dev", pairs, weight=-0.6)
    write("flux_bfl", both("diffusion_model.", to_bfl(pairs), "lora_A.weight", "lora_B.weight"), output)

    scaled = peft_output("flux_dev", pairs, alpha=5)
    kohya = {f"lora_unet_{plain(n)}.{r}": t for n, p in to_bfl(pairs).items() for r, t in zip(("lora_down.weight", "lora_up.weight"), p)}
    kohya |= {f"lora_unet_{plain(n)}.alpha": torch.tensor(5.0) for n in to_bfl(pairs)}
    write("flux_kohya", kohya, scaled)
    trainer = {f"lora_transformer_{plain(n)}.{r}": t for n, p in pairs.items() for r, t in zip(("lora_down.weight", "lora_up.weight"), p)}
    trainer |= {f"lora_transformer_{plain(n)}.alpha": torch.tensor(5.0) for n in pairs}
    write("flux_onetrainer", trainer, scaled)

    options = {"use_rslora": True, "alpha_pattern": {"attn.to_q": 9, "transformer_blocks.0.ff.net.2": 1}}
    metadata = {f"transformer.{k}": v for k, v in (options | {"r": 3, "lora_alpha": 5, "use_dora": False}).items()}
    write("flux_metadata", both("transformer.", pairs, "lora_A.weight", "lora_B.weight"),
          peft_output("flux_dev", pairs, alpha=5, **options), metadata={"lora_adapter_metadata": json.dumps(metadata)})

    attention = {n: p for n, p in pairs.items() if ".attn." in n or (n.startswith("single") and n.endswith("proj_out"))}
    names = to_bfl(pairs)
    xlabs = {}
    for i in range(1):
        for theirs, key in (("qkv_lora1", "img_attn.qkv"), ("qkv_lora2", "txt_attn.qkv"), ("proj_lora1", "img_attn.proj"),
                            ("proj_lora2", "txt_attn.proj")):
            down, up = names[f"double_blocks.{i}.{key}"]
            xlabs |= {f"double_blocks.{i}.processor.{theirs}.down.weight": down,
                      f"double_blocks.{i}.processor.{theirs}.up.weight": up}
    for i in range(2):
        down, up = names[f"single_blocks.{i}.linear1"]
        xlabs |= {f"single_blocks.{i}.processor.qkv_lora.down.weight": down,
                  f"single_blocks.{i}.processor.qkv_lora.up.weight": up[:96],
                  f"single_blocks.{i}.processor.proj_lora.down.weight": names[f"single_blocks.{i}.linear2"][0],
                  f"single_blocks.{i}.processor.proj_lora.up.weight": names[f"single_blocks.{i}.linear2"][1]}
    write("flux_xlabs", xlabs, peft_output("flux_dev", attention))

    control(pairs, names)
    fused_lokr()


def control(pairs, names):
    """Black Forest Labs' control LoRAs: biases, and norms of their own."""
    biases = {n: draw(700 + i, up.shape[0], scale=0.3) for i, (n, (_, up)) in enumerate(pairs.items())}
    theirs = {n: b for n, (_, b) in to_bfl({n: (pairs[n][0], b) for n, b in biases.items()}).items()}
    file = {f"{n}.lora_{r}.weight": t for n, p in names.items() for r, t in zip("AB", p)}
    file |= {f"{n}.lora_B.bias": b for n, b in theirs.items()}
    model, run = load("flux_dev")
    norms = {n: 1 + draw(800 + i, *p.shape, scale=0.4) for i, (n, p) in
             enumerate((n, p) for n, p in model.named_parameters() if "norm_" in n and "attn" in n)}
    table = {"norm_q": "img_attn.norm.query_norm", "norm_k": "img_attn.norm.key_norm",
             "norm_added_q": "txt_attn.norm.query_norm", "norm_added_k": "txt_attn.norm.key_norm"}
    for n, v in norms.items():
        block, i, _, norm, _ = n.split(".")
        key = table[norm] if block == "transformer_blocks" else table[norm].split(".", 1)[1]
        file[f"{'double' if block == 'transformer_blocks' else 'single'}_blocks.{i}.{key}.scale"] = v
    original = load

    def with_norms(name):
        model, run = original(name)
        model.load_state_dict(norms, strict=False)
        return model, run

    globals()["load"] = with_norms
    write("flux_control", file, peft_output("flux_dev", pairs, biases=biases))
    globals()["load"] = original


def fused_lokr():
    """LoKr over the original's fused layers: rows of a Kronecker product."""
    model, run = load("flux_dev")
    a, b, w2 = draw(900, 4, 1, scale=0.7), draw(905, 1, 2, scale=0.7), draw(901, 24, 16, scale=0.5)
    delta = torch.kron(a @ b, w2) * 7
    for name, rows in zip(("to_q", "to_k", "to_v"), delta.chunk(3)):
        model.get_submodule(f"transformer_blocks.0.attn.{name}").weight.add_(rows)
    single = torch.kron(draw(902, 7, 4, scale=0.5), draw(903, 32, 2, scale=0.5) @ draw(904, 2, 8, scale=0.5)) * (3 / 2)
    for name, rows in zip(("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), single.split((32, 32, 32, 128))):
        model.get_submodule(f"single_transformer_blocks.1.{name}").weight.add_(rows)
    write("flux_lokr", {"lora_unet_double_blocks_0_img_attn_qkv.lokr_w1_a": a,
                        "lora_unet_double_blocks_0_img_attn_qkv.lokr_w1_b": b, "lora_unet_double_blocks_0_img_attn_qkv.lokr_w2": w2,
                        "lora_unet_double_blocks_0_img_attn_qkv.alpha": torch.tensor(7.0),
                        "lora_unet_single_blocks_1_linear1.lokr_w1": draw(902, 7, 4, scale=0.5),
                        "lora_unet_single_blocks_1_linear1.lokr_w2_a": draw(903, 32, 2, scale=0.5),
                        "lora_unet_single_blocks_1_linear1.lokr_w2_b": draw(904, 2, 8, scale=0.5),
                        "lora_unet_single_blocks_1_linear1.alpha": torch.tensor(3.0)}, run())


# ---- UNets

LINEAR_CONV = (torch.nn.Linear, torch.nn.Conv2d)


def kohya(pairs, alpha, front="lora_unet_", rename=plain):
    out = {}
    for n, (down, up) in pairs.items():
        out |= {f"{front}{rename(n)}.lora_down.weight": down, f"{front}{rename(n)}.lora_up.weight": up}
        if alpha is not None:
            out[f"{front}{rename(n)}.alpha"] = torch.tensor(float(alpha))
    return out


def sgm_name(model):
    """SDXL's kohya files have the names of Stability's code."""
    table, at = {"conv_in": "input_blocks.0.0", "conv_out": "out.2", "time_embedding.linear_1": "time_embed.0",
                 "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
                 "add_embedding.linear_2": "label_emb.0.2"}, 1
    resnet = {"conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
    for i, block in enumerate(model.down_blocks):
        for j in range(len(block.resnets)):
            table |= {f"down_blocks.{i}.resnets.{j}": f"input_blocks.{at}.0", f"down_blocks.{i}.attentions.{j}": f"input_blocks.{at}.1"}
            at += 1
        if block.downsamplers:
            table[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{at}.0.op"
            at += 1
    table |= {"mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1", "mid_block.resnets.1": "middle_block.2"}
    at = 0
    for i, block in enumerate(model.up_blocks):
        for j in range(len(block.resnets)):
            table |= {f"up_blocks.{i}.resnets.{j}": f"output_blocks.{at}.0", f"up_blocks.{i}.attentions.{j}": f"output_blocks.{at}.1"}
            at += 1
        if block.upsamplers:
            table[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{at - 1}.{2 if hasattr(block, 'attentions') else 1}.conv"

    def rename(name):
        for front in sorted(table, key=len, reverse=True):
            if name == front or name.startswith(front + "."):
                rest = name[len(front) + 1:]
                return plain(".".join(filter(None, (table[front], resnet.get(rest, rest)))))
        raise SystemExit(name)

    return rename


def unets():
    model, _ = load("unet_xl")
    pairs = low_rank(model, 300, rank=2, kinds=LINEAR_CONV)
    write("xl_kohya", kohya(pairs, 3, rename=sgm_name(model)), peft_output("unet_xl", pairs, alpha=3))
    attention = {n: p for n, p in pairs.items() if ".attn" in n}
    output = peft_output("unet_xl", attention)
    old = {}
    for n, (down, up) in attention.items():
        key = n.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.").replace("to_out.0", "to_out")
        old |= {f"unet.{key}_lora.down.weight": down, f"unet.{key}_lora.up.weight": up}
    write("xl_processors", old, output)

    model, _ = load("unet_sd1")
    few = lambda n: n.startswith(("down_blocks.1.", "mid_block", "up_blocks.2.", "conv_in"))
    pairs = low_rank(model, 500, rank=2, kinds=LINEAR_CONV, only=few)
    lengths = {n: model.get_submodule(n).weight.flatten(1).norm(dim=1) * (1 + draw(600 + i, up.shape[0], scale=0.3))
               for i, (n, (_, up)) in enumerate(pairs.items())}
    shaped = {n: v if pairs[n][0].ndim == 2 else v.reshape(1, -1, 1, 1) for n, v in lengths.items()}
    output = peft_output("unet_sd1", pairs, alpha=3, magnitudes=shaped)
    file = kohya(pairs, 3) | {f"lora_unet_{plain(n)}.dora_scale": v.reshape(-1, *([1] * (pairs[n][0].ndim - 1))) for n, v in lengths.items()}
    write("sd_dora", file, output)
    EXPECTED["sd_dora@0.5"] = peft_output("unet_sd1", pairs, weight=0.5, alpha=3, magnitudes=shaped)
    file = {f"unet.{n}.{r}": t for n, p in pairs.items() for r, t in zip(("lora_A.weight", "lora_B.weight"), p)}
    write("sd_peft", file, peft_output("unet_sd1", pairs))
    lycoris(model, few)


def lycoris(model, few):
    layers = layers_of(model, LINEAR_CONV, few)
    kinds = {"loha": {}, "lokr": {}, "locon": {}, "full": {}}
    for i, (name, m) in enumerate(layers.items()):
        key, w, s = f"lora_unet_{plain(name)}", m.weight, 2000 + 20 * i
        out, inner, k = w.shape[0], w.shape[1], list(w.shape[2:])
        spatial = len(k) == 2 and k[0] > 1
        n = inner * (k[0] * k[1] if k else 1)
        gain = (1 / n) ** 0.25
        if spatial and i % 2:
            kinds["loha"] |= {f"{key}.hada_t1": draw(s, 2, 2, *k, scale=0.6), f"{key}.hada_w1_a": draw(s + 1, 2, out, scale=0.7),
                              f"{key}.hada_w1_b": draw(s + 2, 2, inner, scale=0.7), f"{key}.hada_t2": draw(s + 3, 2, 2, *k, scale=0.6),
                              f"{key}.hada_w2_a": draw(s + 4, 2, out, scale=0.7), f"{key}.hada_w2_b": draw(s + 5, 2, inner, scale=0.7)}
            kinds["locon"] |= {f"{key}.lora_down.weight": draw(s + 6, 2, inner, 1, 1, scale=0.5),
                               f"{key}.lora_mid.weight": draw(s + 7, 2, 2, *k, scale=0.4), f"{key}.lora_up.weight": draw(s + 8, out, 2, 1, 1, scale=0.4)}
            kinds["locon"][f"{key}.alpha"] = torch.tensor(1.0)
        else:
            rank = 2 if i % 3 else 5  # 25 rows are no longer fewer than the columns: written out
            kinds["loha"] |= {f"{key}.hada_w1_a": draw(s, out, rank, scale=0.6), f"{key}.hada_w1_b": draw(s + 1, rank, n, scale=gain),
                              f"{key}.hada_w2_a": draw(s + 2, out, rank, scale=0.6), f"{key}.hada_w2_b": draw(s + 3, rank, n, scale=gain)}
        kinds["loha"][f"{key}.alpha"] = torch.tensor(1.5)
        o, c = (4, 4) if out % 4 == 0 and inner % 4 == 0 else (2, 2) if out % 2 == 0 and inner % 2 == 0 else (1, 1)
        if spatial and i % 2:
            kinds["lokr"] |= {f"{key}.lokr_w1": draw(s + 9, o, c, scale=0.5), f"{key}.lokr_t2": draw(s + 10, 2, 2, *k, scale=0.5),
                              f"{key}.lokr_w2_a": draw(s + 11, 2, out // o, scale=0.5), f"{key}.lokr_w2_b": draw(s + 12, 2, inner // c, scale=0.5),
                              f"{key}.alpha": torch.tensor(1.5)}
        elif i % 3 == 0:
            kinds["lokr"] |= {f"{key}.lokr_w1_a": draw(s + 9, o, 2, scale=0.7), f"{key}.lokr_w1_b": draw(s + 10, 2, c, scale=0.7),
                              f"{key}.lokr_w2": draw(s + 11, out // o, inner // c, *k, scale=0.3), f"{key}.alpha": torch.tensor(0.5)}
        else:
            kinds["lokr"] |= {f"{key}.lokr_w1": draw(s + 9, o, c, scale=0.5), f"{key}.lokr_w2_a": draw(s + 10, out // o, 2, scale=0.5),
                              f"{key}.lokr_w2_b": draw(s + 11, 2, (inner // c) * (n // inner), scale=0.3), f"{key}.alpha": torch.tensor(1.5)}
        kinds["full"][f"{key}.diff"] = draw(s + 15, *w.shape, scale=(0.3 / n) ** 0.5)
        if m.bias is not None:
            kinds["full"][f"{key}.diff_b"] = draw(s + 16, out, scale=0.3)
    norms = layers_of(model, (torch.nn.LayerNorm, torch.nn.GroupNorm), few)
    for i, (name, m) in enumerate(norms.items()):
        kinds["full"] |= {f"lora_unet_{plain(name)}.w_norm": draw(4000 + i, *m.weight.shape, scale=0.3),
                          f"lora_unet_{plain(name)}.b_norm": draw(4100 + i, *m.bias.shape, scale=0.3)}
    for kind, state in kinds.items():
        write(f"sd_{kind}", state, (lokr_output if kind == "lokr" else lycoris_output)("unet_sd1", state))


# ---- CLIP

def clip():
    model, _ = load("clip_quick_gelu")
    names = [n for n in layers_of(model)]
    pairs = low_rank(model, 1500)
    full = lambda n: n if n.startswith("text_model.") else f"text_model.{n}"
    write("te_kohya", kohya(pairs, 2, front="lora_te_", rename=lambda n: plain(full(n))), peft_output("clip_quick_gelu", pairs, alpha=2))
    old, some = {}, {n: p for n, p in pairs.items() if "self_attn" in n}
    for n, (down, up) in some.items():
        key = full(n).replace("q_proj", "to_q").replace("k_proj", "to_k").replace("v_proj", "to_v").replace("out_proj", "to_out")
        old |= {f"text_encoder.{key}_lora.down.weight": down, f"text_encoder.{key}_lora.up.weight": up}
    write("te_processors", old, peft_output("clip_quick_gelu", some))
    assert names


# ---- a whole pipeline: pipelines/flux_tiny_schnell with a LoRA of transformer and text encoder


LUMINA2 = {".attn.to_out.0": ".attention.out", ".feed_forward.linear_": ".feed_forward.w", ".norm1.linear": ".adaLN_modulation.1"}


def to_alpha(pairs):
    """Alpha-VLLM's names, queries, keys and values in one: they share what comes first."""
    out = {}
    for name, (down, up) in pairs.items():
        if name.endswith((".to_k", ".to_v")):
            continue
        if name.endswith(".to_q"):
            up = torch.cat([pairs[name[:-1] + x][1] for x in "qkv"])
            name = name.replace("attn.to_q", "attention.qkv")
        for ours, theirs in LUMINA2.items():
            name = name.replace(ours, theirs)
        out[name] = (down, up)
    return out


def text_dits():
    both = lambda front, pairs: {f"{front}{n}.{r}.weight": t for n, p in pairs.items() for r, t in zip(("lora_A", "lora_B"), p)}
    model, _ = load("lumina2_uneven")
    blocks = ("layers", "noise_refiner", "context_refiner")
    pairs = low_rank(model, 8000, only=lambda n: n.startswith(blocks))
    for name in [n for n in pairs if n.endswith((".to_k", ".to_v"))]:
        pairs[name] = (pairs[name[:-1] + "q"][0], pairs[name][1])
    output = peft_output("lumina2_uneven", pairs)
    write("lumina2_peft", both("transformer.", pairs), output)
    write("lumina2_alpha", both("diffusion_model.", to_alpha(pairs)), output)
    kohya = {f"lora_unet_{plain(n)}.{r}.weight": t for n, p in to_alpha(pairs).items() for r, t in zip(("lora_down", "lora_up"), p)}
    kohya |= {f"lora_unet_{plain(n)}.alpha": torch.tensor(2.0) for n in to_alpha(pairs)}
    write("lumina2_kohya", kohya, peft_output("lumina2_uneven", pairs, alpha=2))
    model, _ = load("hunyuan_geglu")
    pairs = low_rank(model, 8500, only=lambda n: n.startswith("blocks"))
    write("hunyuan_peft", both("transformer.", pairs), peft_output("hunyuan_geglu", pairs))


def pipeline():
    pipe = FluxPipeline.from_pretrained(FIXTURES / "pipelines" / "flux_tiny_schnell")
    state = {}
    for part in ("transformer", "text_encoder"):
        pairs = low_rank(getattr(pipe, part), 7000 + len(part), only=lambda n: "attn" in n)
        state |= {f"{part}.{n}.{r}": t for n, p in pairs.items() for r, t in zip(("lora_A.weight", "lora_B.weight"), p)}
    path = FOLDER / "pipeline.safetensors"
    save_file(state, path)

    def latents():
        x = pipe("a red heart", height=48, width=32, num_inference_steps=2, generator=generator(7), output_type="latent").images
        return pipe._unpack_latents(x, 48, 32, pipe.vae_scale_factor)

    pipe.load_lora_weights(path, adapter_name="a")
    for weight in (1.0, 0.4):
        pipe.set_adapters(["a"], [weight])
        EXPECTED["pipeline" if weight == 1 else f"pipeline@{weight}"] = latents()


def main():
    flux()
    unets()
    clip()
    text_dits()
    pipeline()
    save_tensors(FOLDER / "expected.safetensors", EXPECTED)
    report(FOLDER, f"{len(EXPECTED)} outputs")


if __name__ == "__main__":
    main()
