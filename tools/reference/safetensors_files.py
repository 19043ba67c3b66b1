"""tests/fixtures/formats/: a safetensors file with every type, as the reference crate writes it."""

import torch
from safetensors.torch import save_file

from common import fresh_folder

TYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2, "i64": torch.int64, "i32": torch.int32,
    "i16": torch.int16, "i8": torch.int8, "u64": torch.uint64, "u32": torch.uint32, "u16": torch.uint16,
    "u8": torch.uint8, "bool": torch.bool,
}

if __name__ == "__main__":
    values = torch.tensor([[0.0, 1.0, 0.5], [2.0, 3.0, 96.0]])
    tensors = {name: values.to(torch.int64).to(dtype) if not dtype.is_floating_point else values.to(dtype)
               for name, dtype in TYPES.items()}
    tensors["bool"] = values > 0.75
    tensors["scalar"] = torch.tensor(-1.5)
    tensors["empty"] = torch.zeros(0, 4)
    tensors['odd "name"\\\n\té😀'] = torch.tensor([1], dtype=torch.uint8)
    save_file(tensors, fresh_folder("formats") / "all_types.safetensors", metadata={"né\"w\x01": "vålue"})
