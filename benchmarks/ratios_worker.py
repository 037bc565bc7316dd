"""One build of the codec with its model loaded, which codes pictures when it is told to.

`benchmarks.ratios` runs this file by its path with the build on PYTHONPATH, so it uses nothing but
what every version has. A line of JSON in, `[what, path or null, quality]`; a line out, in seconds.
A build that has precisions takes one as its argument.
"""

import json
import sys
import time

import numpy as np
from PIL import Image

from sbtcodec import Codec


def main() -> None:
    """Answer until the end of the input."""
    codec = Codec.load("cpu", **dict(zip(("precision",), sys.argv[1:], strict=False)))
    rgb, data = np.zeros((64, 64, 3), np.uint8), codec.compress(np.zeros((64, 64, 3), np.uint8))
    print(codec.model_id, getattr(codec, "precision", "float32"), flush=True)
    for line in sys.stdin:
        what, path, quality = json.loads(line)
        if path is not None:
            rgb = np.array(Image.open(path).convert("RGB"))
        start = time.perf_counter()
        if what == "encode":
            data = codec.compress(rgb, quality)
        else:
            codec.decompress(data)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
