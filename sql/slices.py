"""Many rooms or edges, some at a time: parameters travel as text."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: Rooms or edges a statement.
_AT_ONCE = 20_000


def slices(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in their order, as many at a time as a statement takes."""
    ordered = list(items)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
