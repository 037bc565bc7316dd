"""The `.sbt` container: golden bytes, round trip, every way a file can be bad, cut files."""

import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbtcodec.container import (
    HEADER_BYTES,
    Chunk,
    Container,
    Header,
    Layer,
    Look,
    Part,
    checked_header,
    describe,
    fields,
    is_sbt,
    overhead,
    pack,
    unpack,
)
from sbtcodec.errors import InvalidFileError
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_CHUNK_BYTES, MAX_SIDE


def one(coded, check):
    """A layer of a picture of one tile."""
    return Layer((Part(coded, check),))


GLOBALS_ONLY = Container(Header(3, 1, 256, 256, 0, 0), (one(b"tokens", b"\x01\x02\x03"),))
GLOBALS_ONLY_BYTES = bytes.fromhex("B5A6 01 00014000 00") + b"tokens" + b"\x01\x02\x03"

LAYERED = Container(
    Header(3, 2, 33, 64, 128, 2),  # 2 x 2 global tokens: eight bytes of the base layer are usual
    (one(b"base", b"\x01\0"), one(b"d" * 198, b"\x02\0"), one(b"last", b"\x03\0")),
    (Chunk("ICCP", b"profile"),),
)
LAYERED_TABLE = b"\x07\xc0\x06"  # zigzag(4 - 8), then 198
LAYERED_CHUNKS = b"\x01ICCP\x07profile" + zlib.crc32(b"ICCPprofile").to_bytes(4, "little")
LAYERED_FRONT = bytes.fromhex("B5A7 02 21001020 80 01") + LAYERED_TABLE + LAYERED_CHUNKS
LAYERED_BYTES = (
    LAYERED_FRONT + (b"base" + b"\x01\0") + (b"d" * 198 + b"\x02\0") + (b"last" + b"\x03\0")
)
ENDS = [len(LAYERED_FRONT) + 6, len(LAYERED_FRONT) + 206, len(LAYERED_BYTES)]

kinds = st.text("ABCXYZabcxyz", min_size=4, max_size=4)
chunks = st.lists(st.builds(Chunk, kinds, st.binary(max_size=200)), max_size=16).map(tuple)
sides = st.one_of(st.integers(1, 300), st.sampled_from([1024, 1025, 2500, MAX_SIDE]))


@st.composite
def containers(draw):
    byte, details = st.integers(0, 255), draw(st.integers(0, 7))
    width, height = draw(sides), draw(st.one_of(st.integers(1, 300), st.just(1025)))
    gray, look = draw(st.booleans()), draw(st.sampled_from(Look))
    header = Header(3, draw(st.integers(1, 255)), width, height, draw(byte), details, gray, look)
    tiles = len(header.tiles)

    def layer(index):
        size = header.check_bytes(index)
        check = st.binary(min_size=size, max_size=size)
        parts = st.builds(Part, st.binary(max_size=300), check)
        return Layer(tuple(draw(st.lists(parts, min_size=tiles, max_size=tiles))))

    return Container(header, tuple(map(layer, range(details + 1))), draw(chunks))


def set_byte(data, offset, value):
    return data[:offset] + bytes([value]) + data[offset + 1 :]


# Good files


def test_a_globals_only_file_is_its_header_and_one_layer():
    assert pack(GLOBALS_ONLY) == GLOBALS_ONLY_BYTES
    assert unpack(GLOBALS_ONLY_BYTES) == GLOBALS_ONLY
    assert overhead(GLOBALS_ONLY) == HEADER_BYTES == 8


def test_a_file_with_layers_and_a_chunk_has_these_bytes():
    assert pack(LAYERED) == LAYERED_BYTES
    assert unpack(LAYERED_BYTES) == LAYERED
    assert overhead(LAYERED) == len(LAYERED_FRONT)


def test_the_largest_values_fit():
    header = Header(3, 255, MAX_SIDE, MAX_SIDE, 255, 7, grayscale=True, look=Look.RESERVED)
    layers = tuple(
        Layer((Part(b"", b"\xff" * header.check_bytes(index)),) * 256) for index in range(8)
    )
    container = Container(header, layers)
    data = pack(container)
    assert data[:9] == bytes.fromhex("B5A7 FF FFFFFFFF FF 06")
    assert unpack(data) == container
    assert 10**8 <= DEFAULT_MAX_PIXELS < MAX_SIDE * MAX_SIDE


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (0, "00"),
        (191, "BF"),
        (192, "C000"),
        (14_527, "F7FF"),
        (14_528, "F80000"),
        (276_671, "FBFFFF"),
        (276_672, "FC000000"),
        (67_385_535, "FFFFFFFF"),
    ],
)
def test_integers_have_one_form_of_one_to_four_bytes(value, form):
    assert fields.integer(value) == bytes.fromhex(form)
    assert fields.Reader(bytes.fromhex(form)).integer("it") == value


@given(st.integers(0, fields.MAX_INTEGER))
def test_integers_come_back(value):
    reader = fields.Reader(fields.integer(value))
    assert reader.integer("it") == value
    assert reader.left == 0


@given(st.integers(0, 50_000), st.integers(1, 50_000))
def test_larger_integers_are_not_shorter(value, more):
    assert len(fields.integer(value)) <= len(fields.integer(value + more))


@pytest.mark.parametrize(
    ("details", "sizes"),
    [(0, [3]), (1, [2, 2]), (2, [2, 2, 2]), (3, [2, 2, 2, 4]), (4, [2] * 4 + [4])],
)
def test_checks_are_as_long_as_a_file_can_afford(details, sizes):
    header = replace(LAYERED.header, detail_layers=details)
    assert [header.check_bytes(layer) for layer in range(details + 1)] == sizes


def test_a_look_costs_a_byte_and_is_covered_by_the_checks():
    vivid = replace(GLOBALS_ONLY, header=replace(GLOBALS_ONLY.header, look=Look.VIVID))
    data = pack(vivid)
    assert data == bytes.fromhex("B5A7 01 00014000 00 04") + GLOBALS_ONLY_BYTES[8:]
    assert unpack(data) == vivid
    assert describe(data).look == "vivid"
    assert describe(GLOBALS_ONLY_BYTES).look == "unsaid"
    assert checked_header(vivid.header) != checked_header(GLOBALS_ONLY.header)


@given(containers())
def test_unpack_inverts_pack(container):
    data = pack(container)
    assert unpack(data) == container
    assert container.complete
    assert overhead(container) == len(data) - sum(
        part.length for layer in container.layers for part in layer.parts
    )
    info = describe(data)
    assert info.complete
    assert [layer.present_bytes for layer in info.layers] == [
        sum(part.length for part in layer.parts) for layer in container.layers
    ]
    assert info.overhead_bytes == overhead(container)


def test_what_the_checks_cover_of_a_header_does_not_depend_on_chunks():
    assert checked_header(LAYERED.header) == bytes.fromhex("B5A6 02 21001020 80 00")
    assert pack(replace(LAYERED, chunks=()))[:HEADER_BYTES] == checked_header(LAYERED.header)[:8]


def test_unknown_chunks_are_kept():
    container = replace(GLOBALS_ONLY, chunks=(Chunk("zzZZ", b""), Chunk("zzZZ", b"\0")))
    assert unpack(pack(container)) == container


def test_the_magic_tells_sbt_files():
    assert is_sbt(GLOBALS_ONLY_BYTES)
    assert is_sbt(b"\xb5\xa7")
    assert is_sbt(b"\xb5\x54")  # of an old version, which deserves an error of its own
    assert not is_sbt(b"\xb5")
    assert not is_sbt(b"\xb5\xb6")
    assert not is_sbt(b"\x89PNG")


def test_describe_reports_sizes():
    info = describe(LAYERED_BYTES)
    assert (info.version, info.model, info.width, info.height) == (3, 2, 33, 64)
    assert info.quality == 50.2  # the shortest number that has the code 128
    assert [layer.name for layer in info.layers] == [
        "base layer",
        "detail layer 1 of 2",
        "detail layer 2 of 2",
    ]
    assert [layer.declared_bytes for layer in info.layers] == [6, 200, None]
    assert [layer.present_bytes for layer in info.layers] == [6, 200, 6]
    assert info.chunks == (("ICCP", 7),)
    assert info.file_bytes == len(LAYERED_BYTES)
    assert info.overhead_bytes == len(LAYERED_FRONT)
    assert info.bpp == pytest.approx(8 * len(LAYERED_BYTES) / (33 * 64))
    assert info.complete


# Values that no file can hold


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"model": 0},
        {"model": 256},
        {"width": 0},
        {"width": MAX_SIDE + 1},
        {"height": 0},
        {"height": MAX_SIDE + 1},
        {"quality": -1},
        {"quality": 256},
        {"detail_layers": 8},
    ],
)
def test_a_header_out_of_range_is_a_mistake_of_the_caller(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(GLOBALS_ONLY.header, **change)


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(GLOBALS_ONLY, layers=(one(b"", b"\0\0"),)),
        lambda: replace(LAYERED, layers=(one(b"", b"\0\0\0"),)),
        lambda: fields.integer(fields.MAX_INTEGER + 1),
        lambda: Chunk("ICC", b""),
        lambda: Chunk("IC€P", b""),
        lambda: Chunk("ICCP", bytes(MAX_CHUNK_BYTES + 1)),
        lambda: replace(GLOBALS_ONLY, layers=()),
        lambda: replace(GLOBALS_ONLY, layers=GLOBALS_ONLY.layers * 2),
        lambda: replace(GLOBALS_ONLY, chunks=(Chunk("ICCP", b""),) * 17),
        lambda: pack(replace(LAYERED, layers=LAYERED.layers[:2])),
        lambda: overhead(replace(LAYERED, layers=LAYERED.layers[:2])),
    ],
)
def test_other_impossible_values_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


# Bad files

PLAIN = pack(replace(LAYERED, chunks=()))  # the part table stands at 8..10
BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "another format": (b"\x89PNG\r\n\x1a\n", "found 89 50 at its start, expected B5 A6"),
    "half a magic": (b"\xb5", "not an .sbt file"),
    "old version": (b"\xb5\x54\x02" + PLAIN[3:], "format version 1 or 2, expected 3; sbtcodec 0.1"),
    "unknown version": (set_byte(PLAIN, 1, 0xA8), "format version 4, expected 3; a newer"),
    "unknown version, cut": (b"\xb5\xae", "format version 7"),
    "cut header": (PLAIN[:7], "cut inside the header: found 7 bytes, expected 8"),
    "cut flags": (LAYERED_BYTES[:8], "cut inside the flags"),
    "no flags behind their flag": (set_byte(LAYERED_BYTES, 8, 0), "flags 00, expected 01 to 07"),
    "unknown flags": (set_byte(LAYERED_BYTES, 8, 0x09), "flags 09, .* a newer sbtcodec"),
    "no model": (set_byte(PLAIN, 2, 0), "model is 0"),
    "no width": (set_byte(PLAIN, 3, 0), "width is 0"),
    "no height": (PLAIN[:3] + b"\x21\0\0\x20" + PLAIN[7:], "height is 0"),
    "cut table": (PLAIN[:9], "cut inside the length of the detail layer 1 of 2"),
    "cut length": (PLAIN[:10], "cut inside the length of the detail layer 1 of 2"),
    "negative base layer": (set_byte(PLAIN, 8, 17), "base layer has -1 coded bytes"),
    "no base layer": (PLAIN[:11], "cut inside the base layer: found 0 bytes, expected 6"),
    "cut base layer": (PLAIN[:16], "cut inside the base layer: found 5 bytes, expected 6"),
    "cut only layer": (GLOBALS_ONLY_BYTES[:10], "found 2 bytes, expected at least 3"),
    "cut detail layer": (
        PLAIN[:-7],
        "cut inside detail layer 1 of 2: found 199 bytes, expected 200; allow_partial=True",
    ),
    "cut last layer": (
        PLAIN[:-5],
        "cut inside detail layer 2 of 2: found 1 bytes, expected at least 2",
    ),
    "no chunks behind the flag": (set_byte(LAYERED_BYTES, 12, 0), "declares 0 chunks"),
    "too many chunks": (set_byte(LAYERED_BYTES, 12, 17), "declares 17 chunks, expected 1 to 16"),
    "chunk type": (set_byte(LAYERED_BYTES, 13, ord("1")), "type 31 43 43 50"),
    "huge chunk": (
        LAYERED_BYTES[:17] + fields.integer(2**24 + 1) + LAYERED_BYTES[18:],
        "declares 16777217 bytes",
    ),
    "cut chunk": (LAYERED_BYTES[:20], "cut inside chunk 1 of 1: found 2 bytes, expected 7"),
    "damaged chunk": (set_byte(LAYERED_BYTES, 18, 0), r"chunk 1 of 1 \(ICCP\) is damaged"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused(name):
    data, message = BAD_FILES[name]
    with pytest.raises(InvalidFileError, match=message):
        unpack(data)


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_else(data, allow_partial):
    for full in (data, GLOBALS_ONLY_BYTES[:2] + data):
        for read in (lambda d: unpack(d, allow_partial=allow_partial), describe):
            try:
                read(full)
            except InvalidFileError as error:
                assert str(error)


@given(st.integers(0, len(LAYERED_BYTES) - 1), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(offset, value):
    data = set_byte(LAYERED_BYTES, offset, value)
    try:
        again = pack(unpack(data))
    except (InvalidFileError, ValueError) as error:
        assert isinstance(error, InvalidFileError) or "layers" in str(error)
    else:
        assert again == data


# Cut files


@pytest.mark.parametrize("size", range(len(LAYERED_BYTES)))
def test_a_cut_file_gives_its_complete_layers_or_an_error(size):
    cut = LAYERED_BYTES[:size]
    whole = sum(end <= size for end in ENDS[:2])
    inside = size not in (*ENDS[:2], *range(ENDS[1] + 2, ENDS[2]))
    if whole == 0:
        for allow_partial in (False, True):
            with pytest.raises(InvalidFileError):
                unpack(cut, allow_partial=allow_partial)
        return
    if inside:
        with pytest.raises(InvalidFileError, match="allow_partial=True"):
            unpack(cut)
    container = unpack(cut, allow_partial=True)
    assert container.layers[:whole] == LAYERED.layers[:whole]
    assert container.chunks == LAYERED.chunks
    assert container.cut_inside == inside
    # The end of the last layer is implied: from its second byte on it looks whole.
    assert container.complete == (size >= ENDS[1] + 2)


@pytest.mark.parametrize("size", range(len(LAYERED_BYTES)))
def test_describe_works_behind_the_layer_table(size):
    cut = LAYERED_BYTES[:size]
    if size < HEADER_BYTES + 1 + len(LAYERED_TABLE):
        with pytest.raises(InvalidFileError):
            describe(cut)
        return
    info = describe(cut)
    present = sum(layer.present_bytes for layer in info.layers)
    assert present == max(0, size - len(LAYERED_FRONT))
    assert present + info.overhead_bytes == info.file_bytes == size
    assert info.layers[0].declared_bytes == 6
    assert info.complete == (size >= ENDS[1] + 2)
    assert info.chunks == ((("ICCP", 7),) if size >= len(LAYERED_FRONT) else ())
