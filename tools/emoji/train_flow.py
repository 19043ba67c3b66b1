#!/usr/bin/env python3
"""Train the text encoders (CLIP, T5) and the Flux transformer together by flow matching.

First the emojis are encoded once by the VAE, on every colour and with a few random placements, and captions are drawn
(RUN/prepared.pt; delete it when the data, the tokenizers or the VAE's encoder change); the training itself touches
latents and token ids only, and never waits for the device.
x_t = (1-t) x0 + t noise, the target is noise - x0, t is uniform with the sampler's shift applied.
Writes RUN/flow.pt (raw, EMA and optimiser state); --resume goes on from it.
"""
import os, random, time
import torch
import torch.nn as nn
from diffusers import FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast
import emoji as D
import optim, train_vae

LEN = 32
SIZES = dict(heads=4, double=2, single=5, t5_dim=256, t5_layers=2, clip_dim=128, clip_ff=384, clip_layers=2)
PARTS = {"clip": (CLIPTextModel, "text_encoder"), "t5": (T5EncoderModel, "text_encoder_2"),
         "flux": (FluxTransformer2DModel, "transformer")}


def tokenizers(run):
    return (CLIPTokenizer.from_pretrained(os.path.join(run, "tokenizer")),
            T5TokenizerFast.from_pretrained(os.path.join(run, "tokenizer_2")))


def build(cfg, clip_tok, t5_tok):
    clip = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(clip_tok), hidden_size=cfg["clip_dim"], intermediate_size=cfg["clip_ff"],
        projection_dim=cfg["clip_dim"], num_hidden_layers=cfg["clip_layers"], num_attention_heads=cfg["clip_dim"] // 32,
        max_position_embeddings=LEN, hidden_act="quick_gelu", bos_token_id=clip_tok.bos_token_id,
        eos_token_id=clip_tok.eos_token_id, pad_token_id=clip_tok.eos_token_id))
    t5 = T5EncoderModel(T5Config(
        vocab_size=(len(t5_tok) + 7) // 8 * 8, d_model=cfg["t5_dim"], d_kv=64, num_heads=cfg["t5_dim"] // 64,
        d_ff=2 * cfg["t5_dim"], num_layers=cfg["t5_layers"], feed_forward_proj="gated-gelu", dropout_rate=0.0,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0))
    flux = FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=cfg["double"], num_single_layers=cfg["single"],
        attention_head_dim=64, num_attention_heads=cfg["heads"], joint_attention_dim=cfg["t5_dim"],
        pooled_projection_dim=cfg["clip_dim"], guidance_embeds=False, axes_dims_rope=[16, 24, 24])
    for name, m in flux.named_modules():     # adaLN-zero: every block starts as the identity
        if isinstance(m, nn.Linear) and (name.endswith("linear") or name == "proj_out"):
            nn.init.zeros_(m.weight)
            nn.init.zeros_(m.bias)
    nn.init.normal_(t5.shared.weight)
    return nn.ModuleDict({"clip": clip, "t5": t5, "flux": flux})


@torch.no_grad()
def encode_all(base, a, dev):
    """Latents of every concept, colour and placement: (concepts, colours, copies, 64, 64), float16, packed as
    FluxPipeline packs them: 2x2 latent pixels of 16 channels are one token of 64 values."""
    s, st = torch.load(os.path.join(a.run, "vae.pt"), map_location=dev), D.read_json(a.run, "vae.json")
    vae = train_vae.build(*s["sizes"]).to(dev).eval()
    vae.load_state_dict(s["ema"])
    colors, out, g = D.color_table(dev), [], torch.Generator().manual_seed(5)
    n = len(colors)
    for i in range(a.first or len(base)):
        pic, x = (base[i:i + 1].float() / 255).to(dev).expand(n, -1, -1, -1), []
        for _ in range(a.copies):
            sc = torch.rand(1, generator=g).to(dev) * 6 + 108
            dx, dy = ((torch.rand(2, generator=g) - 0.5) * 4).to(dev)
            x.append(D.place(pic, colors, sc.expand(n), dx.expand(n), dy.expand(n)))
        with torch.autocast(dev.type, torch.bfloat16):
            z = train_vae.code(vae, torch.cat(x))[0].float()
        z = (z - st["shift"]) * st["scale"]
        b, c, h, w = z.shape
        z = z.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, c * 4)
        out.append(z.half().cpu().view(a.copies, n, h * w // 4, c * 4).transpose(0, 1))
    return torch.stack(out)


def caption_pool(concepts, toks, k):
    """k random captions of every concept on every colour, as token ids: two (concepts, colours, k, LEN) tensors."""
    rng = random.Random(3)
    texts = [D.sample_caption(c, col, rng) for c in concepts for col in range(len(D.CNAMES)) for _ in range(k)]
    kw = dict(padding="max_length", max_length=LEN, truncation=True, return_tensors="pt")
    return [tok(texts, **kw).input_ids.int().view(len(concepts), len(D.CNAMES), k, LEN) for tok in toks]


def prepare(base, concepts, toks, a, dev):
    """The latents and the two tensors of token ids, on the device."""
    path = os.path.join(a.run, "prepared.pt")
    if not os.path.exists(path):
        t0 = time.time()
        parts = [encode_all(base, a, dev), *caption_pool(concepts, toks, a.pool)]
        torch.save(parts, path + ".tmp")
        os.replace(path + ".tmp", path)
        print(f"prepared {parts[0].shape[:3].numel()} pictures, {parts[1].shape[:3].numel()} captions "
              f"in {time.time() - t0:.0f}s", flush=True)
    return [x.to(dev) for x in torch.load(path)]


def main():
    a = D.arguments(
        __doc__, data="data", run=("run", "holds vae.pt and the tokenizers, gets the results"),
        steps=(0, "in all, instead of --minutes: on a machine whose load changes"),
        minutes=(45.0, "in all, over every --resume"), first=(0, "train on the first N concepts only"),
        fresh=(0, "favour the concepts from this one on, twice as often (new to a model that --warm loads)"),
        warm=("", "pipeline folder of the same sizes to start from"), pool=(48, "captions per concept and colour"),
        batch=64, copies=(4, "placements encoded per concept and colour"), lr=1.2e-3, opt=("muon", "muon or adamw"),
        hold=(0.3, "share of the time before the rate falls"), shift=3.0, ema=0.995, **SIZES,
        f32=False, compile=False, resume=False, no_save=(False, "measurements only"))
    dev, path = torch.device(a.device), os.path.join(a.run, "flow.pt")
    torch.backends.cuda.enable_mem_efficient_sdp(False)     # with these two the backward faults on an H200
    torch.backends.cuda.enable_cudnn_sdp(False)
    base, meta = D.load(a.data)
    concepts = meta["concepts"][:a.first or None]
    toks = tokenizers(a.run)
    lat, *pool = prepare(base, concepts, toks, a, dev)
    state = torch.load(path, map_location=dev) if a.resume and os.path.exists(path) else None
    cfg = state["cfg"] if state else {k: getattr(a, k) for k in SIZES}
    model = build(cfg, *toks)
    if a.warm and not state:
        for k, (kind, part) in PARTS.items():
            model[k].load_state_dict(kind.from_pretrained(os.path.join(a.warm, part), dtype=torch.float32).state_dict())
    model = model.to(dev)
    params = list(model.parameters())
    opts = optim.optimisers(model, a.lr, a.opt == "muon", lambda n: "relative_attention_bias" not in n and
                            any(s in n for s in ("blocks.", "layers.", ".block.")))
    ema, step, spent, log = [p.detach().clone() for p in params], 0, 0.0, []
    if state:
        with torch.no_grad():
            torch._foreach_copy_(params, state["raw"])
            torch._foreach_copy_(ema, state["ema"])
        for o, s in zip(opts, state["opt"]):
            o.load_state_dict(s)
        step, spent, log = state["step"], state["spent"], state["log"]
        torch.manual_seed(step)
    print("parameters", {k: sum(p.numel() for p in m.parameters()) for k, m in model.items()}, cfg, flush=True)
    side = int(lat.shape[3] ** 0.5)
    ids_txt, ids_img = torch.zeros(LEN, 3, device=dev), torch.zeros(side, side, 3, device=dev)
    ids_img[..., 1], ids_img[..., 2] = torch.arange(side)[:, None], torch.arange(side)[None, :]
    ids_img = ids_img.view(-1, 3)
    if dev.type == "cpu":      # plain attention is faster than the fused one at this length
        torch.backends.cuda.enable_flash_sdp(False)

    def forward(cids, tids, xt, t):
        return model["flux"](
            hidden_states=xt, encoder_hidden_states=model["t5"](tids)[0], timestep=t, img_ids=ids_img, txt_ids=ids_txt,
            pooled_projections=model["clip"](cids).pooler_output, return_dict=False)[0]
    fwd = torch.compile(forward) if a.compile else forward

    def save():
        if not a.no_save:
            torch.save({"raw": [p.data for p in params], "ema": ema, "opt": [o.state_dict() for o in opts],
                        "step": step, "spent": spent, "cfg": cfg, "batch": a.batch, "shift": a.shift, "log": log},
                       path + ".tmp")
            os.replace(path + ".tmp", path)

    held = torch.tensor([[k in c["held_colors"] for k in range(len(D.CNAMES))] for c in concepts], device=dev)
    extra = len(concepts) - a.fresh if a.fresh else 0
    start, logged, saved, first, acc = time.time() - spent, time.time(), time.time(), step, []
    while (done := step / a.steps if a.steps else (time.time() - start) / (a.minutes * 60)) < 1:
        rnd = lambda n: torch.randint(n, (a.batch,), device=dev)
        pick, cols = rnd(len(concepts) + extra), rnd(len(D.CNAMES))
        cols = torch.where(torch.rand(a.batch, device=dev) < 0.4, 0, cols)
        pick = torch.where(pick < len(concepts), pick, pick - extra)
        cols = torch.where(held[pick, cols], 0, cols)          # white is never held out
        cids, tids = (x[pick, cols, k] for k in [rnd(pool[0].shape[2])] for x in pool)
        x0 = lat[pick, cols, rnd(lat.shape[2])].float()
        u = (torch.randperm(a.batch, device=dev) + torch.rand(a.batch, device=dev)) / a.batch     # stratified
        t = a.shift * u / (1 + (a.shift - 1) * u)
        noise = torch.randn_like(x0)
        xt = x0 + t[:, None, None] * (noise - x0)
        lr = optim.set_rate(opts, a.lr, step, done, a.hold)
        with torch.autocast(dev.type, torch.bfloat16, enabled=not a.f32):
            v = fwd(cids, tids, xt, t)
        loss = ((v.float() - (noise - x0)) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        step, spent = step + 1, time.time() - start
        with torch.no_grad():
            torch._foreach_lerp_(ema, params, 1 - min(a.ema, step / (step + 10)))
        if step % 5 == 0:
            acc.append(loss.detach())
        if step % 50 == 0:
            log.append((step, spent, sum(acc).item() / len(acc)))
            print(f"step {step} {spent:.0f}s loss {log[-1][2]:.4f} lr {lr:.2e} "
                  f"samples/s {a.batch * (step - first) / (time.time() - logged):.1f}", flush=True)
            logged, first, acc = time.time(), step, []
        if time.time() - saved > 120:
            save()
            saved = time.time()
    save()


if __name__ == "__main__":
    main()
