"""tests/fixtures/training/block.safetensors: a few steps of plain gradient descent on a toy block (norm, attention,
linear layers, activation, gate), computed by torch's autograd in f64; what the tape must give as well."""

import torch
import torch.nn.functional as F

from common import fresh_folder, generator, report, save_tensors

BATCH, TOKENS, WIDTH, HEADS, STEPS, RATE = 2, 5, 12, 3, 8, 0.05


def block(p, x):
    """x + gate * to_out(attention(layer_norm(x))), then x + linear_2(gelu_tanh(linear_1(rms_norm(x))))"""
    h = F.layer_norm(x, (WIDTH,), p["norm1.weight"], p["norm1.bias"], 1e-5)
    q, k, v = F.linear(h, p["to_qkv.weight"], p["to_qkv.bias"]).view(BATCH, TOKENS, 3, HEADS, -1).unbind(2)
    a = F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v))).transpose(1, 2).flatten(2)
    x = x + p["gate"] * F.linear(a, p["to_out.weight"])
    h = F.rms_norm(x, (WIDTH,), p["norm2.weight"], 1e-6)
    h = F.gelu(F.linear(h, p["linear_1.weight"], p["linear_1.bias"]), approximate="tanh")
    return x + F.linear(h, p["linear_2.weight"], p["linear_2.bias"])


def main():
    folder, g = fresh_folder("training"), generator(11)
    shapes = {"norm1.weight": (WIDTH,), "norm1.bias": (WIDTH,), "to_qkv.weight": (3 * WIDTH, WIDTH),
              "to_qkv.bias": (3 * WIDTH,), "to_out.weight": (WIDTH, WIDTH), "gate": (1, 1, WIDTH),
              "norm2.weight": (WIDTH,), "linear_1.weight": (4 * WIDTH, WIDTH), "linear_1.bias": (4 * WIDTH,),
              "linear_2.weight": (WIDTH, 4 * WIDTH), "linear_2.bias": (WIDTH,)}
    start = {name: torch.randn(shape, generator=g) * (0.5 if len(shape) == 1 else shape[-1] ** -0.5)
             + (1.0 if "norm" in name and "weight" in name else 0.0) for name, shape in shapes.items()}
    x, target = (torch.randn(BATCH, TOKENS, WIDTH, generator=g) for _ in range(2))
    tensors = {"x": x, "target": target, **{f"start.{name}": value for name, value in start.items()}}
    p = {name: value.double().requires_grad_() for name, value in start.items()}
    losses = []
    with torch.enable_grad():
        for step in range(STEPS):
            loss = (block(p, x.double()) - target.double()).square().mean()
            gradients = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
            losses.append(loss.item())
            if step == 0:
                tensors |= {f"gradient.{name}": value.float() for name, value in gradients.items()}
            p = {name: (value - RATE * gradients[name]).detach().requires_grad_() for name, value in p.items()}
    tensors |= {f"end.{name}": value.detach().float() for name, value in p.items()}
    tensors["losses"] = torch.tensor(losses)
    save_tensors(folder / "block.safetensors", tensors, {"rate": RATE})
    print([round(v, 4) for v in losses])
    report(folder)


if __name__ == "__main__":
    main()
