#!/usr/bin/env python3
"""Put the trained parts together as a diffusers FluxPipeline directory, float16 safetensors."""
import glob, json, os, shutil
import torch
from safetensors.torch import load_file, save_file
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
import emoji as D
import train_flow, train_vae


def main():
    a = D.arguments(__doc__, run="run", out="model", raw=(False, "the raw weights in place of their moving average"))
    s = torch.load(os.path.join(a.run, "vae.pt"), map_location="cpu")
    st = D.read_json(a.run, "vae.json")
    vae = train_vae.build(*s["sizes"])
    vae.load_state_dict(s["ema"])
    vae.register_to_config(scaling_factor=st["scale"], shift_factor=st["shift"])
    f, toks = torch.load(os.path.join(a.run, "flow.pt"), map_location="cpu"), train_flow.tokenizers(a.run)
    model = train_flow.build(f["cfg"], *toks)
    with torch.no_grad():
        torch._foreach_copy_(list(model.parameters()), f["raw" if a.raw else "ema"])
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=f["shift"], use_dynamic_shifting=False), vae=vae,
        text_encoder=model["clip"], tokenizer=toks[0], text_encoder_2=model["t5"], tokenizer_2=toks[1],
        transformer=model["flux"])
    shutil.rmtree(a.out, ignore_errors=True)
    pipe.to(torch.float16).save_pretrained(a.out)
    for part in ("tokenizer", "tokenizer_2"):    # the trained files: vocab.json, merges.txt, spiece.model
        shutil.copytree(os.path.join(a.run, part), os.path.join(a.out, part), dirs_exist_ok=True)
    p = os.path.join(a.out, "text_encoder", "model.safetensors")      # the key names that Flux checkpoints have
    save_file({"text_model." + k.removeprefix("text_model."): v for k, v in load_file(p).items()}, p, {"format": "pt"})
    p = os.path.join(a.out, "model_index.json")
    index = json.load(open(p))
    json.dump({**index, "tokenizer_2": ["transformers", "T5TokenizerFast"]}, open(p, "w"), indent=2)
    for p in glob.glob(os.path.join(a.out, "**", "*config.json"), recursive=True):        # no local paths
        c = {k: v for k, v in json.load(open(p)).items() if k not in ("_name_or_path", "name_or_path")}
        json.dump(c, open(p, "w"), indent=2)
    size = lambda kind: sum(os.path.getsize(p) for p in glob.glob(os.path.join(a.out, "**", kind), recursive=True)
                            if os.path.isfile(p)) / 1e6
    print(f"{a.out}: {size('*'):.2f} MB, {size('*.safetensors'):.2f} MB of it weights, "
          f"trained {f['step']} steps of {f['batch']} in {f['spent']:.0f}s")


if __name__ == "__main__":
    main()
