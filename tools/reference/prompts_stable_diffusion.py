"""tests/fixtures/prompts/stable_diffusion.safetensors, cases.json: weighted, edited and joined prompts of sd_tiny and xl_tiny.

A1111 and ComfyUI cannot be installed; what they do is written down here once more from its description: the pieces of every
prompt by hand, A1111's chunks and means (over all texts of a schedule at once, however often one is in it), ComfyUI's way
from the empty prompt, and a sampling loop over Diffusers' parts in which the UNet is told at its call k what the first entry
says that ends at k or later. `<folder>.<syntax>.<i>` are the encoded texts, `latents.<i>` the ends of the runs.
"""

import json

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from transformers import CLIPTokenizer

import pipeline_stable_diffusion as folders
from common import FIXTURES, generator, save_tensors, write_json
from prompts import cut_a1111, cut_comfy

LONG = "a red fox, a blue heart on a green background and "
NEST = [("a ", 1), ("red", 1.4), (" heart on ", 1), ("a blue", 1 / 1.1), (" ", 1), ("fox", 1.1 * 1.1), (", ", 1), ("big", 1.1 * 1.1 / 1.1),
        (" ", 1.1 * 1.1), ("sea", 0.6 * 1.1 * 1.1)]
A1111 = [  # the prompt, and its pieces: (text, weight), None where a chunk ends
    ("a (red:1.4) heart on [a blue] ((fox)), (([big] (sea:0.6)))", NEST),
    (LONG * 3, [(LONG * 3, 1)]),
    (f"({LONG * 3}:1.3) a fox", [(LONG * 3, 1.3), (" a fox", 1)]),
    ("a fox BREAK (the sea:1.3), BREAK", [("a fox", 1), None, ("the sea", 1.3), (",", 1), None]),
    ("BREAK (BREAK:1.2) a", [("", 1), None, ("", 1.2), ("BREAK", -1.2), ("", 1.2), (" a", 1)]),
    (r"a \(heart\) \[x\] \\ (fox:0)", [("a (heart) [x] \\ ", 1), ("fox", 0)]),
    ("東京の夜 (café:1.2) Привет ½ ① 🦊!!! a!", [("東京の夜 ", 1), ("café", 1.2), (" Привет ½ ① 🦊!!! a!", 1)]),
    ("", [("", 1)]),
    ("((()))[[]]", [("", 1)]),
    ("(unbalanced [fox", [("unbalanced ", 1.1), ("fox", 1.1 / 1.1)]),
]
COMFY = [
    ("a (red:1.4) heart ((fox)) [sea]", [("a ", 1), ("red", 1.4), (" heart ", 1), ("fox", 1.1 * 1.1), (" [sea]", 1)]),
    ("(a (heart:0.3) fox:1.2)", [("a ", 1.2), ("heart", 0.3), (" fox", 1.2)]),
    (f"({LONG * 3}:1.3) the sea", [(LONG * 3, 1.3), (" the sea", 1)]),
    (r"a \(heart\) BREAK!!! :1.3)", [("a (heart) BREAK!!! :1.3)", 1)]),
    ("", []),
]


class Encoder:
    """One CLIP and its tokenizer. The one that pads with "!" has it as a word too, as the others."""

    def __init__(self, pipe, n):
        self.model = getattr(pipe, f"text_encoder{n}")
        t = getattr(pipe, f"tokenizer{n}")
        self.pad = t.pad_token_id
        self.words = CLIPTokenizer(vocab=t.get_vocab(), merges=merges_of(t), model_max_length=t.model_max_length,
                                   pad_token="<|endoftext|>")
        self.n = t.model_max_length

    def row(self, chunk):
        t = self.words
        full = [(t.bos_token_id, 1.0), *chunk, (t.eos_token_id, 1.0)]
        return full + [(self.pad, 1.0)] * (self.n - len(full))

    def tokens(self, rows, skip, xl):
        y = self.model(torch.tensor([[i for i, _ in row] for row in rows]), output_hidden_states=True)
        pooled = getattr(y, "text_embeds", None)
        if xl:
            return y.hidden_states[-2 - skip], pooled
        return (self.model.final_layer_norm(y.hidden_states[-1 - skip]) if skip else y.last_hidden_state), pooled

    def a1111(self, texts, skip, xl):
        cut = [cut_a1111(pieces, self.words, self.n) for pieces in texts]
        out, first = [], None
        for c in range(max(map(len, cut))):
            rows = [self.row(chunks[c] if c < len(chunks) else []) for chunks in cut]
            z, pooled = self.tokens(rows, skip, xl)
            w = z * torch.tensor([[w for _, w in row] for row in rows])[..., None]
            out.append(w * (z.mean() / w.mean()))
            first = pooled if c == 0 else first
        return torch.cat(out, dim=1), first

    def comfy(self, texts, skip, xl):
        (pieces,) = texts
        rows = [self.row(chunk) for chunk in cut_comfy(pieces, self.words, self.n)]
        z, pooled = self.tokens(rows, skip, xl)
        empty, _ = self.tokens([self.row([])], skip, xl)
        w = torch.tensor([[w for _, w in row] for row in rows])[..., None]
        z = (z - empty) * w + empty
        return z.reshape(1, -1, z.shape[-1]), None if pooled is None else pooled[:1]


def merges_of(t):
    return [tuple(pair) for pair in json.loads(t.backend_tokenizer.to_str())["model"]["merges"]]


class Model:
    def __init__(self, name):
        """name: of a fixture's folder, or a folder."""
        self.folder = FIXTURES / "pipelines" / name
        self.xl = self.folder.name.startswith("xl")
        self.pipe = (StableDiffusionXLPipeline if self.xl else StableDiffusionPipeline).from_pretrained(self.folder)
        self.encoders = [Encoder(self.pipe, n) for n in (["", "_2"] if self.xl else [""])]

    def encode(self, syntax, texts, skip=0, second=None):
        """second: the pieces of the second encoder's prompt; the shorter one gets empty chunks."""
        texts = [texts, [second] if second else texts][:len(self.encoders)]
        parts = [getattr(e, syntax)(t, skip, self.xl) for e, t in zip(self.encoders, texts)]
        for i, e in enumerate(self.encoders):
            while parts[i][0].shape[1] < max(z.shape[1] for z, _ in parts):
                parts[i] = torch.cat([parts[i][0], getattr(e, syntax)([[("", 1)]], skip, self.xl)[0]], dim=1), parts[i][1]
        return torch.cat([z for z, _ in parts], dim=-1), parts[-1][1]


# ---- runs

def alternate(count, *texts):
    return [(k, texts[(k - 1) % len(texts)]) for k in range(1, count + 1)]


def plain(text):
    return [(text, 1)]


def all_along(pieces):
    return [(10 ** 6, pieces)]


def p(text):
    return all_along(plain(text))


RUNS = [
    dict(model="sd_tiny", prompt=A1111[2][0], negative="(blurry:1.5), fox", parts=[(1, all_along(A1111[2][1]))],
         away=all_along([("blurry", 1.5), (", fox", 1)]), width=48, height=32, steps=3, guidance=6.0, seed=3, sampler="euler"),
    # two calls a step: the schedule has 12 entries of calls
    dict(model="sd_tiny", prompt="a [red:(blue:1.3):0.4] heart [in snow|at sea] [big::3][fox:7]", negative="[blurry:low:4]",
         parts=[(1, [(k, [("a ", 1), *([("red", 1)] if k <= 4 else [("blue", 1.3)]), (" heart ", 1),
                         ("in snow" if k % 2 else "at sea", 1), (" " + ("big" if k <= 3 else "") + ("" if k <= 7 else "fox"), 1)])
                     for k in range(1, 13)])],
         away=[(4, plain("blurry")), (12, plain("low"))], width=32, height=40, steps=6, guidance=5.0, seed=4, sampler="heun"),
    dict(model="sd_tiny", prompt=f"a fox AND {LONG * 2} :0.6 AND (a red heart:1.2) BREAK sea :-0.3", negative="a hen AND a fox",
         parts=[(1, p("a fox")), (0.6, p(LONG * 2)), (-0.3, all_along([("a red heart", 1.2), None, ("sea", 1)]))],
         away=p("a hen AND a fox"), width=40, height=32, steps=3, guidance=4.0, seed=5, count=2, rescale=0.6),
    dict(model="sd_tiny", prompt="[a red fox:the sea:0.5] (sail:1.2)", negative=None,
         parts=[(1, [(2, [("a red fox ", 1), ("sail", 1.2)]), (5, [("the sea ", 1), ("sail", 1.2)])])], away=p(""),
         width=40, height=48, steps=5, guidance=5.0, seed=6, init="init.png", strength=0.8, count=2),
    dict(model="sd_tiny", prompt=COMFY[2][0], negative="(low:1.3) [a|b] AND", syntax="comfy", parts=[(1, all_along(COMFY[2][1]))],
         away=all_along([("low", 1.3), (" [a|b] AND", 1)]), width=32, height=32, steps=2, guidance=3.0, seed=7, clip_skip=1),
    dict(model="sd_tiny", prompt="a fox AND the sea", negative="x", parts=[(1, p("a fox")), (1, p("the sea"))], away=p("x"),
         width=24, height=32, steps=2, guidance=1.0, seed=8, clip_skip=2),
    dict(model="sd_tiny", prompt="a fox : 1.5", negative="x", parts=[(1.5, p("a fox"))], away=p("x"),
         width=24, height=32, steps=4, guidance=3.0, seed=9, sampler="pndm"),
    dict(model="xl_tiny", prompt=A1111[6][0], negative="", parts=[(1, all_along(A1111[6][1]))], away=None, width=32, height=48,
         steps=2, guidance=5.0, seed=10),
    dict(model="xl_tiny", prompt="[a red|(blue:1.2)] heart AND [sea::0.5] BREAK boat!! : 0.7", negative="[fox:2], !!!",
         parts=[(1, alternate(4, [("a red heart", 1)], [("blue", 1.2), (" heart", 1)])),
                (0.7, [(2, [("sea", 1), None, ("boat!!", 1)]), (4, [("", 1), None, ("boat!!", 1)])])],
         away=[(2, plain(", !!!")), (4, plain("fox, !!!"))], width=40, height=32, steps=4, guidance=4.0, seed=11, count=2,
         sampler="euler_a"),
    dict(model="xl_tiny", prompt=COMFY[2][0], negative="", syntax="comfy", parts=[(1, all_along(COMFY[2][1]))], away=all_along([]),
         width=32, height=32, steps=2, guidance=3.0, seed=12, clip_skip=1),
    dict(model="xl_tiny", prompt="a fox", negative="low", syntax="plain", prompt_2="the sea!", negative_2="blurry", width=32, height=24,
         steps=2, guidance=3.0, seed=13),
    dict(model="xl_tiny", prompt="a fox", negative="low", syntax="plain", prompt_2="", negative_2="blurry", width=32, height=24,
         steps=2, guidance=3.0, seed=14),
    dict(model="xl_tiny", prompt="a (fox:1.2)", negative="low", prompt_2=A1111[1][0], negative_2="[blurry]",
         parts=[(1, all_along([("a ", 1), ("fox", 1.2)]))], away=all_along(plain("low")),
         second=(A1111[1][1], [("blurry", 1 / 1.1)]), width=32, height=32, steps=2, guidance=3.0, seed=15),
]


def told(schedule, call):
    """Of (ends, row of the batch): the first that ends at the call or later, else the last."""
    return next((i for i, (end, _) in enumerate(schedule) if call <= end), len(schedule) - 1)


def start(model, case, scheduler):
    """-> (latents, timesteps, generators)"""
    pipe, count = model.pipe, case.get("count", 1)
    g = [generator(case["seed"] + i) for i in range(count)]
    scheduler.set_timesteps(case["steps"])
    if "init" not in case:
        shape = (1, pipe.unet.config.in_channels, case["height"] // 8, case["width"] // 8)
        noise = torch.cat([torch.randn(shape, generator=one) for one in g])
        return noise * scheduler.init_noise_sigma, scheduler.timesteps, g
    img2img, _ = folders.pipeline_for(pipe, model.folder, model.xl, {**case, "sampler": case["sampler"]} if "sampler" in case else case)
    img2img.scheduler = scheduler
    timesteps, _ = img2img.get_timesteps(case["steps"], case["strength"], "cpu")
    image = Image.open(model.folder / case["init"]).convert("RGB").resize((case["width"], case["height"]), Image.LANCZOS)
    x = img2img.image_processor.preprocess(image)
    return img2img.prepare_latents(x, timesteps[:1].repeat(count), 1, count, torch.float32, "cpu", g), timesteps, g


def rescaled(guided, cond, share):
    ratio = cond.std(dim=(1, 2, 3), keepdim=True) / guided.std(dim=(1, 2, 3), keepdim=True)
    return share * (guided * ratio) + (1 - share) * guided


def by_diffusers(model, case):
    last = {}

    def keep(_pipe, _index, _t, values):
        last["latents"] = values["latents"]
        return {}

    model.pipe(case["prompt"], prompt_2=case["prompt_2"], negative_prompt=case["negative"], negative_prompt_2=case["negative_2"],
               width=case["width"], height=case["height"], num_inference_steps=case["steps"], guidance_scale=case["guidance"],
               generator=generator(case["seed"]), output_type="latent", callback_on_step_end=keep)
    return last["latents"]


def sample(model, case):
    if case.get("syntax") == "plain":
        return by_diffusers(model, case)
    pipe, syntax, skip = model.pipe, case.get("syntax", "a1111"), case.get("clip_skip", 0)
    scheduler = pipe.scheduler
    if "sampler" in case:
        scheduler = getattr(folders.diffusers, folders.SAMPLERS[case["sampler"]]).from_config(folders.scheduler_config(model.folder))
    x, timesteps, g = start(model, case, scheduler)
    count = x.shape[0]
    second = case.get("second", (None, None))
    parts = [(w, schedule, *model.encode(syntax, [text for _, text in schedule], skip, second[0])) for w, schedule in case["parts"]]
    away = model.encode(syntax, [text for _, text in case["away"]], skip, second[1]) if case["away"] else None
    extra = {"eta": 0.0} if "eta" in scheduler.step.__code__.co_varnames else {}
    if "generator" in scheduler.step.__code__.co_varnames:
        extra["generator"] = g
    ids = torch.tensor([[case["height"], case["width"], 0, 0, case["height"], case["width"]]] * count, dtype=torch.float32)

    def ask(x, t, embeds, pooled):
        added = dict(text_embeds=pooled.repeat(count, 1), time_ids=ids) if model.xl else None
        return pipe.unet(x, t, embeds.repeat(count, 1, 1), added_cond_kwargs=added).sample

    for call, t in enumerate(timesteps):
        scaled = scheduler.scale_model_input(x, t)
        rows = [(w, z[k:k + 1], None if pool is None else pool[k:k + 1]) for w, schedule, z, pool in parts
                for k in [told(schedule, call)]]
        longest = max(z.shape[1] for _, z, _ in rows)
        rows = [(w, torch.cat([z, z[:, -1:].repeat(1, longest - z.shape[1], 1)], dim=1), pool) for w, z, pool in rows]
        if away is None:
            uncond = ask(scaled, t, torch.zeros_like(rows[0][1]), torch.zeros_like(rows[0][2]))
        else:
            k = told(case["away"], call)
            uncond = ask(scaled, t, away[0][k:k + 1], None if away[1] is None else away[1][k:k + 1])
        cond = uncond + sum(w * (ask(scaled, t, z, pool) - uncond) for w, z, pool in rows)
        guided = uncond + case["guidance"] * (cond - uncond)
        if case.get("rescale"):
            guided = rescaled(guided, cond, case["rescale"])
        x = scheduler.step(guided, t, x, **extra).prev_sample
    return x


def describe(i, case):
    out = dict(latents=f"latents.{i}", model=case["model"], prompt=case["prompt"], negative_prompt=case["negative"],
               prompt_syntax=case.get("syntax", "a1111"), width=case["width"], height=case["height"],
               num_inference_steps=case["steps"], guidance_scale=case["guidance"], seed=case["seed"], count=case.get("count", 1))
    names = {"sampler": "sampler", "init": "init", "strength": "strength", "clip_skip": "clip_skip", "rescale": "guidance_rescale",
             "prompt_2": "prompt_2", "negative_2": "negative_prompt_2"}
    return out | {theirs: case[ours] for ours, theirs in names.items() if ours in case}


def main():
    models = {name: Model(name) for name in ("sd_tiny", "xl_tiny")}
    out, texts = {}, []
    for name, model in models.items():
        for syntax, cases in (("a1111", A1111), ("comfy", COMFY)):
            for i, (prompt, pieces) in enumerate(cases):
                key = f"{name}.{syntax}.{i}"
                out[key], pooled = model.encode(syntax, [pieces])
                if model.xl:
                    out[f"{key}.pooled"] = pooled
                texts.append(dict(model=name, syntax=syntax, prompt=prompt, name=key))
    runs = []
    for i, case in enumerate(RUNS):
        out[f"latents.{i}"] = sample(models[case["model"]], case)
        runs.append(describe(i, case))
    save_tensors(FIXTURES / "prompts" / "stable_diffusion.safetensors", out)
    write_json(FIXTURES / "prompts" / "stable_diffusion.json", dict(texts=texts, runs=runs))
    for path in (FIXTURES / "prompts").glob("stable_diffusion.*"):
        path.chmod(0o644)
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
