"""tests/fixtures/images/: pictures of every kind as PIL writes them, and the pixels that PIL reads from them.

What PIL cannot write (16-bit colour, Adam7, transparent colours) is put together here chunk by chunk."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin
from safetensors.numpy import save_file

from common import fresh_folder

FOLDER = fresh_folder("images")
HEIGHT, WIDTH = 9, 13
PARAMETERS = "a red heart, été\nNegative prompt: blurry\nSteps: 4, Sampler: Euler, Seed: 7, Size: 64x64"
expected = {}


def picture(channels, depth=8):
    """Smooth, so that JPEG keeps it, and different in every corner."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x / (WIDTH - 1), y / (HEIGHT - 1), (x + y) / (WIDTH + HEIGHT - 2), 1 - x * y / (WIDTH * HEIGHT)]
    values = np.stack(planes[:channels], -1) * (2**depth - 1)
    return np.round(values).astype(np.uint8 if depth == 8 else np.uint16)


def keep(name, pixels):
    pixels = np.asarray(pixels)
    expected[name] = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., None])


def save(name, image, mode=None, **options):
    """Writes with PIL and keeps what PIL reads back."""
    image.save(FOLDER / name, **options)
    back = ImageOps.exif_transpose(Image.open(FOLDER / name))
    keep(name, back.convert(mode or back.mode))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(name, pixels, colour, extra=b"", interlaced=False):
    height, width = pixels.shape[:2]
    depth = pixels.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for y, x, down, right in passes if interlaced else [(0, 0, 1, 1)]:
        for row in pixels[y::down, x::right]:
            if row.size:
                raw += b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9))
    (FOLDER / name).write_bytes(data + chunk(b"IEND", b""))


def exif(orientation=None, comment=None):
    data = Image.Exif()
    data.endian = ">"
    if orientation:
        data[0x0112] = orientation
    if comment:
        data.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + comment.encode("utf-16-be")
    return data


def pngs():
    save("rgb.png", Image.fromarray(picture(3)))
    save("rgba.png", Image.fromarray(picture(4)))
    save("gray.png", Image.fromarray(picture(1)[..., 0]))
    save("gray_alpha.png", Image.fromarray(picture(2), "LA"))
    save("bits.png", Image.fromarray(picture(1)[..., 0]).convert("1"), "L")
    palette = Image.fromarray(picture(3)).quantize(16)
    save("palette.png", palette, "RGB")
    save("palette_alpha.png", palette, "RGBA", transparency=bytes(range(0, 256, 16)))
    gray16 = picture(1, 16)
    Image.fromarray(gray16[..., 0]).save(FOLDER / "gray16.png")
    keep("gray16.png", gray16)
    write_png("rgb16.png", picture(3, 16), 2)
    keep("rgb16.png", picture(3, 16))
    write_png("adam7.png", picture(4), 6, interlaced=True)
    keep("adam7.png", picture(4))
    rgb = picture(3)
    write_png("transparent_colour.png", rgb, 2, chunk(b"tRNS", struct.pack(">HHH", *rgb[4, 6])))
    keep("transparent_colour.png", Image.open(FOLDER / "transparent_colour.png").convert("RGBA"))
    save("orientation.png", Image.fromarray(picture(3)), exif=exif(6))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", PARAMETERS)  # Latin-1: tEXt
    texts.add_text("atelier", '{"prompt":"❤ 😀"}')  # not: iTXt
    texts.add_text("Comment", "é" * 300, zip=True)
    save("texts.png", Image.fromarray(picture(3)), pnginfo=texts)


def jpegs():
    save("rgb.jpg", Image.fromarray(picture(3)), quality=95)
    save("gray.jpg", Image.fromarray(picture(1)[..., 0]), quality=95)
    save("progressive.jpg", Image.fromarray(picture(3)), quality=95, progressive=True)
    save("cmyk.jpg", Image.fromarray(picture(4), "CMYK"), "RGB", quality=95)
    for orientation in range(2, 9):
        save(f"orientation{orientation}.jpg", Image.fromarray(picture(3)), exif=exif(orientation))
    save("comment.jpg", Image.fromarray(picture(3)), exif=exif(comment=PARAMETERS + " 😀"))


def webps():
    save("rgb.webp", Image.fromarray(picture(3)), quality=90)
    save("rgba.webp", Image.fromarray(picture(4)), lossless=True, exact=True)
    save("orientation.webp", Image.fromarray(picture(3)), lossless=True, exif=exif(8, PARAMETERS))
    frames = [Image.fromarray(picture(3)), Image.fromarray(255 - picture(3))]
    frames[0].save(FOLDER / "animated.webp", save_all=True, append_images=frames[1:])


if __name__ == "__main__":
    pngs()
    jpegs()
    webps()
    save_file(expected, FOLDER / "expected.safetensors")
