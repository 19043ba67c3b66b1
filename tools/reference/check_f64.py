"""How much of the bar the reference's own rounding takes: every network and pipeline fixture computed again in f64.

The bar is max |a - b| / std(b) <= 1e-4 for a network and 1e-3 for a run; the reference in f32 must stay under a tenth.
"""

import json

import diffusers
import torch
import transformers
from safetensors.torch import load_file

from common import FIXTURES


def difference(a, b):
    return ((a.double() - b).abs().max() / b.std()).item()


def class_of(config):
    name = config.get("_class_name") or config["architectures"][0]
    return getattr(diffusers, name, None) or getattr(transformers, name)


def outputs(model, inputs):
    if isinstance(model, diffusers.AutoencoderKL):
        posterior = model.encode(inputs["sample"]).latent_dist
        return {"mean": posterior.mean, "logvar": posterior.logvar, "sample": model.decode(inputs["latent"]).sample}
    out = model(**inputs)
    return {"": out.sample} if "sample" in out else {"last_hidden_state": out.last_hidden_state}


def network(folder):
    model = class_of(json.loads((folder / "config.json").read_text())).from_pretrained(
        folder, dtype=torch.float32, variant="fp16" if folder.name.endswith("variant") else None).double().eval()
    worst = 0.0
    for path in sorted(folder.glob("io*.safetensors")):
        stored = load_file(path)
        inputs = {k[6:]: v.double() if v.is_floating_point() else v for k, v in stored.items() if k.startswith("input.")}
        for name, value in outputs(model, inputs).items():
            worst = max(worst, difference(stored[f"output.{name}".rstrip(".")], value))
    return worst


def pipeline(folder):
    pipe = diffusers.FluxPipeline.from_pretrained(folder, dtype=torch.float32).to(torch.float64)
    pipe.set_progress_bar_config(disable=True)
    worst = 0.0
    for case in json.loads((folder / "cases.json").read_text()):
        stored = load_file(folder / case["file"])
        image = pipe(case["prompt"], negative_prompt=case["negative_prompt"], true_cfg_scale=case["true_cfg_scale"],
                     width=case["width"], height=case["height"], num_inference_steps=case["num_inference_steps"],
                     guidance_scale=case["guidance_scale"], num_images_per_prompt=case["count"],
                     max_sequence_length=case["max_sequence_length"], latents=stored["initial_latents"].double(),
                     output_type="pt").images
        worst = max(worst, difference(stored["image"], image))
    return worst


def main():
    for kind, measure, bar in (("networks", network, 1e-4), ("pipelines", pipeline, 1e-3)):
        for folder in sorted(p for p in (FIXTURES / kind).iterdir() if p.is_dir()):
            worst = measure(folder)
            print(f"{kind}/{folder.name}: {worst:.1e}", flush=True)
            if worst > bar / 10:
                raise SystemExit("too sensitive to rounding: the bar could not be kept")


if __name__ == "__main__":
    main()
