"""tests/fixtures/textual_inversion/: embedding files of every kind, and what Diffusers' load_textual_inversion makes of them.

runs.json has the runs; latents.<i> in expected.safetensors. Plain prompts through StableDiffusionPipeline and
StableDiffusionXLPipeline, to which each file's words are added; weighted ones in A1111's and ComfyUI's chunks by
prompts_stable_diffusion.py, with the vectors as tokens that its encoders' tables get.
"""

import torch
from safetensors.torch import save_file

import prompts_stable_diffusion as weighted
from common import FIXTURES, fresh_folder, generator, randn, save_tensors, write_json

FOLDER = "textual_inversion"
NAMES = {  # file: how its vectors are drawn, per encoder
    "cat-toy.bin": dict(seed=1, widths=(20,), vectors=1),
    "low poly.safetensors": dict(seed=2, widths=(20,), vectors=3),
    "bad-hands-5.pt": dict(seed=3, widths=(20,), vectors=2),
    "sketch.safetensors": dict(seed=4, widths=(20,), vectors=2),
    "xl-style.safetensors": dict(seed=5, widths=(12, 16), vectors=3),
    "xl-old.safetensors": dict(seed=6, widths=(12, 16), vectors=1),
    "half.safetensors": dict(seed=7, widths=(12,), vectors=2),
}


def vectors(name):
    spec = NAMES[name]
    return [randn(10 * spec["seed"] + i, spec["vectors"], width) for i, width in enumerate(spec["widths"])]


def write_files(folder):
    torch.save({"<cat-toy>": vectors("cat-toy.bin")[0][0]}, folder / "cat-toy.bin")
    save_file({"emb_params": vectors("low poly.safetensors")[0].half()}, folder / "low poly.safetensors")
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(vectors("bad-hands-5.pt")[0])},
                "name": "other name", "step": 100, "sd_checkpoint": None, "sd_checkpoint_name": None}, folder / "bad-hands-5.pt")
    save_file({"<sketch>": vectors("sketch.safetensors")[0]}, folder / "sketch.safetensors")
    l, g = vectors("xl-style.safetensors")
    save_file({"clip_l": l, "clip_g": g}, folder / "xl-style.safetensors")
    l, g = vectors("xl-old.safetensors")
    save_file({"text_encoders_0": l[0], "text_encoders_1": g[0]}, folder / "xl-old.safetensors")
    save_file({"clip_l": vectors("half.safetensors")[0]}, folder / "half.safetensors")


def all_vectors(name):
    return [v.half().float() if name == "low poly.safetensors" else v for v in vectors(name)]


RUNS = [  # words: what stands in the prompt for a file, in Diffusers' plain prompts
    dict(model="sd_tiny", prompt="a <cat-toy> on low poly, Low Poly", negative="bad-hands-5", width=32, height=32, steps=2, guidance=4.0,
         seed=1, words={"cat-toy.bin": "<cat-toy>", "low poly.safetensors": "low poly", "bad-hands-5.pt": "bad-hands-5"},
         theirs="a <cat-toy> on low poly, low poly"),
    dict(model="sd_tiny", prompt="cat-toy<sketch>s sketchy a red fox and two yellow pears", negative=None, width=24, height=40, steps=2,
         guidance=3.0, seed=2, words={"cat-toy.bin": "cat-toy", "sketch.safetensors": "<sketch>"}),
    dict(model="xl_tiny", prompt="xl-style of a fox!", negative="xl-old, blurry", width=32, height=32, steps=2, guidance=4.0, seed=3,
         words={"xl-style.safetensors": "xl-style", "xl-old.safetensors": "xl-old"}),
]
A, B = "<<bad-hands-5.pt>>", "<<low poly.safetensors>>"
X = "<<xl-style.safetensors>>"
WEIGHTED = [
    dict(model="sd_tiny", prompt="a fox, the sea, a red heart, bad-hands-5 on (low poly:1.3) fox", syntax="a1111",
         pieces=[("a fox, the sea, a red heart, ", 1), (A, 1), (" on ", 1), (B, 1.3), (" fox", 1)]),
    dict(model="sd_tiny", prompt="[low poly|a (low poly:0.5)] AND bad-hands-5 :0.5", syntax="a1111",
         parts=[(1, weighted.alternate(2, [(B, 1)], [("a ", 1), (B, 0.5)])), (0.5, weighted.all_along([(A, 1)]))]),
    dict(model="sd_tiny", prompt="a embedding:bad-hands-5.pt, (embedding:sketch:1.3)", syntax="comfy",
         pieces=[("a", 1), (A, 1), (", ", 1), ("<<sketch.safetensors>>", 1.3)]),
    dict(model="xl_tiny", prompt="a (xl-style:0.7) heart", syntax="a1111", pieces=[("a ", 1), (X, 0.7), (" heart", 1)]),
    dict(model="xl_tiny", prompt="embedding:xl-style fox", syntax="comfy", pieces=[(X, 1), ("fox", 1)]),
]


class Words:
    """A tokenizer whose <<file>> are the ids of the file's vectors: past its own words, as many rows more in the table."""

    def __init__(self, encoder, which):
        self.words, self.ids = encoder.words, {}
        table = encoder.model.get_input_embeddings().weight
        rows = [table]
        for name, spec in NAMES.items():
            if len(spec["widths"]) > which and spec["widths"][which] == table.shape[1] and "half" not in name:
                first = sum(len(r) for r in rows)
                rows.append(all_vectors(name)[which])
                self.ids[f"<<{name}>>"] = list(range(first, first + spec["vectors"]))
        encoder.model.get_input_embeddings().weight = torch.nn.Parameter(torch.cat(rows))
        encoder.words = self

    def __getattr__(self, name):
        return getattr(self.words, name)

    def __call__(self, text, **options):
        if text not in self.ids:
            return self.words(text, **options)
        return type("ids", (), {"input_ids": self.ids[text]})()


def run_plain(case):
    model = weighted.Model(case["model"])
    pipe = model.pipe
    encoders = [(pipe.text_encoder, pipe.tokenizer)] + ([(pipe.text_encoder_2, pipe.tokenizer_2)] if model.xl else [])
    for file, word in case["words"].items():
        for v, (encoder, tokenizer) in zip(all_vectors(file), encoders):
            pipe.load_textual_inversion({word: v}, token=word, text_encoder=encoder, tokenizer=tokenizer)
    last = {}

    def keep(_pipe, _index, _t, values):
        last["latents"] = values["latents"]
        return {}

    pipe(case.get("theirs", case["prompt"]), negative_prompt=case["negative"], width=case["width"], height=case["height"], num_inference_steps=case["steps"],
         guidance_scale=case["guidance"], generator=generator(case["seed"]), output_type="latent", callback_on_step_end=keep)
    return last["latents"]


def run_weighted(case):
    model = weighted.Model(case["model"])
    for i, encoder in enumerate(model.encoders):
        Words(encoder, i)
    full = dict(negative=None, away=weighted.p("") if not model.xl else None, width=32, height=32, steps=2, guidance=3.0, seed=9, **case)
    full.setdefault("parts", [(1, weighted.all_along(case.get("pieces")))])
    return weighted.sample(model, full), full


def main():
    folder = fresh_folder(FOLDER)
    write_files(folder)
    out, runs = {}, []
    for case in RUNS:
        out[f"latents.{len(runs)}"] = run_plain(case)
        runs.append(weighted.describe(len(runs), case) | dict(prompt_syntax="plain", files=list(case["words"])))
    for case in WEIGHTED:
        out[f"latents.{len(runs)}"], full = run_weighted(case)
        files = [n for n in NAMES if n.startswith("xl") == case["model"].startswith("xl") and "half" not in n]
        runs.append(weighted.describe(len(runs), full) | dict(files=files))
    save_tensors(folder / "expected.safetensors", out)
    write_json(folder / "runs.json", runs)
    for path in folder.iterdir():
        path.chmod(0o644)
    print(sum(p.stat().st_size for p in folder.iterdir()))


if __name__ == "__main__":
    main()
