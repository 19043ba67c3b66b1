"""What every fixture script needs: places, random parameters, inner activations, the check that no branch is dead."""

import json
import math
import os
import re
import shutil
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"

torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)


def generator(seed):
    return torch.Generator("cpu").manual_seed(seed)


def randn(seed, *shape, scale=1.0, shift=0.0):
    return torch.randn(shape, generator=generator(seed)) * scale + shift


def fresh_folder(*parts):
    folder = FIXTURES.joinpath(*parts)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+([^\[\]{}\"]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)  # lists of numbers
    path.write_text(text + "\n", encoding="utf-8")


def save_tensors(path, tensors, args=None):
    """Writes a safetensors file; args (scalars) go into its metadata as JSON under "args"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    for name, value in plain.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise SystemExit(f"{path}: {name} is not finite")
    save_file(plain, path, metadata={"args": json.dumps(args or {})})


def redraw(model, seed, gain=1.0):
    """Draws every parameter anew, large enough to matter and small enough that activations stay near 1."""
    g = generator(seed)
    for name, p in sorted(model.named_parameters()):
        z = torch.randn(p.shape, generator=g)
        leaf = name.rsplit(".", 1)[-1]
        if leaf == "bias":
            p.copy_(0.2 * z)
        elif p.ndim == 1:  # the weight of a norm
            p.copy_(1.0 + 0.3 * z.clamp(-2.5, 2.5))
        elif "embed" in name and p.ndim == 2 and leaf == "weight" and is_table(model, name):
            p.copy_(z * (1.0 if "relative_attention_bias" not in name else 1.5))
        else:
            fan_in = p[0].numel()
            p.copy_(z * gain / math.sqrt(fan_in))
    return model.eval()


def is_table(model, name):
    return isinstance(model.get_submodule(name.rsplit(".", 1)[0]), torch.nn.Embedding)


def leaf_modules(model):
    """Modules that own parameters themselves, tied parameters only once."""
    seen = set()
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        if own:
            yield name, own


def check_alive(model, run, allow=(), least=5e-3):
    """Adds noise to one sub-module after the other and demands that some output of run() moves by at least `least`
    of its standard deviation: fifty times the bar that the tests compare with."""
    before = [t.clone() for t in run()]
    smallest = (math.inf, "")
    for index, (name, own) in enumerate(leaf_modules(model)):
        saved = [p.clone() for p in own]
        g = generator(1000 + index)
        for p in own:
            p.add_(torch.randn(p.shape, generator=g).to(p.dtype) * 0.3 * p.square().mean().sqrt().clamp(min=0.1))
        after = run()
        for p, s in zip(own, saved):
            p.copy_(s)
        moved = max(((a - b).abs().max() / b.std()).item() for a, b in zip(after, before))
        if not moved >= least:
            if not any(pattern in name for pattern in allow):
                raise SystemExit(f"dead branch: perturbing {name} moves the output by {moved:.2e} only")
            continue
        smallest = min(smallest, (moved, name))
    again = run()
    assert all(torch.equal(a, b) for a, b in zip(again, before)), "the check left a trace"
    return smallest


class Inner:
    """Keeps what sub-modules give: {"module.path": name, or the names of the parts of a tuple}."""

    def __init__(self, model, wanted):
        self.values = {}
        self.hooks = [model.get_submodule(path).register_forward_hook(self.keep(names)) for path, names in wanted.items()]

    def keep(self, names):
        names = (names,) if isinstance(names, str) else names

        def hook(_module, _inputs, output):
            parts = output if isinstance(output, tuple) else (output,)
            for name, part in zip(names, parts):
                self.values.setdefault(f"inner.{name}", part.detach().clone())

        return hook

    def take(self):
        for hook in self.hooks:
            hook.remove()
        return self.values


def round_parameters(model, dtype):
    """The parameters as a file of that dtype keeps them, still computed with in f32."""
    for p in model.parameters():
        p.copy_(p.to(dtype).float())


def settle(folder):
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def report(folder, note=""):
    settle(folder)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder.relative_to(FIXTURES)}: {size / 1000:.0f} kB {note}")
