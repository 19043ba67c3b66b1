"""tests/fixtures/random/torch_cpu.*: what torch.Generator("cpu") draws.

torch_cpu.json lists streams: {"name", "seed", "calls": [{"call", "count" or "shape", "dtype", "tensor"}]}; the calls of
a stream follow one another on one generator. Their results are the tensors of torch_cpu.safetensors.
"""

import torch

from common import FIXTURES, report, save_tensors, write_json

SEEDS = [0, 1, 7, 2**32 - 1, 2**33 + 5, 2**63 - 1]
SIZES = [1, 3, 15, 16, 17, 31, 32, 100, 1000]
DTYPES = {"f32": torch.float32, "f64": torch.float64}

tensors, streams = {}, []


def draw(g, call, count, dtype="f32"):
    if call == "rand":
        return torch.rand(count, generator=g, dtype=DTYPES[dtype])
    if call == "randn":
        return torch.randn(count, generator=g, dtype=DTYPES[dtype])
    if call == "random":  # the whole 64 bits, as Tensor.random_() draws an int64: 63 bits kept
        return torch.empty(count, dtype=torch.int64).random_(generator=g)
    low, high = (int(x) for x in call.removeprefix("randint").strip("()").split(","))
    return torch.randint(low, high, (count,), generator=g)


def stream(name, seed, calls):
    g = torch.Generator("cpu").manual_seed(seed)
    out = []
    for i, (call, count, *dtype) in enumerate(calls):
        key = f"{name}.{i}"
        tensors[key] = draw(g, call, count, *dtype)
        out.append({"call": call, "count": count, "dtype": dtype[0] if dtype else
                    ("i64" if call.startswith("rand") and call not in ("rand", "randn") else "f32"), "tensor": key})
    streams.append({"name": name, "seed": str(seed), "calls": out})


def main():
    for seed in SEEDS:
        for call in ("rand", "randn"):
            for dtype in DTYPES:
                for size in SIZES if seed in (0, 7) else SIZES[:7] if seed == 2**33 + 5 else (3, 17):
                    stream(f"seed{seed}.{call}.{dtype}.{size}", seed, [(call, size, dtype)])
    # The state goes on from call to call: odd counts of normals leave half a pair behind, 32-bit and 64-bit draws mix,
    # and the block of 624 words is passed in the middle of a call.
    n, r = "randn", "rand"
    stream("carry.a", 0, [(n, 3), (n, 17), (r, 5), (n, 1), (n, 1), (n, 2), (r, 1), (n, 16), (n, 5)])
    stream("carry.b", 7, [(n, 1, "f64"), (n, 1), (n, 1, "f64"), (n, 1), (n, 15), (n, 1, "f64"), (r, 2, "f64"), (n, 4)])
    stream("carry.c", 123, [(r, 620), (n, 3), (r, 3, "f64"), (n, 33), (r, 600, "f64"), (n, 1), (n, 20, "f64")])
    stream("carry.d", 42, [(n, 625), (n, 7), (n, 640), (r, 1), (n, 17, "f64"), (n, 3)])
    stream("integers", 5, [("randint(0,10)", 8), ("randint(-7,9)", 8), ("randint(0,4294967296)", 5),
                           ("randint(0,1099511627776)", 5), ("randint(0,4294967295)", 5), ("random", 6), (r, 3),
                           ("randint(0,1000)", 3), (n, 2)])
    # A picture's latents, [1,4,8,8] drawn as one call, then the next seed's.
    stream("latents.seed1234", 1234, [(n, 256)])
    stream("latents.seed1235", 1235, [(n, 256)])
    folder = FIXTURES / "random"
    save_tensors(folder / "torch_cpu.safetensors", tensors)
    write_json(folder / "torch_cpu.json", streams)
    # torch refuses what does not fit 64 bits; negative seeds wrap.
    wrapped = [{"seed": str(s), "same_as": str(s % 2**64), "rand": torch.rand(
        4, generator=torch.Generator("cpu").manual_seed(s)).tolist()} for s in (-1, -5, 2**64 - 1, 2**63)]
    write_json(folder / "torch_cpu_seeds.json", wrapped)
    report(folder)


if __name__ == "__main__":
    main()
