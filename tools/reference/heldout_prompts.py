"""Runs the binary on random A1111 and ComfyUI prompts that no fixture holds, beside prompts_stable_diffusion.py's loop.

    heldout_prompts.py build/atelier --seeds 0:40

A seed makes a prompt together with the pieces that it means (weights, nested brackets, BREAK, escapes, edits, alternations,
AND, long texts), a negative one, a sampler, sizes, and runs them on sd_tiny or xl_tiny with encoders of 20 or 77
tokens, both here and by `atelier generate --precision f32`. Latents must agree to max|a-b|/std(b) <= 1e-3.
"""

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import prompts_stable_diffusion as weighted
from common import FIXTURES, randn
from heldout import LATENTS_BAR, difference

WORDS = ["a red fox", "two pears", ", soft light", "the sea!!", "blue", "东京", "é 1969", "in 10 bowls", "'ll", ", ", "don't", "🦊", "!", "a,b,c,", "Word"]
SAMPLERS = ["ddim", "euler", "euler_a", "heun", "dpmpp_2m", "lms", "unipc", "pndm", None]


def number(r):
    return r.choice([0.5, 1.3, 0.9, 1.05, 2.0, 0.0, 1.21])


# A text is a list of parts: words, ("weigh", weight or sign, text), ("edit", when, before, after), ("turn", texts), "BREAK".

def text_of(r, depth, edits, breaks=True):
    out = []
    for _ in range(r.randrange(1, 4)):
        kind = r.random()
        if depth and kind < 0.3:
            out.append(("weigh", r.choice(["(", "[", number(r), number(r)]), text_of(r, depth - 1, edits, False)))
        elif depth and edits and kind < 0.45:
            before = None if r.random() < 0.3 else text_of(r, depth - 1, edits, False)
            out.append(("edit", r.choice([0.25, 0.5, 0.8, 1, 3, 5, 30]), before, text_of(r, depth - 1, edits, False)))
        elif depth and edits and kind < 0.55:
            out.append(("turn", [text_of(r, depth - 1, edits, False) for _ in range(r.randrange(2, 4))]))
        elif breaks and kind < 0.62:
            out.append("BREAK")
        elif kind < 0.7:
            out.append("\\")
        else:
            out.append(r.choice(WORDS) * r.choice([1, 1, 1, 1, 9]))
    return out


def written(text):
    out = ""
    for part in text:
        if part == "BREAK":
            out += " BREAK "
        elif part == "\\":
            out += "\\(x\\)"
        elif isinstance(part, str):
            out += part
        elif part[0] == "weigh":
            sign, inner = part[1], written(part[2])
            out += f"({inner})" if sign == "(" else f"[{inner}]" if sign == "[" else f"({inner}:{sign})"
        elif part[0] == "edit":
            out += f"[{'' if part[2] is None else written(part[2]) + ':'}{written(part[3])}:{part[1]}]"
        else:
            out += "[" + "|".join(written(t) for t in part[1]) + "]"
    return out


def flat(text, step, steps, weight):
    """A1111's [(text, weight)] at an entry of the schedule, None for BREAK."""
    out = []
    for part in text:
        if part == "BREAK":
            out.append(None)
        elif part == "\\":
            out.append(("(x)", weight))
        elif isinstance(part, str):
            out.append((part, weight))
        elif part[0] == "weigh":
            out += flat(part[2], step, steps, weight * {"(": 1.1, "[": 1 / 1.1}.get(part[1], part[1]))
        elif part[0] == "edit":
            when = min(steps, int(part[1] * steps) if isinstance(part[1], float) else part[1])
            out += flat((part[2] or []) if step <= when else part[3], step, steps, weight)
        else:
            out += flat(part[1][(step - 1) % len(part[1])], step, steps, weight)
    return out


def comfy_pieces(text, weight):
    """ComfyUI's: what stands between brackets is a piece; a weight replaces the one around it."""
    out, words = [], ""
    for part in spread(text):
        if isinstance(part, str):
            words += {"\\": "(x)", "BREAK": " BREAK "}.get(part, part)
            continue
        out += [(words, weight)] if words else []
        words = ""
        out += comfy_pieces(part[2], weight * 1.1 if part[1] == "(" else part[1])
    return out + ([(words, weight)] if words else [])


def spread(text):
    """Square brackets are words."""
    for part in text:
        if not isinstance(part, str) and part[1] == "[":
            yield "["
            yield from spread(part[2])
            yield "]"
        else:
            yield part


def joined(pieces):
    """Neighbours of one weight are one piece, and spaces around BREAK go."""
    out = []
    for piece in pieces:
        if piece and out and out[-1] and out[-1][1] == piece[1]:
            out[-1] = (out[-1][0] + piece[0], piece[1])
        else:
            out.append(piece)
    return out


def ends(text, steps):
    found = {steps}
    for part in text:
        if isinstance(part, str):
            continue
        if part[0] == "weigh":
            found |= ends(part[2], steps)
        elif part[0] == "edit":
            when = min(steps, int(part[1] * steps) if isinstance(part[1], float) else part[1])
            found |= {when} - {0} | ends(part[2] or [], steps) | ends(part[3], steps)
        else:
            found |= set(range(1, steps + 1)).union(*(ends(t, steps) for t in part[1]))
    return found


def schedule(text, steps, comfy):
    if comfy:
        return [(steps, comfy_pieces(text, 1.0))]
    return [(end, joined(flat(text, end, steps, 1.0))) for end in sorted(ends(text, steps))]


# ---- models and runs

def wider(name, length, work, seed):
    """The fixture's folder, its encoders with so many positions."""
    folder = work / name
    shutil.copytree(FIXTURES / "pipelines" / name, folder)
    for n in ("", "_2"):
        encoder = folder / f"text_encoder{n}"
        if not encoder.exists():
            continue
        config = json.loads((encoder / "config.json").read_text())
        weights = load_file(encoder / "model.safetensors")
        key = next(k for k in weights if k.endswith("position_embedding.weight"))
        weights[key] = randn(seed, length, weights[key].shape[1])
        (encoder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": length}))
        save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
        path = folder / f"tokenizer{n}" / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": length}))
    return folder


def random_case(r):
    xl, comfy, sampler = r.random() < 0.4, r.random() < 0.3, r.choice(SAMPLERS)
    steps = r.randrange(4, 7) if sampler == "pndm" else r.randrange(1, 7)
    case = dict(model="xl_tiny" if xl else "sd_tiny", width=8 * r.randrange(3, 7), height=8 * r.randrange(3, 7), steps=steps,
                guidance=r.choice([1.5, 4.0, 7.5]), seed=r.randrange(10000), count=r.choice([1, 1, 2]), clip_skip=r.choice([0, 0, 1]))
    if sampler:
        case["sampler"] = sampler
    calls = steps * (2 if sampler == "heun" else 1)
    case["syntax"] = "comfy" if comfy else "a1111"
    count = 1 if comfy else r.choice([1, 1, 2, 3])
    texts = [text_of(r, 3, not comfy) for _ in range(count)]
    weights = [r.choice([1, 1, 0.7, -0.4]) for _ in texts] if count > 1 else [1]
    case["prompt"] = " AND ".join(written(t) + (f" :{w}" if w != 1 else "") for t, w in zip(texts, weights))
    case["parts"] = [(w, schedule(t, calls, comfy)) for t, w in zip(texts, weights)]
    negative = text_of(r, 2, not comfy)
    case["negative"] = written(negative)
    case["away"] = schedule(negative, calls, comfy)
    return case


def compare(binary, case, length, seed):
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        folder = wider(case["model"], length, work, seed)
        model = weighted.Model(folder)
        theirs = weighted.sample(model, case)
        args = [binary, "generate", "--precision", "f32", "--quiet", "--model", folder, "--prompt-syntax", case["syntax"], "--seed",
                case["seed"], "--count", case["count"], "--steps", case["steps"], "--guidance", case["guidance"], "--width",
                case["width"], "--height", case["height"], "--clip-skip", case["clip_skip"], f"--negative={case['negative']}",
                "--output", work / "o.png", "--save-latents", work / "o.safetensors"]
        if "sampler" in case:
            args += ["--sampler", case["sampler"]]
        done = subprocess.run([str(a) for a in args] + ["--", case["prompt"]], capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr.strip()
        ours = load_file(work / "o.safetensors")["latents"]
        d = difference(ours, theirs)
        if d <= LATENTS_BAR:
            return d, ""
        try:
            exact = in_f64(model, case)  # whose rounding is it?
        except RuntimeError:  # UniPC solves in f32
            return d, "not in f64"
    return d, f"from f64: ours {difference(ours, exact):.1e}, the loop in f32 {difference(theirs, exact):.1e}"


def in_f64(model, case):
    drawn = torch.randn
    model.pipe.to(torch.float64)
    torch.randn = lambda *args, **named: drawn(*args, **named | dict(dtype=torch.float32)).double()
    torch.set_default_dtype(torch.float64)
    try:
        return weighted.sample(model, case)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.randn = drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seeds", default="0:20", help="FIRST:END")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    first, end = map(int, options.seeds.split(":"))
    agreed = 0
    for seed in range(first, end):
        r = random.Random(seed)
        case, length = random_case(r), r.choice([20, 77])
        d, why = compare(options.binary, case, length, seed)
        fine = d is not None and d <= LATENTS_BAR
        agreed += fine
        shown = "" if fine else f" {why} {json.dumps(case, ensure_ascii=False)}"
        print(f"{seed} {'ok    ' if fine else 'FAILED'} {d} {case['model']} {length} {case['syntax']} {case.get('sampler')}{shown}", flush=True)
    print(f"{agreed} of {end - first} runs agree")
    raise SystemExit(agreed != end - first)


if __name__ == "__main__":
    main()
