"""Runs the binary on random Stable Diffusion 3 models that no fixture holds, in every form that people have them, beside
StableDiffusion3Pipeline, StableDiffusion3Img2ImgPipeline and StableDiffusion3InpaintPipeline.

    heldout_sd3.py build/atelier --seeds 0:20 [--keep FOLDER]

A seed makes one tiny model, with some of its text encoders left out, as a folder, as Stability's single file, or as GGUF
files (the transformer under Stability's names, T5 under llama.cpp's, CLIP under transformers'), and runs on it: from noise,
from a picture, and with a mask; with LoRAs in the dialects of PEFT and kohya for the transformer and all text encoders,
which the reference has put into its weights; with skip-layer guidance. Latents must agree to max|a-b|/std(b) <= 1e-3,
pictures to 40 dB.
"""

import subprocess
import sys

import numpy as np
import torch
from diffusers import (AutoencoderKL, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler,
                       SD3Transformer2DModel, StableDiffusion3Img2ImgPipeline, StableDiffusion3InpaintPipeline, StableDiffusion3Pipeline)
from diffusers.models.autoencoders import vae
from diffusers.utils import torch_utils
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel,
                          T5TokenizerFast)

import heldout
import heldout_gguf
import heldout_loras
import heldout_text_dits
import single_files
import tiny_tokenizers
from common import generator, redraw
from heldout_loras import ENCODERS

SINGLE = {"text_encoder": "text_encoders.clip_l.transformer.", "text_encoder_2": "text_encoders.clip_g.transformer.",
          "text_encoder_3": "text_encoders.t5xxl.transformer."}


# ---- files

def encoder_tensors(name, part):
    if name != "text_encoder_3":
        return single_files.hf_clip(part)
    return {k: v for k, v in part.state_dict().items() if k != "encoder.embed_tokens.weight"}


def as_single_file(r, parts, folder):
    """All in one, or the transformer alone beside its parts. -> what the command says"""
    alone, together, given = r.random() < 0.4, {}, []
    kind = r.choice([torch.float16, torch.float32, torch.bfloat16])
    for p in [*parts["transformer"].parameters(), *parts["vae"].parameters(), parts["transformer"].pos_embed.pos_embed]:
        p.copy_(p.to(kind).float())
    cast = lambda tensors: {k: v.to(kind).contiguous().clone() for k, v in tensors.items()}  # noqa: E731
    model = cast(single_files.original_sd3(parts["transformer"]))
    together |= {"model.diffusion_model." + k: v for k, v in model.items()}
    decoder = cast(single_files.original_vae(parts["vae"]))
    if alone or r.random() < 0.3:
        save_file(decoder, folder / "ae.safetensors")
        given += ["--vae", folder / "ae.safetensors"]
    else:
        together |= {"first_stage_model." + k: v for k, v in decoder.items()}
    for name in ENCODERS:
        if name not in parts:
            continue
        tensors = encoder_tensors(name, parts[name])
        if name == "text_encoder_3" and r.random() < 0.4:  # its tokenizer lies inside
            given += llama_t5(r, parts[name], folder)
            continue
        tensors = scaled_f8(tensors) if name == "text_encoder_3" and r.random() < 0.6 else cast(tensors)
        own = {k: v for k, v in tensors.items() if not k.endswith("scale_weight") and k != "scaled_fp8"}
        values = {k: v.float() * tensors[k.removesuffix("weight") + "scale_weight"]
                  if k.removesuffix("weight") + "scale_weight" in tensors else v.float() for k, v in own.items()}
        parts[name].load_state_dict(rename_back(parts[name], values), strict=False)
        if alone or r.random() < 0.3:
            save_file(tensors, folder / f"{name}.safetensors")
            given += [f"--{name.replace('_', '-')}", folder / f"{name}.safetensors"]
        else:
            together |= {SINGLE[name] + k: v for k, v in tensors.items()}
    save_file(model if alone else together, folder / "one.safetensors")
    tokenizers = [n.replace("text_encoder", "tokenizer") for n in ENCODERS
                  if n in parts and folder / f"{n}.gguf" not in given]
    given += [x for n in tokenizers for x in (f"--{n.replace('_', '-')}", folder / n)]
    return ["-m", folder / "one.safetensors", *given]


def rename_back(part, values):
    own = part.state_dict()
    back = {single: k for k in own for single in (k, "text_model." + k) if single in values}
    return {back[k]: v for k, v in values.items()}


def scaled_f8(tensors):
    """As ComfyUI has T5 in f8: matrices times one number each."""
    out = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for k, v in tensors.items():
        if v.ndim < 2 or "relative_attention_bias" in k or k.startswith("shared"):
            out[k] = v.half()
            continue
        scale = v.abs().max() / 448
        out[k] = (v / scale).to(torch.float8_e4m3fn)
        out[k.removesuffix("weight") + "scale_weight"] = scale.float().reshape(1)
    return out


def llama_t5(r, part, folder):
    heldout_gguf.write_llama(r, folder / "text_encoder_3.gguf", part, folder / "tokenizer_3" / "spiece.model")
    return ["--text-encoder-3", folder / "text_encoder_3.gguf"]


def as_gguf(r, parts, folder):
    """Files in the place of a folder's transformer and text encoders."""
    given = []
    heldout_gguf.write_transformer(r, folder / "sd3.gguf", "sd3", parts["transformer"])
    given += ["--transformer", folder / "sd3.gguf"]
    for name in ENCODERS:
        if name in parts and r.random() < 0.8:
            tensors = encoder_tensors(name, parts[name])
            if name == "text_encoder_3" and r.random() < 0.7:
                given += llama_t5(r, parts[name], folder)
                continue
            values = heldout_gguf.write(r, folder / f"{name}.gguf", "t5" if name == "text_encoder_3" else "clip", tensors)
            parts[name].load_state_dict(rename_back(parts[name], values), strict=False)
            given += [f"--{name.replace('_', '-')}", folder / f"{name}.gguf"]
    return ["-m", folder, *given]


# ---- the model and its runs

def random_clip(r, seed, i, words):
    """The configuration that the shapes of a lone file stand for."""
    width, layers = 32 * r.randrange(1, 5), r.randrange(23, 26) if i else r.randrange(2, 5)
    return redraw(CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=words, hidden_size=width, intermediate_size=32 * r.randrange(1, 4), num_hidden_layers=layers,
        num_attention_heads=4 if width % 64 else width // 64, projection_dim=width, hidden_act=("quick_gelu", "gelu")[i],
        eos_token_id=2)), seed)


def random_t5(r, seed, pieces):
    heads = r.randrange(1, 4)
    return redraw(T5EncoderModel(T5Config(
        vocab_size=pieces, d_model=32 * r.randrange(1, 4), d_kv=32 // r.choice([1, 2]), d_ff=32 * r.randrange(1, 4),
        num_layers=r.randrange(1, 4), num_heads=heads, feed_forward_proj=r.choice(["gated-gelu", "gated-gelu", "relu"]),
        is_encoder_decoder=False, use_cache=False)), seed)


def random_model(r, seed, folder):
    tokenizers, parts = {}, {}
    for i, name in enumerate(("", "_2")):
        words = tiny_tokenizers.clip(folder / f"tokenizer{name}", r.randrange(20, 150), 77, pad="!" if i else None)
        tokenizers[f"tokenizer{name}"] = CLIPTokenizer.from_pretrained(folder / f"tokenizer{name}")
        parts[ENCODERS[i]] = random_clip(r, seed + i, i, words)
    pieces = tiny_tokenizers.t5(folder / "tokenizer_3", r.randrange(100, 200), 512, r.choice(["nmt_nfkc", "identity"]))
    heldout.change_json(folder / "tokenizer_3" / "tokenizer_config.json", lambda c: c | {"extra_ids": 100})
    tokenizers["tokenizer_3"] = T5TokenizerFast.from_pretrained(folder / "tokenizer_3")
    parts["text_encoder_3"] = random_t5(r, seed + 2, pieces + 100)
    newer, heads, layers = r.random() < 0.6, r.randrange(1, 4), r.randrange(1, 5)
    head = 16 * r.randrange(1, 5) if newer else 64
    transformer = redraw(SD3Transformer2DModel(
        sample_size=128, num_layers=layers, attention_head_dim=head, num_attention_heads=heads, in_channels=16, out_channels=16,
        joint_attention_dim=parts["text_encoder_3"].config.d_model, caption_projection_dim=heads * head,
        pooled_projection_dim=sum(parts[n].config.projection_dim for n in ENCODERS[:2]),
        pos_embed_max_size=r.randrange(6, 20), qk_norm="rms_norm" if newer else None,
        dual_attention_layers=tuple(i for i in range(layers) if newer and r.random() < 0.4)), seed + 3)
    decoder = AutoencoderKL(
        block_out_channels=(8, 16, 24, 24), norm_num_groups=8, layers_per_block=1, latent_channels=16, scaling_factor=1.5305,
        shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4)
    parts |= {"transformer": transformer, "vae": redraw(decoder, seed + 4)}
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return StableDiffusion3Pipeline(scheduler=scheduler, **tokenizers, **parts), parts


def build(r, seed, folder):
    """-> (the pipeline, its parts, which are left out, the command's beginning, what it is)"""
    form = r.choice(["folder", "single", "gguf"])
    folder.mkdir()
    pipe, parts = random_model(r, 10 * seed, folder)
    missing = [n for n in ENCODERS if r.random() < 0.3]
    if form == "single":
        missing = [n for n in missing if n == "text_encoder_3"]
    kept, names = {n: p for n, p in parts.items() if n not in missing}, []
    for name, part in kept.items():
        heldout.save_part(r, part, folder / name, names)
    if form != "single" and r.random() < 0.4:
        pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=r.choice([1.0, 1.7]), use_dynamic_shifting=r.random() < 0.6)
    pipe.scheduler.save_pretrained(folder / "scheduler")
    pipe.save_config(folder)
    drop = {x: [None, None] for n in missing for x in (n, n.replace("text_encoder", "tokenizer"))}
    heldout.change_json(folder / "model_index.json", lambda c: c | drop)
    pipe.set_progress_bar_config(disable=True)
    given = {"folder": lambda *_: ["-m", folder], "gguf": as_gguf, "single": as_single_file}[form](r, kept, folder)
    return pipe, parts, missing, given, f"{form}, without {missing or 'nothing'}, {' '.join(names)}"


def leave_out(pipe, missing):
    """Zeros in the place of what an encoder that is not there would say, as ComfyUI has them."""
    clip, t5 = type(pipe)._get_clip_prompt_embeds, type(pipe)._get_t5_prompt_embeds

    def clips(*args, clip_model_index=0, **options):
        out = clip(pipe, *args, clip_model_index=clip_model_index, **options)
        return [x * (ENCODERS[clip_model_index] not in missing) for x in out]

    pipe._get_clip_prompt_embeds = clips
    pipe._get_t5_prompt_embeds = lambda *args, **options: t5(pipe, *args, **options) * (ENCODERS[2] not in missing)


def random_picture(r, width, height, mode):
    g = np.random.default_rng(r.randrange(2**30))
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    noise = g.integers(0, 256, shape, dtype=np.uint8)
    if mode == "L":  # a mask of patches
        noise = np.kron(g.integers(0, 256, (height // 8, width // 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
    return Image.fromarray(noise, mode)


def random_case(r, pipe):
    case = heldout_text_dits.random_case(r, "sd3", pipe)
    case["mode"] = r.choice(["text", "init", "init", "mask", "mask"])
    if case["mode"] != "text":
        case["given"] = False
        case["options"] = {k: v for k, v in case["options"].items() if not k.startswith("skip_")}
        case |= dict(strength=r.choice([0.3, 0.6, 0.75, 0.999, 1.0]), steps=r.randrange(4, 9),
                     same_size=r.random() < 0.7)
    case["options"].setdefault("max_sequence_length", r.choice([16, 100]))  # fixed, so that runs are short
    case["lora"] = r.choice([0.0, 0.0, 1.0, 0.7, -0.5])
    if not pipe.scheduler.config.use_dynamic_shifting and r.random() < 0.3:  # the only other one that can start amid its steps
        case["sampler"] = "heun"
    return case


def reference(pipe, case, work):
    mode = {"text": StableDiffusion3Pipeline, "init": StableDiffusion3Img2ImgPipeline, "mask": StableDiffusion3InpaintPipeline}
    other = mode[case["mode"]](**pipe.components)
    other.set_progress_bar_config(disable=True)
    if "sampler" in case:
        other.scheduler = FlowMatchHeunDiscreteScheduler.from_config(pipe.scheduler.config)
    leave_out(other, case["missing"])
    passed = dict(prompt=case["prompt"], width=case["width"], height=case["height"], num_inference_steps=case["steps"],
                  guidance_scale=case["guidance"], num_images_per_prompt=case["count"], **case["options"],
                  generator=[generator(case["seed"] + i) for i in range(case["count"])])
    if "negative" in case:
        passed["negative_prompt"] = case["negative"]
    if case["mode"] != "text":
        passed |= dict(image=Image.open(work / "init.png"), strength=case["strength"])
        if case["mode"] == "init" and case["count"] > 1:
            passed["image"] = [passed["image"]] * case["count"]
    if case["mode"] == "mask":
        passed["mask_image"] = Image.open(work / "mask.png")
    last = {}

    def keep(_pipe, _index, _t, values):
        last["latents"] = values["latents"].clone()
        return {}

    image = other(**passed, output_type="pt", callback_on_step_end=keep).images
    return last["latents"], (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)


def in_f64(pipe, parts, case, work):
    """The reference's latents in f64, from the same noise: it would draw other numbers itself."""
    own = torch_utils.randn_tensor
    drawing = [sys.modules[c.__module__] for c in (StableDiffusion3Pipeline, StableDiffusion3Img2ImgPipeline,
                                                  StableDiffusion3InpaintPipeline)] + [vae]
    for part in parts.values():
        part.to(torch.float64)
    for module in drawing:
        module.randn_tensor = lambda shape, dtype=None, **o: own(shape, dtype=torch.float32, **o).to(torch.float64)
    exact, _ = reference(pipe, case, work)
    for module in drawing:
        module.randn_tensor = own
    for part in parts.values():
        part.to(torch.float32)
    return exact


def command(binary, given, case, work):
    extra = []
    if case["mode"] != "text":
        extra += ["--init", work / "init.png", "--strength", case["strength"]]
    if case["mode"] == "mask":
        extra += ["--mask", work / "mask.png"]
    return heldout_text_dits.command(binary, [*given, *extra], case, work, None)


def compare(r, pipe, parts, binary, given, case, work):
    if case["mode"] != "text":
        sides = (case["width"], case["height"]) if case["same_size"] else (16 * r.randrange(1, 7), 16 * r.randrange(1, 7))
        random_picture(r, *sides, "RGB").save(work / "init.png")
        random_picture(r, *sides, "L").save(work / "mask.png")
    about = case["mode"]
    deltas = {}
    if case["lora"]:
        there = {n: p for n, p in parts.items() if n not in case["missing"]}
        dialect, deltas = heldout_loras.write(r, there, work / "lora.safetensors")
        about += f", {dialect}"
    saved = heldout_loras.add(parts, deltas, case["lora"])
    theirs, pictures = reference(pipe, case, work)
    done = subprocess.run(command(binary, given, case, work), capture_output=True, text=True)
    if done.returncode or done.stderr or not theirs.isfinite().all():
        heldout_loras.restore(parts, saved)
        return False, f"{about}: exit code {done.returncode}: {done.stderr.strip()}"
    ours = load_file(work / "out.safetensors")["latents"]
    names = ["out.png"] if case["count"] == 1 else [f"out-{i + 1}.png" for i in range(case["count"])]
    files = [torch.from_numpy(np.array(Image.open(work / n).convert("RGB"))) for n in names]
    d = heldout.difference(ours, theirs)
    db = min(heldout.decibels(a, b) for a, b in zip(files, pictures))
    agreed, about = d <= heldout.LATENTS_BAR and db >= heldout.PICTURE_BAR, f"{about}: latents {d:.1e}, {db:.0f} dB"
    if not agreed:  # whose rounding is it?
        exact = in_f64(pipe, parts, case, work)
        about += f" (from f64: ours {heldout.difference(ours, exact):.1e}, the reference {heldout.difference(theirs, exact):.1e})"
    heldout_loras.restore(parts, saved)
    return agreed, about


def start(r, _kind, seed, work, options):
    pipe, parts, missing, given, about = build(r, seed, work / "model")

    def once():
        case = random_case(r, pipe) | {"missing": missing}
        agreed, measured = compare(r, pipe, parts, options.binary, given, case, work)
        return agreed, measured, case | {"given": given}

    return about, once


if __name__ == "__main__":
    heldout.main(__doc__, start, runs=4)
