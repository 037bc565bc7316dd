"""Limits of pictures and files: what is beyond is refused before anything is allocated for it."""

MAX_SIDE = 16383  # pixels
DEFAULT_MAX_PIXELS = 2**27  # 134 megapixels: half of what sides alone would let pass
MAX_DETAIL_LAYERS = 7
MAX_CHUNKS = 16
MAX_CHUNK_BYTES = 2**24
MAX_METADATA_BYTES = MAX_CHUNK_BYTES - 1  # a chunk, less its first byte
MAX_FILE_BYTES = 2**30  # of any input: above what the largest image needs
