"""Runs the binary on random Stable Diffusion and XL folders that no fixture holds, beside Diffusers' pipelines: from words,
pictures and inside masks (UNets of 4 and 9 channels), with clip skip, rescaled guidance, XL's sizes, textual inversions and
LoRAs in many dialects, each with a weight, on bases as they are and quantised.

    heldout_stable_diffusion.py build/atelier --seeds 0:40 [--base q8_0|f8_e4m3|nf4|...]

A seed makes one tiny folder and a few runs by `atelier generate --precision f32`. A quantised base is a file by `atelier
convert` (nf4: by bitsandbytes), of which the reference gets the values. What LoRAs add is computed here from their
definitions and put into the reference's weights. Latents must agree to max|a-b|/std(b) <= 1e-3, pictures to 40 dB.
"""

import argparse
import random
import subprocess
import tempfile
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms.functional import pil_to_tensor

import heldout
import heldout_second_pass
import pipeline_stable_diffusion as folders
import single_files
from common import generator
from heldout import decibels, difference
from heldout_loras import cut, original_names

BASES = ["q8_0", "q4_0", "q5_1", "q6_K", "f8_e4m3", "f8_e5m2", "nf4"]
WORDS = ["a red fox", "two pears!", "the sea, soft light", "a hen's boat", "neon signs", "", "ÜBER 1969", folders.LONG]
DIALECTS = ["kohya", "kohya", "stability", "comfy", "peft", "old", "loha", "lokr", "dora", "diff"]


# ---- folders

def spec(r, quantised):
    description = heldout_second_pass.spec(r, "hires")
    paints, xl = r.random() < 0.3, len(description["clips"]) == 2
    if quantised:  # rows of whole blocks
        wide = 256 if quantised == "q6_K" else 64
        folders.UNET |= dict(block_out_channels=(32, wide), norm_num_groups=8)
        for clip in description["clips"]:
            clip |= dict(hidden_size=wide, num_attention_heads=2)
    if paints:
        description["unet"] |= dict(in_channels=9)
    return description, paints, xl


def put_values(part, values):
    own = part.state_dict()
    for name, v in values.items():
        name = name if name in own else name.removeprefix("text_model.")
        if not name.endswith("position_ids"):
            own[name].copy_(v.reshape(own[name].shape))


def quantise(binary, r, pipe, folder, kind):
    """-> what the binary is given; the pipeline gets the values that are in it"""
    if kind == "nf4":
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        for name, v in list(tensors.items()):
            if v.ndim == 2 and v.numel() % 64 == 0:
                packed, state = quantize_4bit(v, blocksize=64, compress_statistics=r.random() < 0.5, quant_type="nf4")
                tensors |= {name: packed} | {f"{name}.{k}": x for k, x in state.as_dict(packed=True).items()}
                pipe.unet.state_dict()[name].copy_(dequantize_4bit(packed, state))
        save_file(tensors, path)
        return [folder]
    file = folder.parent / f"base.{'gguf' if kind.startswith('q') else 'safetensors'}"
    back = folder.parent / "back"
    for a, b, dtype in ((folder, file, kind), (file, back, "f32")):
        subprocess.run([binary, "convert", "-q", a, b, "--dtype", dtype], check=True)
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        for path in (back / name).glob("*.safetensors"):
            put_values(getattr(pipe, name), load_file(path))
    two = [x for n in ("", "_2") if (folder / f"tokenizer{n}").exists() for x in (f"--tokenizer{n.replace('_', '-')}", folder / f"tokenizer{n}")]
    return [file, *two]


def embeddings(r, pipe, folder, xl):
    """Files of textual inversions, which the pipeline gets too. -> their paths"""
    paths = []
    for i in range(r.choice([0, 0, 1, 2])):
        count, word = r.randrange(1, 4), f"style-{i}x"
        encoders = [(pipe.text_encoder, pipe.tokenizer)] + ([(pipe.text_encoder_2, pipe.tokenizer_2)] if xl else [])
        drawn = [torch.randn(count, e.config.hidden_size, generator=generator(r.randrange(2**30))) for e, _ in encoders]
        form = r.choice([".pt", ".bin", ".safetensors"]) if not xl else ".safetensors"
        paths.append(folder / f"{word}{form}")
        if xl:
            save_file(dict(zip(("clip_l", "clip_g"), drawn)), paths[-1])
        elif form == ".pt":
            torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": drawn[0]}, "name": "any", "step": 3}, paths[-1])
        elif form == ".bin":
            torch.save({f"<{word}>": drawn[0]}, paths[-1])
        else:
            save_file({"emb_params": drawn[0]}, paths[-1])
        for v, (encoder, tokenizer) in zip(drawn, encoders):
            pipe.load_textual_inversion({word: v}, token=word, text_encoder=encoder, tokenizer=tokenizer)
    return paths


# ---- LoRAs

def layer_names(pipe, part, dialect):
    """What a dialect calls the layers of a part -> their tensors."""
    model = getattr(pipe, part)
    kinds = (torch.nn.Linear,) if dialect in ("peft", "old", "comfy") else (torch.nn.Linear, torch.nn.Conv2d)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, kinds)}
    if part == "unet" and dialect in ("stability", "comfy"):
        single_files.LAYERS = model.config.layers_per_block
        named = original_names(model)
        return {n.removesuffix(".weight"): own[0] for n, own in named.items()
                if n.endswith(".weight") and own[0][0].removesuffix(".weight") in layers}
    if dialect == "old":
        return {n: f"{n}.weight" for n in layers if ".attn" in n}
    front = "text_model." if part == "text_encoder" else ""
    return {(n if n.startswith(("text_model.", "text_projection")) else front + n): f"{n}.weight" for n in layers}


def key_of(part, name, dialect, xl):
    if dialect == "comfy" and part == "unet":
        return f"diffusion_model.{name}"
    if dialect == "peft" or dialect == "comfy":
        return f"{part}.{name}"
    if dialect == "old":
        return f"unet.{name.replace('attn1.', 'attn1.processor.').replace('attn2.', 'attn2.processor.').replace('to_out.0', 'to_out')}_lora"
    front = {"unet": "lora_unet_", "text_encoder": "lora_te1_" if xl else "lora_te_", "text_encoder_2": "lora_te2_"}[part]
    return front + name.replace(".", "_")


def update(r, dialect, key, w):
    """-> tensors of the file, what they add to w, what they then divide its rows by (or None)"""
    rank, alpha, g = r.randrange(1, 5), r.choice([None, 1.0, 3.0, 8.0]), generator(r.randrange(2**30))
    draw = lambda *shape, scale: torch.randn(shape, generator=g) * scale  # noqa: E731
    n, rest = w[0].numel(), w.shape[1:]
    if dialect == "diff":
        delta = draw(*w.shape, scale=(0.3 / n) ** 0.5)
        return {f"{key}.diff": delta}, delta, None
    if dialect == "loha":
        a, b = [(draw(w.shape[0], rank, scale=0.6), draw(rank, n, scale=(1 / n) ** 0.25)) for _ in "ab"]
        delta = ((a[0] @ a[1]) * (b[0] @ b[1])).reshape(w.shape) * ((alpha or rank) / rank)
        file = {f"{key}.hada_w1_a": a[0], f"{key}.hada_w1_b": a[1], f"{key}.hada_w2_a": b[0], f"{key}.hada_w2_b": b[1]}
    elif dialect == "lokr":
        o, c = next((k, k) for k in (4, 2, 1) if w.shape[0] % k == 0 and w.shape[1] % k == 0)
        one, up = draw(o, c, scale=0.5), draw(w.shape[0] // o, rank, scale=0.4)
        down = draw(rank, n // c, scale=(1 / n) ** 0.5)
        two = (up @ down).reshape(w.shape[0] // o, w.shape[1] // c, *rest[1:])
        delta = torch.kron(one.reshape(o, c, *[1] * (w.ndim - 2)), two) * ((alpha or rank) / rank)
        file = {f"{key}.lokr_w1": one, f"{key}.lokr_w2_a": up, f"{key}.lokr_w2_b": down}
    else:
        down, up = draw(rank, *rest, scale=(1 / n) ** 0.5), draw(w.shape[0], rank, *[1] * (w.ndim - 2), scale=0.4)
        delta = (up.flatten(1) @ down.flatten(1)).reshape(w.shape) * ((alpha or rank) / rank)
        leaves = {"peft": ("lora_A.weight", "lora_B.weight"), "comfy": ("lora_A.weight", "lora_B.weight"), "old": ("down.weight", "up.weight")}
        file = dict(zip((f"{key}.{x}" for x in leaves.get(dialect, ("lora_down.weight", "lora_up.weight"))), (down, up)))
    if alpha and dialect not in ("old",):
        file[f"{key}.alpha"] = torch.tensor(alpha)
    elif dialect in ("peft", "comfy", "old") or not alpha:
        delta = delta if not alpha else delta * rank / alpha
    if dialect != "dora":
        return file, delta, None
    lengths = w.flatten(1).norm(dim=1) * (1 + draw(w.shape[0], scale=0.3))
    file[f"{key}.dora_scale"] = lengths.reshape(-1, *[1] * (w.ndim - 1))
    return file, delta, lengths


def lora(r, pipe, path, xl):
    """A file in one dialect. -> its name, what changes the weights of the pipeline by so much of it"""
    dialect, file, changes = r.choice(DIALECTS), {}, []
    encoders = ["text_encoder", "text_encoder_2"][:1 + xl] if dialect in ("kohya", "stability", "peft", "loha", "lokr", "diff") else []
    for part in ["unet"] + [n for n in encoders if r.random() < 0.5]:
        state = getattr(pipe, part).state_dict()
        for name, own in layer_names(pipe, part, dialect).items():
            if r.random() < 0.5:
                continue
            own = own if isinstance(own, list) else [own]
            w = torch.cat([state[k] for k in own])
            tensors, delta, lengths = update(r, dialect, key_of(part, name, dialect, xl), w)
            file |= tensors
            changes += [(part, k, d, lengths) for k, d in cut(delta, own, False, state).items()]
    save_file({k: v.contiguous() for k, v in file.items()}, path)

    def change(weight, bases):
        for part, k, delta, lengths in changes:
            w = getattr(pipe, part).state_dict()[k].add_(delta, alpha=weight)
            if lengths is not None:  # those before it are scaled too, but do not count for the length, as PEFT has it
                own = (bases[part][k] + weight * delta).flatten(1).norm(dim=1)
                w.mul_((lengths / own).reshape(-1, *[1] * (w.ndim - 1)))

    return dialect, change


# ---- runs

def random_case(r, xl, paints, words):
    text = lambda: " ".join(r.sample(WORDS, r.choice([1, 1, 2])) + r.sample(words, r.randrange(0, 1 + len(words))))  # noqa: E731
    case = dict(prompt=text(), width=8 * r.randrange(3, 8), height=8 * r.randrange(2, 8), seed=r.randrange(2**32), steps=r.randrange(4, 8),
                guidance=r.choice([1.0, 3.0, 5.5, 8.0]), count=r.choice([1, 1, 2]), options={})
    mode = "mask" if paints else r.choice(["words", "words", "init", "mask"])
    sampler = r.choice(["ddim", "euler", "euler_a", "heun", "dpmpp_2m", "unipc", "lms", "pndm", None])
    case |= dict(sampler=sampler) if sampler else {}
    case |= dict(negative=text()) if r.random() < 0.5 else {}
    if mode != "words":
        case |= dict(init="init.png", strength=r.choice([1.0, 0.8, 0.6])) | (dict(mask="mask.png") if mode == "mask" else {})
    if r.random() < 0.4:
        case["options"]["clip_skip"] = r.randrange(1, 3)
    if r.random() < 0.4 and (xl or mode == "words"):
        case["options"]["guidance_rescale"] = r.choice([0.3, 0.7, 1.0])
    pair = lambda: (r.randrange(0, 900), r.randrange(0, 900))  # noqa: E731
    if xl and r.random() < 0.4:
        case["options"] |= dict(original_size=pair(), crops_coords_top_left=pair(), target_size=pair())
    if xl and r.random() < 0.3:
        case["options"] |= dict(negative_original_size=pair(), negative_crops_coords_top_left=pair(), negative_target_size=pair())
        if mode == "words":  # of several pictures StableDiffusionXLPipeline gives every other row the wrong sizes
            case["count"] = 1
    return case


def arguments(case, folder):
    names = dict(original_size="original-size", crops_coords_top_left="crop", target_size="target-size")
    out = heldout_second_pass.common_options(case)
    for key, option in (("sampler", "--sampler"), ("strength", "--strength")):
        out += [option, case[key]] if key in case else []
    for key in ("init", "mask"):
        out += [f"--{key}", folder / case[key]] if key in case else []
    for key, value in case["options"].items():
        away, key = key.startswith("negative_"), key.removeprefix("negative_")
        option = "--" + "negative-" * away + names.get(key, key.replace("_", "-"))
        out += [option, value if not isinstance(value, tuple) else f"{value[1]}{',' if 'crop' in key else 'x'}{value[0]}"]
    return out + ([f"--negative={case['negative']}"] if "negative" in case else []) + ["--", case["prompt"]]


def compare(binary, given, pipe, folder, case, xl, files):
    """files: (path, weight) of LoRAs and (path, None) of embeddings"""
    theirs = folders.run(pipe, folder, case, xl)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        args = [binary, "generate", "--precision", "f32", "--quiet", "--prompt-syntax", "plain", "--model", *given, "--output",
                work / "o.png", "--save-latents", work / "o.safetensors"]
        for path, weight in files:
            args += ["--embedding", path] if weight is None else ["--lora", f"{path}:{weight}"]
        done = subprocess.run([str(a) for a in args + arguments(case, folder)], capture_output=True, text=True)
        if done.returncode or done.stderr:
            return False, f"exit code {done.returncode}: {done.stderr.strip()}"
        ours = load_file(work / "o.safetensors")["latents"]
        pictures = [pil_to_tensor(Image.open(p).convert("RGB")).permute(1, 2, 0) for p in sorted(work.glob("*.png"))]
    if ours.shape != theirs["final_latents"].shape:
        return False, f"{tuple(ours.shape)}, not {tuple(theirs['final_latents'].shape)}"
    d, db = difference(ours, theirs["final_latents"]), min(decibels(a, b) for a, b in zip(pictures, theirs["image_u8"]))
    return d <= heldout.LATENTS_BAR and db >= heldout.PICTURE_BAR, f"latents {d:.1e}, {db:.0f} dB"


def runs_of(binary, seed, base, work):
    """Two runs without LoRAs or with some, and one more with one of them off."""
    r = random.Random(seed)
    kind = base or (r.choice(BASES) if r.random() < 0.3 else None)
    description, paints, xl = spec(r, kind)
    folder = work / "model"
    pipe = folders.build(folder, description)
    if paints and xl:
        heldout.change_json(folder / "model_index.json", lambda c: c | {"_class_name": "StableDiffusionXLInpaintPipeline"})
    folders.pictures(folder, seed)
    given = quantise(binary, r, pipe, folder, kind) if kind else [folder]
    words = embeddings(r, pipe, work, xl)
    loras = [(work / f"lora-{i}.safetensors", r.choice([1.0, 0.7, -0.5, 0.25])) for i in range(r.choice([0, 1, 2, 3]))]
    made = [lora(r, pipe, path, xl) for path, _ in loras]
    saved = {n: {k: v.clone() for k, v in getattr(pipe, n).state_dict().items()} for n in ("unet", "text_encoder", "text_encoder_2") if hasattr(pipe, n)}
    about = f"{kind or 'f32'} {'xl' if xl else 'sd'}{' 9 channels' if paints else ''} loras {' '.join(d for d, _ in made)}"
    for count in [len(loras)] * 2 + [len(loras) - 1] * bool(loras):
        for n, state in saved.items():
            getattr(pipe, n).load_state_dict(state)
        for (_, change), (_, weight) in list(zip(made, loras))[:count]:
            change(weight, saved)
        case = random_case(r, xl, paints, [p.stem for p in words])
        agreed, measured = compare(binary, given, pipe, folder, case, xl, loras[:count] + [(p, None) for p in words])
        yield agreed, f"{measured}  {about}, {count} on, {len(words)} words" + ("" if agreed else f" {case}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seeds", default="0:20", help="FIRST:END")
    parser.add_argument("--base", choices=BASES)
    options = parser.parse_args()
    heldout.quiet()
    first, end = map(int, options.seeds.split(":"))
    passed = total = 0
    for seed in range(first, end):
        with tempfile.TemporaryDirectory() as work:
            for agreed, measured in runs_of(options.binary, seed, options.base, Path(work)):
                total, passed = total + 1, passed + agreed
                print(f"{seed} {'ok    ' if agreed else 'FAILED'} {measured}", flush=True)
    print(f"{passed} of {total} runs agree")
    raise SystemExit(passed != total)


if __name__ == "__main__":
    main()
