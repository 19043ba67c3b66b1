"""Muon for matrices and convolutions, AdamW for everything else; and the learning rate over the time given."""
import math
import torch


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration of Muon (Jordan et al. 2024) on a stack of matrices (N, rows, columns)."""
    x = g / (g.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    x = (x.mT if tall else x).bfloat16()
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """Weights of the same shape are orthogonalised together; a convolution counts as (out, in * kernel).
    The step is scaled to the size that one of AdamW has, so that both share a learning rate."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for ps in shapes.values():
                bufs = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in ps]
                grads = [p.grad for p in ps]
                torch._foreach_lerp_(bufs, grads, 1 - group["momentum"])
                ahead = torch._foreach_lerp(grads, bufs, group["momentum"])       # Nesterov
                flat = torch.stack([g.flatten(1) for g in ahead])
                scale = 0.2 * max(flat.shape[1:]) ** 0.5
                torch._foreach_mul_(ps, 1 - group["lr"] * group["weight_decay"])
                for p, o in zip(ps, orthogonalise(flat)):
                    p.add_(o.view_as(p), alpha=-group["lr"] * scale)


def optimisers(model, lr, muon, inside):
    """inside(name): is this weight of two or more dimensions one for Muon?"""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    first = [p for n, p in named if muon and p.ndim > 1 and inside(n)]
    ids = {id(p) for p in first}
    rest = [p for _, p in named if id(p) not in ids]
    opts = [torch.optim.AdamW([{"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.01},
                               {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0}],
                              lr=lr, betas=(0.9, 0.98), eps=1e-8, fused=True)]
    return opts + ([Muon(first, lr)] if first else [])


def set_rate(opts, lr, step, done, hold):
    """Warm up over 50 steps, stay for a share `hold` of the time, then a cosine down to 1 %."""
    lr *= min(1, (step + 1) / 50)
    if done > hold:
        lr *= max(0.01, 0.5 * (1 + math.cos(math.pi * (done - hold) / (1 - hold))))
    for o in opts:
        for g in o.param_groups:
            g["lr"] = lr
    return lr
