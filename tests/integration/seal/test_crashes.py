"""A seal that dies after any of its statements, or whose ClickHouse does: run again, it publishes the same."""

import os
import random
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from journey.errors import Retry, Unreachable
from seal.run import Sealer
from settings import Settings
from sql.client import Client, Params, Table
from sql.migrate import migrate
from stack.parts import clickhouse_part
from stack.process import Process
from tests.conftest import somewhere
from tests.integration.seal.scene import FAR, left_behind, play, rows_of, sealer
from tests.waiting import until

#: How often ClickHouse is killed under a seal; TURNPATH_TEST_KILLS for more.
KILLS = int(os.environ.get("TURNPATH_TEST_KILLS", "3"))


class Died(BaseException):
    """The process is no more: nothing handles this."""


class Mortal(Client):
    """A connection of a process that dies once `left` statements that change something were executed.

    What only reads, or makes or drops a table of the stage, does not count: who dies there has left what one has who
    dies before the next that does. The dead send nothing."""

    left = 0

    def _may_die(self) -> None:
        if Mortal.left == 0:
            self.close()
            raise Died
        Mortal.left -= 1

    def table(self, sql: str, params: Params | None = None, *, query_id: str | None = None) -> Table:
        if Mortal.left == 0 or not sql.startswith(("CREATE TABLE", "DROP TABLE", "SELECT", "WITH")):
            self._may_die()
        return super().table(sql, params, query_id=query_id)

    def stream(
        self, sql: str, params: Params | None = None, *, query_id: str | None = None
    ) -> Generator[tuple[Any, ...], None, None]:
        if Mortal.left == 0:
            self._may_die()
        return super().stream(sql, params, query_id=query_id)

    def insert(self, table: str, columns: Any) -> None:
        self._may_die()
        super().insert(table, columns)


def test_killed_after_any_change_it_publishes_the_same(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = play(consumed, "statements", rooms=15)
    day, deaths, whole = log.days[1], 0, list[Any]()
    monkeypatch.setattr("seal.stage.Client", Mortal)
    published = False
    with Client(consumed.clickhouse) as client:
        while not published:
            Mortal.left = deaths
            with pytest.raises(Died):
                sealer(consumed).seal(day)
            deaths += 1
            published = bool(client.rows("SELECT kind FROM daily WHERE kind = 'seal'"))
            assert published or not client.rows("SELECT kind FROM daily"), "nothing, or the whole day"
            Mortal.left = 10_000
            assert sealer(consumed).seal(day).is_new is not published
            whole = whole or rows_of(client)
            assert rows_of(client) == whole
            if not published:
                client.run(f"ALTER TABLE daily DROP PARTITION '{day}'")
        assert deaths > 12, "after each of them, up to the one that published"
        assert left_behind(client), "the dead drop nothing; who comes hours later does"


@pytest.fixture
def own_clickhouse(consumed: Settings, tmp_path: Path) -> Iterator[tuple[Settings, list[Process]]]:
    """A ClickHouse of this test's own, to be killed; the last process is the one that runs."""
    own = somewhere(tmp_path, redis=consumed.redis, kafka=consumed.kafka, keep_events="18000d")
    part = clickhouse_part(own)
    processes = [part.start(tmp_path)]
    part.await_answer(processes[-1])
    migrate(own)
    yield own, processes
    processes[-1].stop(5)


@pytest.mark.long
def test_clickhouse_started_again_between_two_statements(own_clickhouse: tuple[Settings, list[Process]]) -> None:
    """Gone and back before the seal asks again, at each phase: it has lost what lay in memory, and fails."""
    settings, processes = own_clickhouse
    log, _ = play(settings, "restarts", rooms=30)
    day, part = log.days[1], clickhouse_part(settings)
    want = sealer(settings).seal(day).checksum
    for phase in ["rooms are in", "folded anew", "building", "checking", "publishing"]:
        with Client(settings.clickhouse) as client:
            client.run(f"ALTER TABLE daily DROP PARTITION '{day}'")

        def said(words: str, phase: str = phase) -> None:
            if words.endswith(phase):
                processes[-1].kill()
                until(lambda: processes[-1].code is not None)
                processes.append(part.start(processes[0].log.parent))
                part.await_answer(processes[-1])

        before = len(processes)
        with pytest.raises(Unreachable):
            Sealer(settings, lambda: FAR, said).seal(day)
        assert len(processes) == before + 1, phase
        with Client(settings.clickhouse) as client:
            assert not client.rows("SELECT kind FROM daily"), phase
            assert not left_behind(client), phase
        assert sealer(settings).seal(day).checksum == want


@pytest.mark.long
def test_clickhouse_killed_in_the_middle_and_started_again(own_clickhouse: tuple[Settings, list[Process]]) -> None:
    """At each phase, a moment later or earlier: the seal fails, nothing is published, and the next one is the same."""
    settings, processes = own_clickhouse
    log, _ = play(settings, "clickhouse", rooms=60)
    day, part = log.days[1], clickhouse_part(settings)
    want = sealer(settings).seal(day).checksum
    rng = random.Random("kills")
    for phase in ["rooms are in", "building", "checking"] * (KILLS // 3):
        with Client(settings.clickhouse) as client:
            client.run(f"ALTER TABLE daily DROP PARTITION '{day}'")
        pause = rng.choice((0, 0.01, 0.03, 0.1))

        def said(words: str, phase: str = phase, pause: float = pause) -> None:
            if words.endswith(phase):
                threading.Timer(pause, processes[-1].kill).start()

        try:
            sealed = Sealer(settings, lambda: FAR, said).seal(day)
        except (Unreachable, Retry):
            sealed = None
        until(lambda: processes[-1].code is not None)
        processes.append(part.start(processes[0].log.parent))
        part.await_answer(processes[-1])
        with Client(settings.clickhouse) as client:
            there = client.rows("SELECT checksum FROM daily WHERE kind = 'seal'")
            assert there in ([], [(want,)])
            assert there or not client.rows("SELECT kind FROM daily")
            assert there or sealed is None
        assert sealer(settings).seal(day).checksum == want
