#!/usr/bin/env python3
"""Train the AutoencoderKL (f8, 16 latent channels) on emojis placed on coloured backgrounds.

Loss: L1 at three scales + L1 of the image gradients + a tiny KL term.  The learning rate follows the elapsed share
of --minutes.  Writes OUT/vae.pt (raw, EMA and optimiser state; --resume goes on from it) and, at the end, OUT/vae.json
(latent statistics, PSNR).  --warm starts from a trained model, its channels doubled where --channels are twice as many.
"""
import json, math, os, time
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
import emoji as D
import optim


def build(channels, layers):
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=16, block_out_channels=channels, norm_num_groups=4,
        layers_per_block=layers, down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels), use_quant_conv=False, use_post_quant_conv=False,
        sample_size=D.SIZE, force_upcast=False)


def widen(new, old):
    """Copy the weights of `old` into the wider `new` so that both compute the same (Chen et al. 2015, Net2Net):
    a doubled channel stands beside its twin, hence in the same norm group with the same statistics, and who reads
    the two takes unequal shares of each, so that they part in training."""
    source = old.state_dict()
    for name, p in new.state_dict().items():
        w = source[name]
        for dim in range(p.ndim):
            times = p.shape[dim] // w.shape[dim]
            if times * w.shape[dim] != p.shape[dim]:
                raise SystemExit(f"{name}: {tuple(w.shape)} cannot become {tuple(p.shape)}")
            if times == 1:
                continue
            w = w.repeat_interleave(times, dim)
            if dim == 1:
                share = torch.rand(w.shape[1] // times, times) + 0.5
                w = w * (share / share.sum(1, keepdim=True)).view(1, -1, *[1] * (w.ndim - 2))
        p.copy_(w)


def batch(base, colors, n, wide=False):
    """n random emojis on palette colours (3 of 4) or random ones, placed as the flow's pictures are and a little
    beyond; wide: with much freedom of size and place."""
    dev = colors.device
    c = colors[torch.randint(len(colors), (n,), device=dev)]
    c = torch.where(torch.rand(n, 1, device=dev) < 0.75, c, torch.rand(n, 3, device=dev))
    s = torch.rand(n, device=dev) * (32 if wide else 16) + (96 if wide else 103)
    d = (torch.rand(2, n, device=dev) - 0.5) * (16 if wide else 10)
    return D.place(base[torch.randint(len(base), (n,), device=dev)].float() / 255, c, s, d[0], d[1])


def recon_loss(e):
    loss = e.abs().mean() + 0.5 * ((e[..., 1:] - e[..., :-1]).abs().mean() +
                                   (e[..., 1:, :] - e[..., :-1, :]).abs().mean())
    return loss + 0.5 * sum(F.avg_pool2d(e, k).abs().mean() for k in (2, 4))


def code(vae, x):
    """Mean and log-variance of the latents, as AutoencoderKL.encode gives them."""
    mean, logvar = vae.encoder(x).chunk(2, 1)
    return mean, logvar.float().clamp(-30, 20)


@torch.no_grad()
def measure(vae, base, colors):
    """Latent statistics and PSNR over 256 pictures of each kind."""
    out = {}
    for wide in (True, False):
        torch.manual_seed(1)
        x = torch.cat([batch(base, colors, 32, wide) for _ in range(8)])
        z = torch.cat([code(vae, p)[0] for p in x.split(16)])
        e = torch.cat([vae.decoder(p) for p in z.split(16)]).clamp(-1, 1) - x
        out["psnr_wide" if wide else "psnr"] = 10 * math.log10(4 / (e ** 2).mean().item())
    return {"shift": z.mean().item(), "scale": 1 / z.std().item(), "l1": e.abs().mean().item(), **out}


def main():
    a = D.arguments(__doc__, data="data", out="run", minutes=(18.0, "in all, over every --resume"),
                    steps=(0, "in all, instead of --minutes: on a machine whose load changes"), batch=4,
                    channels=[32, 32, 64, 128], layers=1, lr=1.5e-3,
                    hold=(0.2, "share of the time before the rate falls"), kl=1e-4, opt=("muon", "muon or adamw"),
                    ema=0.998, warm=("", "folder of a trained AutoencoderKL"),
                    anchor=("", "folder of an AutoencoderKL: stay near its latents, its transformer remains valid"),
                    pull=(1.0, "weight of the squared distance to the anchor's latents, in their variance"),
                    f32=False, compile=False, resume=False, no_save=(False, "measurements only"),
                    decoder_only=(False, "with --resume: the decoder alone, from the EMA weights; latents stay valid"),
                    noise=(0.0, "at most this noise on what is decoded, in standard deviations of the latents"))
    dev, path = torch.device(a.device), os.path.join(a.out, "vae.pt")
    base, _ = D.load(a.data)
    base, colors = base.to(dev), D.color_table(dev)
    os.makedirs(a.out, exist_ok=True)
    state = torch.load(path, map_location=dev) if a.resume and os.path.exists(path) else None
    if state:
        a.channels, a.layers = state["sizes"]
    vae = build(a.channels, a.layers)
    with torch.no_grad():
        vae.encoder.conv_out.bias[16:].fill_(-4)       # start with little latent noise
        if a.warm and not state:
            widen(vae, AutoencoderKL.from_pretrained(a.warm))
    vae = vae.to(dev, memory_format=torch.channels_last)
    step, spent, change = 0, 0.0, state and a.decoder_only and not state["decoder_only"]
    if state:
        vae.load_state_dict(state["ema" if change else "raw"])
    if a.decoder_only:
        vae.encoder.requires_grad_(False)
    anchor = AutoencoderKL.from_pretrained(a.anchor).to(dev).requires_grad_(False) if a.anchor else None
    opts = optim.optimisers(vae, a.lr, a.opt == "muon",
                            lambda n: "conv_in" not in n and n != "decoder.conv_out.weight")
    ema = {k: v.clone() for k, v in (state["ema"] if state else vae.state_dict()).items()}
    if state and not change:
        for o, s in zip(opts, state["opt"]):
            o.load_state_dict(s)
        step, spent = state["step"], state["spent"]
        torch.manual_seed(step)
    raw, kept = list(vae.state_dict().values()), list(ema.values())

    def save():
        if not a.no_save:
            torch.save({"raw": vae.state_dict(), "ema": ema, "opt": [o.state_dict() for o in opts],
                        "step": step, "spent": spent, "sizes": (a.channels, a.layers),
                        "decoder_only": a.decoder_only}, path + ".tmp")
            os.replace(path + ".tmp", path)

    def forward(x):
        with torch.set_grad_enabled(not a.decoder_only):
            mean, logvar = code(vae, x)
            z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
        if a.noise:
            z = z + torch.randn_like(z) * torch.rand(len(z), 1, 1, 1, device=dev) * (a.noise * mean.detach().std())
        kl = 0.5 * (mean.float() ** 2 + logvar.exp() - 1 - logvar).mean()
        off = torch.zeros(())
        if anchor:
            off = ((code(anchor, x)[0] - mean).float() * anchor.config.scaling_factor).square().mean()
        return vae.decoder(z).float() - x, kl, off
    fwd = torch.compile(forward) if a.compile else forward
    start, logged, first, saved, acc = time.time() - spent, time.time(), step, time.time(), []
    while (done := step / a.steps if a.steps else (time.time() - start) / (a.minutes * 60)) < 1:
        x = batch(base, colors, a.batch, wide=step % 5 == 0).contiguous(memory_format=torch.channels_last)
        optim.set_rate(opts, a.lr, step, done, a.hold)
        with torch.autocast(dev.type, torch.bfloat16, enabled=not a.f32):
            e, kl, off = fwd(x)
        (recon_loss(e) + a.kl * kl + a.pull * off).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        step, spent = step + 1, time.time() - start
        with torch.no_grad():
            torch._foreach_lerp_(kept, raw, 1 - min(a.ema, step / (step + 20)))
        if step % 10 == 1:
            acc.append(torch.stack([recon_loss(e), (e ** 2).mean(), kl, off.to(dev)]).detach())
        if step % 100 == 0:
            r, m, k, o = torch.stack(acc).mean(0).tolist()
            print(f"step {step} {spent:.0f}s loss {r:.4f} psnr {10 * math.log10(4 / m):.2f} kl {k:.2f} off {o:.4f} "
                  f"img/s {a.batch * (step - first) / (time.time() - logged):.1f}", flush=True)
            logged, first, acc = time.time(), step, []
        if time.time() - saved > 120:
            save()
            saved = time.time()
    save()
    vae.load_state_dict(ema)
    stats = {**measure(vae, base, colors), "steps": step, "images": step * a.batch, "seconds": spent}
    if not a.no_save:
        path = os.path.join(a.out, "vae.json")
        if a.decoder_only:       # these the flow was trained with
            stats.update({k: v for k, v in D.read_json(path).items() if k in ("shift", "scale")})
        if anchor:
            stats.update(shift=anchor.config.shift_factor, scale=anchor.config.scaling_factor)
        json.dump(stats, open(path, "w"), indent=1)
    print(stats, flush=True)


if __name__ == "__main__":
    main()
