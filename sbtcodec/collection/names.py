"""Names in the manifest: text that stands for any name of a file, and back.

Parquet holds UTF-8, names of files are bytes. A name that is not UTF-8 is percent-encoded (RFC
3986): that of an image as a file URI, such as `file:///photos/caf%E9.png`, that of an output behind
`./`, such as `./caf%E9.sbt`. No other local path in the manifest begins in these ways, so both
can be read back.
"""

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

_FILE, _RELATIVE = "file://", "./"


def to_text(path: str) -> str:
    """Return the text for an absolute path, or for one relative to the folder of outputs."""
    if is_utf8(path):
        return path
    prefix = _FILE if os.path.isabs(path) else _RELATIVE
    return prefix + quote_from_bytes(os.fsencode(path))


def to_path(text: str) -> str:
    """Return the path that a text stands for; undoes `to_text`."""
    for prefix in (_FILE, _RELATIVE):
        if text.startswith(prefix):
            return os.fsdecode(unquote_to_bytes(text.removeprefix(prefix)))
    return text


def to_sentence(text: str | None) -> str | None:
    """Return a sentence with what is not UTF-8 escaped, for reading alone."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def is_utf8(path: str) -> bool:
    """Whether a name is text, not bytes that Python has only wrapped."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
