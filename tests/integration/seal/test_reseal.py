"""What came too late, the next revision with it, and the one before: beside a count in plain Python."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from journey.errors import NoData, NotSealed, SealFailed
from journey.events import RoomKey
from seal.history import show
from settings import Settings
from sql import read
from sql.client import Client
from tests.integration.seal.late import WHY, Scene, played
from tests.integration.seal.scene import CUSTOMERS, FAR, ROOT, SEOUL, left_behind, rows_of, same, sealer
from tests.integration.seal.truth import (
    SEAL_AT,
    Truth,
    count,
    published,
)


@pytest.fixture
def scene(consumed: Settings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with Client(consumed.clickhouse) as client:
        yield played(consumed, client, request.param, monkeypatch)


def history(client: Client) -> list[tuple[object, ...]]:
    return client.rows(
        "SELECT * EXCEPT (sealed_at) FROM daily_history ORDER BY day, kind, site_id, bot_id, number, room"
    )


def in_days(client: Client) -> dict[str, list[date]]:
    """The days whose published seals have a room."""
    rows = client.rows(
        "SELECT concat(site_id, ' ', room_id), groupUniqArray(day) FROM daily WHERE kind = 'room' GROUP BY ALL"
    )
    return dict(rows)


@pytest.mark.parametrize("scene", ["54"], indirect=True)
def test_a_reseal_is_what_a_count_of_the_log_says(scene: Scene) -> None:
    """A day that draws in one of the two others."""
    client, (_, second, _) = scene.client, scene.days
    before = rows_of(client)
    late = read.late_rooms(client).dicts()
    assert {(row["day"], row["site_id"], row["room_id"]) for row in late} == scene.late()
    drawn_in = scene.drawn_in(second)
    assert len(drawn_in) == 2
    new = scene.reseal(second)
    truths = {day: scene.truth(day) for day in drawn_in}
    assert new == sorted(day for day, truth in truths.items() if truth != scene.sealed[day])
    assert second in new
    for day in scene.days:
        same(published(client, day, CUSTOMERS), truths.get(day, scene.sealed[day]))
    revisions = client.rows(
        "SELECT day, revision, toUnixTimestamp64Milli(as_of), reason FROM daily WHERE kind = 'seal'"
    )
    for day, revision, as_of, reason in revisions:
        assert (revision, as_of) == ((2, FAR) if day in new else (1, SEOUL.cut_off(day, SEAL_AT)))
        assert reason == ("" if day not in new else WHY if day == second else f"{WHY} (with {second})")
    assert history(client) == [row for row in before if row[0] in new]
    check_what_is_shown(scene, second, scene.sealed[second])
    check_ranges(scene, new)
    assert scene.reseal(second) == [], "nothing came late since"
    late = read.late_rooms(client).dicts()
    assert {(row["day"], row["room_id"]) for row in late} == {
        (day, room) for day, _, room in scene.late() if day not in drawn_in
    }
    assert not left_behind(client)
    # the next day has none of theirs
    elsewhere = {RoomKey(*name.split(" ", 1)) for name in in_days(client)}
    fourth = scene.log.days[3]
    sealer(scene.settings).seal(fourth)
    same(published(client, fourth, CUSTOMERS), count(scene.log, fourth, scene.out_on(fourth), elsewhere))
    assert max(map(len, in_days(client).values())) == 1


KILLED = """
import os, sys
from datetime import date
import seal.reseal
from settings import load

seal.reseal.await_consumed = lambda *_: []  # the records went by no broker
left = [int(sys.argv[1])]

def said(words):
    if "publishing" in words:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), 9)

seal.reseal.Resealer(load(), lambda: int(sys.argv[2]), said).reseal(date.fromisoformat(sys.argv[3]), sys.argv[4])
"""


@pytest.mark.long
@pytest.mark.parametrize("scene", ["12"], indirect=True)
def test_killed_between_two_days_it_ends_well_when_it_runs_again(scene: Scene) -> None:
    """The first day's rooms draw in the second, whose draw in the third: it is killed before each publication."""
    client, first = scene.client, scene.days[0]
    before = rows_of(client)
    truths = {day: scene.truth(day) for day in scene.days}
    assert scene.drawn_in(first) == set(scene.days)
    # the lock of a killed one would have to run out
    without_redis = scene.settings.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    environment = {
        f"TURNPATH_{name.upper()}": getattr(without_redis, name) for name in ("kafka", "clickhouse", "redis")
    }
    resealed: list[int] = []
    for nth in (1, 2, 2):
        command = [sys.executable, "-c", KILLED, str(nth), str(FAR), str(first), WHY]
        assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == -9
        resealed += client.rows("SELECT count() FROM daily WHERE kind = 'seal' AND revision = 2")[0]
    assert resealed == [0, 1, 2]
    assert scene.reseal(first) == [first], "the others are done"
    for day, truth in truths.items():
        same(published(client, day, CUSTOMERS), truth)
    assert client.rows("SELECT groupArray(revision) FROM daily WHERE kind = 'seal'") == [([2, 2, 2],)]
    assert history(client) == before
    assert max(map(len, in_days(client).values())) == 1


@pytest.mark.long
@pytest.mark.parametrize("scene", ["49"], indirect=True)
def test_what_cannot_be_resealed_says_why(scene: Scene) -> None:
    client, (_, second, _) = scene.client, scene.days
    whole = rows_of(client)
    with pytest.raises(NotSealed, match=r"2026-03-20 is not sealed.*seal --day"):
        scene.reseal(date(2026, 3, 20))
    # the moves of a room that heard of nothing late are gone: an expired part, or somebody's doing
    ((room_id,),) = client.rows(
        "SELECT any(room_id) FROM daily WHERE kind = 'room' AND day = {day:Date} AND room NOT IN ("
        "SELECT room FROM turns WHERE received_at > fromUnixTimestamp64Milli({cut_off:Int64}) OR topic LIKE '%import')",
        {"day": second, "cut_off": SEOUL.cut_off(second, SEAL_AT)},
    )
    client.run("ALTER TABLE moves DELETE WHERE room_id = {room:String} SETTINGS mutations_sync = 2", {"room": room_id})
    with pytest.raises(SealFailed, match=f"not as they were published, though nothing of them came late.*{room_id}"):
        scene.reseal(second)
    scene.settings = scene.settings.model_copy(update={"keep_events": timedelta(days=90)})
    with pytest.raises(NoData, match=f"{room_id}.* kept for 90 days"):
        scene.reseal(second)
    assert rows_of(client) == whole
    assert not history(client)
    assert not left_behind(client)


def check_what_is_shown(scene: Scene, day: date, before: Truth) -> None:
    """Both revisions of a day that was resealed."""
    for revision, reason, truth in ((1, "", before), (2, WHY, scene.truth(day))):
        seal, shown = show(scene.client, day, revision)
        assert (seal["revision"], seal["reason"]) == (revision, reason)
        assert {row[:2] + row[3:] for row in shown.rows if row[2] == "edge"} == {e[:2] + e[3:] for e in truth.edges}
        assert {row[:2] + row[3:5] + row[9:] for row in shown.rows if row[2] == "node"} == {
            node[:2] + node[3:] for node in truth.nodes
        }
    assert show(scene.client, day)[0]["revision"] == 2
    with pytest.raises(NoData, match="has no revision 3; it has 1, 2"):
        show(scene.client, day, 3)


def check_ranges(scene: Scene, new: list[date]) -> None:
    """Over days of either revision each room and each customer counts once."""
    client, (first, _, third) = scene.client, scene.days
    truths = [published(client, day, CUSTOMERS) for day in scene.days]
    several = 0
    for site, bot in {room[:2] for truth in truths for room in truth.rooms}:
        mine = [room for truth in truths for room in truth.rooms if room[:2] == (site, bot)]
        (total,) = read.journey_totals(client, site, bot, first, third).dicts()
        customers = {room[4] for room in mine}
        assert (total["rooms"], total["customers"]) == (len({room[2] for room in mine}), len(customers))
        several += len(mine) > len(customers)
    assert several, "some customer came on more than one of the days"
    days = read.journey_days(client, first, third + timedelta(days=1)).dicts()
    assert [(row["day"], row["revision"]) for row in days] == [
        *((day, 2 if day in new else 1) for day in scene.days), (third + timedelta(days=1), 0),
    ]  # fmt: skip
