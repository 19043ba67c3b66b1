"""tests/fixtures/dtypes/: GGUF's block types as the gguf package reads and writes them, small floats as torch does."""

import warnings

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from common import fresh_folder, report, save_tensors

TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
WRITTEN = TYPES[:5]  # the package has no quantiser for the others
FLOATS = {"f16": torch.float16, "bf16": torch.bfloat16, "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2}


def random_blocks(rng, kind, count):
    """Any bytes are a block; those whose scale is not finite are drawn again."""
    _, size = GGML_QUANT_SIZES[kind]
    blocks = []
    while len(blocks) < count:
        block = rng.integers(0, 256, (1, size), dtype=np.uint8)
        if np.isfinite(quants.dequantize(block, kind)).all():
            blocks.append(block)
    return np.concatenate(blocks)


def block_types(folder):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((9, 256)).astype(np.float32)
    x[1] = 0
    x[2] = 3.5
    x[3] = np.abs(x[3])
    x[4] = -np.abs(x[4])
    x[5] *= 1e-6
    x[6] += 10
    x[7] *= 1000
    tensors = {"x": torch.from_numpy(x)}
    for name in TYPES:
        kind = GGMLQuantizationType[name]
        own = name[:-1].lower() + name[-1]
        blocks = random_blocks(rng, kind, 6)
        tensors[f"{own}.blocks"] = torch.from_numpy(blocks)
        tensors[f"{own}.f32"] = torch.from_numpy(quants.dequantize(blocks, kind).reshape(-1))
        if name in WRITTEN:
            tensors[f"{own}.of_x"] = torch.from_numpy(quants.quantize(x, kind).reshape(-1))
    save_tensors(folder / "blocks.safetensors", tensors)


def small_floats(folder):
    """Every value of a format, the middles between neighbours (ties), and what is beyond the largest."""
    edge = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 464.0, 480.0, 65519.0, 65520.0, 61440.0, 61441.0,
                         3.4e38, -3.4e38, 1e-45, 2.0**-25, 2.0**-24 * 1.5, 2.0**-10, 2.0**-17])
    tensors = {}
    for name, dtype in FLOATS.items():
        wide = dtype.itemsize == 2
        every = torch.arange(0, 65536, 97 if wide else 1).to(torch.uint16 if wide else torch.uint8)
        if not wide:
            every = every[:256]
        values = every.view(dtype).float()
        finite = values[values.isfinite()].double().sort().values
        middles = ((finite[1:] + finite[:-1]) / 2).float()
        x = torch.cat([edge, middles, middles.nextafter(torch.tensor(torch.inf)), values])
        tensors[f"{name}.codes"] = every.view(torch.int16 if wide else torch.uint8)
        tensors[f"{name}.values"] = values.view(torch.int32)  # as bits: some are no numbers
        tensors[f"{name}.x"] = x.view(torch.int32)
        tensors[f"{name}.of_x"] = x.to(dtype).view(torch.int16 if wide else torch.uint8)
    save_tensors(folder / "floats.safetensors", tensors)


def main():
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    folder = fresh_folder("dtypes")
    block_types(folder)
    small_floats(folder)
    report(folder)


if __name__ == "__main__":
    main()
