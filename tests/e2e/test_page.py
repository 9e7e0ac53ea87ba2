"""The page as a browser shows it: Chromium, `turnpath web` as its own process, the real engine behind it."""

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from python_calamine import CalamineWorkbook

from settings import Settings
from sql import read
from sql.client import Client
from stack.jars import fetch
from stack.parts import web_part
from tests.conftest import running, somewhere
from tests.integration.made_rooms import SEOUL, SITE
from tests.integration.shop import BOT, EVIL, JOURNEYS, live_rooms, now, reseal, room, seal, show_live, today, yesterday

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "the page's tests need Chromium: run `make setup`, or `apt-get install chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def client(migrated_url: str) -> Iterator[Client]:
    with Client(migrated_url) as client:
        yield client


@pytest.fixture
def page_settings(migrated_url: str, redis_url: str, tmp_path: Path) -> Settings:
    settings = somewhere(tmp_path, clickhouse=migrated_url, redis=redis_url)
    fetch(settings.cache)
    return settings


@pytest.fixture
def address(page_settings: Settings, tmp_path: Path) -> Iterator[str]:
    with running(web_part(page_settings), tmp_path / "web"):
        yield f"http://{page_settings.http}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose script must not fail, and which must ask no other host for anything."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.set_default_timeout(15_000)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda said: failed.append(said.text) if "Content Security" in said.text else None)
    page.on(
        "request", lambda asked: failed.append(asked.url) if not asked.url.startswith("http://127.0.0.1:") else None
    )
    yield page
    page.close()
    assert failed == []


def drawn(page: Page) -> bool:
    """Is something painted on the chart's canvas?"""
    return bool(
        page.wait_for_function(
            """() => {
              const canvas = document.querySelector("#chart canvas");
              if (!canvas || !canvas.width || !canvas.height) return false;
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              return data.some((part) => part !== 0);
            }"""
        )
    )


def printed(page: Page) -> list[list[str]]:
    """The table's body as its rows' texts."""
    return [row.locator("th, td").all_inner_texts() for row in page.locator("#table tbody tr").all()]


def test_sealed_days(client: Client, address: str, page: Page) -> None:
    first, last = yesterday() - timedelta(days=2), yesterday()
    seal(client, [first, last])
    page.goto(f"{address}/?site={SITE}&view=sealed&from={first}&to={last}")
    view = read.journey_table(client, SITE, BOT, first, last)
    expect(page.locator("#table tbody tr")).to_have_count(len(view.rows))
    assert printed(page)[0][:5] == ["1", "홈", "112", "80", "7"]
    for words in ("상담사연결", "상담사진행", "챗봇종료", "이탈", "처음으로", EVIL):
        expect(page.locator("#table")).to_contain_text(words)
    expect(page.locator("#facts")).to_contain_text("마감 차수 revision 1")
    expect(page.locator("#facts")).to_contain_text(f"{today()} 00:40:00")
    expect(page.locator("#basis")).to_contain_text("상담방이 종료된 날짜 기준")
    expect(page.locator("#notice")).to_contain_text(f"마감되지 않은 날은 빠져 있습니다: {first + timedelta(days=1)}")
    assert drawn(page)
    assert page.title() == "Turnpath · 챗봇 여정", "a dialog's name ran as a script"
    assert page.locator("img[src=x]").count() == 0


def test_days_on_which_the_bot_was_out_of_use_are_named(client: Client, address: str, page: Page) -> None:
    first, last = yesterday() - timedelta(days=2), yesterday()
    seal(client, [first])
    reseal(client, last, rooms=0, left_out=[f"{SITE}:{BOT}"])
    page.goto(f"{address}/?site={SITE}&view=sealed&from={first}&to={last}")
    expect(page.locator("#notice")).to_contain_text(f"마감되지 않은 날은 빠져 있습니다: {first + timedelta(days=1)}")
    expect(page.locator("#notice")).to_contain_text(f"챗봇 사용이 중지된 날은 빠져 있습니다: {last}")
    expect(page.locator("#notice")).to_contain_text(f"out of use are left out: {last}")


def test_a_new_event_shows_by_itself(client: Client, address: str, page: Page) -> None:
    show_live(client, live_rooms(10))
    page.goto(address)
    expect(page.locator("#facts")).to_contain_text("잠정")
    expect(page.locator("#basis")).to_contain_text("이동이 일어난 날짜 기준")
    expect(page.locator("#table")).to_contain_text("진행 중")
    expect(page.locator("#table")).not_to_contain_text("새 대화")
    assert drawn(page)
    page.evaluate("window.sameDocument = true")
    opened = max(now() - 10_000, SEOUL.midnight(today()))
    show_live(client, [room(9000, opened, (("none", "", "홈"), ("button", "새 버튼", "새 대화")))])
    expect(page.locator("#table")).to_contain_text("새 대화")
    assert page.evaluate("window.sameDocument") is True


def test_the_first_event_of_all_shows_by_itself(client: Client, address: str, page: Page) -> None:
    page.goto(address)
    expect(page.locator("#notice")).to_contain_text("아직 자료가 없습니다")
    show_live(client, live_rooms(3))
    expect(page.locator("#table tbody tr").first).to_contain_text("홈")


def test_what_cannot_be_shown_is_said(client: Client, address: str, page: Page) -> None:
    seal(client, [yesterday()])
    page.goto(f"{address}/?view=sealed&from=2024-01-01&to=2024-01-02")
    expect(page.locator("#notice")).to_contain_text("아직 마감되지 않은 기간입니다.")
    expect(page.locator("#notice")).to_contain_text("2024-01-01 to 2024-01-02")
    expect(page.locator("#content")).to_be_hidden()
    page.locator("#from").fill(str(yesterday()))
    page.locator("#to").fill(str(yesterday()))
    expect(page.locator("#table tbody tr").first).to_contain_text("홈")
    page.get_by_label("오늘").check()
    expect(page.locator("#notice")).to_contain_text("오늘은 아직 자료가 없습니다")


def test_the_button_saves_what_the_page_shows(client: Client, address: str, page: Page, tmp_path: Path) -> None:
    seal(client, [yesterday()])
    page.goto(f"{address}/?site={SITE}&view=sealed&from={yesterday()}&to={yesterday()}")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="엑셀 내보내기").click()
    waiting.value.save_as(tmp_path / "saved.xlsx")
    assert waiting.value.suggested_filename == f"{SITE}_{BOT}_{yesterday()}.xlsx"
    found = CalamineWorkbook.from_path(tmp_path / "saved.xlsx").get_sheet_by_name("표").to_python()[1:]
    assert len(found) == len(printed(page)) > 10
    assert [str(cell).removesuffix(".0") for cell in found[0][:5]] == printed(page)[0][:5]
    client.run("DROP VIEW journey_nodes")
    page.get_by_role("button", name="엑셀 내보내기").click()
    expect(page.locator("#notice")).to_contain_text("the answer could not be made")
    expect(page.get_by_role("button", name="엑셀 내보내기")).to_be_enabled()


def test_a_lost_server_is_said_and_found_again(
    client: Client, page_settings: Settings, page: Page, tmp_path: Path
) -> None:
    show_live(client, live_rooms(4))
    with running(web_part(page_settings), tmp_path / "one"):
        page.goto(f"http://{page_settings.http}")
        expect(page.locator("#table")).to_contain_text("홈")
    expect(page.locator("#notice")).to_contain_text("연결 끊김")
    expect(page.locator("#table")).to_contain_text("홈")
    with running(web_part(page_settings), tmp_path / "two"):
        expect(page.locator("#notice")).to_be_empty()
        opened = max(now() - 5_000, SEOUL.midnight(today()))
        show_live(client, [room(9001, opened, JOURNEYS[0]), room(9002, opened, (("none", "", "다시 온 대화"),))])
        expect(page.locator("#table")).to_contain_text("다시 온 대화")


def test_the_keyboard_reaches_everything(client: Client, address: str, page: Page) -> None:
    seal(client, [yesterday()])
    page.goto(f"{address}/?view=sealed")
    expect(page.locator("#table tbody tr").first).to_be_visible()
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.name || document.activeElement.className"
            )
        )
    for control in ("skip", "bot", "view", "from", "to", "table-region"):
        assert control in reached
    assert page.locator("#table caption").inner_text().startswith(f"{SITE} / {BOT}")
    assert page.locator("#table thead th:not([scope=col])").count() == 0
    assert page.locator("#table tbody th:not([scope=rowgroup])").count() == 0
    for field in page.locator("select, input").all():
        assert field.evaluate("field => field.labels.length") == 1


def test_on_a_small_screen_nothing_is_cut_off(client: Client, address: str, page: Page) -> None:
    seal(client, [yesterday()])
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{address}/?view=sealed")
    expect(page.locator("#table tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#table-region").evaluate("region => { region.scrollIntoView(); region.scrollTo(9999, 0); }")
    expect(page.locator("#table thead th").last).to_be_in_viewport()


def test_a_great_scenario(client: Client, address: str, page: Page) -> None:
    """The chart draws the greatest links and says so; the table draws a part and offers the rest."""
    opened = max(now() - 20_000, SEOUL.midnight(today()))
    rooms = [
        room(
            n, opened, (("none", "", "홈"), ("button", f"버튼 {n % 600}", f"대화 {n % 600}"), ("hotkey", "home", "홈"))
        )
        for n in range(700)
    ]
    show_live(client, rooms)
    page.goto(address)
    expect(page.locator("#chart-note")).to_contain_text(re.compile(r"가장 큰 흐름 \d+개만 그렸습니다. 나머지 [1-9]"))
    assert drawn(page)
    more = page.locator("#more")
    expect(more).to_contain_text("더 보기: 남은")
    before = page.locator("#table tbody tr").count()
    left = int(re.sub(r"\D", "", more.inner_text().split("행")[0]))
    more.click()
    expect(page.locator("#table tbody tr")).not_to_have_count(before)
    while more.is_visible():
        more.click()
    expect(page.locator("#table tbody tr")).to_have_count(before + left)
