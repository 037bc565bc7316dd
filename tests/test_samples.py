"""Samples of any depth and layout come back as the file has them, or are refused, or it is said."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from sbtcodec.errors import ImageError
from sbtcodec.image import bits as bits_
from sbtcodec.image.pixels import as_rgb, load_image
from sbtcodec.image.tiff import read_directory
from sbtcodec.image.tiff_writing import with_directory

PHOTO = photographs.chelsea()[:37, :53].copy()
RANDOM = np.random.default_rng(64)


def packed(samples, bits, order):
    """Rows of samples [H, n], the most significant bit first, each row from a new byte."""
    if bits in (16, 32):
        return samples.astype(f"{order}u{bits // 8}").tobytes()
    shifts = np.arange(bits)[::-1]
    unfolded = (samples[:, :, None] >> shifts & 1).reshape(len(samples), -1).astype(np.uint8)
    return np.packbits(unfolded, axis=1).tobytes()


def tiff(
    samples,
    bits,
    photometric,
    *,
    order="<",
    planar=1,
    tile=None,
    rows=None,
    compression=1,
    predictor=1,
    tags=(),
):
    """A TIFF file of samples [H, W, C]; `tags` are further (number, type, values)."""
    height, width, channels = samples.shape
    stored = samples.astype(np.int64)
    planes = [stored] if planar == 1 else [stored[:, :, i : i + 1] for i in range(channels)]
    blocks = []
    for plane in planes:
        rows = rows or height
        high, wide = tile or (rows, width)
        for top in range(0, height, high):
            for left in range(0, width, wide):
                block = plane[top : top + high, left : left + wide]
                if tile:
                    more = (0, high - block.shape[0]), (0, wide - block.shape[1]), (0, 0)
                    block = np.pad(block, more)
                if predictor == 2:
                    block = np.diff(block, axis=1, prepend=0) % 2**bits
                data = packed(block.reshape(len(block), -1), bits, order)
                blocks.append(zlib.compress(data) if compression == 8 else data)
    content = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0))
    offsets = []
    for block in blocks:
        offsets.append(len(content))
        content += block + bytes(len(block) % 2)
    found = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [compression]),
        262: (3, [photometric]),
        277: (3, [channels]),
        284: (3, [planar]),
        317: (3, [predictor]),
        **({322: (4, [wide]), 323: (4, [high])} if tile else {278: (4, [rows])}),
        324 if tile else 273: (4, offsets),
        325 if tile else 279: (4, [len(block) for block in blocks]),
        **{number: (kind, values) for number, kind, values in tags},
    }
    entries = b""
    for number, (kind, values) in sorted(found.items()):
        field = struct.pack(order + str(len(values)) + {1: "B", 3: "H", 4: "I"}[kind], *values)
        if len(field) > 4:
            at = len(content)
            content += field + bytes(len(field) % 2)
            field = struct.pack(order + "I", at)
        entries += struct.pack(order + "HHI", number, kind, len(values)) + field.ljust(4, b"\0")
    struct.pack_into(order + "I", content, 4, len(content))
    return bytes(content) + struct.pack(order + "H", len(found)) + entries + bytes(4)


def rounded(samples, bits):
    return np.rint(samples * 255.0 / (2**bits - 1)).astype(np.uint8)


def samples_of(bits, channels, size=(29, 43)):
    samples = RANDOM.integers(0, 2**bits, (*size, channels))
    samples[0, 0], samples[0, 1] = 0, 2**bits - 1
    return samples


# TIFF: depths, layouts, compressions


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_gray_of_any_depth_is_scaled_by_its_own_depth(bits, photometric, order):
    samples = samples_of(bits, 1)
    picture = load_image(tiff(samples, bits, photometric, order=order, rows=8))
    expected = samples if photometric else 2**bits - 1 - samples
    assert np.array_equal(picture.rgb[:, :, :1], rounded(expected, bits))
    assert picture.mode == "L"
    said = {1: ("1-bit black and white is converted to 8-bit grayscale",)}
    if bits > 8:
        said = {bits: (f"{bits} bits a sample are rounded to 8",)}
    assert picture.notices == said.get(bits, ())


@pytest.mark.parametrize("bits, photometric", [(1, 0), (4, 0), (4, 1), (8, 0), (8, 1), (16, 0)])
def test_a_single_channel_reads_the_same_in_a_plane_of_its_own(bits, photometric):
    samples = samples_of(bits, 1)
    found = [load_image(tiff(samples, bits, photometric, planar=planar)) for planar in (1, 2)]
    assert np.array_equal(found[0].rgb, found[1].rgb)
    assert found[0].notices == found[1].notices


def test_a_palette_reads_the_same_in_a_plane_of_its_own():
    samples = samples_of(2, 1)
    colours = [(320, 3, [*range(0, 60000, 5000)])]
    found = [load_image(tiff(samples, 2, 3, planar=planar, tags=colours)) for planar in (1, 2)]
    assert np.array_equal(found[0].rgb, found[1].rgb)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [4, 8, 10, 12, 14, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("layout", [{"rows": 7}, {"tile": (16, 32)}, {}])
def test_colours_of_any_layout_come_back(bits, planar, layout, order):
    samples = samples_of(bits, 3)
    for compression in (1, 8):
        data = tiff(samples, bits, 2, order=order, planar=planar, compression=compression, **layout)
        picture = load_image(data)
        assert np.array_equal(picture.rgb, rounded(samples, bits))
        assert len(picture.notices) == (bits > 8)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_differences_of_neighbours_are_added_up(bits, planar, tile, order):
    samples = samples_of(bits, 3)
    data = tiff(samples, bits, 2, order=order, planar=planar, tile=tile, compression=8, predictor=2)
    assert np.array_equal(load_image(data).rgb, rounded(samples, bits))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd"])
def test_twelve_bits_in_every_compression_of_bytes(compression):
    samples = samples_of(12, 1, (16, 32))
    stored = np.frombuffer(packed(samples[:, :, 0], 12, "<"), np.uint8).reshape(16, 48)
    file = io.BytesIO()
    try:
        Image.fromarray(stored).save(file, "TIFF", compression=compression)
    except OSError:
        pytest.skip("not in this libtiff")
    data = with_directory(read_directory(file), {256: (32,), 258: (12,)})
    assert np.array_equal(load_image(data).rgb[:, :, :1], rounded(samples, 12))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
def test_transparency_beside_colours_is_kept(bits, planar):
    samples = samples_of(bits, 4)
    for tags in ([(338, 3, [2])], []):
        picture = load_image(tiff(samples, bits, 2, planar=planar, tags=tags))
        assert np.array_equal(picture.rgb, rounded(samples[:, :, :3], bits))
        assert np.array_equal(picture.alpha, rounded(samples[:, :, 3], bits))
    gray = load_image(tiff(samples[:, :, :2], bits, 1, planar=planar, tags=[(338, 3, [2])]))
    assert gray.mode == "LA"
    assert np.array_equal(gray.alpha, rounded(samples[:, :, 1], bits))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_big_endian_big_tiff_is_refused_with_a_reason():
    data = b"MM" + struct.pack(">HHHQ", 43, 8, 0, 16) + struct.pack(">QHHQQ", 1, 256, 16, 1, 8)
    with pytest.raises(ImageError, match="BigTIFF file in big-endian order"):
        load_image(data + bytes(8))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("planar", [1, 2])
def test_colours_multiplied_by_alpha_are_divided(bits, planar):
    most = 2**bits - 1
    alpha = np.array([[most, most // 2, most // 5, 0]])
    samples = np.dstack([*[alpha * part // 10 for part in (10, 4, 2)], alpha])
    picture = load_image(tiff(samples, bits, 2, planar=planar, tags=[(338, 3, [1])]))
    assert picture.alpha.tolist() == rounded(alpha, bits).tolist()
    off = picture.rgb[0, :3].astype(int) - [255, 102, 51]
    assert np.abs(off).max() <= (4 if bits == 8 else 1)
    assert picture.rgb[0, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("planar", [1, 2])
def test_channels_of_no_stated_meaning_are_left_out_with_a_notice(planar):
    samples = samples_of(16, 5)
    data = tiff(samples, 16, 2, planar=planar, tags=[(338, 3, [0, 2])])
    picture = load_image(data)
    assert np.array_equal(picture.rgb, rounded(samples[:, :, :3], 16))
    assert np.array_equal(picture.alpha, rounded(samples[:, :, 4], 16))
    assert picture.notices == (
        "extra channels that are not transparency are left out",
        "16 bits a sample are rounded to 8",
    )


@pytest.mark.parametrize("colours, photometric", [(1, 1), (3, 2)])
@pytest.mark.parametrize("extra", [[0], [0, 0], [2, 0], [0, 2]])
def test_extra_channels_of_8_bits_are_left_out_with_a_notice(colours, photometric, extra):
    samples = samples_of(8, colours + len(extra))
    picture = load_image(tiff(samples, 8, photometric, tags=[(338, 3, extra)]))
    assert np.array_equal(picture.rgb[:, :, :colours], samples[:, :, :colours])
    if 2 in extra:
        assert np.array_equal(picture.alpha, samples[:, :, colours + extra.index(2)])
    assert picture.notices == ("extra channels that are not transparency are left out",)


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_eight_and_sixteen_bits_of_cmyk_look_alike(bits, planar):
    eight = samples_of(8, 4)
    samples = eight * (257 if bits == 16 else 1)
    expected = load_image(tiff(eight, 8, 5)).rgb
    picture = load_image(tiff(samples, bits, 5, planar=planar))
    assert np.array_equal(picture.rgb, expected)
    assert "CMYK colours are converted to RGB" in picture.notices
    assert len(picture.notices) == 1 + (bits == 16)


def test_metadata_stays_with_reduced_samples():
    samples = samples_of(12, 3)
    text = b"<x:xmpmeta/>"
    tags = [(274, 3, [6]), (700, 1, list(text)), (271, 3, [7])]
    picture = load_image(tiff(samples, 12, 2, tags=tags))
    assert np.array_equal(picture.rgb, np.rot90(rounded(samples, 12), -1))
    assert picture.xmp == text


def test_big_tiff_is_read():
    """Entries of 20 bytes, counts and offsets of 8."""
    samples = samples_of(14, 1, (4, 8))
    strip = packed(samples[:, :, 0], 14, "<")
    entries = [(256, 8), (257, 4), (258, 14), (259, 1), (262, 1), (273, 16), (277, 1)]
    entries += [(278, 4), (279, len(strip))]
    data = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16 + len(strip)) + strip
    data += struct.pack("<Q", len(entries))
    data += b"".join(struct.pack("<HHQQ", tag, 16, 1, value) for tag, value in entries)
    picture = load_image(data + bytes(8))
    assert np.array_equal(picture.rgb[:, :, :1], rounded(samples, 14))


def test_an_image_opened_by_the_caller_is_read_from_its_file():
    samples = samples_of(12, 1)
    image = Image.open(io.BytesIO(tiff(samples, 12, 1)))
    assert np.array_equal(as_rgb(image).rgb[:, :, :1], rounded(samples, 12))
    image = Image.open(io.BytesIO(tiff(samples, 12, 1)))
    image.load()
    with pytest.raises(ImageError, match="before anything has loaded its pixels"):
        as_rgb(image)


@pytest.mark.parametrize(
    "bits, photometric, channels, tags, found",
    [
        (16, 1, 1, [(339, 3, [2])], "signed samples, 16 bits"),
        (8, 1, 1, [(339, 3, [2])], "signed samples, 8 bits"),
        (16, 1, 1, [(339, 3, [3])], "floating-point samples, 16 bits"),
        (16, 1, 1, [(339, 3, [6])], "complex samples"),
        (32, 2, 3, [], "32 bits a sample in photometric interpretation 2"),
        (16, 3, 1, [(320, 3, [0] * 3)], "photometric interpretation 3"),
        (16, 8, 3, [], "photometric interpretation 8"),
        (8, 6, 3, [(530, 3, [2, 2])], "uncompressed and subsampled"),
        (8, 5, 4, [(332, 3, [2])], "other inks than CMYK"),
        (16, 1, 3, [], "in 3 channels"),
    ],
)
def test_samples_of_unknown_meaning_are_refused(bits, photometric, channels, tags, found):
    data = tiff(samples_of(bits, channels), bits, photometric, tags=tags)
    with pytest.raises(ImageError, match=found) as caught:
        load_image(data)
    assert "export it as 8- or 16-bit TIFF or PNG first" in str(caught.value)


@pytest.mark.parametrize(
    "sample_format, found", [(None, "7 to 4294967295"), (1, "7 to 4294967295"), (2, "-1 to 7")]
)
def test_32_bits_are_refused_with_the_numbers_of_the_file(sample_format, found):
    samples = np.array([[[7], [2**32 - 1]]])
    data = tiff(samples, 32, 1, tags=[(339, 3, [sample_format])] if sample_format else [])
    for loaded in (False, True):
        image = Image.open(io.BytesIO(data))
        if loaded:
            image.load()
        with pytest.raises(ImageError, match=f"has samples from {found}, expected 0 to 65535"):
            as_rgb(image)
    picture = load_image(tiff(samples % 65536, 32, 1))
    assert picture.rgb[0, :, 0].tolist() == [0, 255]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_in_deep_samples_raises_nothing_but_image_errors():
    data = tiff(samples_of(12, 3), 12, 2, planar=2, tile=(16, 16), compression=8)
    start = struct.unpack("<I", data[4:8])[0]
    for _ in range(150):
        damaged = bytearray(data)
        for offset in (*RANDOM.integers(start, len(data), 2), RANDOM.integers(0, len(data))):
            damaged[offset] = RANDOM.integers(256)
        try:
            load_image(bytes(damaged), max_pixels=2**20)
        except ImageError as error:
            assert "\n" not in str(error)


def test_too_many_deep_samples_are_refused_before_they_are_read():
    data = tiff(samples_of(10, 3), 10, 2, tags=[(256, 4, [9000]), (257, 4, [9000])])
    with pytest.raises(ImageError, match="too many pixels, expected at most 1048576"):
        load_image(data, max_pixels=2**20)


# Previews and raw files


def pages(*images):
    """A TIFF file of pages, gray [H, W] with a number for its kind each."""
    data, last = b"", None
    for gray, kind in images:
        page = tiff(gray[:, :, None], 8, 1, tags=[(254, 4, [kind])])
        shift = len(data)
        if data:
            page = bytearray(page)
            directory = read_directory(io.BytesIO(bytes(page)))
            for tag in (273,):
                at = page.rindex(struct.pack("<HHI", tag, 4, 1)) + 8
                struct.pack_into("<I", page, at, directory.number(tag) + shift)
            following = shift + struct.unpack("<I", page[4:8])[0]
            data = bytearray(data)
            struct.pack_into("<I", data, last, following)
        data = bytes(data) + bytes(page)
        last = len(data) - 4
    return data


SMALL, LARGE = np.full((8, 10), 9, np.uint8), np.full((32, 40), 200, np.uint8)


def test_a_first_page_that_is_a_preview_is_passed_over():
    picture = load_image(pages((SMALL, 1), (LARGE, 0)))
    assert picture.rgb.shape == (32, 40, 3)
    assert picture.notices == ("only frame 2 is kept, as those before it are previews",)


def test_a_first_page_that_is_the_picture_is_taken():
    picture = load_image(pages((LARGE, 0), (SMALL, 1)))
    assert picture.rgb.shape == (32, 40, 3)
    assert picture.notices == ("only frame 1 of 2 is kept",)


def test_a_preview_alone_is_a_picture():
    assert load_image(tiff(LARGE[:, :, None], 8, 1, tags=[(254, 4, [1])])).notices == ()


def nested(outer, inner, **tags):
    """A TIFF file with an image nested in its first one."""
    data = pages((outer, 0), (inner, 0))
    directory = read_directory(io.BytesIO(data))
    return with_directory(directory, {330: (directory.following,)} | tags.get("tags", {}))


def test_a_larger_picture_nested_in_the_first_is_not_passed_over():
    with pytest.raises(ImageError, match="preview of 80 pixels"):
        load_image(nested(SMALL, LARGE))
    assert load_image(nested(LARGE, SMALL)).rgb.shape == (32, 40, 3)


@pytest.mark.parametrize("tags", [{50706: (1, 4, 0, 0)}, {262: (32803,)}, {262: (34892,)}])
def test_raw_files_are_refused(tags):
    with pytest.raises(ImageError, match=r"raw file of a camera.*develop it with a raw converter"):
        load_image(nested(LARGE, SMALL, tags=tags))


@pytest.mark.parametrize("extension", ["dng", "NEF", "arw", "cr2", "pef"])
def test_raw_files_are_told_by_their_names(tmp_path, extension):
    path = tmp_path / f"photo.{extension}"
    path.write_bytes(tiff(LARGE[:, :, None], 8, 1))
    with pytest.raises(ImageError, match=f"photo.{extension} is a raw file"):
        load_image(path)


# PNG


def png(samples, bits, colour_type, *chunks, interlaced=False):
    """A PNG file of samples [H, W, C]."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    height, width = samples.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
        passes += [(0, 1, 2, 2), (1, 0, 2, 1)]
    body = b""
    for top, left, down, right in passes:
        part = samples[top::down, left::right]
        if part.size:
            body += b"".join(b"\0" + packed(row.reshape(1, -1), bits, ">") for row in part)
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*c) for c in chunks)
    return start + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_every_transparent_gray_is_found(bits):
    values = np.arange(min(2**bits, 256))[None, :, None] * (257 if bits == 16 else 1)
    for transparent in values[0, :: max(1, values.shape[1] // 16), 0]:
        data = png(values, bits, 0, (b"tRNS", struct.pack(">H", transparent)))
        picture = load_image(data)
        expected = np.where(values[:, :, 0] == transparent, 0, 255)
        assert np.array_equal(picture.alpha, expected)
        assert np.array_equal(picture.rgb[:, :, :1], rounded(values, bits))
        assert picture.mode == "LA"


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_is_compared_in_full(bits):
    near = np.array([[[1, 2, 3], [1, 2, 4], [2**bits - 1] * 3]])
    picture = load_image(png(near, bits, 2, (b"tRNS", struct.pack(">3H", 1, 2, 3))))
    assert picture.alpha.tolist() == [[0, 255, 255]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_entries_of_palettes_are_found(bits):
    values = np.arange(2)[None, :, None]
    chunks = (b"PLTE", bytes([10, 20, 30, 40, 50, 60])), (b"tRNS", b"\x07")
    picture = load_image(png(values, bits, 3, *chunks))
    assert picture.alpha.tolist() == [[7, 255]]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("colour_type, channels", [(0, 1), (4, 2), (2, 3), (6, 4)])
def test_sixteen_bits_are_rounded_not_cut(colour_type, channels, interlaced):
    samples = samples_of(16, channels)
    picture = load_image(png(samples, 16, colour_type, interlaced=interlaced))
    expected = rounded(samples, 16)
    colours = expected[:, :, : channels - (channels % 2 == 0)]
    assert np.array_equal(picture.rgb, np.broadcast_to(colours, picture.rgb.shape))
    assert picture.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    if channels % 2 == 0:
        assert np.array_equal(picture.alpha, expected[:, :, -1])
    assert picture.notices == ("16 bits a sample are rounded to 8",)


# Other formats


@pytest.mark.parametrize("most", [1, 100, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_portable_maps_are_scaled_by_their_greatest_value(most, kind):
    channels = 1 if kind in (2, 5) else 3
    values = RANDOM.integers(0, most + 1, (6, 7, channels))
    body = " ".join(map(str, values.ravel())).encode()
    if kind > 4:
        body = values.astype(">u2" if most > 255 else "u1").tobytes()
    picture = load_image(f"P{kind}\n7 6\n{most}\n".encode() + body)
    off = picture.rgb.astype(float) - values * 255 / most
    assert np.abs(off).max() <= 0.51
    bits = most.bit_length()
    said = (f"{bits} bits a sample are rounded to 8",) if bits > 8 else ()
    assert picture.notices == said


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("run_lengths", [False, True])
def test_sgi_files_of_16_bits_are_rounded(channels, run_lengths):
    samples = samples_of(16, channels, (5, 9))
    planes = samples.transpose(2, 0, 1)[:, ::-1].astype(">u2")
    head = struct.pack(">hBBHHHH", 474, run_lengths, 2, 3 if channels > 1 else 2, 9, 5, channels)
    head = head.ljust(512, b"\0")
    body = planes.tobytes()
    if run_lengths:
        rows = [
            struct.pack(">H", 0x80 | 9) + row.tobytes() + bytes(2) for row in planes.reshape(-1, 9)
        ]
        starts = [512 + 8 * len(rows) + i * len(rows[0]) for i in range(len(rows))]
        body = struct.pack(f">{len(rows)}I", *starts)
        body += struct.pack(f">{len(rows)}I", *map(len, rows)) + b"".join(rows)
    picture = load_image(head + body)
    assert np.array_equal(picture.rgb[:, :, : min(channels, 3)], rounded(samples, 16)[:, :, :3])
    assert picture.notices == ("16 bits a sample are rounded to 8",)


def jpeg_2000(gray):
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "JPEG2000", no_jp2=True, irreversible=False)
    return bytearray(file.getvalue())


def test_gray_jpeg_2000_of_more_than_8_bits_is_rounded():
    gray = (RANDOM.integers(0, 65536, (16, 16))).astype(np.uint16)
    picture = load_image(bytes(jpeg_2000(gray)))
    assert np.array_equal(picture.rgb[:, :, 0], rounded(gray, 16))
    assert picture.notices == ("16 bits a sample are rounded to 8",)


def test_colour_jpeg_2000_of_more_than_8_bits_is_refused():
    data = jpeg_2000(PHOTO)
    first = data.index(b"\xff\x51") + 40
    for index in range(3):
        data[first + 3 * index] = 11
    with pytest.raises(ImageError, match="JPEG 2000 file of 12 bits a sample in 3 channels"):
        load_image(bytes(data))


def test_integers_of_fits_files_are_refused():
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16"]
    cards += ["NAXIS   =                    2", "NAXIS1  =                    4"]
    cards += ["NAXIS2  =                    4", "END"]
    data = "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880)
    with pytest.raises(ImageError, match="FITS file of mode I;16"):
        load_image(data)


# Bits


@pytest.mark.parametrize("bits", range(1, 17))
def test_packed_samples_come_apart(bits):
    samples = RANDOM.integers(0, 2**bits, (5, 77))
    rows = np.frombuffer(packed(samples, bits, ">"), np.uint8).reshape(5, -1)
    assert np.array_equal(bits_.unpacked(rows, bits, 77, ">"), samples)
    assert np.array_equal(bits_.rounded_to_8(samples, bits), rounded(samples, bits))


def test_a_palette_of_bytes_in_a_tiff_file_is_no_darker_than_it_was():
    image = Image.new("P", (8, 8), 1)
    image.putpalette(bytes([0, 0, 0, 200, 100, 50]))
    file = io.BytesIO()
    image.save(file, "TIFF")
    right = load_image(file.getvalue())
    words = Image.open(io.BytesIO(file.getvalue())).tag_v2[320]
    old = file.getvalue().replace(
        struct.pack(f"<{len(words)}H", *words),
        struct.pack(f"<{len(words)}H", *(w >> 8 for w in words)),
    )
    assert old != file.getvalue()
    found = load_image(old)
    assert found.rgb[0, 0].tolist() == right.rgb[0, 0].tolist() == [200, 100, 50]
    assert any("bytes where words" in notice for notice in found.notices)
    assert not any("bytes where words" in notice for notice in right.notices)


def test_cmyk_that_does_not_say_how_ink_is_stored_gets_a_notice():
    file = io.BytesIO()
    Image.new("CMYK", (16, 16), (10, 20, 30, 40)).save(file, "JPEG")
    data = file.getvalue()
    at = data.index(b"\xff\xee")
    (size,) = struct.unpack(">H", data[at + 2 : at + 4])
    silent = data[:at] + data[at + 2 + size :]
    for content, expected in ((data, 0), (silent, 1)):
        notices = load_image(content).notices
        assert sum("inverted" in notice for notice in notices) == expected
