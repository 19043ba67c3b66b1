"""Runs the binary on random FluxPipeline folders that no fixture holds, beside the official implementation.

    heldout.py build/atelier --seeds 0:40 [--keep FOLDER]

A seed makes one tiny folder (random sizes, options, file forms) and a few runs on it (prompts, sizes, steps, guidance,
count, given latents), both by FluxPipeline in f32 on the CPU and by `atelier generate --precision f32`. Latents must
agree to max|a-b|/std(b) <= 1e-3, pictures to 40 dB. Prints a line a run; the exit code says whether all agreed.
"""

import argparse
import json
import logging
import math
import random
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

import networks_text_encoders
import pipeline_flux
import tiny_tokenizers
from common import generator, redraw, round_parameters
from networks_autoencoder_kl import older_keys

LATENTS_BAR, PICTURE_BAR = 1e-3, 40.0
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
TEXTS = [
    "a red heart on a blue background", "the quick brown fox", "", " ", "!!!", "-5 apples --seed=3", "\t\n two\r\nlines  ",
    "ÜBER Straße: ﬁnal ½ ① Ⅷ ㎏ ªº", "東京の夜（ネオン）、한국어 텍스트", "🦊👩‍🚀🏳️‍🌈👍🏽 emoji", "e\u0301 é \u0130stanbul ǆ ẞ ς Σ",
    "مرحبا بالعالم שלום नमस्ते ไทย", "zero\u200bwidth\u00a0no-break\u3000ideographic\ufeff\u00ad",
    "control \x01\x02\x1b\x7f\x85 characters", "don't they're I'll we've I'M HE'D 'S", "100000 1/2 3.14 ²³ ١٢٣",
    "<|endoftext|> in the middle <|startoftext|>", "</s> a </s> <pad> <unk> <extra_id_7> b", "<|ENDOFTEXT|>a<|endoftext|>b",
    "\U0001d4d0\U00020000 astral", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    pipeline_flux.LONG, "▁under▁score _low_ line", "\u1100\u1161\u11a8 \uac01 n\u0303\u0323", "a,b;c.d(e)f[g]{h}<i>\"j\"'k'`l`",
]


# ---- folders

def even_parts(r, total, count):
    """`total` as `count` even numbers above zero."""
    cuts = sorted(r.sample(range(1, total // 2), count - 1))
    return tuple(2 * (b - a) for a, b in zip([0, *cuts], [*cuts, total // 2]))


def random_words(r, folder):
    """Both tokenizers in one of the forms that folders have. -> (CLIP's words, its length, T5's ids)"""
    length, clip_form, t5_form = r.choice([77, 77, 16, 33, 50]), r.randrange(3), r.randrange(3)
    words = tiny_tokenizers.clip(folder / "tokenizer", r.randrange(0, 200), length, fast=clip_form == 1)
    rule = r.choice(["nmt_nfkc", "nfkc", "identity", "nmt_nfkc_cf", "nfkc_cf"])
    pieces = tiny_tokenizers.t5(folder / "tokenizer_2", r.randrange(60, 220), 512, rule)
    extra = r.choice([0, 100, 100, 11])
    change_json(folder / "tokenizer_2" / "tokenizer_config.json", lambda c: c | {"extra_ids": extra})
    if t5_form == 1:
        tiny_tokenizers.rewrite(T5TokenizerFast, folder / "tokenizer_2")
    for name, form, cls in (("tokenizer", clip_form, CLIPTokenizer), ("tokenizer_2", t5_form, T5TokenizerFast)):
        if form == 2:  # both forms side by side, as most published folders
            with tempfile.TemporaryDirectory() as work:
                cls.from_pretrained(folder / name).save_pretrained(work)
                shutil.copy(Path(work) / "tokenizer.json", folder / name / "tokenizer.json")
        if r.random() < 0.4:
            change_json(folder / name / "tokenizer_config.json", lambda c: older_special_tokens(r, c))
    return words, length, pieces + extra


def older_special_tokens(r, config):
    """As transformers 4 wrote them: objects."""
    normalized, lstrip = r.random() < 0.5, r.random() < 0.3
    token = lambda text: {"__type": "AddedToken", "content": text, "lstrip": lstrip, "normalized": normalized,
                          "rstrip": False, "single_word": False}
    names = [k for k in ("bos_token", "eos_token", "unk_token", "pad_token") if isinstance(config.get(k), str)]
    return config | {k: token(config[k]) for k in names}


def change_json(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text())), indent=2) + "\n")


def random_clip(r, words, length):
    heads, eos = r.randrange(1, 5), words - 1
    config = CLIPTextConfig(
        vocab_size=words + r.choice([0, 7]), max_position_embeddings=length + r.choice([0, 0, 3]),
        hidden_size=heads * r.randrange(3, 12), num_attention_heads=heads, num_hidden_layers=r.randrange(1, 4),
        intermediate_size=r.randrange(8, 70), hidden_act=r.choice(["quick_gelu", "gelu", "gelu_new", "relu"]),
        layer_norm_eps=r.choice([1e-5, 1e-5, 1e-3]), bos_token_id=r.choice([0, words - 2]),
        eos_token_id=r.choice([2, eos]), pad_token_id=r.choice([1, eos]), projection_dim=r.choice([8, 512]))
    return CLIPTextModel(config)


def random_t5(r, ids):
    config = T5Config(
        vocab_size=ids + r.choice([0, 28]), d_model=r.randrange(8, 60), d_kv=r.randrange(3, 20),
        num_heads=r.randrange(1, 5), d_ff=r.randrange(8, 90), num_layers=r.randrange(1, 4),
        feed_forward_proj=r.choice(["gated-gelu", "gated-gelu", "relu", "gated-silu", "gelu"]),
        relative_attention_num_buckets=r.choice([32, 32, 8, 10, 20, 15]),
        relative_attention_max_distance=r.choice([128, 128, 20, 64, 37]), layer_norm_epsilon=r.choice([1e-6, 1e-4]),
        is_encoder_decoder=False, use_cache=False)
    return T5EncoderModel(config)


def random_transformer(r, channels, joint, pooled):
    head = r.choice([6, 8, 10, 12, 16, 20, 22, 24, 32, 34, 40, 48, 64, 128])
    axes = (16, 56, 56) if head == 128 else even_parts(r, head, 3)
    double = r.randrange(0, 4)
    return FluxTransformer2DModel(
        in_channels=4 * channels, out_channels=r.choice([None, 4 * channels]), num_layers=double,
        num_single_layers=r.randrange(0 if double else 1, 4), attention_head_dim=head, axes_dims_rope=axes,
        num_attention_heads=r.randrange(1, 3 if head > 32 else 6), joint_attention_dim=joint, pooled_projection_dim=pooled,
        guidance_embeds=r.random() < 0.5)


def random_vae(r):
    groups, levels = r.choice([1, 2, 3, 4, 5, 8]), r.choice([1, 2, 3, 3, 4, 4])
    return AutoencoderKL(
        block_out_channels=[groups * r.randrange(1, 5) for _ in range(levels)], norm_num_groups=groups,
        down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
        layers_per_block=r.randrange(1, 4), latent_channels=r.choice([1, 2, 3, 4, 8, 16]),
        act_fn=r.choice(["silu", "silu", "silu", "gelu", "relu"]), scaling_factor=r.choice([0.3611, 1.0, 0.18215, 2.5]),
        shift_factor=r.choice([0.1159, 0.0, -0.4]), use_quant_conv=r.random() < 0.5, use_post_quant_conv=r.random() < 0.5,
        mid_block_add_attention=r.random() < 0.8, sample_size=r.choice([32, 64, 1024]), force_upcast=r.random() < 0.5)


def random_scheduler(r):
    spacing = r.choice(["", "", "", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])
    options = {spacing: True} if spacing else {}
    if r.random() < 0.3:
        options["shift_terminal"] = r.choice([0.02, 0.1, 0.3])
    if r.random() < 0.5:
        options |= dict(base_shift=r.uniform(0.1, 1), max_shift=r.uniform(1, 3), base_image_seq_len=r.choice([16, 256]),
                        max_image_seq_len=r.choice([1024, 4096]))
    return FlowMatchEulerDiscreteScheduler(
        shift=r.choice([1.0, 3.0, 0.5, 1.15]), use_dynamic_shifting=r.random() < 0.6, num_train_timesteps=r.choice([1000, 1000, 500]),
        time_shift_type=r.choice(["exponential", "exponential", "linear"]), invert_sigmas=r.random() < 0.05, **options)


def save_part(r, part, folder, names):
    """In one of the forms that published folders have: dtype, shards, variant, older keys and configurations."""
    dtype, variant = r.choice(["f32", "f16", "bf16"]), r.choice([None, None, None, "fp16"])
    shard = r.choice(["5GB", "5GB", "5GB", "60KB"])
    round_parameters(part, DTYPES[dtype])
    part.to(DTYPES[dtype]).save_pretrained(folder, variant=variant, max_shard_size=shard)
    part.to(torch.float32)
    names += [dtype] + [str(x) for x in (variant, shard) if x not in (None, "5GB")]
    single = next((p for p in folder.glob("*.safetensors") if "-of-" not in p.name), None)
    if single is None or r.random() < 0.5:
        return
    names.append("old")
    if isinstance(part, AutoencoderKL):
        older_keys(single)
    elif isinstance(part, CLIPTextModel):
        positions = part.config.max_position_embeddings
        save_file(networks_text_encoders.clip_older_keys(load_file(single), positions), single, metadata={"format": "pt"})
    elif isinstance(part, T5EncoderModel):
        keep = r.random() < 0.5  # beside `shared.weight`, or in its place
        w = load_file(single)
        w["encoder.embed_tokens.weight"] = w["shared.weight"].clone()
        save_file(w if keep else {k: v for k, v in w.items() if k != "shared.weight"}, single, metadata={"format": "pt"})
    if (folder / "config.json").exists() and hasattr(part.config, "architectures"):
        networks_text_encoders.older_config(folder)


def build(r, seed, folder):
    """-> (the pipeline in f32, what is remarkable about its folder)"""
    words, length, ids = random_words(r, folder)
    clip, t5, vae = random_clip(r, words, length), random_t5(r, ids), random_vae(r)
    transformer = random_transformer(r, vae.config.latent_channels, t5.config.d_model, clip.config.hidden_size)
    scheduler, names = random_scheduler(r), []
    for i, (name, part) in enumerate({"text_encoder": clip, "text_encoder_2": t5, "transformer": transformer, "vae": vae}.items()):
        names.append(name)
        save_part(r, redraw(part, 10 * seed + i), folder / name, names)
    scheduler.save_pretrained(folder / "scheduler")
    pipe = FluxPipeline(scheduler=scheduler, vae=vae, text_encoder=clip, text_encoder_2=t5, transformer=transformer,
                        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
                        tokenizer_2=T5TokenizerFast.from_pretrained(folder / "tokenizer_2"))
    pipe.save_config(folder)
    change_json(folder / "model_index.json", lambda c: c | {"tokenizer_2": ["transformers", "T5TokenizerFast"]})
    pipe.set_progress_bar_config(disable=True)
    c = transformer.config
    return pipe, (f"{c.num_layers}+{c.num_single_layers} blocks, {c.num_attention_heads}x{c.attention_head_dim} "
                  f"{tuple(c.axes_dims_rope)}, vae {list(vae.config.block_out_channels)}, {' '.join(names)}")


# ---- runs

def random_text(r):
    return " ".join(r.sample(TEXTS, r.choice([1, 1, 1, 2, 3])))


def random_run(r, pipe):
    patch = 2 * pipe.vae_scale_factor
    step = patch * max(1, 16 // patch)
    most = min(112, 24 * patch) // step
    run = dict(prompt=random_text(r), width=step * r.randrange(1, 1 + most), height=step * r.randrange(1, 1 + most),
               steps=r.randrange(1, 9), guidance=r.choice([3.5, 0.0, 1.0, 7.25, 30.0]), count=r.choice([1, 1, 1, 2, 3]),
               seed=r.choice([r.randrange(1000), r.randrange(2**32), r.randrange(2**64 - 10), 2**32 - 1]),
               length=r.choice([None, 512, 256, 64, 8, 1, r.randrange(1, 512)]), given=r.random() < 0.2)
    if r.random() < 0.1:
        run |= dict(steps=28, guidance=3.5, length=None, plain=True)  # what the pipeline does when told nothing
    elif pipe.vae_scale_factor == 1 and r.random() < 0.1:
        run |= dict(width=128, height=128, steps=1, plain_size=True)
    if r.random() < 0.35:
        run |= dict(negative=r.choice(["", random_text(r)]), true_cfg=r.choice([1.0, 1.5, 4.0, 2.25]))
    return run


def reference(pipe, run, dtype=torch.float32):
    """-> final latents [B,C,h,w], pictures [B,H,W,3] u8, the initial latents [B,C,h,w]"""
    case = {"true_cfg": 1.0, **run, "given": True} if run["given"] else {"true_cfg": 1.0, **run}
    passed, initial = pipeline_flux.arguments(pipe, case)
    if dtype != torch.float32:
        passed.pop("generator", None)
        passed["latents"] = FluxPipeline._pack_latents(initial, *initial.shape).to(dtype)
    last = {}

    def keep(_pipe, _index, _t, values):
        last["latents"] = values["latents"]
        return {}

    image = pipe(**passed, output_type="np", callback_on_step_end=keep).images
    final = FluxPipeline._unpack_latents(last["latents"], run["height"], run["width"], pipe.vae_scale_factor)
    return final, torch.from_numpy((image * 255).round()).to(torch.uint8), initial


def command(binary, folder, run, work, initial):
    args = [binary, "generate", "--precision", "f32", "--model", folder, "--seed", run["seed"], "--count", run["count"],
            "--json", "--quiet", "--output", work / "out.png", "--save-latents", work / "out.safetensors"]
    if "plain" not in run:
        args += ["--steps", run["steps"], "--guidance", run["guidance"]]
    if not run.get("plain_size"):
        args += ["--width", run["width"], "--height", run["height"]]
    if run["length"]:
        args += ["--max-sequence-length", run["length"]]
    if "negative" in run:
        args += [f"--negative={run['negative']}", "--true-cfg", run["true_cfg"]]
    if run["given"]:
        save_file({"latents": initial}, work / "in.safetensors")
        args += ["--latents", work / "in.safetensors"]
    return [str(a) for a in args] + ["--", run["prompt"]]


def summary(run):
    return f"{run['count']} x {run['width']}x{run['height']}, {run['steps']} steps, guidance {run['guidance']}"


def decibels(a, b):
    error = (a.double() - b.double()).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(255 ** 2 / error)


def difference(a, b):
    return ((a.double() - b.double()).abs().max() / b.double().std()).item()


def compare(pipe, binary, folder, run):
    """-> (agreed, what was measured)"""
    try:
        final, pictures, initial = reference(pipe, run)
    except ValueError:  # the logarithm of a sigma that is none
        final, pictures, initial = torch.tensor(math.nan), None, torch.empty(0)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        done = subprocess.run(command(binary, folder, run, work, initial), capture_output=True, text=True)
        if not final.isfinite().all():  # shift_terminal with one step, for one: no picture is the better answer
            return done.returncode == 1, f"the reference gives NaN; exit code {done.returncode}: {done.stderr.strip()}"
        if done.returncode:
            return False, f"exit code {done.returncode}: {done.stderr.strip()}"
        names = ["out.png"] if run["count"] == 1 else [f"out-{i + 1}.png" for i in range(run["count"])]
        made = sorted(p.name for p in work.iterdir() if p.suffix == ".png")
        told = json.loads(done.stdout)
        if made != names or told["files"] != [str(work / n) for n in names] or done.stderr:
            return False, f"wrote {made}, told {told['files']}, {done.stderr.strip()}"
        if told["seeds"] != [run["seed"] + i for i in range(run["count"])]:
            return False, f"seeds {told['seeds']}"
        latents = load_file(work / "out.safetensors")["latents"]
        if latents.shape != final.shape:
            return False, f"latents {tuple(latents.shape)}, not {tuple(final.shape)}"
        ours = [torch.frombuffer(bytearray(im.convert("RGB").tobytes()), dtype=torch.uint8).reshape(im.height, im.width, 3)
                for im in (Image.open(work / n) for n in names)]
    if any(a.shape != b.shape for a, b in zip(ours, pictures)):
        return False, f"pictures {tuple(ours[0].shape)}, not {tuple(pictures[0].shape)}"
    d, db = difference(latents, final), min(decibels(a, b) for a, b in zip(ours, pictures))
    agreed = d <= LATENTS_BAR and db >= PICTURE_BAR
    measured = f"latents {d:.1e}, {db:.0f} dB"
    if not agreed:  # whose rounding is it?
        exact = reference(pipe.to(torch.float64), run, torch.float64)[0]
        pipe.to(torch.float32)
        measured += f" (from f64: ours {difference(latents, exact):.1e}, the reference {difference(final, exact):.1e})"
    return agreed, measured


def quiet():
    """One thread, and nothing said but what a script says."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def main(doc, start, kinds=None, wide=(), seeds="0:10", runs=3, flags=()):
    """start(r, kind, seed, work, options) -> (what it made in the folder `work`, a function that makes one run there and
    gives whether it agreed, what was measured, the case). kinds: each in turn; wide: further ones, when asked for"""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seeds", default=seeds, help="FIRST:END")
    parser.add_argument("--runs", type=int, default=runs, help="for each seed")
    parser.add_argument("--keep", type=Path, help="where the folders of failures go")
    if kinds:
        parser.add_argument("--only", choices=[*kinds, *wide])
    for name, text in flags:
        parser.add_argument(f"--{name}", action="store_true", help=text)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    quiet()
    first, end = map(int, options.seeds.split(":"))
    passed = total = 0
    for seed in range(first, end):
        for kind in ([options.only] if options.only else kinds) if kinds else [""]:
            name = f"{kind} {seed}".strip()
            r = random.Random(name)
            with tempfile.TemporaryDirectory() as work:
                about, once = start(r, kind, seed, Path(work), options)
                print(f"{name}: {about}", flush=True)
                for _ in range(options.runs):
                    agreed, measured, case = once()
                    total, passed = total + 1, passed + agreed
                    print(f"  {'ok    ' if agreed else 'FAILED'} {measured} {'' if agreed else case}", flush=True)
                    if not agreed and options.keep:
                        shutil.copytree(work, options.keep / name.replace(" ", "-"), dirs_exist_ok=True)
    print(f"{passed} of {total} runs agree")
    raise SystemExit(passed != total)


def start(r, _kind, seed, work, options):
    folder = work / f"model-{seed}"
    pipe, about = build(r, seed, folder)

    def once():
        case = random_run(r, pipe)
        agreed, measured = compare(pipe, options.binary, folder, case)
        return agreed, f"{measured}  {summary(case)}", case

    return about, once


if __name__ == "__main__":
    main(__doc__, start, seeds="0:20")
