import csv
import io
import subprocess
import sys
from datetime import UTC, date, datetime

import orjson
import pytest

from cli import output
from exporter.days import said
from journey.labels import Lang, width
from sql.client import Table

TABLE = Table(
    ["day", "dialog", "inflow", "dropout_rate"],
    ["Date", "LowCardinality(String)", "UInt64", "Float64"],
    [(date(2026, 11, 1), "배송 조회", 1234, 0.125), (date(2026, 11, 2), 'home, "sweet"', 5, 0.0)],
)


def shown(table: Table, form: output.Form, lang: Lang = "ko") -> str:
    out = io.StringIO()
    output.show(table, form, lang, out)
    return out.getvalue()


def test_a_table_is_aligned_though_korean_letters_are_wide() -> None:
    assert shown(TABLE, "table").splitlines() == [
        "날짜        현재 대화      유입 수  이탈률",
        "──────────  ─────────────  ───────  ──────",
        "2026-11-01  배송 조회        1,234   12.5%",
        '2026-11-02  home, "sweet"        5    0.0%',
    ]


@pytest.mark.parametrize(
    "text, columns", [("abc", 3), ("한글", 4), ("é", 1), ("e\u0301", 1), ("\u200b", 0), ("ｱ", 1), ("日本", 4)]
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


def test_an_english_header() -> None:
    assert shown(TABLE, "table", "en").splitlines()[0].split() == ["Day", "Dialog", "Inflow", "Dropout", "rate"]


def test_csv_has_the_views_names_and_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(shown(TABLE, "csv"))))
    assert rows == [
        ["day", "dialog", "inflow", "dropout_rate"],
        ["2026-11-01", "배송 조회", "1234", "0.125"],
        ["2026-11-02", 'home, "sweet"', "5", "0.0"],
    ]


def test_json_is_one_array() -> None:
    assert orjson.loads(shown(TABLE, "json")) == [
        {"day": "2026-11-01", "dialog": "배송 조회", "inflow": 1234, "dropout_rate": 0.125},
        {"day": "2026-11-02", "dialog": 'home, "sweet"', "inflow": 5, "dropout_rate": 0.0},
    ]
    assert orjson.loads(shown(Table(["a"], ["UInt8"], []), "json")) == []


def test_json_of_wide_numbers_and_times() -> None:
    at = datetime(2026, 11, 1, 0, 0, 1, 500000, tzinfo=UTC)
    table = Table(
        ["room", "at", "gone", "bots"],
        ["UInt128", "DateTime64(3)", "Nullable(Date)", "Array(String)"],
        [(2**100, at, None, ["a"])],
    )
    assert orjson.loads(shown(table, "json")) == [
        {"room": str(2**100), "at": "2026-11-01T00:00:01.500+00:00", "gone": None, "bots": ["a"]}
    ]


def test_a_dialogs_name_cannot_drive_the_terminal_or_break_a_row() -> None:
    text = shown(Table(["dialog"], ["String"], [("\x1b[2Jx\ny",)]), "table")
    assert "\x1b" not in text
    assert text.splitlines()[-1] == "␛[2Jx␊y"


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    program = (
        "from cli import output; from sql.client import Table;"
        "output.show(Table(['n'], ['UInt64'], [(n,) for n in range(200000)]), 'csv')"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == b"n\n"
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 0


def test_days_are_said_as_runs() -> None:
    days = [date(2026, 11, d) for d in (3, 1, 2, 7)]
    assert said(days) == "2026-11-01 to 2026-11-03, 2026-11-07"
