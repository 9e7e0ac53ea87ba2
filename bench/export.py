"""How long a workbook takes beside bare openpyxl (write-only, with lxml) on the same cells, and how much memory.

    python -m bench.export [--rows 200000] [--runs 3]

The two take turns, each in a process of its own. Ours reads the views of a ClickHouse of its own as a stream, with
looks, charts and cover; bare openpyxl appends plain values that lie in memory already, and saves.
"""

import json
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import click

from bench.parts import peak_mb, running, settings_in
from cli.progress import Progress
from exporter.report import Asked, export
from sql.client import Client, Value
from sql.migrate import migrate
from stack.parts import clickhouse_part

_DAY = date.today() - timedelta(days=2)
_ZONE = ZoneInfo("Asia/Seoul")
_PER_DIALOG = 5
_NODES = """
INSERT INTO daily (day, revision, kind, site_id, bot_id, number, step, dialog, moves, rooms)
SELECT {day:Date}, 1, 'node', 'shop', 'big', number + 1, 1 + number % 30, concat('배송 안내 ', toString(number)),
    1000 + number % 977, 1 FROM numbers({nodes:UInt64})
"""
_EDGES = """
INSERT INTO daily (day, revision, kind, site_id, bot_id, number, step, dialog, move, message, next_step, next_dialog,
    moves, rooms)
SELECT {day:Date}, 1, 'edge', 'shop', 'big', number + 1, 1 + node % 30, concat('배송 안내 ', toString(node)),
    ['next_step', 'next_step', 'error', 'dropout', 'bot_end'][way],
    [concat('버튼 ', toString(node)), '(text)', 'error', 'home', 'timeout'][way],
    [2 + node % 30, 2 + node % 30, 1 + node % 30, 1, 0][way],
    [concat('배송 안내 ', toString(node + 1)), '주문번호 입력', concat('배송 안내 ', toString(node)), '홈', ''][way],
    200 + number % 97, 1
FROM (SELECT number, intDiv(number, {per:UInt64}) AS node, 1 + number % {per:UInt64} AS way FROM numbers({rows:UInt64}))
"""
_ROOMS = """
INSERT INTO daily (day, revision, kind, site_id, bot_id, room, room_id, customer, edges, nodes)
SELECT {day:Date}, 1, 'room', 'shop', 'big', number, toString(number), number % 700,
    arrayMap(n -> toUInt32(1 + (number * 100 + n) % {rows:UInt64}), range(100)),
    arrayMap(n -> toUInt32(1 + (number * 20 + n) % {nodes:UInt64}), range(20))
FROM numbers(toUInt64({rows:UInt64} / 50))
"""
_SEAL = "INSERT INTO daily (day, revision, kind, as_of, sealed_at) SELECT {day:Date}, 1, 'seal', now64(3), now64(3)"


def fill(client: Client, rows: int) -> None:
    """A sealed day of one bot whose table has so many rows."""
    given: dict[str, Value] = {"day": _DAY, "rows": rows, "nodes": rows // _PER_DIALOG, "per": _PER_DIALOG}
    for sql in (_NODES, _EDGES, _ROOMS, _SEAL):
        client.run(sql, {name: value for name, value in given.items() if f"{{{name}:" in sql})


def ours(url: str, path: Path) -> None:
    """Export the day, with progress."""
    progress = Progress("rows")
    with Client(url) as client:
        export(client, Asked("shop", ("big",), _DAY, _DAY, _ZONE), path, lambda rows, _: progress(rows))
    progress.end()


def bare(source: Path, path: Path) -> tuple[float, float]:
    """Write the cells of `source` once more, as plain values; the seconds and CPU seconds at which that began."""
    from openpyxl import Workbook
    from python_calamine import CalamineWorkbook

    found = CalamineWorkbook.from_path(source)
    sheets = {name: found.get_sheet_by_name(name).to_python() for name in found.sheet_names}
    begun = (time.perf_counter(), time.process_time())
    book = Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return begun


def measured(kind: str, url: str, source: Path, path: Path) -> dict[str, float]:
    """What one run took: seconds, CPU seconds, and the process's peak memory in MiB (of ours: with all it imports)."""
    begun = (time.perf_counter(), time.process_time())
    if kind == "ours":
        ours(url, path)
    else:
        begun = bare(source, path)
    return {"s": time.perf_counter() - begun[0], "cpu_s": time.process_time() - begun[1], "peak_mib": peak_mb()}


@click.command()
@click.option("--rows", default=200_000, show_default=True, help="Rows of the table.")
@click.option("--runs", default=3, show_default=True, help="How often each is measured.")
@click.option("--one", nargs=4, hidden=True)
def main(rows: int, runs: int, one: tuple[str, str, str, str] | None) -> None:
    if one:
        print(json.dumps(measured(one[0], one[1], Path(one[2]), Path(one[3]))))
        return
    with TemporaryDirectory(prefix="turnpath-bench-") as folder:
        settings = settings_in(Path(folder))
        with running(clickhouse_part(settings), Path(folder)):
            migrate(settings)
            with Client(settings.clickhouse) as client:
                fill(client, rows)
            _compare(settings.clickhouse, Path(folder), rows, runs)


def _compare(url: str, folder: Path, rows: int, runs: int) -> None:
    source = folder / "ours.xlsx"
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for _ in range(runs):
        for kind, results in found.items():
            to = source if kind == "ours" else folder / "bare.xlsx"
            command = [sys.executable, "-m", "bench.export", "--one", kind, url, str(source), str(to)]
            results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            print(f"{kind}: " + ", ".join(f"{name} {value:.1f}" for name, value in results[-1].items()), flush=True)
    middle = {kind: {name: median(r[name] for r in results) for name in results[0]} for kind, results in found.items()}
    print(f"{rows:,} rows in the table, {source.stat().st_size / 1e6:.1f} MB; medians of {runs} runs in turn:")
    for name, what in (("s", "seconds"), ("cpu_s", "CPU seconds")):
        own, other = middle["ours"][name], middle["bare"][name]
        print(f"  {what}: ours {own:.1f}, bare openpyxl {other:.1f}: {own / other:.2f} times")
    print(f"  peak memory of ours: {middle['ours']['peak_mib']:.0f} MiB")


if __name__ == "__main__":
    main()
