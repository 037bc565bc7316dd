"""The version of a file: what its file system says of it that changes with its content."""

from typing import Any

# Keys of the file systems of fsspec, the surest first. Some have a time of creation alone, which is
# that of the last writing where files are written as a whole.
_KEYS = {
    "etag": ("ETag", "etag", "e_tag"),
    "md5": ("md5Hash", "content_md5", "checksum"),
    "crc": ("CRC", "crc32c"),
    "mtime": ("mtime", "LastModified", "last_modified", "updated", "modified", "date_time"),
    "created": ("created",),
}


def version_of(info: dict[str, Any]) -> str | None:
    """Return the version in what a file system says of a file, such as "etag:9a0364b9".

    None if it says nothing of the kind.
    """
    for kind, keys in _KEYS.items():
        for key in keys:
            if info.get(key) is not None:
                return f"{kind}:{info[key]}"
    return None
