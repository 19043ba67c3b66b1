"""tests/fixtures/prompts.safetensors: weighted prompts in chunks, by transformers' encoders of pipelines/flux_tiny_schnell.

A1111 and ComfyUI cannot be installed; what they do is written down here once more, straight from its description: tokens
and weights of every chunk by hand, then A1111's mean or ComfyUI's way from the empty prompt. `<encoder>.<syntax>.<i>`.
"""

import json

import torch
from diffusers import FluxPipeline

from common import FIXTURES, generator, save_tensors

CLIP = [  # the prompt, and its pieces: (text, weight), None where a chunk ends
    ("a (red:1.4) heart on [a blue] ((fox))", [("a ", 1), ("red", 1.4), (" heart on ", 1), ("a blue", 1 / 1.1), (" ", 1), ("fox", 1.1 * 1.1)]),
    ("a heart BREAK (a fox:0.5)", [("a heart", 1), None, ("a fox", 0.5)]),
    ("a \\(heart\\)", [("a (heart)", 1)]),
]
COMFY = [("a (red:1.4) heart ((fox))", [("a ", 1), ("red", 1.4), (" heart ", 1), ("fox", 1.1 * 1.1)]),
         ("(a (heart:0.3) fox:1.2)", [("a ", 1.2), ("heart", 0.3), (" fox", 1.2)])]
LONG = "a red fox, a blue heart on a green background and " * 3


def rows(tokens, t, n):
    """[(id, weight)] of each chunk with begin, end and padding."""
    out = []
    for chunk in tokens:
        full = [(t.bos_token_id, 1.0), *chunk, (t.eos_token_id, 1.0)]
        out.append(full + [(t.pad_token_id, 1.0)] * (n - len(full)))
    return out


def cut_a1111(pieces, t, n):
    """Chunks of n - 2; a full one ends behind a comma that is at most 20 tokens back. A piece "<<...>>" stays whole."""
    comma, chunks, chunk, last = t.convert_tokens_to_ids(",</w>"), [], [], -1
    for piece in pieces:
        if piece is None:
            chunks.append(chunk)
            chunk, last = [], -1
            continue
        ids = t(piece[0], add_special_tokens=False).input_ids
        whole = piece[0].startswith("<<")
        for i in ids[:1] if whole else ids:
            moved = []
            if i == comma:
                last = len(chunk)
            elif len(chunk) == n - 2 and last != -1 and len(chunk) - last <= 20:
                chunk, moved = chunk[: last + 1], chunk[last + 1:]
                chunks.append(chunk)
                chunk, last = moved, -1
            if len(chunk) == n - 2:
                chunks.append(chunk)
                chunk, last = [], -1
            if whole and len(chunk) + len(ids) > n - 2:
                chunks.append(chunk)
                chunk, last = [], -1
            chunk += [(k, piece[1]) for k in (ids if whole else [i])]
    return chunks + ([chunk] if chunk or not chunks else [])


def cut_comfy(pieces, t, n):
    """A piece of less than 8 tokens stays whole."""
    chunks = [[]]
    for text, weight in pieces:
        ids = [(i, weight) for i in t(text, add_special_tokens=False).input_ids]
        if len(ids) < 8 and len(ids) + len(chunks[-1]) > n - 2:
            chunks.append([])
        while ids:
            if len(chunks[-1]) == n - 2:
                chunks.append([])
            space = n - 2 - len(chunks[-1])
            chunks[-1] += ids[:space]
            ids = ids[space:]
    return chunks


def encode(model, table):
    return model(torch.tensor([[i for i, _ in row] for row in table])).last_hidden_state


def interpolated(z, empty, table):
    w = torch.tensor([[w for _, w in row] for row in table])[..., None]
    return (z - empty) * w + empty


def main():
    pipe = FluxPipeline.from_pretrained(FIXTURES / "pipelines" / "flux_tiny_schnell")
    clip, t, n, out = pipe.text_encoder, pipe.tokenizer, pipe.tokenizer.model_max_length, {}
    cases = {"a1111": [*CLIP, (LONG, [(LONG, 1)]), (f"({LONG}:1.3)", [(LONG, 1.3)])], "comfy": [*COMFY, (f"({LONG}:1.3)", [(LONG, 1.3)])]}
    prompts = {s: [p for p, _ in c] for s, c in cases.items()}
    for i, (_, pieces) in enumerate(cases["a1111"]):
        parts = []
        for row in rows(cut_a1111(pieces, t, n), t, n):
            z = encode(clip, [row])
            y = z * torch.tensor([w for _, w in row])[None, :, None]
            parts.append(y * (z.mean() / y.mean()))
        out[f"clip.a1111.{i}"] = torch.cat(parts, dim=1)
    for i, (_, pieces) in enumerate(cases["comfy"]):
        table = rows(cut_comfy(pieces, t, n), t, n)
        z = interpolated(encode(clip, table), encode(clip, rows([[]], t, n)), table)
        out[f"clip.comfy.{i}"] = z.reshape(1, -1, z.shape[-1])
    # T5, and with it a whole run
    t5, t, n = pipe.text_encoder_2, pipe.tokenizer_2, 512
    row = [(i, w) for text, w in CLIP[0][1] for i in t(text, add_special_tokens=False).input_ids] + [(t.eos_token_id, 1.0)]
    row += [(t.pad_token_id, 1.0)] * (n - len(row))
    empty = encode(t5, [[(t.eos_token_id, 1.0)] + [(t.pad_token_id, 1.0)] * (n - 1)])
    embeds = interpolated(encode(t5, [row]), empty, [row])
    out["t5.a1111.0"] = embeds[:, :24]
    ids = rows(cut_a1111(CLIP[0][1], pipe.tokenizer, pipe.tokenizer.model_max_length), pipe.tokenizer, pipe.tokenizer.model_max_length)
    pooled = clip(torch.tensor([[i for i, _ in ids[0]]])).pooler_output
    x = pipe(prompt_embeds=embeds, pooled_prompt_embeds=pooled, height=48, width=32, num_inference_steps=2, generator=generator(7),
             output_type="latent").images
    out["latents"] = pipe._unpack_latents(x, 48, 32, pipe.vae_scale_factor)
    save_tensors(FIXTURES / "prompts" / "weights.safetensors", out, prompts)
    (FIXTURES / "prompts" / "weights.safetensors").chmod(0o644)
    print(json.dumps({k: list(v.shape) for k, v in out.items()}))


if __name__ == "__main__":
    main()
