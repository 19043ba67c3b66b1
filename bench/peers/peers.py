"""Times the same work in atelier and in torch, A B A B in one run, and prints medians and their ratio.

A ratio above 1 means that atelier is faster. Both get the same number of threads. atelier's numbers come from
`atelier bench kernels --json --only NAME`; torch gets its inputs in the precision's dtype, channels last.
"""

import argparse
import json
import re
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F

WORK = [
    *(f"matmul_{p}_{s}" for p in ("f32", "bf16") for s in
      ("4096x512x14336", "3072x1536x3072", "12288x1536x3072", "320x8192x320", "1280x512x5120", "4096x1x14336")),
    *(f"conv3x3_{p}_{s}" for p in ("f32", "bf16") for s in
      ("320_64x64_b2", "640_32x32_b2", "1280_16x16_b2", "512_128x128_b1", "256_256x256_b1", "128_512x512_b1")),
    *(f"conv1x1_{p}_320_64x64_b2" for p in ("f32", "bf16")),
    *(f"attention_{p}_{s}" for p in ("f32", "bf16") for s in
      ("24x1536x128", "8x4096x40", "10x4096x64", "1x16384x512", "24x8192x128")),
]
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def torch_work(name):
    """A function that does once what the name says."""
    kind, precision, rest = re.fullmatch(r"([a-z]+(?:\dx\d)?)_(f32|bf16)_(.+)", name).groups()
    dtype = DTYPES[precision]
    if kind == "matmul":
        m, n, k = map(int, rest.split("x"))
        x, w = torch.rand(n, k).to(dtype), torch.rand(m, k).to(dtype)
        return lambda: F.linear(x, w)
    if kind.startswith("conv"):
        channels, height, width, batch = map(int, re.fullmatch(r"(\d+)_(\d+)x(\d+)_b(\d+)", rest).groups())
        size = int(kind[4])
        x = torch.rand(batch, channels, height, width).to(dtype, memory_format=torch.channels_last)
        w = torch.rand(channels, channels, size, size).to(dtype, memory_format=torch.channels_last)
        return lambda: F.conv2d(x, w, padding=size // 2)
    heads, n, size = map(int, rest.split("x"))
    q, k, v = (torch.rand(1, heads, n, size).to(dtype) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v)


def torch_seconds(work):
    work()
    seconds, total = [], 0.0
    while len(seconds) < 3 or (total < 0.5 and len(seconds) < 51):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
        total += seconds[-1]
    return statistics.median(seconds)


def atelier_seconds(binary, name, threads):
    command = [binary, "bench", "kernels", "--json", "--quiet", "--only", name, "--threads", str(threads)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report, next(k for k in report["kernels"] if k["name"] == name)


def compare(binary, name, rounds, threads):
    work, ours, theirs = torch_work(name), [], []
    for _ in range(rounds):
        report, kernel = atelier_seconds(binary, name, threads)
        ours.append(kernel["milliseconds"])
        with torch.inference_mode():
            theirs.append(torch_seconds(work) * 1e3)
    mine, peer = statistics.median(ours), statistics.median(theirs)
    return report, {"name": name, "atelier_ms": mine, "torch_ms": peer, "ratio": peer / mine,
                    "percent_of_peak": kernel["percent_of_peak"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atelier", required=True)
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, report = [], None
    for name in WORK:
        if options.only in name:
            report, row = compare(options.atelier, name, options.rounds, options.threads)
            rows.append(row)
    if not rows:
        return
    peaks = report["peaks"]
    print(f"{report['cpu']}, {report['threads']} threads, torch {torch.__version__}; peaks: "
          f"f32 {peaks['f32_gflops']:.0f}, bf16 {peaks['bf16_gflops']:.0f} GFLOP/s, "
          f"memory {peaks['read_gb_s']:.0f} GB/s\n")
    print("| work | atelier ms | torch ms | torch / atelier |\n|---|---|---|---|")
    for row in sorted(rows, key=lambda r: r["ratio"]):
        print(f"| {row['name']} | {row['atelier_ms']:.2f} | {row['torch_ms']:.2f} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    main()
