"""The worked examples of docs/rules.md, run; and what must hold of every room that can be generated."""

import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey.balance import imbalance
from journey.events import Entry, Event
from journey.fold import fold
from journey.room import CLOSED, Row
from journey.rules import TABLE
from tests.unit.histories import DAY, T0, random_room

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
IDLE = DAY


def examples() -> Iterator[tuple[str, list[str]]]:
    section = ""
    text = PAGE.read_text()
    for found in re.finditer(r"^## (.*?)$|^```rules\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if found[1]:
            section = found[1]
        else:
            yield section, found[2].strip().splitlines()


def event_of(words: list[str], seq: int, at: int) -> Event:
    """An event of the page's notation; words of options come in pairs, but for `error` and `accepted`."""
    kind, rest = words[0], words[1:]
    fields: dict[str, object] = {}
    if kind == "room_closed":
        fields["closed_by"] = rest.pop(0)
    elif kind == "turn":
        fields["input_kind"] = rest.pop(0)
        if fields["input_kind"] != "none":
            given_input = rest.pop(0)
            fields["input"] = "" if fields["input_kind"] == "text" else given_input
    while rest:
        word = rest.pop(0)
        if word in ("error", "accepted"):
            fields["error"] = word == "error"
        else:
            fields[{"shows": "dialog", "bot": "bot_id"}[word]] = rest.pop(0)
    return Event(kind, seq, at, str(fields.pop("bot_id", "b1")), "customer", **fields)  # type: ignore[arg-type]


def entries_of(lines: list[str]) -> list[Entry]:
    at, entries = T0, []
    for seq, line in enumerate(lines, 1):
        words = shlex.split(line.split("|")[0])
        at += 1000
        if "after" in words:
            place = words.index("after")
            at += int(words[place + 1].removesuffix("h")) * 3_600_000 - 1000
            del words[place : place + 2]
        entries.append(Entry(event_of(words, seq, at), seq, at))
    return entries


def said(row: Row) -> str:
    message = f" {row.message}" if row.message else ""
    return f"{row.move}{message} ({row.step}, {row.dialog}) -> ({row.next_step}, {row.next_dialog})"


@pytest.mark.parametrize(("section", "lines"), list(examples()))
def test_the_examples_of_the_page(section: str, lines: list[str]) -> None:
    entries = entries_of(lines)
    folded = fold(entries, IDLE)
    assert folded is not None
    made: list[list[str]] = [[] for _ in lines]
    for row in folded.rows:
        # a timeout is told by the event that found it, and carries the seq of the one before it
        made[row.seq - 1 + (row.part == 9)].append(said(row))
    assert [" ; ".join(rows) or "-" for rows in made] == [line.split("|")[1].strip() for line in lines]


def test_each_rule_has_an_example_and_the_page_has_the_tables_order() -> None:
    numbers = {int(section.split(".")[0]) for section, _ in examples()}
    assert numbers == set(range(1, 12))
    assert {rule.number for rules in TABLE.values() for rule in rules} == numbers - {11}
    order = [str(rule.number) for rule in TABLE["turn"]]
    assert f"| `turn` | closed, 11, {', '.join(order)} |" in PAGE.read_text()


def room(seed: int) -> list[Entry]:
    rng = random.Random(seed)
    events = random_room(rng, T0, longest=14)
    return [Entry(event, offset, event.occurred_at) for offset, event in enumerate(events)]


@given(st.integers())
def test_the_balance_holds_for_every_room_that_has_ended(seed: int) -> None:
    entries = room(seed)
    end = max(entry.event.occurred_at for entry in entries) + IDLE
    folded = fold(entries, IDLE, end)
    assert folded is not None
    assert folded.room.phase == CLOSED
    assert imbalance(folded.rows) == {}


@given(st.integers())
def test_an_open_visit_is_all_that_is_out_of_balance(seed: int) -> None:
    folded = fold(room(seed), IDLE)
    assert folded is not None
    now = folded.room
    expected = {(now.bot_id, now.step, now.dialog): 1} if now.is_open else {}
    assert imbalance(folded.rows) == expected


@given(st.integers())
def test_rows_of_a_room_have_keys_of_their_own(seed: int) -> None:
    folded = fold(room(seed), IDLE)
    assert folded is not None
    keys = [(row.seq, row.part) for row in folded.rows]
    assert len(keys) == len(set(keys))


@given(st.integers(), st.integers(1, 13))
def test_a_prefix_folds_to_a_prefix(seed: int, length: int) -> None:
    entries = room(seed)
    whole, part = fold(entries, IDLE), fold(entries[:length], IDLE)
    assert whole is not None
    assert part is not None
    assert whole.rows[: len(part.rows)] == part.rows


def test_a_room_without_end_goes_on_at_the_deepest_step() -> None:
    """A step is a UInt16: one more would end every worker that reads the room."""
    events = [Event("turn", seq, T0, "b", "c", dialog=f"d{seq % 3}", input_kind="none") for seq in range(1, 65_540)]
    folded = fold([Entry(event, event.seq, T0) for event in events], IDLE, T0 + IDLE)
    assert folded is not None
    assert max(row.next_step for row in folded.rows) == folded.room.step == 65_535
    assert imbalance(folded.rows) == {}


def test_late_events_are_kept_and_change_nothing() -> None:
    lines = ["turn none shows A", "room_closed customer", "turn button x shows B", "agent_served"]
    folded = fold(entries_of(lines), IDLE)
    assert folded is not None
    assert [row.move for row in folded.rows] == ["start", "bot_end"]
    assert (folded.room.folded, folded.room.turns, folded.room.closed_by) == (4, 1, "customer")


def test_a_timeouts_row_carries_the_last_events_seq_and_received_at() -> None:
    entries = entries_of(["turn none shows A", "turn button x shows B"])
    folded = fold(entries, IDLE, entries[-1].event.occurred_at + IDLE)
    assert folded is not None
    row = folded.rows[-1]
    assert (row.move, row.message, row.seq, row.part) == ("bot_end", "timeout", 2, 9)
    assert row.occurred_at == entries[-1].event.occurred_at + IDLE
    assert row.received_at == entries[-1].received_at
    assert row.entered_at == entries[-1].event.occurred_at
    just_before = fold(entries, IDLE, row.occurred_at - 1)
    assert just_before is not None
    assert just_before.room.is_open
