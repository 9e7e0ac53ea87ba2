"""Rooms folded as of a cut-off, from rows of `turns` as they come: by room, seq and offset."""

from dataclasses import replace
from datetime import date, time, timedelta
from typing import Any

from msgspec.structs import astuple

from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE, Event, RoomKey
from seal.day import day_to_seal
from seal.refold import fold_rooms

SEOUL = Calendar("Asia/Seoul")
DAY = day_to_seal(date(2026, 11, 22), SEOUL, time(0, 40), timedelta(hours=24))
C, HOUR = DAY.cut_off, 3_600_000


def turn(room: str, seq: int, at: int, offset: int, received_at: int | None = None, dialog: str = "A") -> Any:
    event = Event("turn", seq, at, "bot", "customer", dialog=dialog, input_kind="button", input="yes")
    return ("site", room, TOPIC_LIVE, 0, offset, at if received_at is None else received_at, *astuple(event))


def moves(*turns: Any) -> dict[str, list[tuple[int, str, str]] | None]:
    return {
        key.room_id: None if folded is None else [(row.seq, row.move, row.message) for row in folded.rows]
        for key, folded in fold_rooms(turns, DAY)
    }


def test_what_was_received_at_the_cut_off_counts_and_nothing_after_it() -> None:
    at = C - HOUR
    found = moves(turn("r", 1, at, 1), turn("r", 2, at, 2, C), turn("r", 3, at, 3, C + 1))
    assert found == {"r": [(1, "start", ""), (2, "next_step", "yes")]}


def test_of_imports_it_is_the_offset_that_counts() -> None:
    day = replace(DAY, imported={3: 7})
    turns = [
        ("site", "r", TOPIC_IMPORT, partition, offset, *turn("r", seq, C - HOUR, 0)[5:])
        for seq, (partition, offset) in enumerate([(3, 6), (3, 7), (4, 0)], 1)
    ]
    ((_, folded),) = fold_rooms(turns, day)
    assert folded is not None
    assert [row.seq for row in folded.rows] == [1]
    assert day.parameters()["imported"] == [0, 0, 0, 7]


def test_a_room_of_which_nothing_was_there_yet_is_none() -> None:
    assert moves(turn("r", 1, C, 1, C + 1), turn("s", 1, C, 2)) == {"r": None, "s": [(1, "start", "")]}


def test_of_two_copies_the_lower_offset_counts_even_where_the_other_was_received_in_time() -> None:
    at = C - HOUR
    assert moves(turn("r", 1, at, 1, C + 5), turn("r", 1, at, 2, at)) == {"r": None}
    assert moves(turn("r", 1, at, 1), turn("r", 1, at, 2, dialog="B"), turn("r", 2, at, 3)) == {
        "r": [(1, "start", ""), (2, "next_step", "yes")]
    }


def test_gaps_are_given_up_and_silence_counts_up_to_the_cut_off() -> None:
    idle = DAY.idle
    assert moves(turn("r", 2, C - idle, 1), turn("r", 5, C - idle, 2)) == {
        "r": [(2, "start", ""), (5, "next_step", "yes"), (5, "bot_end", "timeout")]
    }
    assert moves(turn("r", 2, C - idle + 1, 1)) == {"r": [(2, "start", "")]}


def test_rooms_of_two_sites_with_one_name_are_two() -> None:
    other = ("other", *turn("r", 1, C, 9)[1:])
    assert [key for key, _ in fold_rooms([other, turn("r", 1, C, 1)], DAY)] == [
        RoomKey("other", "r"),
        RoomKey("site", "r"),
    ]
