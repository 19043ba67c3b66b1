"""tests/fixtures/pipelines/whisper: a tiny random Whisper in Transformers' layout, and what openai-whisper's transcribe()
makes of speech with it. The speech is
tests/fixtures/audio/jfk.opus, made of the recording that the command line names."""

import json
import sys

import numpy
import soundfile
import tiktoken
import torch
import whisper
import whisper.tokenizer
from faster_whisper.audio import decode_audio
from whisper.model import ModelDimensions, Whisper

from common import FIXTURES, fresh_folder, generator, randn, report, save_tensors, write_json

LANGUAGES = 3
MERGES = ["th", "he", " t", "an", "in"]
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>",
           *[f"<|{code}|>" for code in list(whisper.tokenizer.LANGUAGES)[:LANGUAGES]],
           "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
WIDTH, HEADS, TEXT_LAYERS, TEXT = 16, 2, 3, 48
ALIGNMENT = [[1, 0], [2, 1], [2, 0]]

NAMES = [("blocks", "layers"), ("cross_attn_ln", "encoder_attn_layer_norm"), ("attn_ln", "self_attn_layer_norm"),
         ("cross_attn.", "encoder_attn."), (".attn.", ".self_attn."), ("mlp_ln", "final_layer_norm"), ("mlp.0", "fc1"),
         ("mlp.2", "fc2"), ("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), (".out.", ".out_proj."),
         ("encoder.positional_embedding", "encoder.embed_positions.weight"),
         ("decoder.positional_embedding", "decoder.embed_positions.weight"), ("token_embedding", "embed_tokens"),
         ("ln_post", "layer_norm"), ("decoder.ln.", "decoder.layer_norm.")]

RUNS = {
    "greedy": dict(),
    "beams": dict(beam_size=3, patience=1.7, length_penalty=0.4, language="zh", task="translate"),
    "words": dict(word_timestamps=True, language="de", initial_prompt="in the inn"),
    "forget": dict(condition_on_previous_text=False, without_timestamps=True, beam_size=2),
}


class Tiny(Whisper):
    """Sizes that the real ones know by their vocabulary."""

    is_multilingual = True
    num_languages = LANGUAGES


def byte_letters():
    """GPT-2's letters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def make_tokenizer(folder):
    letters = byte_letters()
    tokens = [bytes([b]) for b in letters] + [m.encode() for m in MERGES]
    write = lambda token: "".join(letters[b] for b in token)
    added = [dict(id=len(tokens) + i, content=s, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, s in enumerate(SPECIAL)]
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="",
                 fuse_unk=False, byte_fallback=False, ignore_merges=False,
                 vocab={write(t): i for i, t in enumerate(tokens)},
                 merges=[[write(m[:1].encode()), write(m[1:].encode())] for m in MERGES])
    whole = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, pre_tokenizer=level,
                 post_processor=None, decoder=level, model=model)
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    stamps = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    special = {s: len(tokens) + i for i, s in enumerate(SPECIAL + stamps)}
    encoding = tiktoken.Encoding("tiny", pat_str=PATTERN, mergeable_ranks={t: i for i, t in enumerate(tokens)},
                                 special_tokens=special)
    whisper.tokenizer.get_encoding = lambda name, num_languages: encoding
    return encoding


def make_model(folder, vocabulary):
    model = Tiny(ModelDimensions(n_mels=80, n_audio_ctx=1500, n_audio_state=WIDTH, n_audio_head=HEADS, n_audio_layer=1,
                                 n_vocab=vocabulary, n_text_ctx=TEXT, n_text_state=WIDTH, n_text_head=HEADS,
                                 n_text_layer=TEXT_LAYERS))
    g = generator(4242)
    for name, p in sorted(model.state_dict().items()):
        if not p.is_floating_point():
            continue
        z = torch.randn(p.shape, generator=g)
        if "embedding" in name:
            value = (0.08 if "token" in name else 0.5) * z  # what was said decides, not the last token
        elif name.endswith("bias"):
            value = 0.2 * z
        elif p.ndim == 1:
            value = (1 + 0.3 * z.clamp(-2.5, 2.5)) * (8 if name == "decoder.ln.weight" else 1)
        else:
            value = 1.6 * z / p[0].numel() ** 0.5
        p.copy_(value.half().float())
    # Timestamps are many: only together do they outweigh the text, and now and then.
    stamps = model.decoder.token_embedding.weight[-1501:]
    stamps.mul_(0.6)
    stamps.copy_(stamps.half().float())
    mask = torch.zeros(TEXT_LAYERS, HEADS, dtype=torch.bool)
    for layer, head in ALIGNMENT:
        mask[layer, head] = True
    model.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
    tensors = {}
    for name, p in model.state_dict().items():
        for theirs, ours in NAMES:
            name = name.replace(theirs, ours)
        if p.is_floating_point():
            tensors["model." + name] = p.half()
    save_tensors(folder / "model.safetensors", tensors)
    write_json(folder / "config.json", dict(
        architectures=["WhisperForConditionalGeneration"], model_type="whisper", vocab_size=vocabulary, num_mel_bins=80,
        d_model=WIDTH, encoder_layers=1, decoder_layers=TEXT_LAYERS, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=4 * WIDTH, decoder_ffn_dim=4 * WIDTH, max_source_positions=1500,
        max_target_positions=TEXT, activation_function="gelu"))
    write_json(folder / "generation_config.json", dict(alignment_heads=ALIGNMENT, is_multilingual=True))
    return model.eval()


def outcome(result):
    return dict(language=result["language"], text=result["text"], segments=[
        dict(start=round(float(s["start"]), 2), end=round(float(s["end"]), 2), text=s["text"], avg_logprob=s["avg_logprob"],
             no_speech_prob=s["no_speech_prob"],
             words=[[w["word"], w["start"], w["end"], w["probability"]] for w in s.get("words", [])])
        for s in result["segments"] if s["text"].strip()])


def main():
    torch.set_num_threads(1)
    speech, rate = soundfile.read(sys.argv[1], dtype="float32")  # jfk.wav
    soundfile.write(FIXTURES / "audio/jfk.opus", speech, rate, format="OGG", subtype="OPUS", compression_level=0.95)
    once = decode_audio(str(FIXTURES / "audio/jfk.opus"))
    sound = numpy.concatenate([once, numpy.zeros(12 * rate, numpy.float32), once]) # as the test puts it together
    folder = fresh_folder("pipelines", "whisper")
    encoding = make_tokenizer(folder)
    model = make_model(folder, encoding.n_vocab)
    runs = {}
    for name, options in RUNS.items():
        result = model.transcribe(sound, temperature=0.0, fp16=False, compression_ratio_threshold=None,
                                  logprob_threshold=None if name != "greedy" else -1.0, **options)
        runs[name] = outcome(result)
        print(name, [(s["start"], s["end"], s["text"][:30], round(s["avg_logprob"], 3)) for s in runs[name]["segments"]][:6],
              len(runs[name]["segments"]), result["language"])
    write_json(folder / "expected.json", runs)
    report(folder, f"{len(runs)} runs")


if __name__ == "__main__":
    main()
