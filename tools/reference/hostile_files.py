"""tests/hostile/: damaged and hostile checkpoints of every format, and in messages.txt what is said of each."""

import io
import os
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections import OrderedDict

import torch

from common import FIXTURES

FOLDER = FIXTURES.parent / "hostile"
FILES = {}


def put(name, data, message):
    FILES[name] = (bytes(data), message)


# ---- pickles

class Call:
    """Whatever unpickles it calls function(*args)."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def torch_zip(pickle_bytes, members=(("data/0", bytes(16)),), folder="archive/", method=zipfile.ZIP_STORED, order=b"little"):
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as z:
        warnings.simplefilter("ignore")
        for name, data in (("data.pkl", pickle_bytes), ("byteorder", order), *members):
            info = zipfile.ZipInfo(folder + name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, data)
    return out.getvalue()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def tensor(shape=(2, 2), stride=(2, 1), offset=0, count=4, kind=b"FloatStorage", key="0"):
    """The instructions of one tensor of torch.save."""
    sizes = [b"(" + b"".join(whole(n) for n in numbers) + b"t" for numbers in (shape, stride)]
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(key) + text("cpu")
            + whole(count) + b"tQ" + whole(offset) + sizes[0] + sizes[1] + b"\x89ccollections\nOrderedDict\n)RtR")


def state(*tensors, end=b"."):
    return b"\x80\x02}(" + b"".join(text(f"w{i}") + t for i, t in enumerate(tensors)) + b"u" + end


def pickles():
    for name, call in {
        "system": Call(os.system, "touch hacked"), "eval": Call(eval, "1"), "getattr": Call(getattr, "a", "b"),
        "compile": Call(compile, "1", "x", "eval"), "import": Call(__import__, "os"),
        "object": Call(torch.nn.Linear, 1, 1), "unpickler": Call(pickle.loads, b"N."),
        "load": Call(torch.load, "x"), "open": Call(open, "x"),
    }.items():
        for protocol in (0, 2, 4):
            data = pickle.dumps({"w": call}, protocol)
            module, member = next((a, b) for a, b in globals_of(data))
            message = f'holds "{module}.{member}", which is neither a tensor nor a plain container'
            put(f"{name}_{protocol}.pt", torch_zip(data), message)
            if protocol:
                put(f"{name}_{protocol}_bare.pt", data, message)
    legacy = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, legacy, _use_new_zipfile_serialization=False)
    legacy = legacy.getvalue()
    put("old_half.pt", legacy[:len(legacy) // 2], "a damaged pickle (it ends too early")
    put("old_no_data.pt", legacy[:-4], "it ends too early")
    put("old_big_endian.pt", legacy.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"), "its numbers are big-endian")
    put("tar.pt", bytes(257) + b"ustar" + bytes(250), "a tar archive")
    put("instance.pt", torch_zip(b"(ios\nsystem\n."), 'holds "os.system"')
    put("extension.pt", torch_zip(b"\x80\x02\x82\x01."), "the instruction 0x82")
    put("persistent_text.pt", torch_zip(b"Pid\n."), "the instruction 0x50")
    put("empty_stack.pt", torch_zip(b"\x80\x02."), "its stack is empty")
    put("no_stop.pt", torch_zip(b"\x80\x02}"), "it ends too early")
    put("no_mark.pt", torch_zip(b"\x80\x02}u."), "a mark is missing")
    put("memo_missing.pt", torch_zip(b"\x80\x02h\x07."), "its memo has no such entry")
    put("memo_far.pt", torch_zip(b"\x80\x02}r\xff\xff\xff\xff."), "a damaged pickle (its memo)")
    put("text_long.pt", torch_zip(b"\x80\x02X\xff\xff\xff\xff."), "it ends too early")
    put("text_longest.pt", torch_zip(b"\x80\x04\x8d" + b"\xff" * 8 + b"."), "it ends too early")
    put("key_alone.pt", torch_zip(b"\x80\x02}(Nu."), "a key without a value")
    put("recursive.pt", torch_zip(b"\x80\x02]q\x00h\x00a."), "containers nested too deeply")
    put("recursive_dict.pt", torch_zip(b"\x80\x02}q\x00" + text("state_dict") + b"h\x00s."), "containers nested too deeply")
    put("deep.pt", torch_zip(b"\x80\x02" + b"(" * 9000 + b"l" * 9000 + b"."), "containers nested too deeply")
    bomb = b"\x80\x02]q\x00(" + b"N" * 64 + b"e0" + b"".join(
        b"]q" + bytes([i]) + b"(" + (b"h" + bytes([i - 1])) * 64 + b"e0" for i in range(1, 12)) + b"h\x0b."
    put("memo_bomb.pt", torch_zip(bomb), "containers shared too often")
    copies = b"\x80\x02](" + b"N" * 60000 + b"eq\x00c__builtin__\nset\nq\x01" + b"h\x01h\x00\x85R" * 1500 + b"."
    put("copy_bomb.pt", torch_zip(copies, method=zipfile.ZIP_DEFLATED), "too many items")
    return legacy


def globals_of(data):
    strings = []
    for op, arg, _ in pickletools.genops(data):
        if op.name == "GLOBAL":
            yield tuple(arg.split(" "))
        elif op.name == "STACK_GLOBAL":
            yield tuple(strings[-2:])
        elif isinstance(arg, str) and op.name != "MEMOIZE":
            strings.append(arg)


# ---- tensors of torch

def torch_tensors():
    outside = 'tensor "w0" lies outside its storage'
    for name, arguments, message in (
        ("offset", {"offset": 1}, outside), ("offset_far", {"offset": 2**62}, outside), ("stride", {"stride": (3, 1)}, outside),
        ("stride_far", {"stride": (2**62, 2**62)}, outside), ("shape", {"shape": (3, 2)}, outside),
        ("shape_far", {"shape": (2**62, 2**62)}, "its shape overflows"),
        ("spread", {"shape": (2**30, 2), "stride": (0, 1)}, outside), ("count", {"count": 5, "shape": (5,), "stride": (1,)}, outside),
        ("count_far", {"count": 2**62}, outside), ("key", {"key": "1"}, 'the storage "archive/data/1" is missing'),
        ("key_path", {"key": "../data/0"}, 'the storage "archive/data/../data/0" is missing'),
    ):
        put(f"tensor_{name}.pt", torch_zip(state(tensor(**arguments))), message)
    for name, arguments in (("negative_offset", {"offset": -1}), ("negative_shape", {"shape": (-2, 2)}),
                            ("negative_stride", {"stride": (-2, 1)}), ("seven", {"shape": (1,) * 7, "stride": (1,) * 7}),
                            ("uneven", {"stride": (1,)})):
        put(f"tensor_{name}.pt", torch_zip(state(tensor(**arguments))), "torch._utils._rebuild_tensor_v2 is called with what it")
    put("tensor_negative_count.pt", torch_zip(state(tensor(count=-1))), "a reference that is no storage")
    put("tensor_complex.pt", torch_zip(state(tensor(kind=b"ComplexFloatStorage"))), 'holds "torch.ComplexFloatStorage"')
    put("tensor_quantized.pt", torch_zip(state(tensor(kind=b"QInt8Storage"))), 'holds "torch.QInt8Storage"')
    twice = state(tensor())[:-2] + text("w0") + tensor() + b"u."
    put("tensor_twice.pt", torch_zip(twice), 'two tensors are called "w0"')
    put("tensor_name.pt", torch_zip(state(tensor()).replace(b"w0", b"w\xff")), "a tensor's name is not UTF-8")


# ---- archives

def archives():
    good = torch_zip(state(tensor()))
    put("zip_empty.pt", b"PK\5\6" + bytes(18), "none of PyTorch's")
    put("zip_cut.pt", good[:-30], "it has no directory")
    put("zip_half.pt", good[:len(good) // 2], "it has no directory")
    put("zip_other.pt", torch_zip(b"N.", folder="a/b/"), "none of PyTorch's")
    put("zip_big_endian.pt", torch_zip(state(tensor()), order=b"big"), "its numbers are big-endian")
    put("zip_script.pt", torch_zip(b"N.", [("constants.pkl", b"N.")]), "a TorchScript program")
    for name, path in (("absolute", "/etc/x"), ("outside", "../x"), ("inside_outside", "a/../../x"), ("backslash", "a\\x"),
                       ("drive", "C:x")):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as z:
            z.writestr("archive/data.pkl", state(tensor()))
            z.writestr("archive/data/0", bytes(16))
            z.writestr("~" * len(path), b"")
        put(f"zip_{name}.pt", out.getvalue().replace(b"~" * len(path), path.encode()), "has an absolute or outside path")
    put("zip_twice.pt", torch_zip(state(tensor()), [("data/0", bytes(16))] * 2), 'two members are called "archive/data/0"')
    put("zip_names_differ.pt", good.replace(b"archive/data/0", b"archive/data/1", 1), "a member's name is not the directory's")
    put("zip_bomb.pt", torch_zip(state(tensor(count=2**24, shape=(2**24,), stride=(1,))), [("data/0", bytes(2**26))],
                                 method=zipfile.ZIP_DEFLATED), "refused as a zip bomb")
    packed = bytearray(torch_zip(state(tensor()), [("data/0", bytes(range(16)))], method=zipfile.ZIP_DEFLATED))
    at = packed.index(b"archive/data/0") + 14
    packed[at + 3] ^= 0x55
    put("zip_damaged.pt", packed, 'the member "archive/data/0" is damaged')
    directory = good.index(b"PK\1\2")
    for name, at, value, message in (
        ("encrypted", 8, 1, "an encrypted archive"), ("method", 10, 12, "is packed by method 12"),
        ("two_sizes", 24, 7, "a stored member has two sizes"), ("member_far", 42, 0x7fffffff, "a member is not where"),
        ("member_zip64", 42, 0xffffffff, "a member is not where"),
    ):
        changed = bytearray(good)
        changed[directory + at:directory + at + (4 if at >= 24 else 2)] = value.to_bytes(4 if at >= 24 else 2, "little")
        put(f"zip_{name}.pt", changed, message)
    overlap = bytearray(good)
    big = (len(good) - 200).to_bytes(4, "little")
    overlap[directory + 20:directory + 24] = overlap[directory + 24:directory + 28] = big
    put("zip_overlap.pt", overlap, "share bytes")
    end = good.rindex(b"PK\5\6")
    for name, at, value, message in (("split", 4, b"\1\0", "an archive in several files"),
                                     ("count", 10, b"\xff\0", "its directory is cut short"),
                                     ("count_64", 10, b"\xff\xff", "its zip64 directory is missing"),
                                     ("directory_far", 16, b"\0\0\0\x7f", "its directory is cut short")):
        changed = bytearray(good)
        changed[end + at:end + at + len(value)] = value
        put(f"zip_{name}.pt", changed, message)


# ---- safetensors and GGUF

def header(text_, data=b""):
    return struct.pack("<Q", len(text_)) + text_.encode() + data


def other_formats():
    put("empty.safetensors", b"", "too short")
    put("short.safetensors", b"\1\0\0", "too short")
    put("header_far.safetensors", struct.pack("<Q", 2**40) + b"{}", "not a safetensors file")
    put("header_cut.safetensors", struct.pack("<Q", 100) + b"{}", "the header ends behind the file's end")
    put("not_json.safetensors", header("{x}"), "")
    put("deep.safetensors", header("{" + '"a":[' * 5000), "")
    put("data_cut.safetensors", header('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', bytes(8)), "ends behind")
    put("overflow.safetensors", header('{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,16]}}', bytes(16)), "")
    put("overlap.safetensors", header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],'
                                      '"data_offsets":[4,12]}}', bytes(12)), "overlaps")
    put("page.safetensors", b"<!DOCTYPE html><html>not found</html>", "not a safetensors file")
    put("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4265380512\n", "")
    put("magic.gguf", b"GGUF", "")
    put("version.gguf", b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9")
    put("counts.gguf", b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63), "ends too early")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    pickles()
    torch_tensors()
    archives()
    other_formats()
    for name, (data, _) in FILES.items():
        (FOLDER / name).write_bytes(data)
    (FOLDER / "messages.txt").write_text("".join(f"{name}\t{message}\n" for name, (_, message) in sorted(FILES.items())))
    print(f"{FOLDER.name}: {len(FILES)} files, {sum(len(d) for d, _ in FILES.values()) / 1000:.0f} kB")
