"""tests/fixtures/networks/bert_*, gemma2_* and mt5_*: BertModel, Gemma2Model, Gemma2ForCausalLM, MT5EncoderModel of
transformers.

A case has several inputs: io.safetensors and io_<name>.safetensors.
"""

import json

import torch
from safetensors.torch import load_file, save_file
from transformers import (BertConfig, BertModel, Gemma2Config, Gemma2ForCausalLM, Gemma2Model, MT5Config,
                          MT5EncoderModel)

from common import Inner, check_alive, fresh_folder, generator, redraw, report, round_parameters, save_tensors

BERT = {
    "bert_gelu": dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=3, intermediate_size=40,
                      vocab_size=90, max_position_embeddings=14, type_vocab_size=3),
    # As the oldest files have it: position_ids, gamma and beta; f16.
    "bert_old_keys_f16": dict(hidden_size=20, num_attention_heads=2, num_hidden_layers=2, intermediate_size=52,
                              vocab_size=60, max_position_embeddings=11, hidden_act="gelu_new", layer_norm_eps=1e-3),
    # Under the prefix that BERT's heads give it.
    "bert_decoder": dict(hidden_size=16, num_attention_heads=4, num_hidden_layers=2, intermediate_size=28,
                         vocab_size=50, max_position_embeddings=9, hidden_act="relu", is_decoder=True),
}
GEMMA2 = {
    # more heads than hidden_size has room for, a window shorter than the text
    "gemma2_grouped": dict(hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
                           num_hidden_layers=4, intermediate_size=40, vocab_size=70, sliding_window=4,
                           query_pre_attn_scalar=7, attn_logit_softcapping=3.0, final_logit_softcapping=2.0),
    "gemma2_listed_bf16": dict(hidden_size=28, num_attention_heads=2, num_key_value_heads=1, head_dim=6,
                               num_hidden_layers=3, intermediate_size=36, vocab_size=50, sliding_window=3,
                               query_pre_attn_scalar=20, attn_logit_softcapping=1.5, attention_bias=True,
                               layer_types=["full_attention", "full_attention", "sliding_attention"],
                               hidden_activation="silu", rms_norm_eps=1e-3,
                               rope_parameters={"rope_theta": 500.0, "rope_type": "default"}),
    "gemma2_causal_lm_uncapped": dict(hidden_size=16, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
                                      num_hidden_layers=2, intermediate_size=20, vocab_size=40, sliding_window=5,
                                      query_pre_attn_scalar=16, attn_logit_softcapping=None,
                                      final_logit_softcapping=1.5),
}
MT5 = {
    "mt5_gated_bf16": dict(d_model=24, d_kv=6, num_heads=3, d_ff=40, num_layers=3, vocab_size=70,
                           relative_attention_num_buckets=8, relative_attention_max_distance=12),
}


def prompts(seed, config, length, batch=3):
    """Ids with padding behind them, rows of different length."""
    ids = torch.randint(3, config.vocab_size, (batch, length), generator=generator(seed))
    mask = torch.ones_like(ids)
    for row, count in enumerate((length, 1, length // 2 + 1)[:batch]):
        ids[row, count:] = config.pad_token_id
        mask[row, count:] = 0
    return ids, mask


def write(folder, io, inputs, outputs, inner):
    save_tensors(folder / f"{io}.safetensors", {f"input.{k}": v for k, v in inputs.items()} |
                 {f"output.{k}": v for k, v in outputs.items()} | inner)


def make_bert(index, name, settings):
    config = BertConfig(**settings)
    model = redraw(BertModel(config), 900 + index)
    dtype = torch.float16 if name.endswith("f16") else torch.float32
    round_parameters(model, dtype)
    folder, length = fresh_folder("networks", name), config.max_position_embeddings
    ids, mask = prompts(910 + index, config, length - 2)
    g = generator(920 + index)
    drawn = lambda below: torch.randint(0, below, ids.shape, generator=g)
    cases = {"io": {}, "io_masked": {"attention_mask": mask},
             "io_all": {"attention_mask": mask, "token_type_ids": drawn(config.type_vocab_size),
                        "position_ids": drawn(length)}}
    for io, extra in cases.items():
        run = lambda: model(ids, **extra)
        if io == "io_all":
            least, where = check_alive(model, lambda: [run().last_hidden_state, run().pooler_output])
        inner = Inner(model, {"embeddings": "embeddings", "encoder.layer.0": "encoder.layer.0"})
        out = run()
        write(folder, io, {"input_ids": ids} | extra,
              {"last_hidden_state": out.last_hidden_state, "pooler_output": out.pooler_output}, inner.take())
    model.to(dtype).save_pretrained(folder)
    path = folder / "model.safetensors"
    if "decoder" in name:
        save_file({f"bert.{k}": v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
    if "old_keys" in name:
        rename = lambda k: k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        weights = {rename(k): v for k, v in load_file(path).items()}
        save_file(weights | {"embeddings.position_ids": torch.arange(length)[None]}, path, metadata={"format": "pt"})
    again = BertModel.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(again(ids, **extra).last_hidden_state, out.last_hidden_state)
    report(folder, f"std {out.last_hidden_state.std():.2f}, least {least:.3f} {where}")


def redraw_gemma(model, seed):
    """The weights of its norms are distances from 1."""
    redraw(model, seed)
    for name, p in model.named_parameters():
        if "norm" in name:
            p.sub_(1.0)
    return model


def make_gemma2(index, name, settings):
    config = Gemma2Config(**settings, attn_implementation="eager")
    cls = Gemma2ForCausalLM if "causal_lm" in name else Gemma2Model
    model = redraw_gemma(cls(config), 930 + index)
    dtype = torch.bfloat16 if name.endswith("bf16") else torch.float32
    round_parameters(model, dtype)
    folder = fresh_folder("networks", name)
    ids, mask = prompts(940 + index, config, 11)
    left = mask.flip(1)
    for io, extra in (("io", {}), ("io_masked", {"attention_mask": mask}), ("io_left", {"attention_mask": left})):
        run = lambda: model(ids, output_hidden_states=True, **extra)
        if io == "io":
            last = lambda out: out.logits if cls is Gemma2ForCausalLM else out.last_hidden_state
            least, where = check_alive(model, lambda: [last(run())])
        out = run()
        outputs = {f"hidden_states.{i}": h for i, h in enumerate(out.hidden_states)}
        if cls is Gemma2ForCausalLM:
            outputs["logits"] = out.logits
        write(folder, io, {"input_ids": ids} | extra, outputs, {})
    model.to(dtype).save_pretrained(folder)
    again = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    assert torch.equal(again(ids, output_hidden_states=True, **extra).hidden_states[-1], out.hidden_states[-1])
    report(folder, f"std {out.hidden_states[-1].std():.2f}, least {least:.3f} {where}")


def make_mt5(index, name, settings):
    model = redraw(MT5EncoderModel(MT5Config(**settings)), 950 + index)
    round_parameters(model, torch.bfloat16)
    folder = fresh_folder("networks", name)
    ids, mask = prompts(960 + index, model.config, 13)
    for io, extra in (("io", {}), ("io_masked", {"attention_mask": mask})):
        run = lambda: model(ids, **extra)
        if io == "io":
            least, where = check_alive(model, lambda: [run().last_hidden_state])
        out = run()
        write(folder, io, {"input_ids": ids} | extra, {"last_hidden_state": out.last_hidden_state}, {})
    model.to(torch.bfloat16).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["feed_forward_proj"]  # what MT5Config says of it: gated
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in (
        "is_gated_act", "dense_act_fn")}, indent=2, sort_keys=True) + "\n")
    again = MT5EncoderModel.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(again(ids, **extra).last_hidden_state, out.last_hidden_state)
    report(folder, f"std {out.last_hidden_state.std():.2f}, least {least:.3f} {where}")


def main():
    for make, cases in ((make_bert, BERT), (make_gemma2, GEMMA2), (make_mt5, MT5)):
        for index, (name, settings) in enumerate(cases.items()):
            make(index, name, settings)


if __name__ == "__main__":
    main()
