"""The tables of docs/what-comes-back.md, made by reading and writing a small file of each kind.

`python tests/what_comes_back.py --write` writes them anew.
"""

import io
import struct
import sys
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from image_files import PIXELS, avif_with_code_points, chunk, exif, png, saved
from PIL import Image, ImageCms
from profiles import LINEAR_GRAY, RED_AND_BLUE_SWAPPED, SRGB
from test_metadata import LOST

from sbtcodec.codec.chunks import chunks_of, picture_of
from sbtcodec.errors import ImageError
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import load_image
from sbtcodec.image.saving import WRITABLE, encode_image, fitted

PATH = Path(__file__).resolve().parent.parent / "docs" / "what-comes-back.md"
INTRODUCTION = """\
# What comes back

What an image file holds is kept, or converted or dropped with a notice, or the file is refused with
a reason. These tables are made by reading and writing a small file of each kind
(`python tests/what_comes_back.py --write`), and a test compares them with what is made now.
"""
P3, PQ = bytes((12, 13, 0, 1)), bytes((9, 16, 0, 1))
RGB = Image.fromarray(PIXELS)
GRAY = RGB.convert("L")
ALPHA = Image.linear_gradient("L").resize(RGB.size)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
EXIF = exif((0x13B, 2, 5, "Zoë".encode() + b"\0"))


def in_mode(mode):
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(RGB, *profiles, outputMode="LAB")
    if mode in ("RGBA", "LA", "PA"):
        image = RGB.convert(mode[:-1]).convert(mode)
        image.putalpha(ALPHA)
        return image
    if mode.startswith(("I", "F")):
        samples = np.asarray(GRAY).astype({"I;16": "<u2", "I": "<i4", "F": "<f4"}[mode])
        return Image.fromarray(samples * (1 if mode == "F" else 257))
    return RGB.convert(mode)


def deep_png(colour_type, channels):
    """A PNG file of 16 bits a sample."""
    samples = np.full((2, 2, channels), 0x1234, ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def animation(image_format):
    return saved(image_format, RGB, save_all=True, append_images=[RGB.rotate(180)])


FORMATS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "GIF": ("L", "P"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16", "F"),
}


def modes():
    for image_format, kinds in FORMATS.items():
        options = {"lossless": True} if image_format == "WEBP" else {}
        for mode in kinds:
            data = saved(image_format, in_mode(mode), **options)
            yield f"{image_format}, mode {mode}", data
    for colour_type, name, channels in ((2, "RGB", 3), (4, "LA", 2), (6, "RGBA", 4)):
        yield f"PNG, 16-bit {name}", deep_png(colour_type, channels)
    yield "PNG, transparent colour", saved("PNG", RGB, transparency=tuple(PIXELS[0, 0].tolist()))
    yield "PNG, transparent gray", saved("PNG", GRAY, transparency=int(np.asarray(GRAY)[0, 0]))
    yield "GIF, transparent colour", saved("GIF", RGB.convert("P"), transparency=0)
    for image_format in ("GIF", "PNG", "WEBP", "TIFF"):
        yield f"{image_format}, two frames", animation(image_format)


def colours():
    gamma = struct.pack(">I", 100_000)
    primaries = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
    for image_format in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF"):
        data = saved(image_format, RGB, icc_profile=RED_AND_BLUE_SWAPPED)
        yield f"{image_format}, ICC profile", data
    yield "PNG, ICC profile of gray", saved("PNG", GRAY, icc_profile=LINEAR_GRAY)
    yield "TIFF, ICC profile of RGB on gray", saved("TIFF", GRAY, icc_profile=RED_AND_BLUE_SWAPPED)
    yield "PNG, ICC profile of sRGB", saved("PNG", RGB, icc_profile=SRGB)
    yield "JPEG, damaged ICC profile", saved("JPEG", RGB, icc_profile=b"damaged")
    yield "PNG, sRGB", png((b"sRGB", b"\0"))
    yield "PNG, gAMA of sRGB", png((b"gAMA", struct.pack(">I", 45455)))
    yield "PNG, gAMA 1.0", png((b"gAMA", gamma))
    yield "PNG, cHRM all 0", png((b"cHRM", bytes(32)))
    yield "PNG, cICP Display P3", png((b"cICP", P3))
    yield "PNG, cICP BT.2020 PQ", png((b"cICP", PQ))
    yield "PNG, cICP of YCbCr", png((b"cICP", bytes((1, 13, 6, 1))))
    yield "AVIF, nclx Display P3", avif_with_code_points(12, 13)
    yield "AVIF, nclx BT.2020 HLG", avif_with_code_points(9, 18)
    yield "TIFF, PrimaryChromaticities", saved("TIFF", RGB, tiffinfo={319: primaries})
    ramp = tuple(257 * value for value in range(256))
    yield "TIFF, TransferFunction", saved("TIFF", RGB, tiffinfo={301: ramp})
    for name, code in (("Adobe RGB", 2), ("Uncalibrated", 0xFFFF)):
        inner = struct.pack(">HHHIHHI", 1, 0xA001, 3, 1, code, 0, 0)
        data = exif((0x8769, 4, 1, struct.pack(">I", 26))) + inner
        yield f"JPEG, EXIF ColorSpace {name}", saved("JPEG", RGB, exif=b"Exif\0\0" + data)


def metadata():
    for image_format in ("PNG", "JPEG", "WEBP", "AVIF"):
        yield f"{image_format}, EXIF", saved(image_format, RGB, exif=b"Exif\0\0" + EXIF)
    yield "TIFF, EXIF and XMP", encode_image(Picture(PIXELS, exif=EXIF, xmp=XMP), ".tif")
    for image_format in ("JPEG", "WEBP", "AVIF"):
        yield f"{image_format}, XMP", saved(image_format, RGB, xmp=XMP)
    yield "PNG, XMP", encode_image(Picture(PIXELS, xmp=XMP), ".png")
    turned = exif((0x112, 3, 1, struct.pack(">H", 6)), (0x13B, 2, 5, b"Name\0"))
    yield "JPEG, EXIF orientation", saved("JPEG", RGB, exif=b"Exif\0\0" + turned)
    for name, (data, _) in LOST.items():
        with Image.open(io.BytesIO(data)) as image:
            yield f"{image.format}, {name.removeprefix(image.format).strip()}", data


def row(name, data):
    """A line of what is read of a file, goes into a .sbt file and comes out of it."""
    try:
        picture = load_image(data)
    except ImageError as error:
        return f"| {name} | refused | | {str(error).removeprefix('the image ')} |"
    chunks = chunks_of(picture)
    back = picture_of(picture.rgb, chunks, grayscale=picture.grayscale, notices=picture.notices)
    same = all(
        getattr(back, kind) == getattr(picture, kind) for kind in ("icc", "cicp", "exif", "xmp")
    )
    assert same, name
    kinds = ", ".join(f"`{chunk.kind}`" for chunk in chunks)
    return f"| {name} | {picture.mode} | {kinds} | {'; '.join(picture.notices)} |"


def outputs():
    extensions = [extension for extension in WRITABLE if extension not in (".tiff", ".jpeg")]
    yield "| picture | " + " | ".join(extension[1:] for extension in extensions) + " |"
    yield "| --- |" + " --- |" * len(extensions)
    plain, alpha = Picture(PIXELS), np.array(ALPHA)
    gray = Picture(np.array(GRAY.convert("RGB")), grayscale=True)
    kinds = {
        "RGB": plain,
        "RGBA": replace(plain, alpha=alpha),
        "L": gray,
        "LA": replace(gray, alpha=alpha),
        "ICC profile": replace(plain, icc=RED_AND_BLUE_SWAPPED),
        "ICC profile of gray": replace(gray, icc=LINEAR_GRAY),
        "Display P3 as code points": load_image(png((b"cICP", P3))),
        "BT.2020 PQ": replace(plain, cicp=PQ),
        "EXIF": replace(plain, exif=EXIF),
        "EXIF of 70 kB": replace(plain, exif=EXIF + bytes(70_000)),
        "XMP": replace(plain, xmp=XMP),
    }
    for name, picture in kinds.items():
        yield f"| {name} | " + " | ".join(cell(picture, each) for each in extensions) + " |"


def cell(picture, extension):
    """What becomes of a picture in a format, by what is said and by reading it back."""
    notices = fitted(picture, extension).notices[len(picture.notices) :]
    if notices:
        return "; ".join(notices)
    back = load_image(encode_image(picture, extension))
    exact = np.array_equal(back.rgb, picture.rgb)
    turned = "" if back.mode == picture.mode else f", as {back.mode}"
    return ("kept" if exact else "kept, pixels nearly") + turned


def document():
    """The text of docs/what-comes-back.md."""
    lines = [INTRODUCTION]
    head = "| file | read as | chunks | notices, or the reason |\n| --- | --- | --- | --- |"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for title, rows in (
            ("Modes, depths, transparency and frames", modes()),
            ("Colours", colours()),
            ("Metadata and what else is in files", metadata()),
        ):
            lines += [f"## {title}\n", head, *(row(*each) for each in rows), ""]
        lines += ["## Image files that are written\n", *outputs()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PATH.write_text(document(), encoding="utf-8")
    else:
        sys.stdout.write(document())
