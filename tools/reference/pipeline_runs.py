"""What the scripts of whole pipelines share: cases run by the reference, described, and checked to depend on every part.

A case: prompt, negative (left out: None), width, height, steps, guidance, seed, count, given (latents of a file), binning,
options (further arguments of the reference's call). cases.json has one object a case; case_N.safetensors final_latents
[B,C,h,w] (what the VAE decodes, before its scaling and shift are undone), latents.<step>, initial_latents_nchw where they
were given, image_u8 [B,H,W,3]. Image i has the seed of the case + i, one generator each.
"""

import json

import torch

from common import generator, redraw, save_tensors, write_json


def save_folder(pipe, parts, folder, class_name=None):
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    pipe.save_config(folder)
    index = folder / "model_index.json"
    config = {k: v for k, v in json.loads(index.read_text()).items() if k != "_name_or_path"}
    if class_name:
        config["_class_name"] = class_name
    index.write_text(json.dumps(config, indent=2) + "\n")


def arguments(pipe, case, shape):
    count = case.get("count", 1)
    out = dict(prompt=case["prompt"], width=case["width"], height=case["height"], num_inference_steps=case["steps"],
               guidance_scale=case["guidance"], num_images_per_prompt=count, **case.get("options", {}))
    if "negative" in case:
        out["negative_prompt"] = case["negative"]
    out["generator"] = [generator(case["seed"] + i) for i in range(count)]
    initial = None
    if case.get("given"):  # not what the seed would give
        initial = torch.rand(count, *shape, generator=generator(case["seed"])) * 3 - 1.5
        out["latents"] = initial
    return out, initial


def run(pipe, case, channels):
    passed, initial = arguments(pipe, case, (channels, case["height"] // 8, case["width"] // 8))
    steps = {}

    def keep(_pipe, index, _t, values):
        steps[f"latents.{index}"] = values["latents"].clone()
        return {}

    image = pipe(**passed, output_type="pt", callback_on_step_end=keep, callback_on_step_end_tensor_inputs=["latents"]).images
    tensors = {**steps, "final_latents": steps[f"latents.{len(steps) - 1}"], "image": image,
               "image_u8": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)}
    return tensors | ({"initial_latents_nchw": initial} if initial is not None else {})


def describe(case, index):
    return {"file": f"case_{index}.safetensors", "prompt": case["prompt"], "negative_prompt": case.get("negative"),
            "width": case["width"], "height": case["height"], "num_inference_steps": case["steps"],
            "guidance_scale": case["guidance"], "seed": case["seed"], "count": case.get("count", 1),
            "latents_given": case.get("given", False), **{k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in case.get("options", {}).items()}}


def check_parts(pipe, case, channels, texts):
    """Every part must be seen in what is compared: the latents or the picture."""
    def outcome():
        t = run(pipe, case, channels)
        return t["final_latents"], t["image"]

    before = outcome()
    for name, which in [(text, 0) for text in texts] + [("transformer", 0), ("vae", 1)]:
        part = getattr(pipe, name)
        saved = {k: v.clone() for k, v in part.state_dict().items()}
        redraw(part, 1)
        moved = ((outcome()[which] - before[which]).abs().max() / before[which].std()).item()
        part.load_state_dict(saved)
        if moved < 0.05:
            raise SystemExit(f"{name} hardly matters: {moved:.3f}")
        print(f"  another {name} moves the result by {moved:.2f}")


def write_cases(pipe, folder, cases, channels):
    for index, case in enumerate(cases):
        tensors = run(pipe, case, channels)
        image = tensors.pop("image")
        save_tensors(folder / f"case_{index}.safetensors", tensors)
        cut = ((image <= 0) | (image >= 1)).float().mean()
        print(f"  case {index}: latents std {tensors['final_latents'].std():.2f}, cut pixels {cut:.0%}")
    write_json(folder / "cases.json", [describe(case, index) for index, case in enumerate(cases)])
