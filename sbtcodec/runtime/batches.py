"""Items in batches, as `itertools.batched` of Python 3.12 has them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items each, the last one of what is left; as they come, none before."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
