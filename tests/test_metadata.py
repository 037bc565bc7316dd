"""Metadata byte by byte: text of any encoding, thumbnails, long text, notices for the rest."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from image_files import PIXELS, exif, jpeg, png, saved
from PIL import Image, PngImagePlugin
from profiles import RED_AND_BLUE_SWAPPED

from sbtcodec import Codec
from sbtcodec.errors import ImageError
from sbtcodec.image.boxes import boxes_of
from sbtcodec.image.exif import without_orientation, without_thumbnail
from sbtcodec.image.metadata import of_a_part
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import as_rgb, load_image
from sbtcodec.image.saving import encode_image
from sbtcodec.limits import MAX_METADATA_BYTES

PREFIX = b"Exif\0\0"
NAMES = ["Zoë Ünal ©".encode(), "Ægir Þórsson".encode("latin-1"), "山田".encode(), b"\xff\xfe\x01"]
THUMBNAIL = saved("JPEG", Image.new("RGB", (12, 8), "red"))


def artist(name):
    return 0x13B, 2, len(name) + 1, name + b"\0"


def orientation(value, order=">", kind=3):
    return 0x112, kind, 1, struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], value)


# EXIF data


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turned", [None, 1, 3, 6])
def test_text_keeps_its_bytes(name, order, turned):
    fields = [artist(name)] if turned is None else [orientation(turned, order), artist(name)]
    stored = PREFIX + exif(*fields, order=order)
    for data in (jpeg(exif=stored), png((b"eXIf", stored[6:])), saved("WEBP", exif=stored)):
        picture = load_image(data)
        assert name + b"\0" in picture.exif
        assert picture.notices == ()
        assert 0x112 not in Image.open(io.BytesIO(saved("PNG", exif=picture.exif))).getexif() or (
            turned == 1
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_text_keeps_its_bytes_in_tiff_files(name, order):
    picture = Picture(PIXELS, exif=exif(artist(name), order=order), xmp=b"<x/>")
    data = encode_image(picture, ".tif")
    assert name + b"\0" in data
    found = load_image(data)
    assert np.array_equal(found.rgb, PIXELS)
    assert name + b"\0" in found.exif
    assert found.xmp == b"<x/>"
    assert name + b"\0" in encode_image(found, ".tif")


def test_text_keeps_its_bytes_in_a_tiff_image_that_was_loaded_before():
    image = Image.open(
        io.BytesIO(encode_image(Picture(PIXELS, exif=exif(artist(NAMES[0]))), ".tif"))
    )
    image.load()
    assert NAMES[0] + b"\0" in as_rgb(image).exif


def test_numbers_in_the_other_byte_order_keep_their_values():
    inner = struct.pack(">HHHIHHI", 1, 0x8827, 3, 1, 400, 0, 0)  # ISO 400
    fields = [(0x11A, 5, 1, struct.pack(">II", 300, 1)), (0x8769, 4, 1, struct.pack(">I", 46))]
    data = exif(*fields) + inner
    assert len(data) - len(inner) == 46
    found = load_image(encode_image(Picture(PIXELS, exif=data), ".tif"))
    tags = Image.Exif()
    tags.load(found.exif)
    assert tags[0x11A] == 300
    assert tags.get_ifd(0x8769)[0x8827] == 400


def test_a_tiff_file_with_exif_data_is_compressed():
    flat = np.zeros((200, 200, 3), np.uint8)
    data = encode_image(Picture(flat, exif=exif(artist(b"Somebody"))), ".tif")
    assert len(data) < 5000
    assert np.array_equal(load_image(data).rgb, flat)


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_only_the_orientation_is_taken_out(kind, order):
    data = exif(orientation(6, order, kind), artist(b"Somebody"), order=order)
    found = without_orientation(data)
    assert len(found) == len(data)
    tags = Image.Exif()
    tags.load(found)
    assert dict(tags) == {0x13B: "Somebody"}
    assert without_orientation(exif(artist(b"x"))) == exif(artist(b"x"))
    assert without_orientation(exif(orientation(6))) is None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_bad_structures_are_refused_or_kept_and_never_run_away():
    for data in (b"", b"MM\0*", b"MM\0*\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"II+\0" * 9):
        with pytest.raises(ValueError):
            without_orientation(data)
        assert without_thumbnail(data)[0] == data
    looped = exif(artist(b"Somebody"), next_at=8)
    assert len(without_thumbnail(looped)[0]) == len(looped)
    random = np.random.default_rng(3)
    whole = exif(orientation(6), artist(b"Somebody"), thumbnail=THUMBNAIL)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in random.integers(0, 80, 4):
            damaged[at] = random.integers(256)
        assert len(without_thumbnail(bytes(damaged), (1, 1))[0]) == len(whole)
        load_image(jpeg(exif=PREFIX + bytes(damaged)))


# Thumbnails


@pytest.fixture(scope="module")
def codec():
    return Codec.load("cpu")


@pytest.mark.parametrize("asked", [{"crop": (8, 0, 16, 16)}, {"scale": 2}])
def test_a_part_has_no_thumbnail_of_the_whole(codec, asked):
    picture = Picture(PIXELS, exif=exif(artist(b"Somebody"), thumbnail=THUMBNAIL))
    data = codec.compress(picture)
    whole = codec.decode(data).picture
    assert THUMBNAIL in whole.exif
    assert whole.notices == ()
    part = codec.decode(data, **asked).picture
    assert THUMBNAIL[4:] not in part.exif
    assert b"Somebody" in part.exif
    assert part.notices == ("the EXIF thumbnail is dropped, as it shows the whole picture",)


def test_pictures_in_a_makers_notes_go_too():
    note = b"NOTE" + THUMBNAIL + b"more"
    found, had = without_thumbnail(exif(artist(b"Somebody"), (0x927C, 7, len(note), note)))
    assert had
    assert b"\xff\xd8" not in found
    assert b"NOTE" in found
    assert b"more" in found


@pytest.mark.parametrize(
    "inside",
    [
        b"<xmp:Thumbnails><rdf:li><g:image>/9j/4AAQ</g:image></rdf:li></xmp:Thumbnails>",
        b"<g:image>/9j/4AAQ</g:image>",
        b'<rdf:Description xmpGImg:image="/9j/4AAQ"/>',
        b'<rdf:Description GImage:Data="/9j/4AAQ"/>',
    ],
)
def test_pictures_in_xmp_data_go_too(inside):
    _, found, notices = of_a_part(None, b"<x:xmpmeta>" + inside + b"</x:xmpmeta>", (8, 8))
    assert b"/9j/" not in found
    assert found.endswith(b"</x:xmpmeta>")
    assert len(notices) == 1


def test_a_part_says_its_own_size():
    inner = struct.pack(">H", 2)
    inner += struct.pack(">HHII", 0xA002, 4, 1, 4000) + struct.pack(">HHIHH", 0xA003, 3, 1, 3000, 0)
    data = exif((0x8769, 4, 1, struct.pack(">I", 26))) + inner + bytes(4)
    found, _, notices = of_a_part(data, None, (40, 30))
    tags = Image.Exif()
    tags.load(found)
    assert (tags.get_ifd(0x8769)[0xA002], tags.get_ifd(0x8769)[0xA003]) == (40, 30)
    assert notices == ()


def test_a_turned_picture_has_no_thumbnail():
    stored = exif(orientation(6), artist(b"Somebody"), thumbnail=THUMBNAIL)
    picture = load_image(jpeg(exif=PREFIX + stored))
    assert THUMBNAIL[4:] not in picture.exif
    assert picture.notices == ("the EXIF thumbnail is dropped, as the picture is turned",)
    upright = exif(orientation(1), thumbnail=THUMBNAIL)
    assert load_image(jpeg(exif=PREFIX + upright)).exif == upright


# Profiles stored as text


def as_text(kind, data, packed):
    digits = data.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(data):8}\n".encode() + lines + b"\n"
    key = f"Raw profile type {kind}".encode()
    if packed:
        return b"zTXt", key + b"\0\0" + zlib.compress(text)
    return b"tEXt", key + b"\0" + text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "kind, data, field",
    [
        ("exif", PREFIX + exif(artist(NAMES[0])), "exif"),
        ("APP1", PREFIX + exif(artist(NAMES[0])), "exif"),
        ("APP1", b"http://ns.adobe.com/xap/1.0/\0<x/>", "xmp"),
        ("xmp", b"<x/>", "xmp"),
        ("icc", RED_AND_BLUE_SWAPPED, "icc"),
        ("icm", RED_AND_BLUE_SWAPPED, "icc"),
    ],
)
def test_profiles_in_text_are_kept(kind, data, field, packed):
    picture = load_image(png(as_text(kind, data, packed)))
    expected = data.removeprefix(PREFIX).removeprefix(b"http://ns.adobe.com/xap/1.0/\0")
    assert getattr(picture, field) == expected
    assert picture.notices == ()


def test_bad_profiles_in_text_are_nothing():
    for text in (b"", b"\nexif\n", b"\nexif\n 4\nzzzz", b"\nexif\n four\n0000", b"\n" * 99):
        picture = load_image(png((b"tEXt", b"Raw profile type exif\0" + text)))
        assert picture.exif is None


# Long text and profiles


def zipped(size):
    stream = zlib.compressobj(1)
    block = bytes(2**20)
    return (
        b"".join(
            stream.compress(block[: size % 2**20 if not left else 2**20])
            for left in range(size // 2**20, -1, -1)
        )
        + stream.flush()
    )


@pytest.mark.parametrize(
    "chunk",
    [
        (b"tEXt", b"workflow\0" + b"x" * (3 << 20)),
        (b"zTXt", b"workflow\0\0" + zipped(3 << 20)),
        (b"iTXt", b"workflow\0\1\0\0\0" + zipped(3 << 20)),
        (b"zTXt", b"workflow\0\0" + zipped(80 << 20)),
    ],
)
def test_long_text_is_said_and_the_picture_read(chunk):
    for data in (png(chunk), png(after=[chunk]), png(chunk, chunk, chunk)):
        picture = load_image(data)
        assert np.array_equal(picture.rgb, PIXELS)
        assert picture.notices == ("PNG text is dropped: workflow",)


def test_what_was_written_is_read_whatever_its_length():
    random = np.random.default_rng(0)
    profile = bytearray(RED_AND_BLUE_SWAPPED + random.bytes(3 << 20))
    profile[:4] = struct.pack(">I", len(profile))
    picture = Picture(PIXELS, icc=bytes(profile), xmp=b"<x>" + b"a" * (5 << 20) + b"</x>")
    found = load_image(encode_image(picture, ".png"))
    assert found.icc == picture.icc
    assert found.xmp == picture.xmp
    assert found.notices == ()


def test_metadata_over_the_limit_is_dropped_with_a_notice():
    long = zipped(MAX_METADATA_BYTES + 5)
    for chunk in (
        (b"iCCP", b"x\0\0" + long),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + long),
    ):
        picture = load_image(png(chunk))
        assert (picture.icc, picture.xmp) == (None, None)
        assert len(picture.notices) == 1
        assert f"over {MAX_METADATA_BYTES}" in picture.notices[0]


def test_the_limits_of_the_process_neither_rule_nor_change(monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 10)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 10)
    xmp = b"<x>" + b"a" * 100 + b"</x>"
    for deflated in (False, True):
        text = zlib.compress(xmp) if deflated else xmp
        data = png((b"iTXt", b"XML:com.adobe.xmp\0" + bytes((deflated, 0, 0, 0)) + text))
        assert load_image(data).xmp == xmp
    assert PngImagePlugin.MAX_TEXT_CHUNK == 10


def test_a_text_cannot_pass_for_another_thing():
    for name in (b"icc_profile", b"cicp", b"exif", b"transparency", b"gamma", b"xmp"):
        picture = load_image(png((b"tEXt", name + b"\0" + b"12345678")))
        assert np.array_equal(picture.rgb, PIXELS)
        assert picture.alpha is None
        assert picture.notices == (f"PNG text is dropped: {name.decode()}",)


# What is lost is said


def irb(*resources):
    """A Photoshop segment of resources, pairs of a number and data of even length."""
    blocks = (
        b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data for number, data in resources
    )
    return 0xED, b"Photoshop 3.0\0" + b"".join(blocks)


def box(kind, data):
    return struct.pack(">I4s", len(data) + 8, kind) + data


XMP = b"http://ns.adobe.com/xap/1.0/\0"
RIFF_CREDENTIALS = b"C2PA" + struct.pack("<I", 4) + b"jumb"


def webp_with(chunk):
    data = saved("WEBP") + chunk
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def gif_with(extension):
    data = saved("GIF", Image.new("L", (4, 4)))
    return data[:-1] + extension + b";"


LOST = {
    "IPTC": (jpeg(irb((0x0404, b"\x1c\x02\x74\0\x04Me!\0"))), "IPTC data"),
    "clipping path": (jpeg(irb((0x07D0, bytes(26)))), "Photoshop data"),
    "comment": (jpeg(comment=b"roll 7"), "comment"),
    "extended XMP": (jpeg((0xE1, b"http://ns.adobe.com/xmp/extension/\0rest")), "extended"),
    "gain map": (jpeg((0xE1, XMP + b'<x hdrgm:Version="1.0"/>')), "gain map"),
    "ISO gain map": (jpeg((0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0")), "gain map"),
    "depth": (jpeg((0xE1, XMP + b'<x GDepth:Format="RangeInverse"/>')), "depth map"),
    "C2PA": (jpeg((0xEB, b"JP\0\1\0\0\0\1" + box(b"jumb", b"jumdc2pa"))), r"C2PA"),
    "thermal": (jpeg((0xE1, b"FLIR\0\1\0\0")), "FLIR"),
    "unknown": (jpeg((0xE7, b"\0\1\2")), "APP7"),
    "density": (jpeg(dpi=(240, 240)), "240 dpi"),
    "video": (jpeg(behind=box(b"ftyp", b"mp42") + bytes(99)), "video"),
    "Samsung video": (jpeg(behind=b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + bytes(9)), "video"),
    "second picture": (jpeg(behind=saved("JPEG")), "pictures behind"),
    "trailer": (jpeg(behind=b"something"), "9 bytes behind"),
    "MPF": (saved("MPO", save_all=True, append_images=[Image.fromarray(PIXELS)]), "frame 1 of 2"),
    "tEXt": (png((b"tEXt", b"parameters\0steps: 20")), "parameters"),
    "zTXt behind": (png(after=[(b"zTXt", b"workflow\0\0" + zlib.compress(b"{}"))]), "workflow"),
    "iTXt": (png((b"iTXt", "Titre\0\0\0fr\0Titre\0é".encode())), "Titre"),
    "raw IPTC": (png(as_text("iptc", b"8BIM", True)), "IPTC data"),
    "PNG density": (saved("PNG", dpi=(300, 300)), "300 dpi"),
    "aspect": (png((b"pHYs", struct.pack(">IIB", 1, 2, 0))), "1 to 2"),
    "time": (png((b"tIME", bytes(7))), "tIME"),
    "mastering": (png((b"mDCV", bytes(24))), "mDCV"),
    "PNG C2PA": (png((b"caBX", b"jumb")), "C2PA"),
    "GIF comment": (gif_with(b"!\xfe\x02hi\0"), "GIF comment"),
    "WEBP C2PA": (webp_with(RIFF_CREDENTIALS), "C2PA"),
    "WEBP chunk": (webp_with(b"META" + struct.pack("<I", 2) + b"hi"), "META"),
    "TIFF IPTC": (saved("TIFF", tiffinfo={33723: b"\x1c\x02\x74\0\x02me"}), "IPTC data"),
    "TIFF Photoshop": (saved("TIFF", tiffinfo={34377: b"8BIM"}), "Photoshop data"),
    "TIFF tag": (saved("TIFF", tiffinfo={285: "page"}), "PageName"),
    "AVIF C2PA": (
        saved("AVIF") + box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481")),
        "C2PA",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_said_once(name):
    data, named = LOST[name]
    notices = [
        notice for notice in load_image(data).notices if not notice.startswith("palette colours")
    ]
    assert len(notices) == 1
    assert named in notices[0]
    assert "\n" not in notices[0]


def test_plain_files_and_those_stripped_say_nothing():
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "PPM"):
        assert load_image(saved(image_format)).notices == ()
    assert load_image(jpeg(dpi=(72, 72))).notices == ()
    assert load_image(jpeg(irb((0x0404, b"me")), comment=b"roll 7"), strip=True).notices == ()


def test_a_resolution_that_exif_data_has_is_kept():
    fields = (0x11A, 5, 1, struct.pack(">II", 300, 1)), (0x128, 3, 1, struct.pack(">H", 2))
    assert load_image(jpeg(exif=PREFIX + exif(*fields), dpi=(300, 300))).notices == ()
    assert load_image(saved("TIFF", dpi=(300, 300))).notices == ()


def test_names_in_notices_are_few_and_printable():
    many = [(b"tEXt", b"key%d\x1b[31m\n\0value" % index) for index in range(50)]
    (notice,) = load_image(png(*many)).notices
    assert notice.endswith("key7[31m and 42 more")
    assert notice.isprintable()


def test_xmp_and_a_profile_in_gif_are_kept():
    xmp = b"<x:xmpmeta>" + b"<a/>" * 200 + b"</x:xmpmeta>"
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    picture = load_image(gif_with(b"!\xff\x0bXMP DataXMP" + xmp + trailer))
    assert picture.xmp == xmp
    blocks = b"".join(
        bytes((len(part),)) + part
        for part in (RED_AND_BLUE_SWAPPED[at : at + 255] for at in range(0, 10**4, 255))
        if part
    )
    picture = load_image(gif_with(b"!\xff\x0bICCRGBG1012" + blocks + b"\0"))
    assert picture.icc in (RED_AND_BLUE_SWAPPED, None)  # None: gray samples are converted


# Hostile files


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", LOST)
def test_damage_ends_in_a_picture_or_an_image_error(name):
    random = np.random.default_rng(len(name))
    data = LOST[name][0]
    for _ in range(20):
        damaged = bytearray(data)
        for at in random.integers(0, len(data), 4):
            damaged[at] = random.integers(256)
        try:
            picture = load_image(bytes(damaged[: random.integers(20, len(data) + 1)]))
        except ImageError:
            continue
        assert all(notice.isprintable() for notice in picture.notices)


def test_boxes_end_somewhere():
    for data in (b"", b"\0" * 99, box(b"meta", bytes(4)) * 9, b"\0\0\0\1meta" + b"\xff" * 8):
        assert boxes_of(io.BytesIO(data)).cicp is None
    assert boxes_of(io.BytesIO(box(b"free", b"") * 10_000)).items == []


def test_the_image_of_the_caller_stays_as_it_was():
    image = Image.open(io.BytesIO(jpeg(comment=b"roll 7", exif=PREFIX + exif(orientation(6)))))
    before = image.info.copy()
    picture = as_rgb(image)
    assert image.info == before
    assert "the JPEG comment is dropped" in picture.notices
    assert np.array_equal(replace(picture).rgb, np.rot90(np.asarray(image), -1))


def test_a_turned_picture_has_the_sides_and_no_thumbnail_of_what_it_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA002: 64, 0xA003: 48})
    thumbnail = b"<x:xmpmeta><xmpGImg:image>abcd</xmpGImg:image></x:xmpmeta>"
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(file, "JPEG", exif=exif, xmp=thumbnail)
    picture = load_image(file.getvalue())
    assert picture.rgb.shape == (64, 48, 3)
    read = Image.Exif()
    read.load(picture.exif)
    inner = read.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (48, 64)
    assert b"abcd" not in picture.xmp
    assert [notice for notice in picture.notices if "XMP" in notice]
