"""tests/fixtures/checkpoints/gguf/: GGUF files with every type, as the gguf package writes them, and their values."""

import json
from functools import partial

import numpy as np
import torch
from gguf import GGMLQuantizationType as Q, GGUFReader, GGUFWriter, quants
from safetensors.torch import load_file
from sentencepiece import sentencepiece_model_pb2

from common import FIXTURES, fresh_folder, report, save_tensors

PLAIN = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "i8": np.int8, "i16": np.int16, "i32": np.int32,
         "i64": np.int64}
BLOCKS = {"q4_0": Q.Q4_0, "q4_1": Q.Q4_1, "q5_0": Q.Q5_0, "q5_1": Q.Q5_1, "q8_0": Q.Q8_0, "q2_K": Q.Q2_K,
          "q3_K": Q.Q3_K, "q4_K": Q.Q4_K, "q5_K": Q.Q5_K, "q6_K": Q.Q6_K, "bf16": Q.BF16}


def random_blocks(rng, kind, rows, columns):
    """Random bytes; of the blocks whose scales (f16, somewhere inside) make finite and small values, the first ones."""
    block, size = quants.GGML_QUANT_SIZES[kind]
    need = rows * columns // block
    data = rng.integers(0, 256, (need * 64, size), dtype=np.uint8)
    with np.errstate(all="ignore"):
        values = quants.dequantize(data, kind)
    good = np.flatnonzero((np.isfinite(values) & (np.abs(values) < 1e4)).all(axis=1))[:need]
    assert len(good) == need
    return data[good].reshape(rows, -1), values[good].reshape(rows, columns)


def write(path, fill):
    writer = GGUFWriter(path, "flux")
    expected = fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    GGUFReader(path)
    return expected


def every_type(writer):
    rng = np.random.default_rng(1)
    expected = {}
    writer.add_uint8("n.u8", 200)
    writer.add_int8("n.i8", -3)
    writer.add_uint16("n.u16", 60000)
    writer.add_int16("n.i16", -30000)
    writer.add_uint32("n.u32", 4000000000)
    writer.add_int32("n.i32", -2000000000)
    writer.add_uint64("n.u64", 2**64 - 1)
    writer.add_int64("n.i64", -(2**63))
    writer.add_float32("n.f32", 0.1)
    writer.add_float64("n.f64", 0.1)
    writer.add_bool("n.bool", True)
    writer.add_string("n.string", "vålue")
    writer.add_array("n.list", [1, -2, 3])
    writer.add_array("n.long_list", list(range(17)))
    writer.add_array("n.texts", ["a", "b"])
    for name, dtype in PLAIN.items():
        values = np.array([[0, 1, 2], [-3, 4, 96]]).astype(dtype)
        writer.add_tensor(name, values)
        expected[name] = values.astype(np.float32)
    for name, kind in BLOCKS.items():
        data, values = random_blocks(rng, kind, 2, 256)
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = values
    return expected


def flattened(writer):
    """A convolution kernel as ComfyUI's converter keeps it: rows of whole blocks, the shape in the metadata."""
    data, values = random_blocks(np.random.default_rng(2), Q.Q4_0, 9, 32)
    writer.add_custom_alignment(64)
    writer.add_array("comfy.gguf.orig_shape.conv.weight", [8, 4, 3, 3])
    writer.add_tensor("conv.weight", data, raw_dtype=Q.Q4_0)
    data, same = random_blocks(np.random.default_rng(3), Q.Q8_0, 2, 64)
    writer.add_array("comfy.gguf.orig_shape.turned", [4, 32])
    writer.add_tensor("turned", data, raw_dtype=Q.Q8_0)
    return {"conv.weight": values.reshape(8, 4, 3, 3),
            "turned": same.reshape(4, 32)}


LLAMA = [("shared", "token_embd"), ("encoder.final_layer_norm", "enc.output_norm"), ("encoder.block.", "enc.blk."),
         (".layer.0.SelfAttention.relative_attention_bias", ".attn_rel_b"), (".layer.0.SelfAttention.", ".attn_"),
         (".layer.0.layer_norm", ".attn_norm"), (".layer.1.layer_norm", ".ffn_norm"), (".layer.1.DenseReluDense.wi_0", ".ffn_gate"),
         (".layer.1.DenseReluDense.wi_1", ".ffn_up"), (".layer.1.DenseReluDense.wi", ".ffn_up"),
         (".layer.1.DenseReluDense.wo", ".ffn_down")]


def llama_name(name):
    for theirs, ours in LLAMA:
        name = name.replace(theirs, ours)
    return name


def write_vocabulary(writer, path, rows=0):
    """sentencepiece's file, taken apart as llama.cpp's converter does; rows of the embedding without a piece are unused.
    What tokenizer_config.json beside it says of ends goes along."""
    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    pieces, trainer, normalizer = model.pieces, model.trainer_spec, model.normalizer_spec
    spare, bpe = rows - len(pieces) if rows else 100, trainer.model_type == trainer.BPE
    writer.add_tokenizer_model("llama" if bpe else "t5")
    writer.add_token_list([p.piece.encode() for p in pieces] + [f"[PAD{i}]".encode() for i in range(spare)])
    writer.add_token_scores([p.score for p in pieces] + [-10000.0] * spare)
    writer.add_token_types([p.type for p in pieces] + [5] * spare)
    for add, number in ((writer.add_bos_token_id, trainer.bos_id), (writer.add_unk_token_id, trainer.unk_id),
                        (writer.add_eos_token_id, trainer.eos_id), (writer.add_pad_token_id, trainer.pad_id)):
        if number >= 0:
            add(number)
    if normalizer.precompiled_charsmap:
        writer.add_precompiled_charsmap(normalizer.precompiled_charsmap)
    beside = path.parent / "tokenizer_config.json"
    config = json.loads(beside.read_text()) if bpe and beside.exists() else {}
    for key, add in (("add_bos_token", writer.add_add_bos_token), ("add_eos_token", writer.add_add_eos_token)):
        if key in config:
            add(config[key])


def text_encoder(writer, pieces, part):
    """A text encoder of a pipeline as llama.cpp has it, with another vocabulary."""
    write_vocabulary(writer, FIXTURES / "tokenizers" / "folders" / pieces)
    for name, value in load_file(FIXTURES / "pipelines" / part / "model.safetensors").items():
        writer.add_tensor(llama_name(name), value.numpy().astype(np.float16 if value.ndim > 1 else np.float32))
    return {}


FILES = {"all_types": every_type, "flattened": flattened,
         "t5": partial(text_encoder, pieces="t5_old/spiece.model", part="sd3_tiny/text_encoder_3"),
         "umt5": partial(text_encoder, pieces="llama_new_old/tokenizer.model", part="aura_flow_tiny/text_encoder")}


if __name__ == "__main__":
    folder = fresh_folder("checkpoints", "gguf")
    for name, fill in FILES.items():
        expected = write(folder / f"{name}.gguf", fill)
        if expected:
            save_tensors(folder / f"{name}.safetensors", {k: torch.from_numpy(v) for k, v in expected.items()})
    report(folder)
