"""tests/fixtures/checkpoints/torch/: files of torch.save in their forms, and the tensors that are in them."""

import json
import zipfile
from collections import OrderedDict

import numpy as np
import torch

from common import fresh_folder, randn, report, save_tensors

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
          torch.uint8, torch.bool]
YOUNG = [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32]  # without a storage class of their own


def every_kind():
    """Types, views, shared storages, containers, parameters."""
    base = randn(1, 6, 8)
    types = {str(t).split(".")[-1]: (base[:2, :3] * 3).abs().to(t) for t in DTYPES}
    return OrderedDict(
        types=types,
        views={"transposed": base.T, "cut": base[1:5:2, 2:7], "row": base[3], "element": base[2, 5],
               "spread": base[:1, :4].expand(3, 4), "empty": base[:0], "same": base},
        listed=[base[0], (base[1], {"inner": base[2]})],
        parameter=torch.nn.Parameter(randn(2, 3, 2)),
        numbers={1: base[5]},
        title="a title", steps=7, rate=0.5, nothing=None, flag=True, size=base.shape, kind=torch.float16, names={"a"},
        device=torch.device("cpu"))


def flat(value, name=""):
    if torch.is_tensor(value):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {k: v for key, item in items for k, v in flat(item, f"{name}.{key}" if name else str(key)).items()}


def deflate(source, target):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(name))


def zip64(source, target):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            with new.open(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), "w", force_zip64=True) as out:
                out.write(old.read(name))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2)


def main(folder):
    tensors = every_kind()
    torch.save(tensors, folder / "new.pt")
    torch.save(tensors, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(tensors, folder / "protocol_4.pt", pickle_protocol=4)
    deflate(folder / "new.pt", folder / "deflated.pt")
    zip64(folder / "new.pt", folder / "zip64.pt")
    save_tensors(folder / "every_kind.safetensors", {k: v.float() for k, v in flat(tensors).items()})

    young = {str(t).split(".")[-1]: randn(3, 2, 3).abs().mul(4).to(t) for t in YOUNG}
    torch.save(young, folder / "young.pt")
    save_tensors(folder / "young.safetensors", {k: v.float() for k, v in young.items()})

    net = Net()
    for i, p in enumerate(net.state_dict().values()):
        p.copy_(randn(10 + i, *p.shape).abs() * 3)
    checkpoint = {"epoch": 3, "global_step": 875000, "state_dict": net.state_dict(),
                  "loss": np.float64(0.25), "optimizer_states": [{"state": randn(4, 2)}]}
    torch.save(checkpoint, folder / "training.ckpt")
    save_tensors(folder / "training.safetensors", {k: v.float() for k, v in net.state_dict().items()})

    embedding = {"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": randn(5, 2, 8)}),
                 "name": "style", "step": 500, "sd_checkpoint_name": None}
    torch.save(embedding, folder / "embedding.pt")
    save_tensors(folder / "embedding.safetensors", {"string_to_param.*": embedding["string_to_param"]["*"]})

    whisper = {"encoder.conv1.weight": randn(9, 2, 3).half(), "decoder.ln.bias": randn(10, 4)}  # as OpenAI saves it
    torch.save({"dims": {"n_mels": 80, "n_text_head": 2}, "model_state_dict": whisper}, folder / "whisper.pt")
    save_tensors(folder / "whisper.safetensors", {k: v.float() for k, v in whisper.items()})

    shards = folder / "sharded"
    shards.mkdir()
    names = {"a.weight": randn(6, 2, 3), "b.weight": randn(7, 3), "c.weight": randn(8, 1)}
    for i, keys in enumerate([["a.weight"], ["b.weight", "c.weight"]]):
        torch.save({k: names[k] for k in keys}, shards / f"pytorch_model-0000{i + 1}-of-00002.bin")
    index = {"metadata": {"total_size": 40},
             "weight_map": {k: f"pytorch_model-0000{1 + (k != 'a.weight')}-of-00002.bin" for k in names}}
    (shards / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")
    save_tensors(folder / "sharded.safetensors", names)


if __name__ == "__main__":
    folder = fresh_folder("checkpoints", "torch")
    main(folder)
    report(folder)
