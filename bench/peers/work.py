"""The work that a name of `atelier bench kernels` stands for, in torch and in OpenVINO.

torch gets its inputs in the precision's dtype, channels last, and gives its results in it. OpenVINO gets and gives
f32, channels last, as atelier does, with its inference precision set; int8 is static quantisation, known in advance.
"""

import re
from dataclasses import dataclass

import numpy as np
import openvino as ov
import torch
import torch.nn.functional as F
from openvino import opset13 as op

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
ROWS, WIDTH, LEVEL, HEAD = 16384, 4096, 256, 128  # of the passes over memory


@dataclass
class Matmul:
    precision: str
    m: int
    n: int
    k: int


@dataclass
class Convolution:
    precision: str
    batch: int
    size: list
    channels: int
    out: int
    kernel: list
    stride: int
    dilation: int
    transposed: bool
    causal: bool

    def padding(self, d):
        reach = self.dilation * (self.kernel[d] - 1)
        if self.transposed:
            return (self.kernel[d] - self.stride) // 2, (self.kernel[d] - self.stride) // 2
        return (reach, 0) if self.causal and d == 0 else (reach // 2, reach // 2)


@dataclass
class Attention:
    precision: str
    heads: int
    positions: int
    size: int
    mask: str


@dataclass
class Pass:
    precision: str
    name: str


def parse(name):
    """What a name says; None: nothing that is measured here (weights in blocks)."""
    found = re.fullmatch(r"matmul_(f32|bf16|int8)_(\d+)x(\d+)x(\d+)", name)
    if found:
        return Matmul(found[1], *map(int, found.groups()[1:]))
    found = re.fullmatch(r"attention_(f32|bf16)_(\d+)x(\d+)x(\d+)_?(causal|mask|bias)?", name)
    if found:
        return Attention(found[1], *map(int, found.groups()[1:4]), found[5])
    found = re.fullmatch(r"conv(_transposed)?([\dx]+)_(f32|bf16|int8)_(\d+)(?:to(\d+))?_([\dx]+)_b(\d+)(?:_(.+))?", name)
    if found:
        numbers = [list(map(int, found[i].split("x"))) for i in (2, 6)]
        option = {found[8][0]: found[8][1:]} if found[8] else {}
        return Convolution(found[3], int(found[7]), numbers[1], int(found[4]), int(found[5] or found[4]), numbers[0],
                           int(option.get("s", 1)), int(option.get("d", 1)), bool(found[1]), "c" in option)
    found = re.fullmatch(rf"(\w+)_{ROWS}x{WIDTH}", name)
    return Pass("f32", found[1]) if found else None


# torch


def torch_convolution(w):
    dtype, dims = DTYPES[w.precision], len(w.size)
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}.get(dims, torch.contiguous_format)
    x = torch.rand(w.batch, w.channels, *w.size).to(dtype, memory_format=layout)
    shape = (w.channels, w.out) if w.transposed else (w.out, w.channels)
    weight = torch.rand(*shape, *w.kernel).to(dtype, memory_format=layout)
    before, after = zip(*map(w.padding, range(dims)))
    if w.transposed:
        return lambda: F.conv_transpose1d(x, weight, stride=w.stride, padding=before)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    if before == after:
        return lambda: convolve(x, weight, stride=w.stride, dilation=w.dilation, padding=before)
    room = [n for d in reversed(range(dims)) for n in (before[d], after[d])]
    return lambda: convolve(F.pad(x, room), weight, stride=w.stride, dilation=w.dilation)


def torch_attention(w):
    q, k, v = (torch.rand(1, w.heads, w.positions, w.size).to(DTYPES[w.precision]) for _ in range(3))
    mask = None
    if w.mask == "mask":
        mask = torch.rand(w.positions, w.positions) > 0.1
    elif w.mask == "bias":
        mask = torch.rand(w.heads, w.positions, w.positions).to(DTYPES[w.precision])
    return lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=w.mask == "causal")


def torch_pass(w):
    x, y = torch.rand(ROWS, WIDTH), torch.rand(ROWS, WIDTH)
    weight, bias = torch.rand(WIDTH), torch.rand(WIDTH)
    picture = x.view(1, -1, LEVEL).permute(0, 2, 1)  # channels last
    return {
        "add": lambda: x + y,
        "gated_add": lambda: torch.addcmul(x, y, weight),
        "silu": lambda: F.silu(x),
        "gelu": lambda: F.gelu(x),
        "gelu_tanh": lambda: F.gelu(x, approximate="tanh"),
        "gelu_mul": lambda: F.gelu(x) * y,
        "softmax": lambda: F.softmax(x, -1),
        "layer_norm": lambda: F.layer_norm(x, [WIDTH], weight, bias),
        "rms_norm": lambda: F.rms_norm(x, [WIDTH], weight),
        "norm_modulate": lambda: F.layer_norm(x, [WIDTH]) * (1 + weight) + bias,
        "group_norm_silu": lambda: F.silu(F.group_norm(picture, 32, weight[:LEVEL], bias[:LEVEL])),
    }.get(w.name)


def torch_work(w):
    """A function that does once what w says; None: torch has no such work."""
    if w.precision == "int8":
        return None
    if isinstance(w, Matmul):
        x, weight = torch.rand(w.n, w.k).to(DTYPES[w.precision]), torch.rand(w.m, w.k).to(DTYPES[w.precision])
        return lambda: F.linear(x, weight)
    return {Convolution: torch_convolution, Attention: torch_attention, Pass: torch_pass}[type(w)](w)


# OpenVINO


def constant(*values):
    return [op.constant(np.float32(v)) for v in values]


def quantized(x):
    """x in -1..1, in 256 steps."""
    return op.fake_quantize(x, *constant(-1, 1, -1, 1), 256)


def weights(shape, precision):
    if precision != "int8":
        return op.constant(np.random.rand(*shape).astype(np.float32) - 0.5)
    scale = np.full([shape[0]] + [1] * (len(shape) - 1), 1 / 254, np.float32)
    return op.multiply(op.convert(op.constant(np.random.randint(-127, 128, shape, np.int8)), "f32"), op.constant(scale))


def openvino_matmul(w):
    x = op.parameter([w.n, w.k], np.float32)
    source = quantized(x) if w.precision == "int8" else x
    return op.matmul(source, weights([w.m, w.k], w.precision), False, True), [x]


def openvino_convolution(w):
    dims = len(w.size)
    x = op.parameter([w.batch, *w.size, w.channels], np.float32)
    inner = op.transpose(x, op.constant([0, dims + 1, *range(1, dims + 1)]))
    source = quantized(inner) if w.precision == "int8" else inner
    before, after = zip(*map(w.padding, range(dims)))
    steps = [w.stride] * dims, before, after, [w.dilation] * dims
    if w.transposed:
        y = op.convolution_backprop_data(source, weights([w.channels, w.out, *w.kernel], w.precision), steps[0], None,
                                         *steps[1:])
    else:
        y = op.convolution(source, weights([w.out, w.channels, *w.kernel], w.precision), *steps)
    return op.transpose(y, op.constant([0, *range(2, dims + 2), 1])), [x]


def openvino_attention(w):
    x = [op.parameter([1, w.positions, w.heads, w.size], np.float32) for _ in range(3)]
    q, k, v = (op.transpose(one, op.constant([0, 2, 1, 3])) for one in x)
    more = []
    if w.mask in ("mask", "bias"):
        heads = w.heads if w.mask == "bias" else 1
        more = [op.parameter([1, heads, w.positions, w.positions], np.bool_ if w.mask == "mask" else np.float32)]
    y = op.scaled_dot_product_attention(q, k, v, *more, causal=w.mask == "causal")
    return op.transpose(y, op.constant([0, 2, 1, 3])), x + more


def openvino_work(w):
    """As torch_work."""
    if isinstance(w, Pass):
        return None
    result, inputs = {Matmul: openvino_matmul, Convolution: openvino_convolution,
                      Attention: openvino_attention}[type(w)](w)
    request = compiled(ov.Model([result], inputs), w.precision, torch.get_num_threads()).create_infer_request()
    for i, x in enumerate(inputs):
        values = np.random.rand(*x.shape).astype(np.float32)
        request.set_input_tensor(i, ov.Tensor(values > 0.1 if x.get_element_type() == ov.Type.boolean else values))
    return request.infer


def compiled(model, precision, threads):
    return ov.Core().compile_model(model, "CPU", {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision, "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads})
