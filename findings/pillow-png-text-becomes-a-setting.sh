#!/bin/sh
# Pillow 13.0.0: the keyword of a PNG text says what the decoder does. Texts are put into the same
# dictionary, `info`, as what other chunks say, under the same names:
#
# - a text with the keyword "interlace" and any content: a valid PNG that is not interlaced is read as
#   if it were. Most raise OSError, "image file is truncated"; in pictures of one column, which have as
#   many bytes both ways, rows come back in another order, without an error;
# - "transparency": the picture loads, and convert("RGBA") raises TypeError;
# - "icc_profile" after the profile: a string is there now, and saving the picture raises TypeError.
#
# The PNG specification leaves keywords free, but for a dozen that it names, none of these.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
"$folder/venv/bin/python" - <<'END'
import io

from PIL import Image, ImageCms, PngImagePlugin


def with_text(image: Image.Image, keyword: str, **options: object) -> Image.Image:
    texts = PngImagePlugin.PngInfo()
    texts.add_text(keyword, "written by hand")
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=texts, **options)
    return Image.open(file)


def raised(do, kind: type[Exception], part: str) -> None:
    try:
        do()
    except kind as error:
        print("raised:", error)
        assert part in str(error), error
    else:
        raise SystemExit(f"no error with {part!r} any more")


square = Image.new("RGB", (8, 8), (200, 30, 60))
assert with_text(square, "interlaced").load()
raised(with_text(square, "interlace").load, OSError, "truncated")

column = Image.new("L", (1, 16))
column.putdata(list(range(16)))
assert list(with_text(column, "interlaced").tobytes()) == list(range(16))
back = list(with_text(column, "interlace").tobytes())
print("a column of 0 to 15:", back)
assert back == [0, 1, 1, 2, 1, 3, 2, 4, 1, 5, 3, 6, 2, 7, 4, 8]

see_through = with_text(square, "transparency")
see_through.load()
raised(lambda: see_through.convert("RGBA"), TypeError, "sequence")

profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
tagged = with_text(square, "icc_profile", icc_profile=profile)
tagged.load()
assert tagged.info["icc_profile"] == "written by hand"
raised(lambda: tagged.save(io.BytesIO(), "PNG"), TypeError, "bytes-like")
END
