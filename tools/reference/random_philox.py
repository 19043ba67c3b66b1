"""tests/fixtures/random/philox.json: what torch.randn and torch.rand draw on a CUDA device, computed without one.

Philox4x32-10 is written here from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), and checked with
its published known answers. How cuRAND and torch use it: thread i has key = seed (low, high word) and counter
(offset / 4 low, high, i low, high); the first two words of a block give two normals by Box-Muller (the sine first), the
other two words two more. torch starts min(ceil(n / 256), SMs * (threads per SM / 256)) blocks of 256 threads; value j
is component (j / threads) % 4 of block j / (4 threads) of thread j % threads. So as long as n is at most 256 * SMs *
(threads per SM / 256) each value has a thread of its own and the device does not matter; beyond that, values differ from
one kind of device to another ("threads" in the cases; null: one thread a value, which is also what A1111's CPU emulation
draws for every size). A call moves the offset on by 4 * ceil(n / (4 threads)).

The arithmetic after the words is f32; a device has its own logf, __sincosf and fma, so expect about 2e-6 between this
and a device, and compare with that tolerance.
"""

import math

import numpy as np

from common import FIXTURES, report, write_json

MASK = 0xFFFFFFFF


def philox4x32_10(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([MASK] * 4, [MASK] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]
f32 = np.float32


def box_muller(x, y):
    u = f32(x) * f32(2**-32) + f32(2**-33)
    v = f32(y) * f32(2**-32 * 2 * math.pi) + f32(2**-33 * 2 * math.pi)
    s = math.sqrt(-2 * math.log(float(u)))
    return [float(f32(s * math.sin(float(v)))), float(f32(s * math.cos(float(v))))]


def uniform(x):
    """curand_uniform is in (0, 1]; torch turns 1 into 0."""
    u = f32(x) * f32(2**-32) + f32(2**-33)
    return 0.0 if u == 1 else float(u)


class Generator:
    def __init__(self, seed, threads=None):
        self.key, self.offset, self.threads = [seed & MASK, seed >> 32], 0, threads

    def values(self, call, count, indices):
        threads = min((count + 255) // 256 * 256, self.threads or 2**62)
        out = []
        for j in indices:
            block, component, thread = j // (4 * threads), j // threads % 4, j % threads
            at = self.offset // 4 + block
            words = philox4x32_10([at & MASK, at >> 32, thread & MASK, thread >> 32], self.key)
            out.append(uniform(words[component]) if call == "rand" else
                       box_muller(*words[component // 2 * 2:component // 2 * 2 + 2])[component % 2])
        self.offset += ((count - 1) // (4 * threads) + 1) * 4
        return out


def main():
    for counter, key, words in KNOWN:
        assert philox4x32_10(counter, key) == words
    streams = []

    def stream(name, seed, calls, threads=None):
        g, out = Generator(seed, threads), []
        for call, count, *chosen in calls:
            indices = chosen[0] if chosen else list(range(count))
            before = g.offset
            out.append({"call": call, "count": count, "offset": before, **({"indices": indices} if chosen else {}),
                        "values": g.values(call, count, indices)})
        streams.append({"name": name, "seed": str(seed), "threads": threads, "calls": out})
        return out

    first = stream("seed0", 0, [("randn", 12)])[0]["values"]
    # What torch prints on any CUDA device: torch.manual_seed(0); torch.randn(8, device="cuda")
    assert np.allclose(first[:8], [-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284], atol=5e-5)
    for seed in (1, 7, 1234, 2**32 - 1, 2**33 + 5, 2**63 - 1, 2**64 - 1):
        stream(f"seed{seed}", seed, [("randn", 17), ("randn", 3), ("rand", 5), ("randn", 1), ("randn", 33)])
    some = [0, 1, 255, 256, 257, 4095, 4096, 16383]
    stream("latents", 42, [("randn", 16384, some), ("randn", 16384, some)])
    n, threads = 262144, 163840
    edge = [0, threads - 1, threads, threads + 1, n - 1]
    stream("two_waves", 42, [("randn", n, edge), ("randn", 20, [0, 19])], threads)
    stream("one_thread_each", 42, [("randn", n, edge), ("randn", 20, [0, 19])])
    n, threads = 5000, 1024
    edge = [0, 1023, 1024, 2047, 2048, 3071, 3072, 4095, 4096, 4999]
    stream("five_waves", 9, [("randn", n, edge), ("randn", 2000, [0, 1023, 1024, 1999]), ("rand", 4, [0, 3])], threads)
    hexes = lambda words: [f"{w:08x}" for w in words]
    write_json(FIXTURES / "random" / "philox.json", {
        "known_answers": [{"counter": hexes(c), "key": hexes(k), "words": hexes(w)} for c, k, w in KNOWN],
        "tolerance": 2e-6, "streams": streams})
    report(FIXTURES / "random")


if __name__ == "__main__":
    main()
