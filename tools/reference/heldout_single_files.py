"""Runs the binary on random tiny folders and on the same models as their makers' and ComfyUI's single files, which say
nothing of their configuration: it must follow from the shapes. The latents must be the same to the bit.

    heldout_single_files.py build/atelier --seeds 0:20

Stable Diffusion 3 and 3.5 (all-in-one, T5 in f8 or left out), AuraFlow, HunyuanDiT 1.1 and 1.2, and Lumina 2 with Gemma and
its tokenizer inside, or as three files.
"""

import subprocess

import torch
from diffusers import (AuraFlowPipeline, AuraFlowTransformer2DModel, AutoencoderKL, DDPMScheduler,
                       FlowMatchEulerDiscreteScheduler, HunyuanDiT2DModel, HunyuanDiTPipeline, Lumina2Pipeline,
                       Lumina2Transformer2DModel, SD3Transformer2DModel, StableDiffusion3Pipeline)
from safetensors.torch import load_file, save_file
from transformers import (AutoTokenizer, BertConfig, BertModel, BertTokenizer, CLIPTextConfig, CLIPTextModelWithProjection,
                          CLIPTokenizer, Gemma2Config, Gemma2Model, T5Config, T5EncoderModel, T5TokenizerFast, UMT5Config,
                          UMT5EncoderModel)

import heldout
import single_files
import tiny_tokenizers
from common import FIXTURES, redraw
from networks_bert_gemma2 import redraw_gemma

TEXT = "a red heart, 一个宇航员 on the moon"


def f16(value):
    return value.half()


def f8(value):
    return value.to(torch.float8_e4m3fn) if value.ndim > 1 else value.half()


def rounded(model, kind=f16):
    for p in model.parameters():
        p.copy_(kind(p).float())
    return model


def put(prefix, tensors, kind=f16):
    return {prefix + k: kind(v) for k, v in tensors.items()}


def vae(r, seed, channels, **options):
    flow = channels == 16
    width = 8 * r.randrange(1, 4)
    return rounded(redraw(AutoencoderKL(
        block_out_channels=(width, 2 * width, 2 * width, 2 * width), norm_num_groups=8, layers_per_block=1,
        latent_channels=channels, use_quant_conv=not flow, use_post_quant_conv=not flow,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, **options), seed))


def t5(r, seed, pieces, cls=T5EncoderModel, config=T5Config, kind=f16, width=None):
    return rounded(redraw(cls(config(
        vocab_size=pieces, d_model=width or 4 * r.randrange(3, 20), d_kv=r.randrange(2, 9), d_ff=r.randrange(8, 40),
        num_layers=r.randrange(2, 4), num_heads=r.randrange(1, 4), feed_forward_proj="gated-gelu", is_encoder_decoder=False,
        use_cache=False)), seed), kind)


def encoder(model):
    return {k: v for k, v in model.state_dict().items() if k != "encoder.embed_tokens.weight"}


def sd3(r, seed, folder):
    tokenizers, parts, given, joint = {}, {}, [], 4 * r.randrange(3, 20)
    for i, name in enumerate(("", "_2")):
        words = tiny_tokenizers.clip(folder / f"tokenizer{name}", r.randrange(20, 90), 77, pad="!" if i else None)
        tokenizers[f"tokenizer{name}"] = CLIPTokenizer.from_pretrained(folder / f"tokenizer{name}")
        parts[f"text_encoder{name}"] = rounded(redraw(CLIPTextModelWithProjection(CLIPTextConfig(
            vocab_size=words, hidden_size=8 * r.randrange(1, 6), intermediate_size=40, num_hidden_layers=3,
            num_attention_heads=4, projection_dim=r.randrange(4, 20), hidden_act=("quick_gelu", "gelu")[i],
            eos_token_id=2)), seed + i))
    third = r.random() < 0.6
    if third:
        pieces = tiny_tokenizers.t5(folder / "tokenizer_3", 120, 512, "identity")
        tokenizers["tokenizer_3"] = T5TokenizerFast.from_pretrained(folder / "tokenizer_3")
        parts["text_encoder_3"] = t5(r, seed + 2, pieces, kind=f8, width=joint)
    newer, heads = r.random() < 0.5, r.randrange(1, 3)
    head = 8 * r.randrange(1, 4) if newer else 64
    model = SD3Transformer2DModel(
        sample_size=128, num_layers=3, num_attention_heads=heads, attention_head_dim=head, joint_attention_dim=joint,
        caption_projection_dim=heads * head, in_channels=16, out_channels=16, pos_embed_max_size=12,
        pooled_projection_dim=sum(parts[f"text_encoder{n}"].config.projection_dim for n in ("", "_2")),
        qk_norm="rms_norm" if newer else None, dual_attention_layers=(0, 1) if newer else ())
    parts |= {"transformer": rounded(redraw(model, seed + 3)),
              "vae": vae(r, seed + 4, 16, scaling_factor=1.5305, shift_factor=0.0609)}
    model.pos_embed.pos_embed.copy_(model.pos_embed.pos_embed.half())
    missing = {} if third else {"text_encoder_3": None, "tokenizer_3": None}
    pipe = StableDiffusion3Pipeline(scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), **tokenizers, **parts, **missing)
    file = put("model.diffusion_model.", single_files.original_sd3(model))
    file |= put("first_stage_model.", single_files.original_vae(parts["vae"]))
    for name, letter in (("text_encoder", "l"), ("text_encoder_2", "g")):
        file |= put(f"text_encoders.clip_{letter}.transformer.", single_files.hf_clip(parts[name]))
    if third:
        file |= put("text_encoders.t5xxl.transformer.", encoder(parts["text_encoder_3"]), f8)
    for name in tokenizers:
        given += [f"--{name.replace('_', '-')}", folder / name]
    return pipe, file, given


def aura(r, seed, folder):
    pieces = tiny_tokenizers.t5(folder / "tokenizer", 120, 512, "identity")
    umt5 = t5(r, seed, pieces, UMT5EncoderModel, UMT5Config)
    dim = 2 * r.randrange(3, 12)
    model = rounded(redraw(AuraFlowTransformer2DModel(
        num_mmdit_layers=r.randrange(1, 3), num_single_dit_layers=r.randrange(1, 3), attention_head_dim=dim // 2,
        num_attention_heads=2, joint_attention_dim=umt5.config.d_model, caption_projection_dim=dim, pos_embed_max_size=64),
        seed + 1))
    decoder = vae(r, seed + 2, 4, scaling_factor=0.13025)
    pipe = AuraFlowPipeline(tokenizer=T5TokenizerFast.from_pretrained(folder / "tokenizer"), text_encoder=umt5, vae=decoder,
                            transformer=model, scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73))
    file = put(r.choice(["model.diffusion_model.", "model."]), single_files.original_auraflow(model))
    file |= put("vae.", single_files.original_vae(decoder)) | put("text_encoders.pile_t5xl.transformer.", encoder(umt5))
    return pipe, file, ["--tokenizer", folder / "tokenizer"]


def hunyuan(r, seed, folder):
    words = tiny_tokenizers.bert(folder / "tokenizer", 77)
    pieces = tiny_tokenizers.t5(folder / "tokenizer_2", 120, 512, "nmt_nfkc")
    styled, heads, head = r.random() < 0.5, r.randrange(1, 4), 4 * r.randrange(2, 9)
    bert = rounded(redraw(BertModel(BertConfig(
        vocab_size=words, hidden_size=4 * r.randrange(2, 9), num_attention_heads=4, num_hidden_layers=2,
        intermediate_size=r.randrange(6, 50), max_position_embeddings=80)), seed))
    mt5 = t5(r, seed + 1, pieces, width=8 * r.randrange(1, 6))
    model = rounded(redraw(HunyuanDiT2DModel(
        num_attention_heads=heads, attention_head_dim=head, hidden_size=heads * head, in_channels=4, patch_size=2,
        sample_size=128, num_layers=r.choice([2, 4, 6]), mlp_ratio=r.uniform(1, 5), pooled_projection_dim=r.randrange(2, 20),
        cross_attention_dim=bert.config.hidden_size, cross_attention_dim_t5=mt5.config.d_model,
        use_style_cond_and_image_meta_size=styled, activation_fn="gelu-approximate"), seed + 2))
    decoder = vae(r, seed + 3, 4, scaling_factor=0.13025)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.03 if styled else 0.018, beta_schedule="scaled_linear",
                              clip_sample=False, prediction_type="v_prediction", steps_offset=1, timestep_spacing="leading")
    pipe = HunyuanDiTPipeline(
        tokenizer=BertTokenizer.from_pretrained(folder / "tokenizer"), text_encoder=bert, text_encoder_2=mt5, vae=decoder,
        tokenizer_2=T5TokenizerFast.from_pretrained(folder / "tokenizer_2"), transformer=model, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    file = put(r.choice(["model.diffusion_model.", "model.", "ema.", ""]), single_files.original_hunyuan(model))
    file |= put("vae.", single_files.original_vae(decoder)) | put("text_encoders.mt5xl.transformer.", encoder(mt5))
    file |= put("text_encoders.hydit_clip.transformer.bert.",
                {k: v for k, v in bert.state_dict().items() if "pooler" not in k and "position_ids" not in k})
    file["text_encoders.mt5xl.spiece_model"] = file_bytes(folder / "tokenizer_2" / "spiece.model")
    return pipe, file, ["--tokenizer", folder / "tokenizer"]


def file_bytes(path):
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def lumina2(r, seed, folder):
    source = FIXTURES / "tokenizers" / "folders" / "gemma_old"
    tokenizer = AutoTokenizer.from_pretrained(source)
    pieces = file_bytes(source / "tokenizer.model")
    gemma = rounded(redraw_gemma(Gemma2Model(Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=4 * r.randrange(3, 9), num_attention_heads=2, num_key_value_heads=1,
        head_dim=256, num_hidden_layers=3, intermediate_size=28)), seed))
    heads = 2 * r.randrange(1, 4)
    model = rounded(redraw(Lumina2Transformer2DModel(
        in_channels=16, hidden_size=6 * heads, num_layers=2, num_refiner_layers=r.randrange(1, 3), num_attention_heads=heads,
        num_kv_heads=2, multiple_of=16, axes_dim_rope=(2, 2, 2), cap_feat_dim=gemma.config.hidden_size), seed + 1))
    decoder = vae(r, seed + 2, 16, scaling_factor=0.3611, shift_factor=0.1159)
    pipe = Lumina2Pipeline(tokenizer=tokenizer, text_encoder=gemma, vae=decoder, transformer=model,
                           scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0))
    network = single_files.original_lumina2(model)
    words = {f"model.{k}": v for k, v in gemma.state_dict().items()}
    if r.random() < 0.5:
        return pipe, put("model.diffusion_model.", network) | put("vae.", single_files.original_vae(decoder)) | put(
            "text_encoders.gemma2_2b.transformer.", words) | {"text_encoders.spiece_model": pieces}, []
    save_file(put("", words) | {"spiece_model": pieces}, folder / "gemma.safetensors")
    save_file(put("", single_files.original_vae(decoder)), folder / "ae.safetensors")
    return pipe, put("", network), ["--text-encoder", folder / "gemma.safetensors", "--vae", folder / "ae.safetensors"]


KINDS = {"sd3": sd3, "aura": aura, "hunyuan": hunyuan, "lumina2": lumina2}


def draw(binary, model, given, out):
    done = subprocess.run([str(a) for a in (
        binary, "generate", "-m", model, *given, "--precision", "f32", "--steps", 3, "-W", 32, "-H", 48, "--seed", 4, "-q", "-o",
        out.with_suffix(".png"), "--save-latents", out, TEXT)], capture_output=True, text=True)
    return load_file(out)["latents"] if done.returncode == 0 else done.stderr.strip()


def start(r, kind, seed, work, options):
    (work / "given").mkdir()
    pipe, file, given = KINDS[kind](r, 10 * seed, work / "given")
    pipe.save_pretrained(work / "folder")
    save_file({k: v.contiguous().clone() for k, v in file.items()}, work / "one.safetensors")

    def once():
        folder = draw(options.binary, work / "folder", [], work / "a")
        one = draw(options.binary, work / "one.safetensors", given, work / "b")
        told = next((x for x in (folder, one) if isinstance(x, str)), None) or torch.equal(folder, one)
        return told is True, "", "other latents" if told is False else told

    return "", once


if __name__ == "__main__":
    heldout.main(__doc__, start, KINDS, seeds="0:5", runs=1)
