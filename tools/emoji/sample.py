#!/usr/bin/env python3
"""Use the exported model: a single picture, a contact sheet, reconstructions, the measurements."""
import json
import numpy as np
import torch
from PIL import Image, ImageDraw
from diffusers import FluxPipeline
import emoji as D
import train_vae

SHEET = ["a fox", "a cat", "a dog on a blue background", "panda", "a frog on a pink background", "a unicorn",
         "pizza", "a hamburger on a yellow background", "a strawberry", "red apple on a black background", "watermelon",
         "a banana on a purple background", "a police car", "an automobile", "a bus on green",
         "a house on an orange background", "a fire engine", "a castle", "red heart",
         "a green heart on a white background", "sun on black", "a rainbow", "a star on a blue background",
         "a penguin on a red background", "soccer ball", "a basketball on green", "a bell", "grinning face",
         "loudly crying face", "smiling face with sunglasses", "koala on a yellow background",
         "ghost on a purple background", "a guitar", "a key on a red background", "a gem stone",
         "a cactus on a gray background"]
SIDE = dict(height=D.SIZE, width=D.SIZE, guidance_scale=0.0, max_sequence_length=32)


def generate(pipe, prompts, seeds, steps, batch=32):
    """Pictures as float arrays 0..1; every picture has a noise generator of its own."""
    out = []
    for i in range(0, len(prompts), batch):
        g = [torch.Generator("cpu").manual_seed(s) for s in seeds[i:i + batch]]
        out.append(pipe(prompts[i:i + batch], num_inference_steps=steps, generator=g, output_type="np", **SIDE).images)
    return np.concatenate(out)


def to_pil(x):
    return Image.fromarray((x * 255).round().astype(np.uint8))


def sheet(pics, labels, cols=9):
    w, h = D.SIZE + 6, D.SIZE + 22
    im = Image.new("RGB", (cols * w, -(-len(pics) // cols) * h), (240, 240, 240))
    for i, (p, t) in enumerate(zip(pics, labels)):
        x, y = i % cols * w + 3, i // cols * h + 3
        im.paste(to_pil(p), (x, y))
        ImageDraw.Draw(im).text((x, y + D.SIZE + 3), t.replace(" background", " bg")[:24], fill=(0, 0, 0))
    return im


def references(base, color):
    """Every concept on one colour, at 18 placements: (placements, concepts, 3*SIZE*SIZE), 0..1."""
    col, b, out = D.color_table(base.device)[color].expand(len(base), 3), base.float() / 255, []
    for s, dx, dy in [(s, dx, dy) for s in (108, 113) for dx in (-3, 0, 3) for dy in (-3, 0, 3)]:
        v = torch.tensor([float(s), dx, dy], device=base.device)[:, None].expand(3, len(b))
        out.append(((D.place(b, col, *v) + 1) / 2).flatten(1).half())
    return torch.stack(out)


def held_out(meta, first):
    """Captions never seen in training: concept x colour pairs in three wordings, keyword sets in both orders."""
    tests, concepts = [], meta["concepts"][:first or None]
    for t in [t for t in meta["tests"] if t["concept"] < len(concepts)]:
        c, col = concepts[t["concept"]], D.CNAMES[t["color"]]
        texts = [D.caption(c["name"], col, form, True) for form in (1, 2, 5)] if t["kind"] == "color" else \
            [D.caption(h, col if t["color"] else None, 0, False) for h in c["held"]]
        tests += [{**t, "text": x} for x in texts]
    return tests


def evaluate(pipe, data, steps, seed0, first):
    """Held-out captions: is the nearest emoji (pixels, the same colour, best placement) the one asked for?"""
    base, meta = D.load(data)
    tests, table, base = held_out(meta, first), D.color_table(), base[:first or None].to(pipe.device)
    pics = generate(pipe, [t["text"] for t in tests], [seed0 + i for i in range(len(tests))], steps)
    ok, okc, dist = {"color": [], "keywords": []}, [], []
    for color in sorted({t["color"] for t in tests}):
        ref = references(base, color)
        for t, p in [(t, p) for t, p in zip(tests, pics) if t["color"] == color]:
            x = torch.from_numpy(p).to(base.device).permute(2, 0, 1).flatten().float()
            d = torch.stack([((r.float() - x) ** 2).mean(1) for r in ref]).min(0).values
            ok[t["kind"]].append(d.argmin().item() == t["concept"])
            dist.append(d[t["concept"]].item())
            edge = np.concatenate([e.reshape(-1, 3) for e in (p[:4], p[-4:], p[:, :4], p[:, -4:])])
            okc.append(((table - torch.from_numpy(np.median(edge, 0))) ** 2).sum(1).argmin().item() == color)
    rate = lambda v: round(sum(v) / max(1, len(v)), 3)
    return {"steps": steps, "top1": rate(ok["color"] + ok["keywords"]), "top1_unseen_colour": rate(ok["color"]),
            "top1_unseen_keywords": rate(ok["keywords"]), "background_colour": rate(okc),
            "mean_sq_distance_to_target": round(sum(dist) / len(dist), 4), "concepts": len(base),
            "colour_tests": len(ok["color"]), "keyword_tests": len(ok["keywords"])}


def reconstructions(vae, data, n=16):
    """Originals above, what the autoencoder makes of them below."""
    base, _ = D.load(data)
    torch.manual_seed(7)
    x = train_vae.batch(base[torch.randperm(len(base))[:n]], D.color_table(), n)
    both = torch.stack([x, vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)])
    both = both.view(2, 2, n // 2, 3, D.SIZE, D.SIZE).permute(1, 0, 4, 2, 5, 3)     # row, original or not, y, column, x
    return to_pil((both.reshape(4 * D.SIZE, n // 2 * D.SIZE, 3).numpy() + 1) / 2)


def main():
    a = D.arguments(__doc__, model="model", data="data", prompt="", seed=0, steps=8, out="out.png",
                    sheet=(False, "36 prompts"), vae=(False, "pictures above, reconstructions below"),
                    eval=(False, "the held-out captions"), first=(0, "the first N concepts only"),
                    half=(False, "compute in float16"))
    torch.set_grad_enabled(False)
    pipe = FluxPipeline.from_pretrained(a.model, torch_dtype=torch.float16 if a.half else torch.float32).to(a.device)
    pipe.set_progress_bar_config(disable=True)
    if a.prompt:
        to_pil(generate(pipe, [a.prompt], [a.seed], a.steps)[0]).save(a.out)
    if a.sheet:
        sheet(generate(pipe, SHEET, [a.seed + i for i in range(len(SHEET))], a.steps), SHEET).save(a.out)
    if a.vae:
        reconstructions(pipe.vae, a.data).save(a.out)
    if a.eval:
        print(json.dumps(evaluate(pipe, a.data, a.steps, 1000, a.first)))


if __name__ == "__main__":
    main()
