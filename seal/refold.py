"""Rooms folded anew from `turns`, as of a cut-off: the few whose rows in `moves` may know more than a seal may."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from msgspec.structs import astuple

from journey.events import Entry, Event, RoomKey
from journey.fold import Folded, fold
from seal.day import Day
from seal.membership import ELSEWHERE, FOLDED, REFOLD, first_day
from seal.metrics import step
from seal.stage import Stage
from seal.turns import Known
from sql.client import Client
from sql.sink import EVENT, MOVES

_TURNS = (
    "SELECT site_id, room_id, topic, partition, offset, toUnixTimestamp64Milli(received_at), "
    + ", ".join(f"toUnixTimestamp64Milli({name})" if name == "occurred_at" else name for name in EVENT)
    # received at the earliest a day before it occurred, by a clock that is a day ahead
    + " FROM turns WHERE day >= {first_day} - 2 "
    # `room` is a hash of its site, too; a set of pairs takes five times as long to look through
    "AND room IN (SELECT room FROM {marks} WHERE mark = '{refold}' "
    "AND room NOT IN (SELECT room FROM {marks} WHERE mark = '{elsewhere}')) "
    "ORDER BY site_id, room, seq, offset"
)

#: Rooms written at a time: bounds the memory, whatever the day's size.
_AT_ONCE = 5_000

Anew = tuple[RoomKey, Folded]


@step("refold")
def refold(reader: Client, writer: Client, stage: Stage, day: Day, said: Callable[[int], None]) -> None:
    """Fold the marked rooms; those that are in get their rows into the stage. `said`: called with how many were done.

    `reader` and `writer` are two connections, since one stream is read while the other is written.
    """
    sql = _TURNS.format(marks=stage.marks, refold=REFOLD, elsewhere=ELSEWHERE, first_day=first_day(stage))
    rooms = fold_rooms(reader.stream(sql, day.parameters()), day)
    done = 0
    while some := list(islice(rooms, _AT_ONCE)):
        _write(writer, stage, [(key, folded) for key, folded in some if folded is not None and _is_in(folded, day)])
        done += len(some)
        said(done)


def fold_rooms(turns: Iterable[tuple[Any, ...]], day: Day) -> Iterator[tuple[RoomKey, Folded | None]]:
    """Each room as of the day's cut-off, None where nothing of it was there yet; `turns` by room, seq and offset."""
    for (site_id, room_id), rows in groupby(turns, key=lambda row: (row[0], row[1])):
        yield RoomKey(site_id, room_id), fold(_entries(rows, day.known), day.idle, day.cut_off)


def _entries(rows: Iterable[tuple[Any, ...]], known: Known) -> Iterator[Entry]:
    """Of each seq the copy with the lowest offset, if the seal knows it."""
    for _, copies in groupby(rows, key=lambda row: row[6 + _SEQ]):
        _, _, topic, partition, offset, received_at, *event = next(copies)
        if known.has(topic, partition, offset, received_at):
            yield Entry(Event(*event), offset, received_at)


_SEQ = EVENT.index("seq")


def _is_in(folded: Folded, day: Day) -> bool:
    ended_at = folded.room.ended_at
    return ended_at is not None and day.begin <= ended_at < day.end


def _write(client: Client, stage: Stage, rooms: list[Anew]) -> None:
    moves = [
        (key.site_id, key.room_id, folded.room.customer_id, 0, 0, *astuple(row))
        for key, folded in rooms
        for row in folded.rows
    ]
    if moves:
        client.insert(stage.moves, dict(zip(MOVES, zip(*moves, strict=True), strict=True)))
    if rooms:
        client.insert(
            stage.marks,
            {
                "site_id": [key.site_id for key, _ in rooms],
                "room_id": [key.room_id for key, _ in rooms],
                "customer_id": [folded.room.customer_id for _, folded in rooms],
                "ended_at": [folded.room.ended_at for _, folded in rooms],
                "mark": [FOLDED] * len(rooms),
            },
        )
