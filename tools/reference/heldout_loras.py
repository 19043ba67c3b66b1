"""What heldout_sd3.py and heldout_text_dits.py share: LoRA files in the dialects of PEFT and kohya, of which the reference
gets the sum, and the names that the layers of a network have in its makers' files."""

import torch
from safetensors.torch import save_file

import single_files
from common import generator

ORIGINALS = {"UNet2DConditionModel": single_files.original_unet, "SD3Transformer2DModel": single_files.original_sd3, "AuraFlowTransformer2DModel": single_files.original_auraflow,
             "HunyuanDiT2DModel": single_files.original_hunyuan, "Lumina2Transformer2DModel": single_files.original_lumina2}
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")


def original_names(model):
    """The makers' name of each tensor -> (ours, several where it is fused, whether its halves are swapped)."""
    state = model.state_dict()
    saved, names = {k: v.clone() for k, v in state.items()}, list(state)
    for i, v in enumerate(state.values()):  # each row says which it is
        v.copy_((i + torch.arange(v.shape[0]) / (2 * v.shape[0])).reshape(-1, *[1] * (v.ndim - 1)))
    out = {}
    for name, v in ORIGINALS[type(model).__name__](model).items():
        if name == "norm_final.weight":  # of Lumina 2, which nothing reads
            continue
        rows = v.reshape(v.shape[0], -1)[:, 0]
        out[name] = [names[int(i)] for i in rows.floor().unique_consecutive()], bool(rows[0] % 1)
    model.load_state_dict(saved)
    return out


def cut(tensor, own, swapped, state):
    """A tensor of the makers' as ours: own name -> piece."""
    pieces = tensor.split([state[k].shape[0] for k in own])
    return {k: torch.cat(v.chunk(2)[::-1]) if swapped else v for k, v in zip(own, pieces)}


def linears(part):
    return {n: m for n, m in part.named_modules() if isinstance(m, torch.nn.Linear)}


def targets_of(name, part, original):
    """Layers as a dialect calls them -> what makes them up, as original_names has it."""
    layers = linears(part)
    if name == "transformer" and original:
        return {n.removesuffix(".weight"): own for n, own in original_names(part).items()
                if n.endswith(".weight") and all(k.removesuffix(".weight") in layers for k in own[0])}
    clip = type(part).__name__.startswith("CLIP")
    front = lambda n: "text_model." if clip and not n.startswith(("text_model.", "text_projection")) else ""  # noqa: E731
    return {front(n) + n: ([f"{n}.weight"], False) for n in layers}


def write(r, parts, path, encoders=ENCODERS):
    """A LoRA over the transformer and some of the encoders in one dialect. -> its name, what it adds to the weights."""
    dialect, file, deltas = r.choice(["peft", "kohya"]) + r.choice(["", " with the makers' names"]), {}, {}
    peft, original = dialect.startswith("peft"), dialect.endswith("names")
    first = "lora_te1_" if "text_encoder_2" in parts else r.choice(["lora_te_", "lora_te1_"])
    kohya = {"transformer": "lora_unet_", "text_encoder": first, "text_encoder_2": "lora_te2_", "text_encoder_3": "lora_te3_"}
    makers = r.choice(["diffusion_model.", "base_model.model.", ""])  # ComfyUI's, PEFT's own (Tencent's), DiffSynth's
    for part in ["transformer"] + [n for n in encoders if n in parts and r.random() < 0.6]:
        state = parts[part].state_dict()
        for name, (own, swapped) in targets_of(part, parts[part], original).items():
            if r.random() < 0.4:
                continue
            rank, alpha, g = r.randrange(1, 5), r.choice([None, 1.0, 3.0, 8.0]), generator(r.randrange(2**30))
            columns = state[own[0]].shape[1]
            down = torch.randn(rank, columns, generator=g) / columns**0.5
            up = torch.randn(sum(state[k].shape[0] for k in own), rank, generator=g) * 0.4
            front = makers if original and part == "transformer" else f"{part}."
            key = front + name if peft else kohya[part] + name.replace(".", "_")
            leaves = ("lora_A", "lora_B") if peft else ("lora_down", "lora_up")
            file |= {f"{key}.{leaves[0]}.weight": down, f"{key}.{leaves[1]}.weight": up}
            if alpha:
                file[f"{key}.alpha"] = torch.tensor(alpha)
            for k, piece in cut(up @ down * ((alpha or rank) / rank), own, swapped, state).items():
                deltas[part, k] = piece
    save_file(file, path)
    return dialect, deltas


def add(parts, deltas, weight):
    """-> what `restore` wants"""
    saved = {n: {k: v.clone() for k, v in p.state_dict().items()} for n, p in parts.items()}
    for (part, name), delta in deltas.items():
        parts[part].state_dict()[name].add_(delta, alpha=weight)
    return saved


def restore(parts, saved):
    for name, state in saved.items():
        parts[name].load_state_dict(state)
