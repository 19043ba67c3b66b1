"""What all scripts share: the size, the colours, captions, the placing of emojis on backgrounds, the command line."""
import argparse, json, os
import numpy as np
import torch
import torch.nn.functional as F

SIZE = 128     # images are SIZE x SIZE
BASE = 136     # the bitmap strike of the font is 136 x 128; the base canvas is square
COLORS = {"white": (255, 255, 255), "black": (20, 20, 20), "gray": (150, 150, 150), "red": (226, 52, 52),
          "orange": (250, 150, 40), "yellow": (255, 228, 80), "green": (60, 170, 75), "blue": (52, 112, 232),
          "purple": (140, 70, 200), "pink": (255, 160, 200)}
CNAMES = list(COLORS)
OPENINGS = ["a picture of ", "an emoji of ", "an icon of ", "draw "]     # of one caption in ten


def arguments(doc, common=True, **defaults):
    """Command line: name=default or name=(default, help); a False makes a flag; common: --device, --threads."""
    ap = argparse.ArgumentParser(description=doc)
    if common:
        defaults.update(device=("cpu", "cpu or cuda"), threads=(2, "CPU threads"))
    for name, v in defaults.items():
        v, text = v if isinstance(v, tuple) else (v, None)
        kw = {"action": "store_true"} if v is False else {"default": v, "type": type(v)} if not isinstance(v, list) \
            else {"default": v, "type": type(v[0]), "nargs": "+"}
        ap.add_argument("--" + name.replace("_", "-"), help=text, **kw)
    a = ap.parse_args()
    if common:
        torch.set_num_threads(a.threads)
        torch.manual_seed(0)
        torch.set_flush_denormal(True)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return a


def article(name):
    return ("an " if name[0] in "aeiou" else "a ") + name


def caption(subject, color, form, is_name):
    """One caption; color None means: not named, the background is white."""
    s = article(subject) if is_name and form % 2 else subject
    return s if color is None else [f"{s} on {article(color)} background", f"{s} on {color}",
                                    f"{s}, {color} background"][(form // 2) % 3]


def sample_caption(c, color, rng):
    """A random training caption of concept c on the background color (an index of CNAMES)."""
    ones, more = ([k for k in c["keysets"] if (len(k) == 1) == one] for one in (True, False))
    r = rng.random()       # the name, a keyword that says it all (used like a name), several keywords
    kind = "name" if r < 0.5 else "one" if ones and (r < 0.75 or not more) else "more" if more else "name"
    is_name = kind != "more"
    s = c["name"] if kind == "name" else " ".join(rng.sample(k := rng.choice(ones if is_name else more), len(k)))
    if s in c["held"]:
        s, is_name = c["name"], True
    col = None if color == 0 and rng.random() < 0.8 else CNAMES[color]
    text = caption(s, col, rng.choice([0, 1, 0, 1, 2, 3, 4, 5]) if col else rng.randrange(2), is_name)
    return rng.choice(OPENINGS) + text if rng.random() < 0.1 else text


def place(base, color, scale, dx, dy):
    """base (B,4,BASE,BASE) premultiplied 0..1, color (B,3) 0..1 -> (B,3,SIZE,SIZE) in -1..1.
    scale: side of the base canvas in output pixels, dx, dy: shift in output pixels."""
    theta = torch.zeros(len(base), 2, 3, device=base.device)
    theta[:, 0, 0] = theta[:, 1, 1] = SIZE / scale
    theta[:, 0, 2], theta[:, 1, 2] = -dx * 2 / scale, -dy * 2 / scale
    grid = F.affine_grid(theta, (len(base), 4, SIZE, SIZE), align_corners=False)
    x = F.grid_sample(base, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (x[:, :3] + (1 - x[:, 3:]) * color[:, :, None, None]) * 2 - 1


def color_table(device="cpu"):
    return torch.tensor([COLORS[c] for c in CNAMES], dtype=torch.float32, device=device) / 255


def read_json(*path):
    with open(os.path.join(*path)) as f:
        return json.load(f)


def load(path):
    base = torch.from_numpy(np.load(os.path.join(path, "base.npz"))["rgba"]).permute(0, 3, 1, 2).contiguous()
    return base, read_json(path, "concepts.json")
