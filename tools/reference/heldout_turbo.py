#!/usr/bin/env python3
"""atelier transcribe on a random model of large-v3-turbo's shape, beside transformers' generate: 128 bands, four layers
that write, 100 languages (the tokenizer with <|yue|>), sharded safetensors, generation_config.json.

    python tools/reference/heldout_turbo.py ATELIER RECORDING [--folder FOLDER] [--true-size]

Prints for two languages and tasks whether the first 60 tokens of the first window spell the same text, and the language
that both hear. The tokenizer is whisper-base's (tools/weights/get.py). --true-size only writes the model, in f16.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import soundfile
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

EOT, SOT, FIRST_LANGUAGE, LAST_LANGUAGE, RATE = 50257, 50258, 50259, 50357, 16000
OWN = Path.home() / ".cache/atelier/whisper-base"


def write_tokenizer(folder):
    """whisper-base's with Cantonese behind its languages, as from large-v3 on. Gives (language, id)."""
    made = json.loads((OWN / "tokenizer.json").read_text())
    added = made["added_tokens"]
    for token in added:
        token["id"] += token["id"] > LAST_LANGUAGE
    last = next(token for token in added if token["id"] == LAST_LANGUAGE)
    added.append({**last, "id": LAST_LANGUAGE + 1, "content": "<|yue|>"})
    added.sort(key=lambda token: token["id"])
    (folder / "tokenizer.json").write_text(json.dumps(made))
    return {t["content"]: t["id"] for t in added if FIRST_LANGUAGE <= t["id"] <= LAST_LANGUAGE + 1}


def make_model(folder, true_size):
    torch.manual_seed(0)
    width, layers, heads = (1280, 32, 20) if true_size else (64, 4, 4)
    if true_size:
        torch.set_default_dtype(torch.float16)
    tokens = dict(decoder_start_token_id=SOT, bos_token_id=EOT, eos_token_id=EOT, pad_token_id=EOT)
    model = WhisperForConditionalGeneration(WhisperConfig(
        vocab_size=51866, num_mel_bins=128, d_model=width, encoder_layers=layers, decoder_layers=4,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width, init_std=0.02 if true_size else 0.2, **tokens)).eval()
    for p in model.parameters():
        p.data += torch.randn_like(p) * 0.1 if p.ndim == 1 else 0
    symbols = [i for i in json.loads((OWN / "config.json").read_text())["suppress_ids"] if i < EOT]
    model.generation_config = GenerationConfig(
        is_multilingual=True, lang_to_id=write_tokenizer(folder), no_timestamps_token_id=50364, max_length=448,
        task_to_id={"translate": 50359, "transcribe": 50360}, suppress_tokens=symbols + [SOT, *range(50359, 50365)],
        begin_suppress_tokens=[220, EOT], alignment_heads=[[2, 0], [3, 1]], prev_sot_token_id=50362, **tokens)
    model.save_pretrained(folder, max_shard_size="300MB" if true_size else "3MB")
    return model


def transcribe(atelier, folder, sound, *options):
    command = [atelier, "transcribe", "-q", "-m", folder, "--precision", "f32", "--beam", "1", "--temperature", "0",
               "--timestamps", "none", "--format", "json", *options, sound]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("atelier")
    parser.add_argument("recording")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "whisper-turbo")
    parser.add_argument("--true-size", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(exist_ok=True)
    model = make_model(args.folder, args.true_size)
    if args.true_size:
        return
    tokenizer = Tokenizer.from_file(str(args.folder / "tokenizer.json"))
    sound, _ = soundfile.read(args.recording, dtype="float32")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        # a whole minute: behind a short recording transformers hears silence, and openai-whisper zeros
        sound = torch.from_numpy(sound).repeat(60 * RATE // len(sound) + 1)[:60 * RATE].numpy()
        soundfile.write(file.name, sound, RATE, subtype="FLOAT")
        mel = WhisperFeatureExtractor(feature_size=128)(
            sound, sampling_rate=RATE, return_tensors="pt", truncation=False, padding=False).input_features[..., :3000]
        for language, task in (("en", "transcribe"), ("yue", "translate")):
            ids = model.generate(mel, language=language, task=task, num_beams=1, do_sample=False, max_new_tokens=60)[0]
            theirs = tokenizer.decode([i for i in ids.tolist() if i < EOT]).strip()
            ours = transcribe(args.atelier, args.folder, file.name, "--language", language, "--task", task)
            same = ours["segments"][0]["text"].strip().startswith(theirs)
            print(f"{language}, {task}: {'the same' if same else 'another'} text of {len(ids)} tokens", flush=True)
        heard = tokenizer.id_to_token(int(model.detect_language(mel)[0]))
        print(f"heard {heard} (ours: {transcribe(args.atelier, args.folder, file.name)['language']})")


if __name__ == "__main__":
    main()
