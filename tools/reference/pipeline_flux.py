"""tests/fixtures/pipelines/flux_tiny_dev and flux_tiny_schnell: whole FluxPipeline folders and what they draw.

cases.json: [{"file", "prompt", ..., what was passed; "mu", "timesteps", "sigmas", token ids}]; case_N.safetensors:
initial_latents and latents.<step> packed [B,tokens,4C], initial_latents_nchw and final_latents [B,C,h,w] (what the VAE
decodes, before scaling and shift are undone), noise_pred.0 (the transformer's first answer, after true guidance; found back from the first step),
prompt_embeds, pooled_prompt_embeds (negative_*), image [B,3,H,W] in 0..1, image_u8 [B,H,W,3].
Image i of a case has the seed of the case + i, one generator each.
"""

import json

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

import tiny_tokenizers
from common import FIXTURES, fresh_folder, generator, redraw, report, save_tensors, write_json

LONG = ("a watercolour painting of a small house beside the river in autumn, soft light, highly detailed, "
        "with a golden dragon made of paper, an old sailor, three green apples and 10 cherries, ") * 3

FOLDERS = {
    "flux_tiny_dev": dict(
        seed=700, clip_length=77, merges=90, pieces=150, rule="nmt_nfkc", fast=False,
        clip=dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2, intermediate_size=48,
                  hidden_act="quick_gelu", eos_token_id=2, projection_dim=24),
        t5=dict(d_model=28, d_kv=8, num_heads=3, d_ff=40, num_layers=2, feed_forward_proj="gated-gelu"),
        transformer=dict(in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=12,
                         num_attention_heads=2, guidance_embeds=True, axes_dims_rope=(4, 4, 4)),
        vae=dict(block_out_channels=(4, 8, 8, 12), layers_per_block=1, latent_channels=4, norm_num_groups=4,
                 scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        scheduler=dict(shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256,
                       max_image_seq_len=4096),
        cases=[
            dict(prompt="a red heart on a blue background", width=64, height=64, steps=4, guidance=3.5, seed=0, length=64),
            dict(prompt="the quick brown fox", width=80, height=48, steps=1, guidance=1.0, seed=7, length=48),
            dict(prompt="a golden dragon", negative="blurry, low quality", true_cfg=4.0, width=32, height=64, steps=5,
                 guidance=2.0, seed=3, length=64),
            dict(prompt="three green apples", width=48, height=32, steps=2, guidance=3.5, seed=5, length=32, count=3),
            dict(prompt=LONG, width=48, height=48, steps=3, guidance=5.0, seed=11, length=64),
            dict(prompt="Ein süßer Fuchs 🦊, 東京の夜\t（ネオン）  ½ ﬁnal", width=48, height=48, steps=6, guidance=3.5, seed=12,
                 length=64),
            dict(prompt="a boat's sail", width=64, height=32, steps=7, guidance=0.0, seed=13, length=20, given=True),
            dict(prompt="", width=32, height=32, steps=8, guidance=3.5, seed=2**33 + 5, length=None),
            dict(prompt="a city street at night", negative="", true_cfg=1.5, width=32, height=32, steps=2, guidance=3.5,
                 seed=1, length=32, count=2),
            dict(prompt="a city street at night", negative="unused", true_cfg=1.0, width=16, height=16, steps=2,
                 guidance=3.5, seed=1, length=32),
        ]),
    "flux_tiny_schnell": dict(
        seed=800, clip_length=24, merges=40, pieces=120, rule="identity", fast=True,
        clip=dict(hidden_size=20, num_attention_heads=2, num_hidden_layers=2, intermediate_size=36, hidden_act="gelu",
                  projection_dim=20),
        t5=dict(d_model=20, d_kv=6, num_heads=2, d_ff=44, num_layers=2, feed_forward_proj="gated-gelu"),
        transformer=dict(in_channels=64, num_layers=2, num_single_layers=1, attention_head_dim=8,
                         num_attention_heads=3, guidance_embeds=False, axes_dims_rope=(2, 2, 4)),
        vae=dict(block_out_channels=(6, 9, 12), layers_per_block=1, latent_channels=16, norm_num_groups=3,
                 scaling_factor=0.7, shift_factor=-0.05, use_quant_conv=False, use_post_quant_conv=False),
        scheduler=dict(shift=1.0),
        cases=[
            dict(prompt="a red heart on a blue background", width=48, height=48, steps=4, guidance=0.0, seed=1234, length=32),
            dict(prompt="a fox", width=96, height=32, steps=1, guidance=0.0, seed=42, length=256),
            dict(prompt="an astronaut riding a horse on the moon (1969)", width=32, height=40, steps=2, guidance=0.0, seed=9,
                 length=32, count=2),
            dict(prompt="two yellow pears", negative="text, watermark", true_cfg=2.5, width=32, height=32, steps=3,
                 guidance=0.0, seed=10, length=32),
            dict(prompt="ÜBER Straße 🎨🎨 don't: " + LONG, width=24, height=56, steps=8, guidance=0.0, seed=11, length=40),
            dict(prompt="the sea, the sea!", width=32, height=32, steps=5, guidance=0.0, seed=14, length=16, given=True,
                 count=2),
        ]),
}


def build(folder, spec):
    seed = spec["seed"]
    words = tiny_tokenizers.clip(folder / "tokenizer", spec["merges"], spec["clip_length"], spec["fast"])
    pieces = tiny_tokenizers.t5(folder / "tokenizer_2", spec["pieces"], 512, spec["rule"], spec["fast"])
    clip = {"eos_token_id": words - 1, **spec["clip"]}
    clip = CLIPTextConfig(vocab_size=words, max_position_embeddings=spec["clip_length"], bos_token_id=words - 2,
                          pad_token_id=words - 1, **clip)
    t5 = T5Config(vocab_size=pieces, is_encoder_decoder=False, use_cache=False, **spec["t5"])
    levels = len(spec["vae"]["block_out_channels"])
    parts = {
        "text_encoder": redraw(CLIPTextModel(clip), seed),
        "text_encoder_2": redraw(T5EncoderModel(t5), seed + 1),
        "transformer": redraw(FluxTransformer2DModel(
            joint_attention_dim=t5.d_model, pooled_projection_dim=clip.hidden_size, **spec["transformer"]), seed + 2),
        "vae": redraw(AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * levels,
                                    up_block_types=("UpDecoderBlock2D",) * levels, **spec["vae"]), seed + 3),
        "scheduler": FlowMatchEulerDiscreteScheduler(**spec["scheduler"]),
    }
    pipe = FluxPipeline(tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
                        tokenizer_2=T5TokenizerFast.from_pretrained(folder / "tokenizer_2"), **parts)
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    pipe.save_config(folder)
    index = folder / "model_index.json"
    config = {k: v for k, v in json.loads(index.read_text()).items() if k != "_name_or_path"}
    config["tokenizer_2"] = ["transformers", "T5TokenizerFast"]  # what published folders say
    index.write_text(json.dumps(config, indent=2) + "\n")
    pipe = FluxPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def arguments(pipe, case):
    count = case.get("count", 1)
    out = dict(prompt=case["prompt"], width=case["width"], height=case["height"], num_inference_steps=case["steps"],
               guidance_scale=case["guidance"], num_images_per_prompt=count)
    if case["length"] is not None:
        out["max_sequence_length"] = case["length"]
    if "negative" in case:
        out |= {"negative_prompt": case["negative"], "true_cfg_scale": case["true_cfg"]}
    channels, patch = pipe.transformer.config.in_channels // 4, 2 * pipe.vae_scale_factor
    shape = (channels, 2 * (case["height"] // patch), 2 * (case["width"] // patch))
    initial = torch.stack([torch.randn(1, *shape, generator=generator(case["seed"] + i))[0] for i in range(count)])
    if case.get("given"):  # not what the seed would give
        initial = torch.rand(count, *shape, generator=generator(case["seed"])) * 3 - 1.5
        out["latents"] = FluxPipeline._pack_latents(initial, count, *shape)
    else:
        out["generator"] = [generator(case["seed"] + i) for i in range(count)]
    return out, initial


def run(pipe, case):
    passed, initial = arguments(pipe, case)
    count, steps = case.get("count", 1), {}

    def keep(_pipe, index, _t, values):
        steps[f"latents.{index}"] = values["latents"].clone()
        return {}

    image = pipe(**passed, output_type="pt", callback_on_step_end=keep).images
    packed = FluxPipeline._pack_latents(initial, count, *initial.shape[1:])
    final = steps[f"latents.{case['steps'] - 1}"]
    sigmas = pipe.scheduler.sigmas
    tensors = {
        "initial_latents": packed, "initial_latents_nchw": initial,
        "final_latents": FluxPipeline._unpack_latents(final, case["height"], case["width"], pipe.vae_scale_factor),
        "noise_pred.0": (steps["latents.0"] - packed) / (sigmas[1] - sigmas[0]), **steps, "image": image,
        "image_u8": (image.permute(0, 2, 3, 1) * 255).round().to(torch.uint8),
    }
    length = {"max_sequence_length": case["length"]} if case["length"] is not None else {}
    used = case.get("true_cfg", 1.0) > 1
    for prefix, prompt in (("", case["prompt"]), ("negative_", case.get("negative") if used else None)):
        if prompt is not None:
            embeds, pooled, _ = pipe.encode_prompt(prompt, **length)
            tensors |= {f"{prefix}prompt_embeds": embeds, f"{prefix}pooled_prompt_embeds": pooled}
    return tensors


def ids(pipe, text, length):
    options = dict(padding="max_length", truncation=True)
    return {"clip_ids": pipe.tokenizer(text, max_length=pipe.tokenizer_max_length, **options).input_ids,
            "t5_ids": pipe.tokenizer_2(text, max_length=length, **options).input_ids}


def describe(pipe, case, index, tensors):
    scheduler, tokens = pipe.scheduler.config, tensors["initial_latents"].shape[1]
    mu = calculate_shift(tokens, scheduler.base_image_seq_len, scheduler.max_image_seq_len, scheduler.base_shift,
                         scheduler.max_shift)
    length = case["length"] or 512
    out = {"file": f"case_{index}.safetensors", "prompt": case["prompt"], "negative_prompt": case.get("negative"),
           "true_cfg_scale": case.get("true_cfg", 1.0), "width": case["width"], "height": case["height"],
           "num_inference_steps": case["steps"], "guidance_scale": case["guidance"], "seed": case["seed"],
           "count": case.get("count", 1), "max_sequence_length": length, "latents_given": case.get("given", False),
           "mu": mu, "timesteps": pipe.scheduler.timesteps.tolist(), "sigmas": pipe.scheduler.sigmas.tolist(),
           **ids(pipe, case["prompt"], length)}
    if "negative" in case:
        out |= {f"negative_{k}": v for k, v in ids(pipe, case["negative"], length).items()}
    return out


def check_parts(pipe, case):
    """Every part must be seen in what is compared: the latents or the picture."""
    def outcome():
        t = run(pipe, case)
        return t["final_latents"], t["image"]

    before = outcome()
    for name, which in (("text_encoder", 0), ("text_encoder_2", 0), ("transformer", 0), ("vae", 1)):
        part = getattr(pipe, name)
        saved = {k: v.clone() for k, v in part.state_dict().items()}
        redraw(part, 1)
        moved = ((outcome()[which] - before[which]).abs().max() / before[which].std()).item()
        part.load_state_dict(saved)
        if moved < 0.05:
            raise SystemExit(f"{name} hardly matters: {moved:.3f}")
        print(f"  another {name} moves the result by {moved:.2f}")


def main():
    for name, spec in FOLDERS.items():
        folder = fresh_folder("pipelines", name)
        pipe = build(folder, spec)
        check_parts(pipe, spec["cases"][0])
        described = []
        for index, case in enumerate(spec["cases"]):
            tensors = run(pipe, case)
            save_tensors(folder / f"case_{index}.safetensors", tensors)
            described.append(describe(pipe, case, index, tensors))
            cut = ((tensors["image"] <= 0) | (tensors["image"] >= 1)).float().mean()
            print(f"  case {index}: latents std {tensors['final_latents'].std():.2f}, cut pixels {cut:.0%}")
        write_json(folder / "cases.json", described)
        report(folder)
    tokens = [1, 16, 64, 96, 255, 256, 1024, 3456, 4096, 8100]
    shifts = [{}, {"base_seq_len": 128, "max_seq_len": 2048, "base_shift": 0.3, "max_shift": 2.05}]
    write_json(FIXTURES / "pipelines" / "calculate_shift.json", [
        {**s, "image_seq_len": n, "mu": calculate_shift(n, **s)} for s in shifts for n in tokens])


if __name__ == "__main__":
    main()
