"""tests/fixtures/networks/clip_*, t5_* and umt5_*: CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel and
UMT5EncoderModel of transformers.

A case may have several inputs: io.safetensors and io_<name>.safetensors.
"""

import json

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from common import Inner, check_alive, fresh_folder, generator, redraw, report, round_parameters, save_tensors

CLIP = {
    # Pooled at the highest id (the published files say eos_token_id 2); the folder as transformers 5 writes it.
    "clip_quick_gelu": dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=3, intermediate_size=40,
                            hidden_act="quick_gelu", vocab_size=99, max_position_embeddings=16, bos_token_id=0,
                            eos_token_id=2, pad_token_id=1, projection_dim=12),
    # Pooled at the first eos_token_id, higher ids before and after it; the older layout of keys.
    "clip_gelu_old_keys": dict(hidden_size=20, num_attention_heads=4, num_hidden_layers=2, intermediate_size=52,
                               hidden_act="gelu", vocab_size=80, max_position_embeddings=13, bos_token_id=49,
                               eos_token_id=50, pad_token_id=50, layer_norm_eps=1e-3, projection_dim=12),
    "clip_projection": dict(hidden_size=28, num_attention_heads=2, num_hidden_layers=2, intermediate_size=36,
                            hidden_act="gelu", vocab_size=70, max_position_embeddings=12, bos_token_id=68,
                            eos_token_id=69, pad_token_id=0, projection_dim=18),
    # Only model.fp16.safetensors in the folder.
    "clip_fp16_variant": dict(hidden_size=32, num_attention_heads=2, num_hidden_layers=2, intermediate_size=48,
                              hidden_act="quick_gelu", vocab_size=60, max_position_embeddings=10, bos_token_id=58,
                              eos_token_id=59, pad_token_id=59, projection_dim=32),
}
T5 = {
    "t5_gated": dict(d_model=24, d_kv=6, num_heads=3, d_ff=40, num_layers=3, feed_forward_proj="gated-gelu",
                     vocab_size=70, relative_attention_num_buckets=8, relative_attention_max_distance=12),
    "t5_relu_old_keys": dict(d_model=28, d_kv=10, num_heads=4, d_ff=36, num_layers=2, feed_forward_proj="relu",
                             vocab_size=50, layer_norm_epsilon=1e-3),
    "t5_gated_f16": dict(d_model=32, d_kv=8, num_heads=2, d_ff=48, num_layers=2, feed_forward_proj="gated-gelu",
                         vocab_size=60, relative_attention_num_buckets=10, relative_attention_max_distance=20),
    # Every layer has a position bias of its own.
    "umt5_gated": dict(d_model=20, d_kv=8, num_heads=3, d_ff=36, num_layers=3, feed_forward_proj="gated-gelu",
                       vocab_size=66, relative_attention_num_buckets=12, relative_attention_max_distance=18),
    "umt5_relu_f16": dict(d_model=24, d_kv=6, num_heads=2, d_ff=44, num_layers=2, feed_forward_proj="relu", vocab_size=54,
                          relative_attention_num_buckets=8, relative_attention_max_distance=10, layer_norm_epsilon=1e-4),
}


def prompts(seed, config, length):
    """Three rows: short with padding, ids above the eos in it, filled to the end."""
    g = generator(seed)
    eos = config.vocab_size - 1 if config.eos_token_id == 2 else config.eos_token_id
    ids = torch.full((3, length), config.pad_token_id, dtype=torch.int64)
    for row, count in enumerate((3, length // 2, length - 2)):
        words = torch.randint(3, config.vocab_size - 2, (count,), generator=g)
        words[words == eos] = 3
        ids[row, 0] = config.bos_token_id
        ids[row, 1:count + 1] = words
        ids[row, count + 1] = eos
    return ids


def save(model, folder, dtype):
    if dtype != torch.float32:
        model.to(dtype)
    model.save_pretrained(folder, variant="fp16" if folder.name.endswith("variant") else None)


def older_config(folder):
    """`torch_dtype` for `dtype` and what older versions wrote beside it."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.43.3"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def rewrite_weights(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def clip_older_keys(weights, length):
    return {f"text_model.{k}" if not k.startswith("text_model.") else k: v for k, v in weights.items()} | {
        "text_model.embeddings.position_ids": torch.arange(length)[None]}


def make_clip(index, name, settings):
    dtype = torch.float16 if "fp16" in name else torch.float32
    config = CLIPTextConfig(**settings)
    cls = CLIPTextModelWithProjection if "projection" in name else CLIPTextModel
    model = redraw(cls(config), 300 + index)
    round_parameters(model, dtype)
    folder = fresh_folder("networks", name)
    length = config.max_position_embeddings
    for io, used in (("io", length), ("io_short", length - 4)):
        ids = prompts(310 + index + used, config, used)
        run = lambda: model(ids, output_hidden_states=True)
        pooled = lambda out: out.text_embeds if cls is CLIPTextModelWithProjection else out.pooler_output
        if io == "io":
            least, where = check_alive(model, lambda: [run().last_hidden_state, pooled(run())])
        root = model.text_model if cls is CLIPTextModelWithProjection else model
        inner = Inner(root, {"embeddings": "embeddings", "encoder.layers.0.self_attn": ("layers.0.self_attn",),
                             "encoder.layers.0.mlp": "layers.0.mlp"})
        out = run()
        tensors = {"input.input_ids": ids, "output.last_hidden_state": out.last_hidden_state,
                   "output.text_embeds" if cls is CLIPTextModelWithProjection else "output.pooler_output": pooled(out)}
        tensors |= {f"output.hidden_states.{i}": h for i, h in enumerate(out.hidden_states)} | inner.take()
        save_tensors(folder / f"{io}.safetensors", tensors)
    save(model, folder, dtype)
    if "old_keys" in name:
        older_config(folder)
        rewrite_weights(folder, lambda w: clip_older_keys(w, length))
    again = cls.from_pretrained(folder, dtype=torch.float32, variant="fp16" if dtype != torch.float32 else None)
    assert torch.equal(again(ids).last_hidden_state, out.last_hidden_state)
    report(folder, f"std {out.last_hidden_state.std():.2f}, least {least:.3f} {where}")


def make_t5(index, name, settings):
    dtype = torch.float16 if "f16" in name else torch.float32
    config_class, cls = (UMT5Config, UMT5EncoderModel) if name.startswith("umt5") else (T5Config, T5EncoderModel)
    config = config_class(**settings, is_encoder_decoder=False, use_cache=False)
    model = redraw(cls(config), 400 + index)
    round_parameters(model, dtype)
    folder = fresh_folder("networks", name)
    length = 5 * config.relative_attention_max_distance // 4 + 3  # further apart than the last bucket begins
    ids = torch.randint(2, config.vocab_size, (2, length), generator=generator(410 + index))
    ids[:, -1] = 1
    ids[1, length // 2:] = 0
    mask = (ids != 0).long()
    for io, extra in (("io", {}), ("io_masked", {"attention_mask": mask})):
        run = lambda: model(ids, output_hidden_states=True, **extra)
        if io == "io":
            least, where = check_alive(model, lambda: [run().last_hidden_state])
        first = model.encoder.block[0]
        inner = Inner(first, {"layer.0": ("block.0.layer.0",), "layer.1": "block.0.layer.1"})
        out = run()
        tensors = {"input.input_ids": ids, "output.last_hidden_state": out.last_hidden_state} | inner.take()
        tensors |= {f"input.{k}": v for k, v in extra.items()}
        bias = first.layer[0].SelfAttention.compute_bias(length, length) if io == "io" and length < 100 else None
        if bias is not None:
            tensors["inner.position_bias"] = bias
        save_tensors(folder / f"{io}.safetensors", tensors)
    save(model, folder, dtype)
    if "old_keys" in name:
        older_config(folder)
        rewrite_weights(folder, lambda w: w | {"encoder.embed_tokens.weight": w["shared.weight"].clone()})
    again = cls.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(again(ids, **extra).last_hidden_state, out.last_hidden_state)
    report(folder, f"std {out.last_hidden_state.std():.2f}, least {least:.3f} {where}")


def main():
    for index, (name, settings) in enumerate(CLIP.items()):
        make_clip(index, name, settings)
    for index, (name, settings) in enumerate(T5.items()):
        make_t5(index, name, settings)


if __name__ == "__main__":
    main()
