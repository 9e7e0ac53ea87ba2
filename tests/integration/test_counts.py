"""`edge_counts` and `live_counts` over the real tables: what was counted is what stands in `moves`."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE
from scheduler.watch import Watch
from settings import Settings
from sql.client import Client
from sql.counts import differences
from sql.migrate import MIGRATIONS, variables
from sql.sink import Sink
from stack.checkup import checkup
from tests.counted import value
from tests.integration.scene import Scene
from tests.unit.histories import DAY, T0

SEOUL = Calendar("Asia/Seoul")
_EDGE = "bot_id, step, dialog, move, message, next_step, next_dialog"


@pytest.fixture
def scene(settings: Settings) -> Iterator[Scene]:
    with Client(settings.clickhouse) as client, Client(settings.clickhouse) as readback:
        yield Scene(client, readback, 0)


def now() -> int:
    """ms after T0."""
    return round(time.time() * 1000) - T0


def today() -> date:
    return SEOUL.day(now() + T0)


def play(scene: Scene) -> None:
    """Rooms of today in two bots: a late filler, a duplicate, one moved to the other bot, one that fell silent."""
    at = now()
    scene.receive(*(scene.event(seq, at, room=f"r{n}") for n in range(3) for seq in (1, 2, 4)), at=at)
    scene.receive(scene.event(5, at + 40_000, room="r0"), at=at + 40_000)  # r0 goes on with a gap
    scene.receive(scene.event(3, at, room="r0", bot_id="other"), scene.event(1, at, room="r1"), at=at + 41_000)
    scene.receive(scene.event(1, at - DAY, room="silent"), at=at - DAY)
    scene.tick(at + 100_000)


def live(client: Client, site: str) -> Counter[Any]:
    rows = client.rows(f"SELECT {_EDGE}, moves FROM live_counts(site = {{site:String}})", {"site": site})
    assert len({row[:7] for row in rows}) == len(rows), "an edge twice"
    return Counter({row[:7]: row[7] for row in rows})


def counted(client: Client, site: str, day: date) -> Counter[Any]:
    """Another way: the rows themselves."""
    rows = client.rows(
        f"SELECT {_EDGE} FROM moves FINAL WHERE site_id = {{site:String}} AND day = {{day:Date}}",
        {"site": site, "day": day},
    )
    return Counter(rows)


def agree(client: Client, site: str) -> Counter[Any]:
    """live_counts is what stands in `moves`; once more where a midnight fell between."""
    while True:
        day = today()
        found, expected = live(client, site), counted(client, site, day)
        if day == today():
            assert found == expected
            return found


def test_live_counts_are_the_moves_that_stand(scene: Scene) -> None:
    play(scene)
    found = agree(scene.client, scene.site)
    assert {edge[3] for edge in found} >= {"start", "next_step"}
    assert agree(scene.client, "no such site") == Counter()


def test_a_timeout_of_today_is_counted_once(scene: Scene) -> None:
    play(scene)
    found = agree(scene.client, scene.site)
    assert sum(moves for edge, moves in found.items() if edge[4] == "timeout") == 1


def timeouts(found: Counter[Any]) -> dict[Any, int]:
    """Those of the edges that have any, by step and dialog."""
    return {edge[1:3]: moves for edge, moves in found.items() if edge[4] == "timeout"}


def test_a_timeout_that_an_event_takes_back_or_changes(scene: Scene) -> None:
    """One room goes on after all; of the other an event in its middle comes late: so it ended a step later."""
    at = now()
    scene.receive(*(scene.event(1, at - DAY, room=room) for room in ("goes on", "late")), at=at - DAY)
    scene.receive(scene.event(3, at - DAY, room="late"), at=at - DAY)
    scene.tick(at + 1)
    assert timeouts(agree(scene.client, scene.site)) == {(1, "d1"): 1, (2, "d3"): 1}
    scene.receive(scene.event(2, at - DAY // 2, room="goes on"), scene.event(2, at - DAY, room="late"), at=at + 2)
    assert timeouts(agree(scene.client, scene.site)) == {(3, "d3"): 1}


def test_a_count_of_timeouts_that_comes_late_changes_nothing(scene: Scene) -> None:
    """A worker that stood still may write what it had counted before."""
    at = now()
    scene.receive(scene.event(1, at - DAY), at=at - DAY)
    scene.tick(at + 1)
    scene.client.run("CREATE TABLE earlier AS edge_totals ENGINE = Memory")
    scene.client.run("INSERT INTO earlier SELECT * FROM edge_totals WHERE message = 'timeout'")
    scene.receive(scene.event(2, at - DAY // 2), at=at + 2)
    scene.client.run("INSERT INTO edge_totals SELECT * FROM earlier")
    assert timeouts(agree(scene.client, scene.site)) == {}


def test_clickhouse_dies_between_a_timeout_and_its_count(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for again is found again, since `rooms` comes after both."""
    at = now()
    scene.receive(scene.event(1, at - DAY), at=at - DAY)
    with monkeypatch.context() as patched:
        patched.setattr(Sink, "timeouts", dies)
        with pytest.raises(Died):
            scene.tick(at + 1)
    scene.start_anew()
    scene.tick(at + 1)
    assert timeouts(agree(scene.client, scene.site)) == {(1, "d1"): 1}


class Died(Exception):
    """The process is no more."""


def dies(_: Sink, edges: set[Any]) -> None:
    if edges:
        raise Died


def test_what_is_read_again_is_not_counted_again(scene: Scene) -> None:
    play(scene)
    before = agree(scene.client, scene.site)
    scene.committed[TOPIC_LIVE] = 0
    scene.start_anew()
    scene.committed[TOPIC_LIVE] = 7
    scene.start_anew()
    assert agree(scene.client, scene.site) == before


def miscount(scene: Scene, by: int) -> None:
    """One of today's totals becomes another."""
    sql = (
        "INSERT INTO edge_totals SELECT * REPLACE (moves + {by:Int64} AS moves, version + 1 AS version) "
        "FROM edge_totals FINAL WHERE day = {day:Date} AND move = 'start' ORDER BY bot_id, next_dialog LIMIT 1"
    )
    scene.client.run(sql, {"by": by, "day": today()})


def test_a_difference_that_lasts_is_named_and_one_that_passes_is_not(scene: Scene) -> None:
    play(scene)
    assert differences(scene.client, today(), lambda _: None) == {}
    miscount(scene, 2)
    (found,) = differences(scene.client, today(), lambda _: None).items()
    assert found[0][0] == scene.site
    assert found[1] == 2

    def mend(_: float) -> None:
        miscount(scene, -2)

    looked = iter([mend])
    assert differences(scene.client, today(), lambda s: next(looked, lambda _: None)(s)) == {}


def test_the_doctor_and_the_metric_name_counts_that_differ(
    scene: Scene, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(scene)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between looks

    def state() -> str:
        return next(finding.state for finding in checkup(settings) if finding.part == "counts")

    watch = Watch(settings, lambda: now() + T0)
    watch.look()
    assert value("turnpath_counts_differences") == 0
    assert state() == "ok"
    miscount(scene, 1)
    assert state() == "warning"
    watch._counts_at = 0.0
    watch.look()
    assert value("turnpath_counts_differences") == 1


def test_the_migration_counts_what_was_there_before(scene: Scene, settings: Settings) -> None:
    """And a worker goes on from there: what it reads again is in it already, what is new is counted."""
    play(scene)
    before = agree(scene.client, scene.site)
    for table in ("edge_counts", "edge_totals", "timeouts"):
        scene.client.run(f"TRUNCATE TABLE {table}")
    assert live(scene.client, scene.site) == Counter()
    timeouts, *_ = _filling("0008_timeouts_by_edge.sql", settings)
    filling = [*_filling("0005_timeouts.sql", settings), timeouts, *_filling("0009_one_total.sql", settings)]
    for statement in [*filling, *filling[1:]]:  # a killed migration is run again
        scene.client.run(statement)
    assert agree(scene.client, scene.site) == before
    scene.committed[TOPIC_LIVE] = 3
    scene.start_anew()
    assert agree(scene.client, scene.site) == before
    scene.receive(scene.event(1, now(), room="new"), at=now() + 200_000)
    assert agree(scene.client, scene.site).total() == before.total() + 1


def test_totals_of_what_was_counted_before_are_taken_in(scene: Scene, settings: Settings) -> None:
    play(scene)
    before = agree(scene.client, scene.site)
    scene.client.run("TRUNCATE TABLE edge_totals")
    assert live(scene.client, scene.site) == Counter()
    for statement in _filling("0009_one_total.sql", settings) * 2:  # a killed migration is run again
        scene.client.run(statement)
    assert agree(scene.client, scene.site) == before


def test_a_total_is_of_all_partitions_and_topics(scene: Scene) -> None:
    """Written twice, and by turns: whoever is the later has what the others wrote."""
    places = [(topic, partition) for topic in (TOPIC_LIVE, TOPIC_IMPORT) for partition in range(8)]
    for times in (1, 2):
        for n, place in enumerate(places):
            count(scene, place, times * n, times)
    assert live(scene.client, scene.site).total() == 2 * sum(range(16))


def count(scene: Scene, place: tuple[str, int], moves: int, upto: int) -> None:
    """A batch with one edge."""
    sink, edge = Sink(scene.client), (scene.site, "b", 1, "A", "start", "", 1, "B")
    rows = [(*place, today(), *edge, moves, upto)]
    sink.edge_counts(rows)
    sink.edge_totals(rows)


def test_a_total_that_comes_late_changes_nothing(scene: Scene) -> None:
    """A worker that stood still may write what it had counted before others did; and offsets begin at 0."""
    count(scene, (TOPIC_LIVE, 0), 5, 0)
    scene.client.run("CREATE TABLE earlier AS edge_totals ENGINE = Memory")
    scene.client.run("INSERT INTO earlier SELECT * FROM edge_totals")
    count(scene, (TOPIC_LIVE, 1), 7, 0)
    scene.client.run("INSERT INTO edge_totals SELECT * FROM earlier")
    assert live(scene.client, scene.site).total() == 12


def test_a_row_that_anothers_newer_one_replaced_is_counted(scene: Scene) -> None:
    """A worker that was ahead died before it counted totals; what we count of fewer records merges into its row."""
    sink, edge = Sink(scene.client), (scene.site, "b", 1, "A", "start", "", 1, "B")
    count(scene, (TOPIC_LIVE, 0), 5, 100)
    ours = [(TOPIC_LIVE, 0, today(), *edge, 8, 150), (TOPIC_LIVE, 1, today(), *edge[:-1], "C", 1, 7)]
    sink.edge_counts([(TOPIC_LIVE, 0, today(), *edge, 8, 200)])
    sink.edge_counts(ours)
    scene.client.run("OPTIMIZE TABLE edge_counts FINAL")
    sink.edge_totals(ours)
    assert live(scene.client, scene.site).total() == 8 + 1


def test_totals_of_many_days_are_counted_in_one_batch(scene: Scene) -> None:
    """More than a hundred partitions of a table, which ClickHouse refuses unless it is told otherwise."""
    sink = Sink(scene.client)
    days = [today() - timedelta(days=n) for n in range(150)]
    rows = [(TOPIC_LIVE, 0, day, scene.site, "b", 1, "A", "start", "", 1, "B", 1, 1) for day in days]
    sink.edge_counts(rows)
    sink.edge_totals(rows)
    assert scene.client.rows("SELECT count(), sum(moves) FROM edge_totals FINAL")[0] == (150, 150)


def test_the_worker_dies_between_the_counts_and_their_totals(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read again is counted already; its totals are not there."""
    with monkeypatch.context() as patched:
        patched.setattr(Sink, "edge_totals", lambda *_: None)
        play(scene)
    assert live(scene.client, scene.site).total() == 1, "of timeouts alone"
    scene.committed[TOPIC_LIVE] = 0
    scene.start_anew()
    agree(scene.client, scene.site)


def _filling(migration: str, settings: Settings) -> list[str]:
    text = (MIGRATIONS / migration).read_text(encoding="utf-8")
    for name, given in variables(settings).items():
        text = text.replace(f"${{{name}}}", given)
    return re.findall(r"^INSERT INTO [^;]+", text, re.MULTILINE)
