"""tests/fixtures/ops/: single operations as torch has them, computed in f64 and rounded once to f32.

Everything is in the engine's layout: pictures [B,H,W,C], convolution weights [O,I/groups,kh,kw], attention
[B,N,heads,D], rotary tables [N,R/2,2] of (cos, sin).
"""

import math

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import apply_rotary_emb, get_1d_rotary_pos_embed, get_timestep_embedding
from diffusers.models.transformers.transformer_flux import FluxPosEmbed

from common import FIXTURES, fresh_folder, generator, report, save_tensors, write_json

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


class Group:
    """One file of cases: tensors `<op>.<case>.<tensor>`, scalars under `<op>.<case>` in the JSON beside it."""

    def __init__(self, name, seed):
        self.name, self.tensors, self.scalars, self.g = name, {}, {}, generator(seed)

    def draw(self, *shape, scale=1.0, shift=0.0):
        return torch.randn(shape, generator=self.g) * scale + shift

    def add(self, case, scalars=None, **tensors):
        self.scalars[case] = scalars or {}
        for name, value in tensors.items():
            if value is not None:
                self.tensors[f"{case}.{name}"] = value.float() if value.dtype == torch.float64 else value

    def write(self, folder):
        save_tensors(folder / f"{self.name}.safetensors", self.tensors)
        write_json(folder / f"{self.name}.json", self.scalars)


def activations():
    group = Group("activation", 1)
    edge = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4, 3e38, -3e38, 5e-41])
    x = torch.cat([torch.linspace(-12, 12, 203), group.draw(80), edge])
    for name, f in ACTIVATIONS.items():
        if name != "identity":
            group.add(f"activation.{name}", x=x, y=f(x.double()))
    a, b = group.draw(2, 3, 37, scale=2), group.draw(2, 3, 37)
    for name in ("gelu", "gelu_tanh", "silu"):
        group.add(f"activate_mul.{name}", x=a, gate=b, y=ACTIVATIONS[name](a.double()) * b.double())
    return group


def linear():
    group = Group("linear", 2)
    shapes = {"one": (1, 1, 1), "row": (1, 37, 19), "odd": (7, 13, 5), "tall": (67, 9, 33), "tile": (16, 48, 64),
              "past_tile": (33, 65, 129)}
    for name, (m, n, k) in shapes.items():
        x, w, b = group.draw(m, k), group.draw(n, k, scale=k**-0.5), group.draw(n, scale=0.2)
        group.add(f"linear.{name}", {"activation": "identity"}, x=x, weight=w, bias=b,
                  y=F.linear(x.double(), w.double(), b.double()))
    x, w, b = group.draw(2, 5, 24), group.draw(17, 24, scale=24**-0.5), group.draw(17, scale=0.2)
    for name, f in ACTIVATIONS.items():
        group.add(f"linear.{name}", {"activation": name}, x=x, weight=w, bias=b,
                  y=f(F.linear(x.double(), w.double(), b.double())))
    group.add("linear.no_bias", {"activation": "identity"}, x=x, weight=w, y=F.linear(x.double(), w.double()))
    for dtype in (torch.float16, torch.bfloat16):
        w16 = w.to(dtype)
        group.add(f"linear.{str(dtype)[6:]}", {"activation": "identity"}, x=x, weight=w16, bias=b,
                  y=F.linear(x.double(), w16.double(), b.double()))
    a, b = group.draw(2, 3, 5, 7), group.draw(3, 7, 11)
    group.add("matmul.broadcast", a=a, b=b, y=a.double() @ b.double())
    return group


def conv2d():
    group = Group("conv2d", 3)
    # batch, height, width, in, out, kernel, stride, padding (top, bottom, left, right), dilation, groups, bias
    cases = {
        "1x1": (2, 5, 7, 6, 9, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, True),
        "3x3": (2, 6, 5, 5, 7, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, True),
        "3x3_no_bias": (1, 4, 4, 8, 16, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, False),
        "stride2": (1, 9, 8, 4, 6, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1, True),
        "vae_down": (1, 8, 7, 4, 6, (3, 3), (2, 2), (0, 1, 0, 1), (1, 1), 1, True),
        "patch": (1, 8, 12, 3, 10, (4, 4), (4, 4), (0, 0, 0, 0), (1, 1), 1, True),
        "5x3_uneven": (1, 7, 9, 3, 4, (5, 3), (2, 1), (2, 2, 0, 0), (1, 1), 1, True),
        "dilated": (1, 10, 9, 4, 5, (3, 3), (1, 1), (2, 2, 3, 3), (2, 3), 1, True),
        "groups": (1, 6, 6, 8, 12, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 4, True),
        "depthwise": (2, 6, 5, 7, 7, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 7, True),
        "past_tile": (1, 6, 11, 19, 35, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, True),
        "one_pixel": (1, 1, 1, 4, 4, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, True),
    }
    for name, (b, h, w, i, o, k, stride, pad, dilation, groups, bias) in cases.items():
        x, fan = group.draw(b, i, h, w), i // groups * k[0] * k[1]
        weight = group.draw(o, i // groups, *k, scale=fan**-0.5)
        bias = group.draw(o, scale=0.2) if bias else None
        top, bottom, left, right = pad
        y = F.conv2d(F.pad(x.double(), (left, right, top, bottom)), weight.double(),
                     bias.double() if bias is not None else None, stride, 0, dilation, groups)
        group.add(f"conv2d.{name}",
                  {"stride": stride, "padding": pad, "dilation": dilation, "groups": groups},
                  x=x.permute(0, 2, 3, 1), weight=weight, bias=bias, y=y.permute(0, 2, 3, 1))
    return group


def norms():
    group = Group("norm", 4)
    for name, shape, eps, affine in [("plain", (2, 3, 40), 1e-5, True), ("no_affine", (2, 3, 40), 1e-6, False),
                                     ("one_channel_pair", (1, 4, 2), 1e-5, True), ("odd", (3, 1, 33), 1e-5, True)]:
        x, c = group.draw(*shape, scale=1.7, shift=0.6), shape[-1]
        w, b = (group.draw(c, scale=0.3, shift=1), group.draw(c, scale=0.2)) if affine else (None, None)
        y = F.layer_norm(x.double(), (c,), *(t.double() if affine else None for t in (w, b)), eps)
        group.add(f"layer_norm.{name}", {"eps": eps}, x=x, weight=w, bias=b, y=y)
    x = group.draw(1, 2, 64, scale=0.01, shift=300.0)
    group.add("layer_norm.far_mean", {"eps": 1e-5}, x=x, y=F.layer_norm(x.double(), (64,), eps=1e-5))
    for name, shape, eps, affine in [("plain", (2, 3, 40), 1e-6, True), ("no_affine", (2, 5, 20), 1e-6, False),
                                     ("large_eps", (1, 4, 17), 1e-1, True)]:
        x, c = group.draw(*shape, scale=1.7, shift=0.6), shape[-1]
        w = group.draw(c, scale=0.3, shift=1) if affine else None
        y = F.rms_norm(x.double(), (c,), w.double() if affine else None, eps)
        group.add(f"rms_norm.{name}", {"eps": eps}, x=x, weight=w, y=y)
    x, shift, scale = group.draw(2, 5, 24, shift=0.4), group.draw(2, 1, 24), group.draw(2, 1, 24)
    y = F.layer_norm(x.double(), (24,), eps=1e-6) * (1 + scale.double()) + shift.double()
    group.add("norm_modulate.plain", {"eps": 1e-6}, x=x, shift=shift, scale=scale, y=y)
    gate, other = group.draw(2, 1, 24), group.draw(2, 5, 24)
    group.add("gated_add.plain", x=x, gate=gate, y=other, out=x.double() + gate.double() * other.double())
    for name, (b, h, w, c, groups, eps, activation) in {
        "plain": (2, 5, 3, 24, 4, 1e-6, "identity"), "silu": (1, 4, 4, 32, 8, 1e-6, "silu"),
        "one_group": (2, 3, 3, 6, 1, 1e-5, "identity"), "every_channel": (1, 7, 5, 9, 9, 1e-5, "silu"),
        "three": (1, 6, 5, 15, 5, 1e-5, "silu"), "one_pixel": (1, 1, 1, 16, 2, 1e-5, "identity"),
    }.items():
        x = group.draw(b, c, h, w, scale=1.5, shift=0.7)
        weight, bias = group.draw(c, scale=0.3, shift=1), group.draw(c, scale=0.2)
        y = ACTIVATIONS[activation](F.group_norm(x.double(), groups, weight.double(), bias.double(), eps))
        group.add(f"group_norm.{name}", {"groups": groups, "eps": eps, "activation": activation},
                  x=x.permute(0, 2, 3, 1), weight=weight, bias=bias, y=y.permute(0, 2, 3, 1))
    x = group.draw(3, 2, 17, scale=4)
    group.add("softmax.plain", x=x, y=x.double().softmax(-1))
    x = torch.tensor([[1000.0, 1001.0, -1e30, 999.0], [0.0, 0.0, 0.0, 0.0], [-5e4, -5e4, 3e4, -88.0]])
    group.add("softmax.extreme", x=x, y=x.double().softmax(-1))
    return group


def attention():
    group = Group("attention", 5)
    # batch, queries, keys, heads, key heads, head size, value size, mask, causal, scale
    cases = {
        "plain": (2, 5, 5, 3, 3, 8, 8, None, False, 0.0),
        "cross": (1, 7, 13, 2, 2, 16, 16, None, False, 0.0),
        "odd_head": (1, 6, 9, 2, 2, 20, 20, None, False, 0.0),
        "head_1": (1, 3, 4, 2, 2, 1, 1, None, False, 0.0),
        "head_5_values_7": (2, 4, 6, 2, 2, 5, 7, None, False, 0.0),
        "grouped": (1, 6, 6, 6, 2, 12, 12, None, False, 0.0),
        "multi_query": (1, 5, 8, 4, 1, 16, 16, None, True, 0.0),
        "causal": (2, 9, 9, 2, 2, 16, 16, None, True, 0.0),
        "causal_longer_keys": (1, 4, 9, 2, 2, 8, 8, None, True, 0.0),
        "no_scale": (1, 6, 6, 2, 2, 8, 8, None, False, 1.0),
        "bias": (2, 6, 7, 3, 3, 8, 8, "bias", False, 1.0),
        "bias_one_batch": (2, 6, 7, 3, 3, 8, 8, "shared", False, 0.0),
        "mask_keys": (2, 5, 11, 2, 2, 8, 8, "keys", False, 0.0),
        "mask_full": (1, 8, 10, 2, 2, 8, 8, "full", False, 0.0),
        "past_block": (1, 35, 140, 1, 1, 40, 40, None, False, 0.0),
    }
    for name, (b, n, m, h, g, d, e, kind, causal, scale) in cases.items():
        q, k, v = group.draw(b, n, h, d), group.draw(b, m, g, d), group.draw(b, m, g, e)
        mask = None
        if kind == "bias":
            mask = group.draw(b, h, n, m, scale=2)
        elif kind == "shared":
            mask = group.draw(1, h, n, m, scale=2)
        elif kind == "keys":
            mask = torch.arange(m)[None, None, None, :] < torch.tensor([m, m - 4])[:, None, None, None]
        elif kind == "full":
            mask = torch.rand(1, 1, n, m, generator=group.g) < 0.5
            mask[..., 0] = True
        qd, kd, vd = (t.double().transpose(1, 2) for t in (q, k, v))
        kd, vd = kd.repeat_interleave(h // g, 1), vd.repeat_interleave(h // g, 1)
        scores = qd @ kd.transpose(-1, -2) * (scale or 1 / math.sqrt(d))
        if causal:
            seen = torch.ones(n, m, dtype=torch.bool).tril(m - n)
            scores = scores.masked_fill(~seen, -math.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask.double()
        y = (scores.softmax(-1) @ vd).transpose(1, 2)
        if g == h and d == e and not causal:  # torch's own operation says the same
            own = F.scaled_dot_product_attention(qd, kd, vd, attn_mask=mask.double() if kind in ("bias", "shared")
                                                 else mask, scale=scale or None).transpose(1, 2)
            assert (own - y).abs().max() < 1e-12
        group.add(f"attention.{name}", {"causal": causal, "scale": scale}, q=q, k=k, v=v, mask=mask, y=y)
    return group


def positions():
    group = Group("position", 6)
    ids = torch.tensor([[0.0, y, x] for y in range(3) for x in range(4)] + [[0, 63, 127], [2, 0, 5]])
    for name, axes in {"flux": (16, 56, 56), "small": (4, 8, 8)}.items():
        cos, sin = FluxPosEmbed(theta=10000, axes_dim=axes)(ids)
        table = torch.stack([cos[:, ::2], sin[:, ::2]], -1)
        group.add(f"rotary_table.{name}", {"axes_dims": axes, "theta": 10000}, ids=ids, table=table)
        x = group.draw(2, len(ids), 2, sum(axes), scale=1.0) if name == "small" else group.draw(1, len(ids), 1, 128)
        group.add(f"rotary.{name}", {"pairs": "interleaved"}, x=x, table=table,
                  y=apply_rotary_emb(x, (cos, sin), sequence_dim=1))
    cos, sin = get_1d_rotary_pos_embed(12, torch.arange(9), use_real=True, repeat_interleave_real=False)
    x = group.draw(1, 9, 3, 12)
    group.add("rotary.halves", {"pairs": "halves"}, x=x, table=torch.stack([cos[:, :6], sin[:, :6]], -1),
              y=apply_rotary_emb(x, (cos, sin), use_real_unbind_dim=-2, sequence_dim=1))
    t = torch.tensor([0.0, 1.0, 0.25, 17.5, 500.0, 999.0, 1000.0])
    for name, dim, options in [("flux", 256, {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0}),
                               ("sin_first", 32, {"flip_sin_to_cos": False, "downscale_freq_shift": 0.0}),
                               ("shift_1", 32, {"flip_sin_to_cos": False, "downscale_freq_shift": 1.0}),
                               ("scaled", 20, {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0, "scale": 100.0}),
                               ("period", 20, {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0,
                                               "max_period": 100}),
                               ("odd", 33, {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0})]:
        group.add(f"timestep_embedding.{name}", {"dim": dim, **options}, t=t,
                  y=get_timestep_embedding(t, dim, **options))
    return group


def moving():
    group = Group("moving", 7)
    for name, (h, w, oh, ow) in {"twice": (3, 4, 6, 8), "odd": (3, 3, 5, 5), "uneven": (4, 5, 7, 13),
                                 "down": (6, 6, 4, 5)}.items():
        x = group.draw(2, 3, h, w)
        y = F.interpolate(x, size=(oh, ow), mode="nearest")
        group.add(f"upsample_nearest.{name}", {"height": oh, "width": ow}, x=x.permute(0, 2, 3, 1),
                  y=y.permute(0, 2, 3, 1))
    table, ids = group.draw(11, 6), torch.tensor([[0, 10, 3, 3], [7, 1, 0, 9]])
    group.add("embedding.plain", table=table, ids=ids, y=F.embedding(ids, table))
    exponents = torch.arange(-30, 17, dtype=torch.float32)
    wide = torch.cat([group.draw(200) * 2.0**x for x in (-16, -8, 0, 6, 14)])
    ties = torch.cat([torch.arange(1, 64) / 64 * 2.0**x for x in (-9, -6, 0, 3, 8, 15)])
    x = torch.cat([torch.tensor([0.0, -0.0]), 2.0**exponents, -(2.0**exponents), wide, ties])
    out = {"f16": x.clamp(-65504, 65504).half(), "bf16": x.bfloat16(),
           "f8_e4m3": x.clamp(-448, 448).to(torch.float8_e4m3fn), "f8_e5m2": x.clamp(-57344, 57344).to(torch.float8_e5m2)}
    for name, y in out.items():
        group.add(f"cast.{name}", {"note": "x cut to the largest finite value first"}, x=x, bits=y.view(
            torch.uint8 if y.element_size() == 1 else torch.int16), back=y.float())
    return group


def sequences():
    """[B,N,C] in and out; what is said in each function's torch counterpart."""
    group = Group("sequence", 8)
    # batch, length, in, out, kernel, stride, padding, output padding, groups
    cases = {"up2": (1, 5, 6, 4, 4, 2, 1, 0, 1), "up3_odd": (2, 4, 5, 7, 5, 3, 1, 0, 1),
             "depthwise": (1, 6, 5, 5, 3, 2, 1, 1, 5), "wide": (1, 9, 28, 17, 8, 4, 2, 0, 1),
             "one": (1, 1, 3, 2, 6, 4, 1, 2, 1), "groups": (1, 4, 8, 12, 3, 1, 0, 0, 4)}
    for name, (b, n, i, o, k, stride, padding, extra, groups) in cases.items():
        x, weight, bias = group.draw(b, i, n), group.draw(i, o // groups, k, scale=(i / groups)**-0.5), group.draw(o)
        y = F.conv_transpose1d(x.double(), weight.double(), bias.double(), stride, padding, extra, groups)
        laid = weight.view(groups, i // groups, o // groups, k).permute(0, 2, 1, 3).reshape(o, i // groups, 1, k)
        group.add(f"conv_transpose1d.{name}",
                  {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups},
                  x=x.transpose(1, 2), weight=laid, bias=bias, y=y.transpose(1, 2))
    for name, (b, n, i, hidden, both) in {"one_way": (2, 5, 6, 3, False), "both_ways": (1, 7, 9, 20, True),
                                          "batch": (3, 4, 5, 17, True), "one_step": (1, 1, 4, 2, True)}.items():
        lstm = torch.nn.LSTM(i, hidden, batch_first=True, bidirectional=both).double()
        for p in lstm.parameters():
            p.copy_(group.draw(*p.shape, scale=0.7 if p.ndim > 1 else 0.4))
        x = group.draw(b, n, i)
        group.add(f"lstm.{name}", {"directions": 1 + both}, x=x, y=lstm(x.double())[0],
                  **{key.replace("_l0", ""): p for key, p in lstm.named_parameters()})
    for name, (b, n, c, slope, snake) in {"plain": (2, 9, 5, 1, False), "leaky": (1, 130, 20, 0.2, False),
                                          "snake": (1, 70, 37, 1, True), "snake_batch": (2, 3, 16, 1, True)}.items():
        x, alpha = group.draw(b, n, c, scale=1.7, shift=3), group.draw(c, scale=0.5, shift=1.5) if snake else None
        shift, scale = group.draw(b, 1, c), group.draw(b, 1, c, scale=0.4)
        t = F.instance_norm(x.double().transpose(1, 2)).transpose(1, 2) * (1 + scale.double()) + shift.double()
        y = t + torch.sin(alpha.double() * t) ** 2 / alpha.double() if snake else F.leaky_relu(t, slope)
        group.add(f"instance_norm.{name}", {"slope": slope}, x=x, shift=shift, scale=scale, alpha=alpha, y=y)
    x = group.draw(2, 3, 41)
    group.add("leaky_relu.tenth", {"slope": 0.1}, x=x, y=F.leaky_relu(x, 0.1))
    return group


def main():
    folder = fresh_folder("ops")
    for make in (activations, linear, conv2d, norms, attention, positions, moving, sequences):
        make().write(folder)
    report(folder)


if __name__ == "__main__":
    main()
