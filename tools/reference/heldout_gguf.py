"""Runs the binary on random HunyuanDiT, AuraFlow and Lumina 2 models as GGUF files, beside Diffusers with the values that the
files mean.

    heldout_gguf.py build/atelier --seeds 0:20 [--only hunyuan|aura|lumina2] [--keep FOLDER]

A seed makes one tiny model: the transformer under its makers' names (as ComfyUI-GGUF converts it), T5, mT5, UMT5 and Gemma
under llama.cpp's names with their tokenizers inside, BERT under transformers'; in f32, f16, bf16 and blocks, all of one type
or mixed. The files come in the places of a folder's parts, or without a folder, or the transformer beside a config.json
that says what the shapes do not. LoRAs go onto all of them. Latents must agree to max|a-b|/std(b) <= 1e-3, pictures to 40 dB.
"""

import gguf
import numpy as np
import torch
from diffusers import (AuraFlowPipeline, AuraFlowTransformer2DModel, AutoencoderKL, DDPMScheduler,
                       FlowMatchEulerDiscreteScheduler, HunyuanDiT2DModel, HunyuanDiTPipeline, Lumina2Pipeline,
                       Lumina2Transformer2DModel)
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from transformers import (AutoTokenizer, BertConfig, BertModel, BertTokenizer, Gemma2Config, Gemma2Model, LlamaTokenizer, T5Config,
                          T5EncoderModel, T5TokenizerFast, UMT5Config, UMT5EncoderModel)

import gguf_files
import heldout
import heldout_loras
import heldout_text_dits
import single_files
import tiny_tokenizers
from common import randn, redraw
from networks_bert_gemma2 import redraw_gemma

ARCHITECTURES = {"hunyuan": "hydit", "aura": "aura", "lumina2": "lumina2"}
FLOATS = {Q.F32: 1, Q.F16: 1, Q.BF16: 1}
BLOCKS = {Q.Q8_0: 32, Q.Q4_0: 32, Q.Q5_1: 32}
K_BLOCKS = {Q.Q4_K: 256, Q.Q6_K: 256}


# ---- files

def quantise(r, data, kind):
    """-> (the file's bytes, their values); K blocks, which the gguf package only reads, are drawn: scales of the data's size"""
    if kind not in K_BLOCKS:
        packed = gguf.quants.quantize(data, kind)
    else:
        size = gguf.GGML_QUANT_SIZES[kind][1]
        rng = np.random.default_rng(r.randrange(2**30))
        packed = rng.integers(0, 256, (*data.shape[:-1], data.shape[-1] // 256 * size), dtype=np.uint8)
        blocks, scale = packed.reshape(-1, size), float(data.std())
        if kind == Q.Q4_K:  # d, dmin: scales of 6 bits by 4 bits, less minima of 6 bits
            blocks[:, 0:4] = np.array([scale / 170, scale * 7.5 / 170], np.float16).view(np.uint8)
        else:  # scales of 8 bits by 6 bits with a sign
            blocks[:, -2:] = np.array([scale / 1400], np.float16).view(np.uint8)
    return packed, np.ascontiguousarray(gguf.quants.dequantize(packed, kind))


def write(r, path, arch, tensors, vocabulary=None, kinds=None):
    """-> the values that the file means. vocabulary: fills in the tokenizer. kinds: which matrices take, where they fit"""
    writer, values = gguf.GGUFWriter(path, arch), {}
    kinds = kinds or FLOATS | BLOCKS
    if vocabulary:
        vocabulary(writer)
    for name, tensor in tensors.items():
        data = tensor.float().contiguous().numpy()
        fits = [q for q in kinds if data.shape[-1] % (FLOATS | BLOCKS | K_BLOCKS)[q] == 0]
        kind = r.choice(fits or [Q.F16])
        if data.ndim != 2:
            kind = Q.F32 if data.ndim == 1 or kinds == {Q.F32: 1} else Q.F16
        packed, value = quantise(r, data, kind)
        values[name] = torch.from_numpy(value).reshape(tensor.shape)
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def write_transformer(r, path, arch, model, kinds=None):
    names, state = heldout_loras.original_names(model), model.state_dict()
    values = write(r, path, arch, heldout_loras.ORIGINALS[type(model).__name__](model), kinds=kinds)
    for name, value in values.items():
        for key, piece in (heldout_loras.cut(value, *names[name], state).items() if name in names else ()):
            state[key].copy_(piece)


def write_llama(r, path, part, pieces, kinds=None):
    """A text encoder under llama.cpp's names with its tokenizer. pieces: sentencepiece's file"""
    gemma = isinstance(part, Gemma2Model)
    tensors = {k: v for k, v in part.state_dict().items() if k != "encoder.embed_tokens.weight"}
    if gemma:
        table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA2, part.config.num_hidden_layers)
        names = {table.get_name(f"model.{k}", try_suffixes=(".weight",)): k for k in tensors}
    else:
        names = {gguf_files.llama_name(k): k for k in tensors}
    plus = lambda k, by: by if gemma and "norm" in k else 0.0  # noqa: E731
    values = write(r, path, "gemma2" if gemma else "t5encoder", {n: tensors[k] + plus(k, 1.0) for n, k in names.items()},
                   lambda writer: gguf_files.write_vocabulary(writer, pieces, part.config.vocab_size), kinds)
    part.load_state_dict({names[n]: v - plus(names[n], 1.0) for n, v in values.items()}, strict=False)


def write_same(r, path, part, kinds=None):
    """An encoder under transformers' names."""
    part.load_state_dict(write(r, path, "bert", {k: v for k, v in part.state_dict().items() if v.is_floating_point()}, kinds=kinds),
                         strict=False)


# ---- models whose configurations follow from the shapes

def vae(r, seed, channels, scaling, shift=None):
    flow, width = channels == 16, 8 * r.choice([1, 3])  # groups of 8
    return redraw(AutoencoderKL(
        block_out_channels=[width, 2 * width, 2 * width, 2 * width], norm_num_groups=8, layers_per_block=1,
        latent_channels=channels, use_quant_conv=not flow, use_post_quant_conv=not flow, scaling_factor=scaling, shift_factor=shift,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4), seed)


def t5(r, seed, rows, cls, config):
    return redraw(cls(config(
        vocab_size=rows, d_model=32 * r.choice([1, 2, 3, 8]), d_kv=16, d_ff=32 * r.choice([1, 2, 8]), num_layers=r.randrange(2, 4),
        num_heads=2 * r.randrange(1, 3), feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False)), seed)


def hunyuan(r, seed, folder):
    words = tiny_tokenizers.bert(folder / "tokenizer", 77)
    pieces = tiny_tokenizers.t5(folder / "tokenizer_2", r.randrange(100, 200), 512, r.choice(["nmt_nfkc", "identity"]))
    styled, heads, head = r.random() < 0.5, r.choice([1, 2, 4]), 32 * r.randrange(1, 3)
    width = 64 * r.randrange(1, 3)
    bert = redraw(BertModel(BertConfig(
        vocab_size=words, hidden_size=width, num_attention_heads=width // 64, num_hidden_layers=2,
        intermediate_size=32 * r.randrange(1, 4), max_position_embeddings=80)), seed)
    mt5 = t5(r, seed + 1, pieces + 12, T5EncoderModel, T5Config)  # fewer rows to spare than <extra_id_99> needs, as mT5's
    model = redraw(HunyuanDiT2DModel(
        num_attention_heads=heads, attention_head_dim=head, hidden_size=heads * head, in_channels=4, patch_size=2,
        sample_size=128, num_layers=r.choice([2, 4]), mlp_ratio=r.choice([1, 2, 4]), pooled_projection_dim=32 * r.randrange(1, 3),
        cross_attention_dim=bert.config.hidden_size, cross_attention_dim_t5=mt5.config.d_model,
        use_style_cond_and_image_meta_size=styled, activation_fn="gelu-approximate"), seed + 2)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.03 if styled else 0.018, beta_schedule="scaled_linear",
                              clip_sample=False, prediction_type="v_prediction", steps_offset=1, timestep_spacing="leading")
    parts = {"text_encoder": bert, "text_encoder_2": mt5, "transformer": model, "vae": vae(r, seed + 3, 4, 0.13025)}
    return HunyuanDiTPipeline(
        tokenizer=BertTokenizer.from_pretrained(folder / "tokenizer"), scheduler=scheduler, safety_checker=None,
        tokenizer_2=T5TokenizerFast.from_pretrained(folder / "tokenizer_2"), feature_extractor=None,
        requires_safety_checker=False, **parts), parts


def aura(r, seed, folder):
    if r.random() < 0.7:
        pieces = tiny_tokenizers.llama(folder / "tokenizer", r.randrange(360, 460))
        tokenizer = LlamaTokenizer.from_pretrained(folder / "tokenizer")
    else:
        pieces = tiny_tokenizers.t5(folder / "tokenizer", r.randrange(100, 200), 512, "nmt_nfkc")
        tokenizer = T5TokenizerFast.from_pretrained(folder / "tokenizer")
    umt5 = t5(r, seed, pieces + 28, UMT5EncoderModel, UMT5Config)
    dim = r.choice([64, 96, 256, 512])
    heads = dim // 256 or 2
    model = redraw(AuraFlowTransformer2DModel(
        num_mmdit_layers=r.randrange(1, 3), num_single_dit_layers=r.randrange(1, 3), attention_head_dim=dim // heads,
        num_attention_heads=heads, joint_attention_dim=umt5.config.d_model, caption_projection_dim=dim, pos_embed_max_size=64),
        seed + 1, gain=1.2)
    for i, p in enumerate((model.pos_embed.pos_embed, model.register_tokens)):
        p.copy_(randn(seed + 50 + i, *p.shape))
    parts = {"text_encoder": umt5, "transformer": model, "vae": vae(r, seed + 2, 4, 0.13025)}
    return AuraFlowPipeline(tokenizer=tokenizer, scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73), **parts), parts


def lumina2(r, seed, folder):
    pieces = tiny_tokenizers.gemma(folder / "tokenizer", r.randrange(360, 460), keep=True)
    gemma = redraw_gemma(Gemma2Model(Gemma2Config(
        vocab_size=pieces + 20, hidden_size=32 * r.choice([1, 2, 8]), num_attention_heads=2, num_key_value_heads=1, head_dim=256,
        num_hidden_layers=r.randrange(2, 4), intermediate_size=32 * r.randrange(1, 4))), seed)
    heads, axis = 2 * r.choice([1, 2, 4]), r.choice([16, 32])
    model = redraw(Lumina2Transformer2DModel(
        in_channels=16, hidden_size=2 * axis * heads, num_layers=2, num_refiner_layers=r.randrange(1, 3), num_attention_heads=heads,
        num_kv_heads=2, multiple_of=32, axes_dim_rope=axes_of(2 * axis),
        cap_feat_dim=gemma.config.hidden_size), seed + 1)
    parts = {"text_encoder": gemma, "transformer": model, "vae": vae(r, seed + 2, 16, 0.3611, 0.1159)}
    return Lumina2Pipeline(tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
                           scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0), **parts), parts


def axes_of(head):
    axis = head // 6 * 2
    return head - 2 * axis, axis, axis


KINDS = {"hunyuan": hunyuan, "aura": aura, "lumina2": lumina2}


# ---- forms

def build(r, kind, seed, folder):
    """-> (the pipeline, its parts, the command's beginning, what it is)"""
    folder.mkdir()
    form = r.choice(["in a folder", "alone", "beside its configuration"])
    pipe, parts = KINDS[kind](r, 10 * seed, folder)
    arch, files = ARCHITECTURES[kind], folder / "files"
    files.mkdir()
    kinds = r.choice([None, {Q.F32: 1}, {Q.F16: 1}, {Q.Q8_0: 32}, {Q.Q4_K: 256, Q.Q6_K: 256, Q.Q5_1: 32}])
    given = ["--vae", files / "vae.safetensors"] if form == "alone" else []
    model = folder
    if form == "beside its configuration":
        files = folder / "transformer"
        say_more(r, kind, pipe, parts, 10 * seed)
    for name, part in parts.items():
        if form != "alone":
            part.save_pretrained(folder / name)
    pipe.scheduler.save_pretrained(folder / "scheduler")
    pipe.save_config(folder)
    path = files / f"{kind}.gguf"
    write_transformer(r, path, arch, parts["transformer"], kinds)
    if form == "alone":
        model = path
        save_file({k: v.contiguous().clone() for k, v in single_files.original_vae(parts["vae"]).items()}, files / "vae.safetensors")
    else:
        given += ["--transformer", path]
    for name in heldout_loras.ENCODERS:
        if name not in parts or (form != "alone" and r.random() < 0.3):
            continue
        own, tokenizer = folder / f"{name}.gguf", folder / name.replace("text_encoder", "tokenizer")
        given += [f"--{name.replace('_', '-')}", own]
        pieces = next((p for n in ("spiece.model", "tokenizer.model") if (p := tokenizer / n).exists()), None)
        if isinstance(parts[name], BertModel):
            write_same(r, own, parts[name], kinds)
        else:
            write_llama(r, own, parts[name], pieces, kinds)
        if form == "alone" and (not pieces or r.random() < 0.3):
            given += [f"--{tokenizer.name.replace('_', '-')}", tokenizer]
    if kind == "lumina2":
        heldout_text_dits.restore_constants(parts["text_encoder"])
    pipe.set_progress_bar_config(disable=True)
    told = "mixed" if not kinds else " ".join(q.name for q in kinds)
    return pipe, parts, ["-m", model, *given], f"{form}, {told}"


def say_more(r, kind, pipe, parts, seed):
    """The transformer with options that its shapes do not tell."""
    c = dict(parts["transformer"].config)
    if kind == "aura":
        c |= dict(num_attention_heads=2 * c["num_attention_heads"], attention_head_dim=c["attention_head_dim"] // 2)
    elif kind == "lumina2":
        c |= dict(axes_dim_rope=c["axes_dim_rope"][::-1])
    else:
        c |= dict(activation_fn="gelu")
    parts["transformer"] = redraw(type(parts["transformer"]).from_config(c), seed + 7)
    pipe.register_modules(transformer=parts["transformer"])


def random_case(r, kind, pipe):
    case = heldout_text_dits.random_case(r, kind, pipe) | dict(lora=r.choice([0.0, 1.0, -0.6]))
    case["options"].setdefault("max_sequence_length", r.choice([16, 100]))  # so that runs are short
    if kind == "hunyuan":
        del case["options"]["max_sequence_length"]
    return case


def start(r, kind, seed, work, options):
    pipe, parts, given, about = build(r, kind, seed, work / "model")

    def once():
        case = random_case(r, kind, pipe)
        return *heldout_text_dits.compare(r, pipe, parts, options.binary, given, case), case | {"given": given}

    return about, once


if __name__ == "__main__":
    heldout.main(__doc__, start, KINDS)
