"""Runs the binary on random folders of text-guided transformers that no fixture holds, beside Diffusers: HunyuanDiTPipeline,
Lumina2Pipeline, StableDiffusion3Pipeline (with two and three text encoders) and AuraFlowPipeline.

    heldout_text_dits.py build/atelier --seeds 0:20 [--only hunyuan|lumina2|sd3|aura|hunyuan_wide|...] [--keep FOLDER]
        [--samplers]

As heldout.py, whose texts, autoencoders and comparison it takes: a seed makes one tiny folder (random sizes, options, file
forms) and a few runs on it. The wide kinds, which are run when asked for, have blocks of the published width.
--samplers: each run with another scheduler in the pipeline's place, as --sampler has it. Latents must agree to max|a-b|/std(b) <= 1e-3, pictures to 40 dB.
"""

import subprocess
import tempfile
from functools import partial
from pathlib import Path

import torch
from diffusers import (AuraFlowPipeline, AuraFlowTransformer2DModel, AutoencoderKL, DDPMScheduler,
                       FlowMatchEulerDiscreteScheduler, HunyuanDiT2DModel, HunyuanDiTPipeline, Lumina2Pipeline,
                       Lumina2Transformer2DModel, SD3Transformer2DModel, StableDiffusion3Pipeline)
from diffusers.schedulers import scheduling_ddpm
from diffusers import (DDIMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler,
                       FlowMatchLCMScheduler, HeunDiscreteScheduler, KDPM2AncestralDiscreteScheduler,
                       KDPM2DiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler, UniPCMultistepScheduler)
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (AutoTokenizer, BertConfig, BertModel, BertTokenizer, CLIPTextModelWithProjection, CLIPTokenizer,
                          Gemma2Config, Gemma2Model, T5EncoderModel, T5TokenizerFast, UMT5Config, UMT5EncoderModel)

import heldout
import heldout_loras
import pipeline_runs
import tiny_tokenizers
from common import randn, redraw
from networks_bert_gemma2 import redraw_gemma

HAN = ["一个宇航员在骑马", "红色的心，蓝天白云", "三只小猫！！模糊低质量", "东京の夜", "彝族服饰的老人😀"]

SOLVERS = {"dpmpp_2m": DPMSolverMultistepScheduler, "dpmpp_2m_sde": DPMSolverMultistepScheduler,
           "dpmpp_2s": DPMSolverSinglestepScheduler, "unipc": UniPCMultistepScheduler, "deis": DEISMultistepScheduler}
TABLES = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler, "pndm": PNDMScheduler, "euler": EulerDiscreteScheduler,
          "euler_a": EulerAncestralDiscreteScheduler, "heun": HeunDiscreteScheduler, "dpm2": KDPM2DiscreteScheduler,
          "dpm2_a": KDPM2AncestralDiscreteScheduler, "lms": LMSDiscreteScheduler, "lcm": LCMScheduler} | SOLVERS
FLOWS = {"euler": FlowMatchEulerDiscreteScheduler, "heun": FlowMatchHeunDiscreteScheduler,
         "lcm": FlowMatchLCMScheduler} | SOLVERS


def vae(r):
    groups = r.choice([1, 2, 3, 4])
    return AutoencoderKL(
        block_out_channels=[groups * r.randrange(1, 4) for _ in range(4)], norm_num_groups=groups, layers_per_block=1,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=r.choice([1, 3, 4, 16]), scaling_factor=r.choice([0.3611, 0.13025, 1.0]),
        shift_factor=r.choice([0.1159, -0.4]), use_quant_conv=r.random() < 0.5, use_post_quant_conv=r.random() < 0.5)


def hunyuan(r, seed, folder, wide=False):
    words = tiny_tokenizers.bert(folder / "tokenizer", r.choice([77, 512, 40]), r.random() < 0.5)
    pieces = tiny_tokenizers.t5(folder / "tokenizer_2", r.randrange(100, 200), 512, r.choice(["nmt_nfkc", "identity"]),
                                r.random() < 0.5)
    decoder, heads = vae(r), r.randrange(1, 4)
    decoder.register_to_config(shift_factor=None)
    bert = BertModel(BertConfig(  # as for the heads below: norms over fewer channels than 8 only show rounding
        vocab_size=words + r.choice([0, 5]), hidden_size=heads * r.randrange(8, 14), num_attention_heads=heads,
        num_hidden_layers=r.randrange(1, 4), intermediate_size=r.randrange(6, 50), hidden_act=r.choice(["gelu", "gelu_new"]),
        max_position_embeddings=r.choice([77, 128])))
    t5 = heldout.random_t5(r, pieces)
    t5 = T5EncoderModel(type(t5.config)(**{**t5.config.to_dict(), "d_model": 8 * r.randrange(1, 6)}))
    heads, head, layers = r.randrange(1, 4), 4 * r.randrange(3, 9), r.choice([1, 2, 4, 6, 8])
    if wide:
        heads, head, layers = 16, 88, 2
    transformer = HunyuanDiT2DModel(
        num_attention_heads=heads, attention_head_dim=head, hidden_size=heads * head, patch_size=r.choice([1, 2, 2, 2]),
        in_channels=decoder.config.latent_channels, sample_size=r.choice([4, 8]), num_layers=layers,
        mlp_ratio=r.uniform(1, 5), cross_attention_dim=bert.config.hidden_size, cross_attention_dim_t5=t5.config.d_model,
        pooled_projection_dim=r.randrange(2, 20), use_style_cond_and_image_meta_size=r.random() < 0.5,
        activation_fn=r.choice(["gelu-approximate", "geglu"]))
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=r.choice([0.03, 0.018, 0.012]), beta_schedule=r.choice(["scaled_linear", "linear"]),
        clip_sample=r.random() < 0.2, prediction_type=r.choice(["v_prediction", "v_prediction", "epsilon", "sample"]),
        steps_offset=r.choice([0, 1]), timestep_spacing=r.choice(["leading", "leading", "linspace", "trailing"]),
        variance_type=r.choice(["fixed_small", "fixed_small", "fixed_large"]))
    parts = {"text_encoder": redraw(bert, seed), "text_encoder_2": redraw(t5, seed + 1),
             "transformer": redraw(transformer, seed + 2), "vae": redraw(decoder, seed + 3)}
    tokenizers = {"tokenizer": BertTokenizer.from_pretrained(folder / "tokenizer"),
                  "tokenizer_2": T5TokenizerFast.from_pretrained(folder / "tokenizer_2")}
    return HunyuanDiTPipeline(scheduler=scheduler, safety_checker=None, feature_extractor=None,
                              requires_safety_checker=False, **tokenizers, **parts), parts


def lumina2(r, seed, folder, wide=False):
    pieces = tiny_tokenizers.gemma(folder / "tokenizer", r.randrange(360, 460))
    groups, axes = r.randrange(1, 3), [2 * r.randrange(1, 4) for _ in range(3)]
    heads = groups * r.randrange(1, 4)
    gemma = redraw_gemma(Gemma2Model(Gemma2Config(
        vocab_size=pieces, hidden_size=heads * r.randrange(2, 8), num_attention_heads=heads, num_key_value_heads=groups,
        head_dim=2 * r.randrange(1, 9), num_hidden_layers=r.randrange(1, 5), intermediate_size=r.randrange(8, 50),
        sliding_window=r.choice([3, 64, 4096]), query_pre_attn_scalar=r.randrange(1, 40),
        attn_logit_softcapping=r.choice([50.0, 2.0, None]), attn_implementation="eager")), seed)
    decoder, groups = vae(r), r.randrange(1, 3)
    heads = groups * r.randrange(1, 4)
    if wide:
        axes, groups, heads = [32, 32, 32], 8, 24
    transformer = redraw(Lumina2Transformer2DModel(
        sample_size=r.choice([4, 8]), in_channels=decoder.config.latent_channels, hidden_size=heads * sum(axes),
        num_layers=r.randrange(1, 4), num_refiner_layers=r.randrange(0, 3), num_attention_heads=heads, num_kv_heads=groups,
        multiple_of=r.choice([1, 8, 16]), ffn_dim_multiplier=r.choice([None, 0.7]), axes_dim_rope=axes,
        axes_lens=(300, 32, 32), cap_feat_dim=gemma.config.hidden_size), seed + 1)
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=r.choice([6.0, 1.0, 3.0]), use_dynamic_shifting=r.random() < 0.3,
        **({"use_karras_sigmas": True} if r.random() < 0.2 else {}))
    parts = {"text_encoder": gemma, "transformer": transformer, "vae": redraw(decoder, seed + 2)}
    return Lumina2Pipeline(scheduler=scheduler, tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"), **parts), parts


def sd3(r, seed, folder, wide=False):
    length, tokenizers, parts = r.choice([77, 20, 33]), {}, {}
    decoder = vae(r)
    for i, name in enumerate(("", "_2")):
        words = tiny_tokenizers.clip(folder / f"tokenizer{name}", r.randrange(0, 150), length,
                                     pad="!" if i and r.random() < 0.8 else None)
        tokenizers[f"tokenizer{name}"] = CLIPTokenizer.from_pretrained(folder / f"tokenizer{name}")
        config = heldout.random_clip(r, words, length).config
        config.projection_dim = (768, 1280)[i] if wide else r.randrange(3, 30)
        config.num_hidden_layers = r.randrange(2, 5)
        parts[f"text_encoder{name}"] = redraw(CLIPTextModelWithProjection(config), seed + i)
    joint = 4096 if wide else r.choice([r.randrange(8, 60), 120])
    if not wide and r.random() < 0.7:
        pieces = tiny_tokenizers.t5(folder / "tokenizer_3", r.randrange(100, 200), 512, r.choice(["nmt_nfkc", "identity"]))
        tokenizers["tokenizer_3"] = T5TokenizerFast.from_pretrained(folder / "tokenizer_3")
        parts["text_encoder_3"] = redraw(heldout.random_t5(r, pieces), seed + 2)
        joint = parts["text_encoder_3"].config.d_model
    heads, head, layers = r.randrange(1, 4), 4 * r.randrange(1, 9), r.randrange(1, 5)
    if wide:
        heads, head, layers = r.choice([24, 38]), 64, 2
    transformer = redraw(SD3Transformer2DModel(
        sample_size=r.choice([4, 8]), patch_size=r.choice([1, 2, 2, 2]), in_channels=decoder.config.latent_channels,
        out_channels=decoder.config.latent_channels, num_layers=layers, attention_head_dim=head, num_attention_heads=heads,
        joint_attention_dim=joint, caption_projection_dim=heads * head,
        pooled_projection_dim=sum(parts[f"text_encoder{n}"].config.projection_dim for n in ("", "_2")),
        pos_embed_max_size=r.randrange(12, 20), qk_norm=r.choice([None, "rms_norm"]),
        dual_attention_layers=tuple(i for i in range(layers) if r.random() < 0.3)), seed + 3)
    parts |= {"transformer": transformer, "vae": redraw(decoder, seed + 4)}
    scheduler = FlowMatchEulerDiscreteScheduler(shift=r.choice([3.0, 1.0, 1.7]), use_dynamic_shifting=r.random() < 0.3)
    missing = {} if "text_encoder_3" in parts else {"text_encoder_3": None, "tokenizer_3": None}
    return StableDiffusion3Pipeline(scheduler=scheduler, **tokenizers, **parts, **missing), parts


def aura(r, seed, folder, wide=False):
    if r.random() < 0.6:
        pieces = tiny_tokenizers.t5(folder / "tokenizer", r.randrange(100, 200), 512, r.choice(["nmt_nfkc", "identity"]))
        tokenizer = T5TokenizerFast.from_pretrained(folder / "tokenizer")
    else:
        pieces = tiny_tokenizers.gemma(folder / "tokenizer", r.randrange(360, 460))
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    decoder = vae(r)
    decoder.register_to_config(shift_factor=None)
    t5 = heldout.random_t5(r, pieces).config.to_dict()
    umt5 = UMT5EncoderModel(UMT5Config(**{k: t5[k] for k in (
        "vocab_size", "d_model", "d_kv", "num_heads", "d_ff", "num_layers", "feed_forward_proj", "layer_norm_epsilon",
        "relative_attention_num_buckets", "relative_attention_max_distance")}, is_encoder_decoder=False, use_cache=False))
    heads, head = r.randrange(1, 4), r.randrange(3, 40)
    joint, single = r.randrange(0, 3), r.randrange(1, 4)
    if wide:
        heads, head, joint, single = 12, 256, 1, 1
    transformer = redraw(AuraFlowTransformer2DModel(
        sample_size=8, in_channels=decoder.config.latent_channels, out_channels=decoder.config.latent_channels,
        num_mmdit_layers=joint, num_single_dit_layers=single, attention_head_dim=head,
        num_attention_heads=heads, joint_attention_dim=umt5.config.d_model, caption_projection_dim=heads * head,
        pos_embed_max_size=r.choice([49, 64, 100])), seed + 1, gain=1.2)
    for i, p in enumerate((transformer.pos_embed.pos_embed, transformer.register_tokens)):
        p.copy_(randn(seed + 50 + i, *p.shape))
    parts = {"text_encoder": redraw(umt5, seed), "transformer": transformer, "vae": redraw(decoder, seed + 2)}
    scheduler = FlowMatchEulerDiscreteScheduler(shift=r.choice([1.73, 1.0, 3.0]))
    return AuraFlowPipeline(tokenizer=tokenizer, scheduler=scheduler, **parts), parts


KINDS = {"hunyuan": hunyuan, "lumina2": lumina2, "sd3": sd3, "aura": aura}
WIDE = {f"{name}_wide": partial(kind, wide=True) for name, kind in KINDS.items()}


def restore_constants(gemma):
    """The root of its width and its frequencies, rounded by the way through a file's dtype."""
    embeddings, rotary = gemma.embed_tokens, gemma.rotary_emb
    embeddings.embed_scale.fill_(embeddings.scalar_embed_scale)
    gemma.rotary_emb = type(rotary)(rotary.config)


def build(r, kind, seed, folder):
    """-> (the pipeline, its parts, what it is)"""
    folder.mkdir()
    pipe, parts = (KINDS | WIDE)[kind](r, 10 * seed, folder)
    names = []
    for name, part in parts.items():
        names.append(name)
        heldout.save_part(r, part, folder / name, names)
    if kind.startswith("lumina2"):
        restore_constants(pipe.text_encoder)
    pipe.scheduler.save_pretrained(folder / "scheduler")
    pipe.save_config(folder)
    if kind.startswith("lumina2") and r.random() < 0.5:
        heldout.change_json(folder / "model_index.json", lambda c: c | {"_class_name": "Lumina2Text2ImgPipeline"})
    pipe.set_progress_bar_config(disable=True)
    return pipe, parts, " ".join(names)


def random_text(r):
    return " ".join(r.sample(heldout.TEXTS + HAN + HAN, r.choice([1, 1, 2, 3])))


def random_case(r, kind, pipe):
    case = dict(prompt=random_text(r), width=16 * r.randrange(1, 7), height=16 * r.randrange(1, 7), steps=r.randrange(1, 6),
                guidance=r.choice([5.0, 4.0, 1.0, 0.0, 7.5]), count=r.choice([1, 1, 2, 3]), given=r.random() < 0.2,
                seed=r.choice([r.randrange(1000), r.randrange(2**64 - 10)]), options={})
    if r.random() < 0.5:
        case["negative"] = r.choice(["", random_text(r)])
    o = case["options"]
    case["lora"] = r.choice([0.0, 0.0, 0.0, 1.0, -0.6])
    if kind.startswith("hunyuan"):
        o["use_resolution_binning"] = False
        if kind == "hunyuan" and pipe.transformer.config.patch_size == 2 and r.random() < 0.06:  # up to a size that it was trained on
            o["use_resolution_binning"] = True
            case |= dict(width=16 * r.randrange(20, 100), height=16 * r.randrange(20, 100), steps=1, count=1, given=False)
        if r.random() < 0.4:
            o["guidance_rescale"] = r.choice([0.7, 1.0, 0.2])
    elif r.random() < 0.5:
        o["max_sequence_length"] = r.choice([16, 100, 256, 290])
    if kind.startswith("sd3"):
        if r.random() < 0.3:
            o["clip_skip"] = r.randrange(0, min(pipe.text_encoder.config.num_hidden_layers,
                                                pipe.text_encoder_2.config.num_hidden_layers))
        if r.random() < 0.4:
            o |= dict(skip_guidance_layers=r.sample(range(6), r.randrange(1, 4)), skip_layer_guidance_start=r.choice([0.01, 0.3, 0]),
                      skip_layer_guidance_stop=r.choice([0.2, 0.6, 1.0]), skip_layer_guidance_scale=r.choice([2.8, 1.0, 5.5, 0]))
    if kind.startswith("lumina2"):
        if r.random() < 0.4:
            o["cfg_trunc_ratio"] = r.choice([0.25, 0.5, 0.8])
        if r.random() < 0.3:
            o["cfg_normalization"] = False
        if r.random() < 0.4:
            o["system_prompt"] = r.choice(["", random_text(r)])
    return case


def swap(r, pipe, config, case):
    """Another scheduler in the pipeline's place, and its name in the case."""
    flow = "shift" in config
    names = list(FLOWS if flow else TABLES)
    if not flow and config["prediction_type"] == "sample":  # which these do not take
        names = [n for n in names if n not in ("pndm", "dpm2", "dpm2_a", "euler_a")]
    if isinstance(pipe, Lumina2Pipeline):  # passes sigmas, which the others refuse
        names = ["euler", "lcm", "unipc"]
    if flow and config.get("use_karras_sigmas"):  # over sigmas that are given, or of a flow: not levels that fall
        names = ["euler", "lcm"]
    if flow and config["use_dynamic_shifting"]:
        names = [n for n in names if n != "heun"]  # takes no mu
    case["sampler"] = r.choice(names)
    extra = {"algorithm_type": "sde-dpmsolver++"} if case["sampler"].endswith("sde") else {}
    if flow and case["sampler"] in SOLVERS:
        extra |= {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": config["shift"]}
    if case["sampler"] == "pndm":
        case["steps"] += 4
    pipe.scheduler = (FLOWS if flow else TABLES)[case["sampler"]].from_config(config, **extra)
    if flow and case["sampler"] in ("lcm", "dpmpp_2m_sde"):
        draw_from_generators(pipe)


def draw_from_generators(pipe):
    """These pipelines give their scheduler no generator."""
    prepare, step, kept = type(pipe).prepare_latents, pipe.scheduler.step, {}

    def prepare_latents(*args):
        kept["generator"] = next(a for a in args if isinstance(a, list))
        return prepare(pipe, *args)

    pipe.prepare_latents = prepare_latents
    pipe.scheduler.step = lambda *args, **options: step(*args, **options, generator=kept["generator"])


def command(binary, given, case, work, initial):
    args = [binary, "generate", *given, "--precision", "f32", "--seed", case["seed"], "--count", case["count"],
            "--quiet", "--output", work / "out.png", "--save-latents", work / "out.safetensors", "--steps", case["steps"],
            "--guidance", case["guidance"], "--width", case["width"], "--height", case["height"]]
    if "negative" in case:
        args.append(f"--negative={case['negative']}")
    if "sampler" in case:
        args += ["--sampler", case["sampler"]]
    names = {"clip_skip": "clip-skip", "skip_layer_guidance_scale": "skip-guidance-scale",
             "skip_layer_guidance_start": "skip-guidance-start", "skip_layer_guidance_stop": "skip-guidance-stop",
             "guidance_rescale": "guidance-rescale", "max_sequence_length": "max-sequence-length",
             "cfg_trunc_ratio": "cfg-trunc-ratio", "system_prompt": "system-prompt"}
    args += [f"--{names[k]}={v}" for k, v in case["options"].items() if k in names]
    if "skip_guidance_layers" in case["options"]:
        args.append("--skip-guidance-layers=" + ",".join(map(str, case["options"]["skip_guidance_layers"])))
    if case.get("lora"):
        args += ["--lora", f"{work / 'lora.safetensors'}:{case['lora']}"]
    if case["options"].get("use_resolution_binning"):
        args.append("--resolution-binning")
    if not case["options"].get("cfg_normalization", True):
        args.append("--no-cfg-normalization")
    if initial is not None:
        save_file({"latents": initial}, work / "in.safetensors")
        args += ["--latents", work / "in.safetensors"]
    return [str(a) for a in args] + ["--", case["prompt"]]


def compare(r, pipe, parts, binary, given, case):
    """-> (agreed, what was measured). given: the command's options that say the model"""
    with tempfile.TemporaryDirectory() as work:
        work, about, saved = Path(work), "", {}
        if case["lora"]:
            about, deltas = heldout_loras.write(r, parts, work / "lora.safetensors")
            saved = heldout_loras.add(parts, deltas, case["lora"])
        agreed, measured = beside_reference(pipe, binary, given, case, work)
        heldout_loras.restore(parts, saved)
        return agreed, f"{measured} {about}"


def beside_reference(pipe, binary, given, case, work):
    theirs = pipeline_runs.run(pipe, case, pipe.transformer.config.in_channels)
    if not theirs["final_latents"].isfinite().all():
        return True, "the reference gives NaN"
    done = subprocess.run(command(binary, given, case, work, theirs.get("initial_latents_nchw")), capture_output=True,
                          text=True)
    if done.returncode or done.stderr:
        return False, f"exit code {done.returncode}: {done.stderr.strip()}"
    latents = load_file(work / "out.safetensors")["latents"]
    names = ["out.png"] if case["count"] == 1 else [f"out-{i + 1}.png" for i in range(case["count"])]
    ours = [torch.frombuffer(bytearray(im.convert("RGB").tobytes()), dtype=torch.uint8).reshape(im.height, im.width, 3)
            for im in (Image.open(work / n) for n in names)]
    d = heldout.difference(latents, theirs["final_latents"])
    db = min(heldout.decibels(a, b) for a, b in zip(ours, theirs["image_u8"]))
    agreed, measured = d <= heldout.LATENTS_BAR and db >= heldout.PICTURE_BAR, f"latents {d:.1e}, {db:.0f} dB"
    measured += f" {case['sampler']}" if "sampler" in case else ""
    if not agreed:  # whose rounding is it?
        exact = in_f64(pipe, case)
        measured += (f" (from f64: ours {heldout.difference(latents, exact):.1e}, "
                     f"the reference {heldout.difference(theirs['final_latents'], exact):.1e})")
    return agreed, measured


def in_f64(pipe, case):
    """The reference's latents in f64, from the same noise: it would draw other numbers itself."""
    shape = (1, pipe.transformer.config.in_channels, case["height"] // 8, case["width"] // 8)
    passed, initial = pipeline_runs.arguments(pipe, case, shape[1:])
    if initial is None:
        initial = torch.cat([torch.randn(shape, generator=g) for g in passed["generator"]])
    passed["latents"] = initial.double()
    own = scheduling_ddpm.randn_tensor
    scheduling_ddpm.randn_tensor = lambda shape, dtype=None, **options: own(shape, dtype=torch.float32, **options).to(dtype)
    final = {}

    def keep(_pipe, _index, _t, values):
        final["latents"] = values["latents"]
        return {}

    pipe.to(torch.float64)(**passed, callback_on_step_end=keep, callback_on_step_end_tensor_inputs=["latents"])
    pipe.to(torch.float32)
    scheduling_ddpm.randn_tensor = own
    return final["latents"]


def start(r, kind, seed, work, options):
    folder = work / f"{kind}-{seed}"
    pipe, parts, about = build(r, kind, seed, folder)
    config = pipe.scheduler.config

    def once():
        case = random_case(r, kind, pipe)
        if options.samplers:
            swap(r, pipe, config, case)
        return *compare(r, pipe, parts, options.binary, ["-m", folder], case), case

    return about, once


if __name__ == "__main__":
    heldout.main(__doc__, start, KINDS, WIDE, flags=[("samplers", "another scheduler in each run")])
