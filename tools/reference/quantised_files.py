"""tests/fixtures/checkpoints/quantised/: bitsandbytes' four bits (its own CPU code) and ComfyUI's scaled f8, and their values."""

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from safetensors.torch import save_file

from common import fresh_folder, randn, report, save_tensors


def four_bits(kind, shape, nested, blocksize, seed):
    value = randn(seed, *shape)
    packed, state = quantize_4bit(value, blocksize=blocksize, compress_statistics=nested, quant_type=kind)
    tensors = {"weight": packed} | {f"weight.{k}": v for k, v in state.as_dict(packed=True).items()}
    return tensors, dequantize_4bit(packed, state)


def main(folder):
    file, expected = {}, {}
    for i, (name, *options) in enumerate((("plain", "nf4", (3, 128), False, 64), ("nested", "nf4", (6, 192), True, 64),
                                          ("wide", "nf4", (4, 128), False, 128), ("odd", "nf4", (5, 26), True, 64),
                                          ("fp4", "fp4", (3, 64), False, 64))):
        tensors, value = four_bits(*options, seed=i)
        file |= {f"{name}.{k}": v for k, v in tensors.items()}
        expected[f"{name}.weight"] = value + 0.0  # its -0 is the 0 of the map
    file["bias"] = expected["bias"] = randn(9, 3)
    save_file(file, folder / "four_bits.safetensors")
    save_tensors(folder / "four_bits_values.safetensors", expected)

    file, expected = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}, {}
    for i, (name, dtype, shape, key, scale) in enumerate((
            ("old", torch.float8_e4m3fn, (3, 128), "scale_weight", torch.tensor([0.37])),
            ("new", torch.float8_e4m3fn, (2, 64), "weight_scale", torch.tensor(0.021)),
            ("rows", torch.float8_e4m3fn, (4, 64), "weight_scale", torch.tensor([[0.5], [0.3], [2.0], [0.1]])),
            ("e5m2", torch.float8_e5m2, (2, 64), "scale_weight", torch.tensor(1.7)),
            ("narrow", torch.float8_e4m3fn, (3, 10), "weight_scale", torch.tensor(0.9)),
            ("plain", torch.float8_e5m2, (2, 6), None, None))):
        value = randn(20 + i, *shape).to(dtype)
        file[f"{name}.weight"] = value
        if key:
            file[f"{name}.{key}"] = scale
            file[f"{name}.scale_input"] = torch.tensor(1.0)
        expected[f"{name}.weight"] = value.float() * (scale if key else 1)
    expected["scaled_fp8"] = torch.zeros(2)
    save_file(file, folder / "scaled_f8.safetensors")
    save_tensors(folder / "scaled_f8_values.safetensors", expected)


if __name__ == "__main__":
    folder = fresh_folder("checkpoints", "quantised")
    main(folder)
    report(folder)
