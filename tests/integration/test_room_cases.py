"""Order and duplicates (issue 4, point 1), case by case: the worker's batches over the real tables.

Random histories of all this are in tests/unit/test_delivery.py and tests/faults; here each case stands by itself, and
what is asserted is what SQL finds.
"""

import itertools
import uuid
from collections.abc import Callable, Iterator
from threading import Event as Flag
from typing import Any

import orjson
import pytest

from journey import rules
from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE, Entry, Event
from journey.fold import fold
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from stream import changes
from stream.batch import Batches
from stream.poll import Poll
from tests.conftest import somewhere
from tests.integration.scene import WAIT, Scene, iso
from tests.unit.histories import DAY, HOUR, T0, Record
from tests.unit.memory_tables import MemoryTables

SECOND = 1000


@pytest.fixture(scope="module")
def database(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    name = f"cases_{uuid.uuid4().hex[:12]}"
    url = f"clickhouse://{clickhouse_address}/{name}"
    settings = somewhere(tmp_path_factory.mktemp("cases"), clickhouse=url)
    with Client(f"clickhouse://{clickhouse_address}") as admin:
        admin.run(f"CREATE DATABASE {name}")
        migrate(settings)
        yield settings
        admin.run(f"DROP DATABASE {name}")


PARTITIONS = itertools.count()


@pytest.fixture
def scene(database: Settings) -> Iterator[Scene]:
    with Client(database.clickhouse) as client, Client(database.clickhouse) as readback:
        yield Scene(client, readback, next(PARTITIONS))


@pytest.fixture(params=["in memory", "read back"])
def between(request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    """What lies between two batches: nothing, or a start with empty memory."""
    return Scene.start_anew if request.param == "read back" else lambda scene: None


# -- order -------------------------------------------------------------------------------------------------------------
def test_an_event_waits_for_those_before_it_then_the_room_goes_on_with_a_gap(
    scene: Scene, between: Callable[[Scene], None]
) -> None:
    first, third = scene.event(1, input_kind="none"), scene.event(3, SECOND)
    assert scene.receive(first, third) <= 1
    assert scene.moves() == ["start (0, ) -> (1, d1)"]
    assert scene.seqs() == [1, 3]
    assert scene.tick(WAIT - 1) <= 1
    assert scene.moves() == ["start (0, ) -> (1, d1)"]
    between(scene)
    assert scene.tick(WAIT) == 4
    assert scene.moves() == ["start (0, ) -> (1, d1)", "next_step to 3 (1, d1) -> (2, d3)"]
    assert scene.room("gaps, step, turns") == (1, 2, 2)


def test_an_event_that_comes_in_time_leaves_no_trace_of_its_disorder(scene: Scene) -> None:
    values = [scene.event(seq, seq * SECOND) for seq in (1, 2, 3, 4, 5)]
    scene.receive(values[4], values[1], values[3])
    assert scene.moves() == []
    scene.receive(values[0])
    scene.receive(values[2], at=WAIT - 1)
    assert [line.split(" -> ")[1] for line in scene.moves()] == [f"({n}, d{n})" for n in range(1, 6)]
    assert scene.room("gaps") == 0
    assert physical(scene) == 5


def physical(scene: Scene) -> int:
    """Rows of `moves` as written, without FINAL."""
    sql = "SELECT count() FROM moves WHERE site_id = {site:String}"
    count: int = scene.client.rows(sql, {"site": scene.site})[0][0]
    return count


def test_a_late_filler_folds_the_room_anew(scene: Scene, between: Callable[[Scene], None]) -> None:
    scene.receive(scene.event(1), scene.event(3, 2 * SECOND), scene.event(4, 3 * SECOND))
    scene.tick(WAIT)
    assert scene.moves()[1:] == ["next_step to 3 (1, d1) -> (2, d3)", "next_step to 4 (2, d3) -> (3, d4)"]
    between(scene)
    scene.receive(scene.event(2, SECOND, input_kind="hotkey", input="agent", dialog=None), at=HOUR)
    assert scene.moves() == [
        "start (0, ) -> (1, d1)",
        "agent_connect agent (1, d1) -> (0, )",
        "start (0, ) -> (1, d3)",
        "next_step to 4 (1, d3) -> (2, d4)",
    ]
    assert scene.room("gaps, step, phase") == (0, 2, "bot")


def test_rows_that_a_late_filler_makes_vanish_are_gone(scene: Scene, between: Callable[[Scene], None]) -> None:
    scene.receive(scene.event(1), scene.event(3, 2 * SECOND), scene.event(4, 3 * SECOND, bot_id="other"))
    scene.tick(WAIT)
    assert len(scene.moves()) == 4
    between(scene)
    scene.receive(scene.event(2, SECOND, type="room_closed", closed_by="agent"), at=HOUR)
    assert scene.moves() == ["start (0, ) -> (1, d1)", "bot_end agent (1, d1) -> (0, )"]
    assert scene.room("gaps, phase, closed_by, turns, bot_id") == (0, "closed", "agent", 1, "b")
    gone = "SELECT seq, part FROM moves WHERE site_id = {site:String} AND is_deleted = 1 ORDER BY seq, part"
    assert scene.client.rows(gone, {"site": scene.site}) == [(3, 0), (4, 0), (4, 1)]


def test_a_late_first_event_moves_the_room_to_the_day_on_which_it_opened(
    scene: Scene, between: Callable[[Scene], None]
) -> None:
    scene.receive(scene.event(2, 20 * HOUR), at=20 * HOUR)
    scene.tick(20 * HOUR + WAIT)
    before = scene.room("opened_at, gaps")
    between(scene)
    scene.receive(scene.event(1), at=21 * HOUR)
    opened, gaps = scene.room("opened_at, gaps")
    assert (opened < before[0], before[1], gaps) == (True, 1, 0)


# -- duplicates and conflicts ------------------------------------------------------------------------------------------
def test_copies_do_nothing(scene: Scene, between: Callable[[Scene], None]) -> None:
    said: dict[str, Any] = {"input_kind": "text", "input": "처음 한 말", "error": False}
    scene.receive(scene.event(1), scene.event(2, SECOND, **said), scene.event(4, 2 * SECOND))
    stands = scene.everything()
    between(scene)
    others = {**said, "input": "다른 말", "unknown": 1, "category": None}
    scene.receive(
        scene.event(2, SECOND, **others), scene.event(4, 2 * SECOND), scene.event(1), scene.event(1), at=SECOND
    )
    scene.receive(scene.event(4, 2 * SECOND), at=SECOND)
    assert scene.everything() == stands
    assert scene.letters() == []
    assert scene.seqs() == [1, 2, 4]


@pytest.mark.parametrize(
    "other",
    [{"dialog": "x"}, {"bot_id": "x"}, {"customer_id": "x"}, {"error": True}, {"channel": "x"}, {"input": "x"},
     {"type": "room_closed", "closed_by": "auto"}],
    ids=str,
)  # fmt: skip
def test_of_a_conflict_the_first_stays(scene: Scene, between: Callable[[Scene], None], other: dict[str, Any]) -> None:
    scene.receive(scene.event(1), scene.event(2, SECOND), scene.event(4, 2 * SECOND))
    stands = scene.everything()
    between(scene)
    scene.receive(scene.event(2, SECOND, **other), scene.event(4, 2 * SECOND, **other), at=SECOND)
    assert scene.everything() == stands
    assert scene.letters() == [(3, "conflict"), (4, "conflict")]
    scene.receive(scene.event(3, 2 * SECOND), at=SECOND)
    assert len(scene.moves()) == 4


def test_a_time_later_by_a_millisecond_is_a_conflict_and_less_is_none(scene: Scene) -> None:
    scene.receive(scene.event(1))
    same = scene.event(1).replace(b".000+00:00", b".0009+00:00")
    assert same != scene.event(1)
    scene.receive(same, scene.event(1, 1))
    assert scene.letters() == [(2, "conflict")]


# -- the end of a room, and after it -----------------------------------------------------------------------------------
def test_what_comes_after_the_close_is_kept_and_changes_nothing(scene: Scene, between: Callable[[Scene], None]) -> None:
    scene.receive(scene.event(1), scene.event(2, SECOND, type="room_closed", closed_by="customer"))
    moves, state = scene.moves(), scene.room("phase, closed_by, ended_at, step, turns, dialog")
    between(scene)
    scene.receive(
        scene.event(3, 2 * SECOND), scene.event(4, 3 * SECOND, type="agent_served"),
        scene.event(5, 4 * SECOND, bot_id="other"), scene.event(6, DAY, type="room_closed", closed_by="agent"),
        at=DAY,
    )  # fmt: skip
    assert scene.moves() == moves == ["start (0, ) -> (1, d1)", "bot_end customer (1, d1) -> (0, )"]
    assert scene.room("phase, closed_by, ended_at, step, turns, dialog") == state
    assert scene.seqs() == [1, 2, 3, 4, 5, 6]
    assert scene.letters() == []


def test_a_room_that_comes_back_after_a_day_has_ended(scene: Scene, between: Callable[[Scene], None]) -> None:
    scene.receive(scene.event(1))
    between(scene)
    scene.receive(scene.event(2, DAY), at=DAY)
    assert scene.moves() == ["start (0, ) -> (1, d1)", "bot_end timeout (1, d1) -> (0, )"]
    assert scene.room("phase, closed_by, turns") == ("closed", "timeout", 1)


def test_a_room_closed_by_silence_opens_again_when_it_was_only_late(
    scene: Scene, between: Callable[[Scene], None]
) -> None:
    scene.receive(scene.event(1))
    scene.tick(DAY)
    assert scene.moves()[-1] == "bot_end timeout (1, d1) -> (0, )"
    between(scene)
    scene.receive(scene.event(2, HOUR), at=DAY + SECOND)
    assert scene.moves() == ["start (0, ) -> (1, d1)", "next_step to 2 (1, d1) -> (2, d2)"]
    assert scene.room("phase, closed_by, ended_at") == ("bot", "", None)
    between(scene)
    scene.tick(DAY + HOUR)
    assert scene.moves()[-1] == "bot_end timeout (2, d2) -> (0, )"


# -- bots, sites, topics -----------------------------------------------------------------------------------------------
def test_a_room_that_changes_bots(scene: Scene, between: Callable[[Scene], None]) -> None:
    scene.receive(scene.event(1), scene.event(2, SECOND))
    between(scene)
    scene.receive(
        scene.event(3, 2 * SECOND, bot_id="c"), scene.event(4, 3 * SECOND, bot_id="c"), scene.event(5, 4 * SECOND)
    )
    rows = scene.client.rows(
        "SELECT bot_id, seq, part, move, message, step, next_step FROM moves FINAL WHERE site_id = {site:String} "
        "ORDER BY seq, part",
        {"site": scene.site},
    )
    assert rows == [
        ("b", 1, 0, "start", "", 0, 1), ("b", 2, 0, "next_step", "to 2", 1, 2),
        ("b", 3, 0, "dropout", "(bot)", 2, 0), ("c", 3, 1, "start", "", 0, 1),
        ("c", 4, 0, "next_step", "to 4", 1, 2),
        ("c", 5, 0, "dropout", "(bot)", 2, 0), ("b", 5, 1, "start", "", 0, 1),
    ]  # fmt: skip
    assert scene.room("bot_id, step") == ("b", 1)


def test_two_sites_with_the_same_room_id(scene: Scene, between: Callable[[Scene], None]) -> None:
    other = f"{scene.site} too"
    scene.receive(scene.event(1), scene.event(1, site=other, dialog="x"))
    between(scene)
    scene.receive(scene.event(2, SECOND, site=other, dialog="y"), scene.event(2, SECOND))
    assert [line.split(" -> ")[1] for line in scene.moves()] == ["(1, d1)", "(2, d2)"]
    assert [line.split(" -> ")[1] for line in scene.moves(site=other)] == ["(1, x)", "(2, y)"]
    assert scene.letters() == []


def test_a_room_by_the_other_topic(scene: Scene) -> None:
    scene.receive(scene.event(1))
    scene.start_anew()
    scene.receive(scene.event(2, SECOND), scene.event(1, room="q"), topic=TOPIC_IMPORT, at=SECOND)
    assert scene.letters() == [(0, "other_topic")]
    assert scene.seqs() == [1]
    assert scene.seqs("q") == [1]
    scene.receive(scene.event(2, SECOND))
    assert scene.seqs() == [1, 2]


# -- a long room -------------------------------------------------------------------------------------------------------
LONG = 10_000


def long_room(scene: Scene) -> list[bytes]:
    return [scene.event(seq, seq * 10, dialog=f"d{seq % 7}") for seq in range(1, LONG + 1)]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the events that are folded, each time again."""
    counted = [0]
    real = rules.step

    def step(*given: Any) -> Any:
        counted[0] += 1
        return real(*given)

    monkeypatch.setattr(changes, "step", step)
    return counted


def test_a_room_of_10_000_events_at_once_and_in_pieces(scene: Scene, steps: list[int]) -> None:
    """Each event is folded once; with a worker that knows nothing in the middle of it."""
    values = long_room(scene)
    scene.receive(*values[:9000])
    for start in range(9000, LONG, 100):
        if start == 9500:
            scene.start_anew()
        scene.receive(*values[start : start + 100])
    assert steps[0] == LONG
    assert scene.room("turns, gaps, step") == (LONG, 0, LONG)
    sql = "SELECT count(), uniqExact(seq), max(next_step) FROM moves FINAL WHERE site_id = {site:String}"
    assert scene.client.rows(sql, {"site": scene.site}) == [(LONG, LONG, LONG)]


def test_a_room_of_10_000_events_one_by_one(steps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    tables = MemoryTables(Calendar("Asia/Seoul"))
    batches = Batches(
        tables, tables, tables.calendar, wait=WAIT, idle=DAY, rooms_in_memory=1000, stopping=Flag()
    )  # fmt: skip
    asked: list[Any] = []

    def entries(keys: Any) -> list[Any]:
        asked.extend(keys)
        return []

    monkeypatch.setattr(tables, "entries", entries)
    events = [Event("turn", n, T0 + n, "b", "c", dialog=f"d{n % 7}") for n in range(1, LONG + 1)]
    for event in events:
        value = orjson.dumps({
            "type": "turn", "site_id": "s", "bot_id": "b", "room_id": "r", "customer_id": "c", "seq": event.seq,
            "occurred_at": iso(event.occurred_at), "dialog": event.dialog, "input_kind": "none",
        })  # fmt: skip
        batches.run([Poll(TOPIC_LIVE, 0, [Record(event.seq - 1, T0, None, b"r", value)], event.seq)])
    assert steps[0] == LONG
    assert len(asked) <= 1
    expected = fold([Entry(event, event.seq, T0) for event in events], DAY)
    assert expected is not None
    assert len(tables.standing(tables.moves_rows)) == len(expected.rows) == LONG
