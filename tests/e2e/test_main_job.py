"""The main job, whole: a file through Kafka as history, the worker, the seal; every sealed row against the oracle."""

import asyncio
import gzip
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from python_calamine import CalamineWorkbook

from feed.send import send_bots as tell_bots
from feed.simulate import Faults, Shop, bot_changes, history
from journey.calendar import Calendar
from settings import Settings
from sql.client import Client, Value
from stack import health
from stack.parts import environment, turnpath, worker_part
from stack.process import Process
from tests.conftest import broker, somewhere
from tests.e2e import oracle, questions
from tests.waiting import until

SGD = Path(__file__).resolve().parents[3] / "shared" / "data" / "sgd-dev.jsonl.gz"
IDLE = 86_400_000


def run(settings: Settings, *arguments: str) -> str:
    """A command of turnpath, to its end; its standard output."""
    env = {**os.environ, **environment(settings)}
    done = subprocess.run(turnpath(*arguments), env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def worker(settings: Settings) -> Iterator[Process]:
    settings.data.mkdir(parents=True, exist_ok=True)
    part = worker_part(settings, 1)
    process = part.start(settings.data)
    try:
        yield process
    finally:
        process.stop(part.stop_limit)


@pytest.fixture
def make_stack(
    kafka_template: Path, clickhouse_address: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Settings]]:
    """Makes stacks with a broker and a database of their own. Old events do not expire in them; batches are small."""
    with ExitStack() as running:

        def make() -> Settings:
            data = tmp_path_factory.mktemp("stack")
            kafka = running.enter_context(broker(data / "broker", kafka_template))
            name = f"e2e_{data.name.replace('-', '_')}_{os.getpid()}"
            url = f"clickhouse://{clickhouse_address}/{name}"
            settings = somewhere(
                data, kafka=kafka, redis=redis_url, clickhouse=url, keep_events="18000d", batch_bytes="65536"
            )
            run(settings, "migrate")
            running.callback(_drop, clickhouse_address, name)
            return settings

        yield make


def _drop(address: str, name: str) -> None:
    with Client(f"clickhouse://{address}") as client:
        client.run(f"DROP DATABASE IF EXISTS {name}")


def compare_edges(client: Client, days: dict[date, oracle.Day]) -> None:
    """Every edge and node row of every sealed day, both ways."""
    edges: dict[date, dict[oracle.Edge, tuple[int, int]]] = {}
    nodes: dict[date, dict[oracle.Node, tuple[int, int]]] = {}
    for day, kind, site, bot, step, dialog, move, message, next_step, next_dialog, moves, rooms in client.rows(
        "SELECT day, kind, site_id, bot_id, step, dialog, move, message, next_step, next_dialog, moves, rooms "
        "FROM daily WHERE kind IN ('edge', 'node')"
    ):
        if kind == "edge":
            edge = (site, bot, step, dialog, move, message, next_step, next_dialog)
            edges.setdefault(day, {})[edge] = (moves, rooms)
        else:
            nodes.setdefault(day, {})[(site, bot, step, dialog)] = (moves, rooms)
    assert edges == {
        day: {edge: (count, len(found.edge_rooms[edge])) for edge, count in found.moves.items()}
        for day, found in days.items()
        if found.moves
    }
    assert nodes == {
        day: {node: (count, len(found.node_rooms[node])) for node, count in found.inflow.items()}
        for day, found in days.items()
        if found.inflow
    }


def compare_ranges(client: Client, days: dict[date, oracle.Day]) -> None:
    """journey_edges and journey_totals over all days at once: rooms and customers count once."""
    first, last = min(days), max(days)
    bots = {(edge[0], edge[1]) for day in days.values() for edge in day.moves}
    for site, bot in sorted(bots):
        moves: Counter[Any] = Counter()
        customers: dict[Any, set[str]] = {}
        for day in days.values():
            for edge, count in day.moves.items():
                if edge[:2] == (site, bot):
                    moves[edge[2:]] += count
                    customers.setdefault(edge[2:], set()).update(day.edge_customers[edge])
        given: dict[str, Value] = {"site": site, "bot": bot, "from": first, "to": last}
        of = "site={site:String}, bot={bot:String}, from={from:Date}, to={to:Date}"
        rows = client.rows(f"SELECT * FROM journey_edges({of})", given)
        assert {row[:6]: (row[6], row[8]) for row in rows} == {
            edge: (count, len(customers[edge])) for edge, count in moves.items()
        }
        totals = client.table(f"SELECT * FROM journey_totals({of})", given).dicts()[0]
        assert totals["customers"] == len(set().union(*(day.customers[site, bot] for day in days.values())))


def check_balance(client: Client) -> None:
    ways = "countIf(1) > 0 AND sumIf(moves, kind = 'edge' AND move NOT IN ('start', 'agent_served'))"
    broken = client.rows(
        f"SELECT day, site_id, bot_id, step, dialog, sumIf(moves, kind = 'node') AS inflow, {ways} AS out "
        "FROM daily WHERE kind IN ('edge', 'node') AND step > 0 GROUP BY day, site_id, bot_id, step, dialog "
        "HAVING sumIf(moves, kind = 'node') != sumIf(moves, kind = 'edge' AND move NOT IN ('start', 'agent_served'))"
    )
    assert broken == []


@pytest.mark.skipif(
    not SGD.exists() and "CI" not in os.environ, reason=f"{SGD} is not there; in CI it stands beside the project"
)
def test_the_sgd_file_sealed_day_by_day(make_stack: Callable[[], Settings], tmp_path: Path) -> None:
    lines = gzip.decompress(SGD.read_bytes()).splitlines()
    days = oracle.days_of(oracle.rooms_of(lines), "Asia/Seoul", IDLE)
    settings = make_stack()
    with worker(settings), Client(settings.clickhouse) as client:
        run(settings, "replay", str(SGD), "--history")
        run(settings, "seal")
        assert client.rows("SELECT count() FROM turns FINAL") == [(21_482,)]
        assert client.rows("SELECT count() FROM turns") == [(21_482,)]
        assert client.rows("SELECT count() FROM dead_letters") == [(0,)]
        assert client.rows("SELECT count(), sum(phase = 'closed') FROM rooms FINAL") == [(2_098, 2_098)]
        compare_edges(client, days)
        compare_ranges(client, days)
        check_balance(client)
        assert questions.check(client, days, "sgd", "bot-restaurants", max(days) - timedelta(days=8)) > 100
    compare_export(settings, tmp_path, max(days))


def compare_export(settings: Settings, folder: Path, last: date) -> None:
    """The workbook's cells, and the printed table, are the view's."""
    output = folder / "restaurants.xlsx"
    asked = ("--site", "sgd", "--bot", "bot-restaurants", "--from", str(last - timedelta(days=6)), "--to", str(last))
    run(settings, "export", *asked, "--output", str(output))
    printed = orjson.loads(run(settings, "table", *asked, "--format", "json"))
    cells = CalamineWorkbook.from_path(str(output)).get_sheet_by_name("표").to_python()
    assert len(printed) > 100
    found = [row for row in cells if row and row[0] in {line["step"] for line in printed}]
    assert [(row[0], row[1], row[2], row[3], row[4]) for row in found] == [
        (line["step"], line["dialog"], line["inflow"], line["rooms"], line["customers"]) for line in printed
    ]


def simulated(folder: Path) -> tuple[Path, list[bytes], frozenset[tuple[str, str]]]:
    """Four past days of the shop: hotkeys, errors, agents, bot changes, duplicates, disorder, rooms over midnight."""
    shop = Shop(seed=11)
    calendar = Calendar(shop.zone)
    first = date.today() - timedelta(days=9)
    events = history(
        shop, first, 4, rooms_a_day=250, until=calendar.midnight(first + timedelta(days=6)),
        faults=Faults(duplicates=0.05, disorder=0.05, gaps=0.01),
    )  # fmt: skip
    lines = [orjson.dumps(event) for _, event in events]
    path = folder / "simulated.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    left_out = frozenset((c["site_id"], c["bot_id"]) for c in bot_changes(shop) if not c["in_use"])
    return path, lines, left_out


def send_bots(settings: Settings) -> None:
    asyncio.run(tell_bots(settings.kafka, Shop(seed=11)))


def test_a_simulation_with_everything_in_it(make_stack: Callable[[], Settings], tmp_path: Path) -> None:
    path, lines, left_out = simulated(tmp_path)
    rooms = oracle.rooms_of(lines)
    days = oracle.days_of(rooms, "Asia/Seoul", IDLE, left_out)
    seen = {edge[4] for day in days.values() for edge in day.moves}
    assert seen == {"start", "next_step", "error", "agent_connect", "agent_served", "bot_end", "dropout"}
    assert left_out
    settings = make_stack()
    with worker(settings), Client(settings.clickhouse) as client:
        send_bots(settings)
        run(settings, "replay", str(path), "--history")
        run(settings, "seal")
        (sent,) = client.rows("SELECT count() FROM turns FINAL")[0]
        assert sent == sum(len(entries) for entries in rooms.values()) < len(lines)
        assert client.rows("SELECT count() FROM dead_letters") == [(0,)]
        compare_edges(client, days)
        compare_ranges(client, days)
        check_balance(client)
        site, bot = Counter(edge[:2] for day in days.values() for edge in day.moves).most_common(1)[0][0]
        assert questions.check(client, days, site, bot, min(days)) > 100


def test_a_worker_killed_in_the_middle_seals_the_same(make_stack: Callable[[], Settings], tmp_path: Path) -> None:
    """kill -9 while the file is still being replayed, and once more; then a start, and the same checksums."""
    path, lines, _ = simulated(tmp_path)
    found = []
    for killed in (False, True):
        settings = make_stack()
        send_bots(settings)
        with Client(settings.clickhouse) as client:
            if killed:
                replay_and_kill(settings, client, path, len(lines))
            else:
                run(settings, "replay", str(path), "--history")
            with worker(settings):
                run(settings, "seal")
            found.append(client.rows("SELECT day, checksum FROM seals ORDER BY day"))
    assert found[0] == found[1]
    assert len(found[0]) >= 4


def replay_and_kill(settings: Settings, client: Client, path: Path, events: int) -> None:
    """The worker stands ready, the replay takes some ten seconds, and the first kill comes at a tenth of it."""
    with worker(settings) as process:
        until(health.group(settings.kafka, "turnpath", 1))
        replay = subprocess.Popen(
            turnpath("replay", str(path), "--history", "--rate", str(events // 10)),
            env={**os.environ, **environment(settings)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(partial(consumed, client, 0.1 * events))
        os.kill(process.pid, signal.SIGKILL)
        assert replay.poll() is None, "all was sent before the kill"
    with worker(settings) as process:
        until(partial(consumed, client, 0.6 * events))
        os.kill(process.pid, signal.SIGKILL)
    assert replay.wait(60) == 0


def consumed(client: Client, wanted: float) -> bool:
    count: int = client.rows("SELECT count() FROM turns")[0][0]
    return count > wanted
