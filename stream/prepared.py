"""What a batch comes to: its rows, and what follows once they are written."""

from threading import Event as Flag
from typing import Any

from msgspec import Struct

from journey.events import RoomKey
from sql.edges import TimeoutEdge
from stream import metrics
from stream.poll import Place


class Output(Struct):
    """The rows of a batch, by table; tuples as sql.sink names them. `timeouts`: edges to be counted anew."""

    turns: list[tuple[Any, ...]] = []
    dead_letters: list[tuple[Any, ...]] = []
    moves: list[tuple[Any, ...]] = []
    timeouts: set[TimeoutEdge] = set()
    rooms: list[tuple[Any, ...]] = []
    edge_counts: list[tuple[Any, ...]] = []
    bots: list[tuple[Any, ...]] = []
    progress: list[tuple[Any, ...]] = []


class Prepared(Struct, frozen=True):
    """A batch that is folded and not yet written, or being written.

    `limits`: of each partition, up to where it may be committed once this is written; `rooms`: those with rows in it;
    `ticks`: the partitions that need one, with their times (ms); `written`: set when all of it is; `tallies`: for the
    metrics.
    """

    output: Output
    limits: dict[Place, int]
    rooms: set[RoomKey]
    ticks: dict[Place, int]
    written: Flag
    tallies: list[metrics.Tally] = []
