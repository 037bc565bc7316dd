"""Golden files: what every released model wrote once, and what everybody must read in it for ever.

    tests/golden/NUMBER/NAME.sbt          files of the model, as its encoders wrote them
    tests/golden/NUMBER/symbols.json      SHA-256 of the symbols of each
    tests/golden/NUMBER/DIGEST/NAME.png   their pictures; DIGEST is the decoder's, so that a better
                                          decoder under the same number gets pictures of its own

`python tests/golden.py` writes what the default model lacks, and changes nothing that is there.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data as photographs

from sbtcodec.codec.codec import Codec
from sbtcodec.image.picture import Picture

GOLDEN = Path(__file__).parent / "golden"
SYMBOLS = "symbols.json"


def pictures() -> dict[str, tuple[Picture, float | None]]:
    """Pictures by name, and the quality each is coded at; None for the global tokens alone."""
    cat = np.ascontiguousarray(photographs.chelsea()[60:157, 110:240])
    wide = np.ascontiguousarray(np.tile(photographs.chelsea()[100:134], (1, 3, 1))[:, :1100])
    gray = np.repeat(photographs.camera()[80:170, 200:283, None], 3, 2)
    hole = np.hypot(*np.mgrid[-48:49, -64:66]) * 4
    alpha = np.clip(hole, 0, 255).astype(np.uint8)
    return {
        "globals": (Picture(cat), None),
        **{f"q{quality:03}": (Picture(cat), quality) for quality in (0, 28, 40, 50, 100)},
        "gray": (Picture(gray, grayscale=True), 40),
        "alpha": (Picture(cat, alpha=alpha), 30),
        "tiles": (Picture(wide), 8),
        "dot": (Picture(cat[:1, :1]), 60),
    }


def symbols_of(codec: Codec, data: bytes) -> str:
    """SHA-256 of the symbols in a file: levels as bytes, residuals as little-endian int16."""
    tokens = codec.tokens_of(data)
    digest = hashlib.sha256(tokens.levels.tobytes())
    digest.update(tokens.symbols.astype("<i2").tobytes())
    return digest.hexdigest()


def pixels_of(codec: Codec, data: bytes) -> NDArray[np.uint8]:
    """The decoded picture, uint8 [H, W] or [H, W, 2 to 4]."""
    return np.asarray(codec.decompress(data))


def pictures_folder(codec: Codec) -> Path:
    """Where the pictures of a codec's decoder are."""
    release = codec.release
    return GOLDEN / str(release.number) / release.pictures_digest.hex()[:12]


def write(codec: Codec) -> None:
    """Write the files of a model that encodes, under its name, and the pictures of its decoder."""
    release = codec.release
    folder, shown = GOLDEN / str(release.number), pictures_folder(codec)
    shown.mkdir(parents=True, exist_ok=True)
    for name, (picture, quality) in pictures().items():
        path = folder / f"{release.name}-{name}.sbt"
        if not path.exists():
            only = quality is None
            path.write_bytes(codec.compress(picture, quality or 0, globals_only=only))
    known = folder / SYMBOLS
    found = json.loads(known.read_text()) if known.exists() else {}
    for path in sorted(folder.glob("*.sbt")):
        data = path.read_bytes()
        found.setdefault(path.stem, symbols_of(codec, data))
        picture_file = shown / f"{path.stem}.png"
        if not picture_file.exists():
            Image.fromarray(pixels_of(codec, data)).save(picture_file, optimize=True)
    known.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Write the golden files of a model."""
    parser = argparse.ArgumentParser(description="Write golden files that are not there yet.")
    parser.add_argument("--model", type=int, help="its number; the default model")
    parser.add_argument("--weights", type=Path, help="folder of models")
    arguments = parser.parse_args()
    codec = Codec.load("cpu", precision="float32", model=arguments.model, weights=arguments.weights)
    write(codec)
    sys.stdout.write(f"{GOLDEN / str(codec.release.number)}\n")


if __name__ == "__main__":
    main()
