"""Workbooks as LibreOffice opens, reads and prints them; `make test-office` (not part of `make test`)."""

import csv
import random
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from python_calamine import CalamineWorkbook

from exporter.report import Asked, export
from journey import labels
from journey.labels import LANGUAGES, Lang
from sql.client import Client
from tests.integration import demo_shop, shop
from tests.integration.made_rooms import SEOUL as CALENDAR
from tests.integration.made_rooms import SITE, Made, database, insert_daily, sealed

SEOUL = ZoneInfo("Asia/Seoul")
FIRST, LAST = shop.yesterday() - timedelta(days=3), shop.yesterday()
KINDS = ("table", "nodes", "edges", "handoffs")

#: One dialog each that a careless file would lose or change.
ODD = [
    "=1+1",
    "+82 10",
    "-주문-",
    "@배송",
    "'작은따옴표",
    "줄\n바꿈",
    "탭\t문자",
    "이모지 😀 끝",
    "שלום",
    "제어\x07문자",
    "_x0041_",
    "배송지를 변경하시려면 주문번호와 새 주소를 입력하신 다음 확인을 눌러 주세요. " * 5,
]
#: What pdftotext gives back in another order or form: Hebrew, emoji.
_UNREAD = re.compile("[\u0590-\u05ff\U0001f000-\U0001ffff]")
#: Not by a name that is a word of the sheets: the chart's bars, in 8-bit red, green, blue.
DROPOUT = bytes.fromhex("C8553D")


def office(folder: Path, to: str, *files: Path) -> None:
    """Convert files into the folder, by one LibreOffice with a profile of its own."""
    profile = f"-env:UserInstallation=file://{folder}/profile"
    command = ["soffice", "--headless", "--norestore", profile, "--convert-to", to, "--outdir", str(folder)]
    run = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=400)
    assert (run.returncode, "Error" in run.stdout + run.stderr) == (0, False), run.stdout + run.stderr


def printed(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def workbooks(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """By language, one bot's; `all`, all bots'; `odd`, a bot whose dialogs are ODD."""
    folder = tmp_path_factory.mktemp("workbooks")
    with database(clickhouse_address, folder) as client:
        demo_shop.seal(client, FIRST, 3)
        _seal_odd(client)
        found: dict[str, Path] = {}
        for lang in LANGUAGES:
            asked = Asked(SITE, ("delivery",), FIRST, LAST, SEOUL, lang)
            found[lang] = export(client, asked, folder / f"{lang}.xlsx").path
        found["all"] = export(client, Asked(SITE, None, FIRST, FIRST, SEOUL), folder / "all.xlsx").path
        found["odd"] = export(client, Asked(SITE, (shop.BOT,), FIRST, FIRST, SEOUL), folder / "odd.xlsx").path
        yield found


def _seal_odd(client: Client) -> None:
    noon = CALENDAR.midnight(FIRST) + 43_200_000
    acts = [(("none", "", "홈"), ("button", name, name), ("closed", "auto")) for name in ODD]
    made = Made([shop.room(9000 + n, noon + n * 60_000, each) for n, each in enumerate(acts)])
    rows = [row for row in sealed(made, FIRST, random.Random(3)) if row.get("kind") != "seal" and row.get("bot_id")]
    insert_daily(client, rows)


@pytest.fixture(scope="module")
def pdfs(workbooks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pdf")
    office(folder, "pdf", *workbooks.values())
    return {name: folder / f"{name}.pdf" for name in workbooks}


@pytest.fixture(scope="module")
def tables(workbooks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each sheet as csv, `NAME-SHEET.csv`, values as they are rather than as they are shown."""
    folder = tmp_path_factory.mktemp("csv")
    office(
        folder, "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1", *workbooks.values()
    )
    return folder


def plain(cell: Any) -> Any:
    """A cell as it compares with one of the csv."""
    return float(cell) if isinstance(cell, (int, float)) else cell


def number(cell: str) -> Any:
    """A cell of a csv, whose rates are percentages."""
    if re.fullmatch(r"\d+(\.\d+)?%", cell):
        return float(cell[:-1]) / 100
    return float(cell) if re.fullmatch(r"\d+(\.\d+)?", cell) else cell


@pytest.mark.parametrize("name", [*LANGUAGES, "odd"])
def test_libreoffice_reads_every_cell_as_it_was_written(name: str, workbooks: dict[str, Path], tables: Path) -> None:
    book = CalamineWorkbook.from_path(workbooks[name])
    for sheet in book.sheet_names[1:]:
        with (tables / f"{name}-{sheet}.csv").open(newline="") as file:
            found = [[number(cell) for cell in row] for row in csv.reader(file)]
        wanted = [[plain(cell) for cell in row] for row in book.get_sheet_by_name(sheet).to_python()]
        assert len(found) == len(wanted) >= 1
        for got, want in zip(found, wanted, strict=True):
            assert got == [pytest.approx(cell) if isinstance(cell, float) else cell for cell in want]


def test_odd_text_comes_whole_through_libreoffice(tables: Path) -> None:
    with (tables / "odd-대화.csv").open(newline="") as file:
        found = {row[1] for row in csv.reader(file)}
    assert {labels.visible(name) for name in ODD} <= found


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_pdf_is_a4_across_with_every_sheet_and_page_numbers(lang: Lang, pdfs: dict[str, Path]) -> None:
    width, height = re.findall(r"Page size: +([\d.]+) x ([\d.]+) pts \(A4\)", printed("pdfinfo", pdfs[lang]))[0]
    assert float(width) > float(height)
    pages = printed("pdftotext", "-layout", pdfs[lang], "-").split("\f")[:-1]
    for number_, page in enumerate(pages, 1):
        assert re.search(rf"· ?{number_} / {len(pages)}", page)
        assert f"{SITE} / " in page
    for kind in KINDS:
        ours = [page for page in pages if re.search(rf" {labels.SHEETS[kind].of(lang)} ?· ?\d", page)]
        assert ours
        for page in ours:  # the header stands on each page
            head = "\n".join(page.strip("\n").split("\n")[:3])
            assert all(labels.COLUMNS[name].of(lang) in head for name in ("step", "dialog"))


@pytest.mark.parametrize("name", [*LANGUAGES, "all", "odd"])
def test_nothing_is_cut_off(name: str, pdfs: dict[str, Path], workbooks: dict[str, Path]) -> None:
    """A number that is wider than its column would print as ###; text that does not fit would lose its end."""
    shown = re.sub(r"\s", "", printed("pdftotext", "-raw", pdfs[name], "-"))
    assert "##" not in shown
    book = CalamineWorkbook.from_path(workbooks[name])
    cells = {cell for sheet in book.sheet_names for row in book.get_sheet_by_name(sheet).to_python() for cell in row}
    texts = {cell for cell in cells if isinstance(cell, str) and cell.isprintable() and not _UNREAD.search(cell)}
    assert len(texts) > 20
    assert {text for text in texts if re.sub(r"\s", "", text) not in shown} == set()


@pytest.mark.parametrize("name", [*LANGUAGES, "all"])
def test_the_charts_are_drawn(name: str, pdfs: dict[str, Path], tmp_path: Path) -> None:
    printed("pdftoppm", "-r", "40", "-f", "1", "-l", "1", pdfs[name], tmp_path / "page")
    (picture,) = tmp_path.iterdir()
    pixels = picture.read_bytes().split(b"255\n", 1)[1]
    bars = sum(pixels[at : at + 3] == DROPOUT for at in range(0, len(pixels), 3))
    assert bars > 200
    shown = printed("pdftotext", "-l", "1", pdfs[name], "-")
    for title in ("Dropouts by step", "Ways out") if name == "en" else ("단계별 이탈 수", "나간 방법별 횟수"):
        assert title in shown


def test_korean_is_printed_by_an_embedded_font(pdfs: dict[str, Path]) -> None:
    fonts = [line for line in printed("pdffonts", pdfs["ko"]).splitlines()[2:] if line]
    assert fonts
    assert all(line.split()[-5] == "yes" for line in fonts)
