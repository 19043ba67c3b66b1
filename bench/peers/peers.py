"""Times the same kernels in atelier, torch and OpenVINO, in turns in one run; prints milliseconds and ratios.

Of each round the median, of the rounds the least: other work on the machine only adds.

A ratio above 1 means that atelier is faster. All get the same number of threads. The names are those of
`atelier bench kernels`, work.py says what they stand for.
"""

import argparse
import json
import statistics
import subprocess
import time

import openvino
import torch

import work

PEERS = {"torch": work.torch_work, "openvino": work.openvino_work}


def seconds_of(run):
    """The median of as many as fit half a second, 3 to 51, after one to warm up."""
    run()
    seconds, total = [], 0.0
    while len(seconds) < 3 or (total < 0.5 and len(seconds) < 51):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
        total += seconds[-1]
    return statistics.median(seconds)


def atelier_report(options):
    command = [options.atelier, "bench", "kernels", "--json", "--quiet", "--threads", str(options.threads)]
    command += ["--only", options.only] if options.only else []
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(options):
    """Milliseconds of each round, by name and engine, and atelier's last report."""
    times = {}
    for _ in range(options.rounds):
        report = atelier_report(options)
        for kernel in report["kernels"]:
            times.setdefault(kernel["name"], {}).setdefault("atelier", []).append(kernel["milliseconds"])
        for name, row in times.items():
            asked = work.parse(name)
            for peer in options.peers if asked else []:
                run = PEERS[peer](asked)
                if run:
                    row.setdefault(peer, []).append(seconds_of(run) * 1e3)
    return times, report


def print_table(times, report, peers):
    peaks = report["peaks"]
    print(f"{report['cpu']}, {report['table']}, {report['threads']} threads, torch {torch.__version__}, OpenVINO "
          f"{openvino.__version__.split('-')[0]}; peaks: f32 {peaks['f32_gflops']:.0f}, bf16 {peaks['bf16_gflops']:.0f} "
          f"GFLOP/s, int8 {peaks['int8_gops']:.0f} GOP/s, memory reads {peaks['read_gb_s']:.0f}, copies "
          f"{peaks['copy_gb_s']:.0f} GB/s\n")
    print("| work | of peak | atelier ms |" + "".join(f" {p} ms | {p} / atelier |" for p in peers))
    print("|---|---|---|" + "---|---|" * len(peers))
    lines = []
    for kernel in report["kernels"]:
        row = {engine: min(ms) for engine, ms in times[kernel["name"]].items()}
        ratios = [row[p] / row["atelier"] if p in row else None for p in peers]
        percent = kernel["percent_of_peak"] * kernel["milliseconds"] / row["atelier"]
        cells = "".join(f" {row[p]:.2f} | {r:.2f} |" if r else " | |" for p, r in zip(peers, ratios))
        least = min((r for r in ratios if r), default=float("inf"))
        lines.append((least, f"| {kernel['name']} | {percent:.0f} % | {row['atelier']:.2f} |{cells}"))
    print("\n".join(line for _, line in sorted(lines)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atelier", required=True)
    parser.add_argument("--only", default="", help="as of atelier bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        times, report = measure(options)
    print_table(times, report, options.peers)


if __name__ == "__main__":
    main()
