"""Kokoro-82M from its int8 ONNX form back to the tensors of the official torch modules.

The graph was made by torch.onnx.export (weight norm folded, constants merged) and onnxruntime's
quantize_dynamic: weights lie beside a scale and a zero point, under names of their own or of another
weight with the same bytes. What a weight is, the node that uses it says: nodes keep their module's path.
"""
import json
import re
import struct

import numpy as np

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8}  # the others are shapes and indices


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def integers(value):
    """Of a repeated field: one, or many that are packed."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        one, at = varint(value, at)
        found.append(one)
    return found


def fields(data):
    """(number, value) of a protobuf message: integers, or memoryviews."""
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = varint(data, at)
        if at + size > end:
            raise ValueError('the ONNX file is cut')
        yield key >> 3, data[at:at + size]
        at += size


def text(value):
    return bytes(value).decode()


def tensor(data):
    name, kind, dims, raw, numbers = '', 0, [], None, []
    for number, value in fields(data):
        if number == 1:
            dims += integers(value)
        elif number == 2:
            kind = value
        elif number == 4:
            numbers += [v for v, in struct.iter_unpack('<f', value)]
        elif number == 5:
            numbers += integers(value)
        elif number == 8:
            name = text(value)
        elif number == 9:
            raw = value
    if kind not in TYPES:
        return name, None
    array = np.array(numbers, TYPES[kind]) if raw is None else np.frombuffer(raw, TYPES[kind])
    return name, array.reshape(dims)


def read(path):
    """The initializers by name, and the nodes as (type, path, inputs)."""
    with open(path, 'rb') as file:
        data = memoryview(file.read())
    graph = next(value for number, value in fields(data) if number == 7)
    tensors, nodes = {}, []
    for number, value in fields(graph):
        if number == 5:
            name, array = tensor(value)
            tensors[name] = array
        elif number == 1:
            kind = name = ''
            inputs = []
            for n, v in fields(value):
                if n == 1:
                    inputs.append(text(v))
                elif n == 3:
                    name = text(v)
                elif n == 4:
                    kind = text(v)
            nodes.append((kind, name, inputs))
    return tensors, nodes


def module_of(name):
    """'/decoder/decoder/generator/ups.0/ConvTranspose' -> 'decoder.generator.ups.0'"""
    parts = [re.sub(r'_\d+$', '', part) for part in name.strip('/').split('/')[1:-1]]  # _1: the second call
    for i in reversed(range(1, len(parts))):  # cnn.0/cnn.0.0: a Sequential
        if parts[i].startswith(parts[i - 1] + '.'):
            del parts[i - 1]
    if parts and parts[0].split('.')[0] in ('F0', 'N', 'F0_proj', 'N_proj', 'shared'):
        parts.insert(0, 'predictor')
    return '.'.join(parts)


def convert(path):
    """{name: f32 array} as KModel.state_dict() names them, weight norm folded: X.weight."""
    tensors, nodes = read(path)

    def values(weight, zero=None):
        if not weight.endswith('_quantized'):
            return tensors[weight].astype(np.float32)
        scale = tensors[weight[:-len('quantized')] + 'scale']
        zero = zero if zero is not None else weight[:-len('quantized')] + 'zero_point'
        offset = tensors.get(zero)
        offset = np.zeros((), np.int32) if offset is None else offset.astype(np.int32)
        q = tensors[weight].astype(np.int32)
        if scale.ndim == 1 and q.ndim == 3:  # of an LSTM: one for each direction
            scale, offset = scale[:, None, None], offset.reshape(-1, 1, 1) if offset.size > 1 else offset
        return (q - offset).astype(np.float32) * scale.astype(np.float32)

    out = {}

    def put(name, array):
        if name in out and not np.array_equal(out[name], array):
            raise ValueError(f'two weights for {name}')
        out[name] = np.ascontiguousarray(array, np.float32)

    for name, array in tensors.items():  # what kept its name: biases, norms
        if array is not None and array.dtype == np.float32 and name.startswith(('encoder.', 'decoder.decoder.')) and (
                '.stft.' not in name and not name.endswith(('_scale', '.fc.weight'))):
            put(name.split('.', 1)[1], array)
    for kind, path_, inputs in nodes:
        module = module_of(path_)
        weights = [i for i in inputs if tensors.get(i) is not None and tensors[i].ndim >= 2]
        if kind in ('MatMulInteger', 'MatMul') and weights:
            if len(inputs) < 2 or inputs[1] not in tensors or not module:
                continue
            zero = inputs[3] if len(inputs) > 3 else None
            put(module + '.weight', values(inputs[1], zero).T)
        elif kind == 'ConvInteger':
            put(module + '.weight', values(inputs[1], inputs[3] if len(inputs) > 3 else None))
        elif kind in ('Conv', 'ConvTranspose') and '/stft/' not in path_:
            put(module + '.weight', values(inputs[1]))
        elif kind == 'DequantizeLinear' and inputs[1].endswith('_scale'):  # of rows gathered from a table
            table = inputs[1][:-len('_scale')]
            put(table.split('.', 1)[1], values(table + '_quantized', inputs[2]))
        elif kind == 'DynamicQuantizeLSTM':
            put_lstm(put, module, values(inputs[1], inputs[9]), values(inputs[2], inputs[11]), tensors[inputs[3]])
    return out


def put_lstm(put, module, w, r, b):
    """ONNX orders the gates i, o, f, c, and has [input, 4 * hidden] where quantised; torch has i, f, g, o."""
    hidden = r.shape[1]
    order = np.concatenate([np.arange(hidden) + hidden * i for i in (0, 2, 3, 1)])
    for direction, end in enumerate(('', '_reverse')):
        put(f'{module}.weight_ih_l0{end}', w[direction].T[order])
        put(f'{module}.weight_hh_l0{end}', r[direction].T[order])
        put(f'{module}.bias_ih_l0{end}', b[direction][:4 * hidden][order])
        put(f'{module}.bias_hh_l0{end}', b[direction][4 * hidden:][order])


def lexicon(gold, silver):
    """The lines of a lexicon (src/text/lexicon.h) from misaki's two dictionaries, as bytes."""
    lines = {}
    for rating, words in ((3, silver), (4, gold)):
        for word, said in words.items():
            if isinstance(said, dict):
                tags = ''.join(f'\t{tag}={ps or ""}' for tag, ps in said.items() if tag != 'DEFAULT')
                said = (said['DEFAULT'] or '') + tags
            if '\t' not in word and '\n' not in word:
                lines[word.encode()] = f'\t{rating}\t{said}\n'.encode()
    # by the bytes of the words; a tab ends a word, so shorter ones come first
    return b''.join(word + lines[word] for word in sorted(lines))


def write_safetensors(tensors, path):
    """Matrices and kernels as f16, which rounds much finer than the eight bits that they come from did."""
    header, at = {}, 0
    tensors = {name: array.astype('<f2' if array.ndim > 1 and min(array.shape[:2]) > 1 else '<f4')
               for name, array in tensors.items()}
    for name, array in sorted(tensors.items()):
        header[name] = {'dtype': 'F16' if array.dtype.itemsize == 2 else 'F32', 'shape': list(array.shape), 'data_offsets': [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for _, array in sorted(tensors.items()):
            file.write(array.tobytes())
