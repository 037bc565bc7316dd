"""The sizes that images may have."""

# The limits of the format, stated again because rooms do not import each other.
MAX_SIDE = 16383
DEFAULT_MAX_PIXELS = 2**27
MAX_METADATA_BYTES = 2**24 - 1  # a chunk, less its first byte
