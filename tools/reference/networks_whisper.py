"""tests/fixtures/networks/whisper_*: WhisperForConditionalGeneration of transformers: what the encoder makes of mel
frames, the logits of two rows of tokens, and where the decoder's heads look."""

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from common import check_alive, fresh_folder, generator, randn, redraw, report, round_parameters, save_tensors

COMMON = dict(bos_token_id=58, eos_token_id=58, pad_token_id=58, decoder_start_token_id=59, suppress_tokens=[],
              begin_suppress_tokens=[])
CASES = {
    "whisper_tiny": dict(vocab_size=61, num_mel_bins=10, d_model=24, encoder_layers=2, decoder_layers=3,
                         encoder_attention_heads=3, decoder_attention_heads=4, encoder_ffn_dim=40, decoder_ffn_dim=36,
                         max_source_positions=15, max_target_positions=14),
    # As large-v3-turbo: many layers that listen, few that write, more bands.
    "whisper_turbo_f16": dict(vocab_size=66, num_mel_bins=16, d_model=40, encoder_layers=4, decoder_layers=1,
                              encoder_attention_heads=5, decoder_attention_heads=5, encoder_ffn_dim=80,
                              decoder_ffn_dim=80, max_source_positions=21, max_target_positions=11,
                              scale_embedding=True),
}


def make(index, name, settings):
    dtype = torch.float16 if "f16" in name else torch.float32
    config = WhisperConfig(**settings, **COMMON, attn_implementation="eager")
    model = redraw(WhisperForConditionalGeneration(config), 700 + index)
    model.model.encoder.embed_positions.weight.copy_(randn(710 + index, config.max_source_positions, config.d_model))
    round_parameters(model, dtype)
    folder = fresh_folder("networks", name)
    mel = randn(720 + index, 2, config.num_mel_bins, 2 * config.max_source_positions, scale=0.5)
    ids = torch.randint(0, config.vocab_size, (2, config.max_target_positions - 2), generator=generator(730 + index))
    run = lambda: model(input_features=mel, decoder_input_ids=ids, output_attentions=True)
    least, where = check_alive(model, lambda: [run().logits])
    out = run()
    tensors = {"input.input_features": mel, "input.decoder_input_ids": ids, "output.logits": out.logits,
               "output.encoder_last_hidden_state": out.encoder_last_hidden_state}
    for i, attention in enumerate(out.cross_attentions):
        tensors[f"output.cross_attentions.{i}"] = attention
    save_tensors(folder / "io.safetensors", tensors)
    model.to(dtype).save_pretrained(folder)
    report(folder, f"std {out.logits.std():.2f}, least {least:.3f} {where}")


def main():
    for index, (name, settings) in enumerate(CASES.items()):
        make(index, name, settings)


if __name__ == "__main__":
    main()
