"""The questions of docs/sql.md on now, on made rooms: what they answer, counted another way."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median_high

import pytest

from sql.client import Client
from tests.e2e import questions
from tests.integration.made_rooms import database
from tests.integration.test_sql_docs import DOCS
from tests.integration.test_sql_examples import Rows, Shop, answers_rightly, laid, now_ms, open_rooms, waits_of


@pytest.fixture(scope="module")
def client(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path_factory.mktemp("questions")) as client:
        yield client


@pytest.fixture(scope="module")
def shop(client: Client) -> Shop:
    return laid(client)


def in_line(shop: Shop, now: int) -> Rows:
    labels = {"waiting": "상담대기", "assigned": "접수"}
    return sorted(
        (bot, labels[phase], len(times), max(times), median_high(times))
        for (bot, phase), times in open_rooms(shop, now).items()
        if phase in labels
    )


def busy_bots(shop: Shop, now: int) -> Rows:
    found = open_rooms(shop, now)
    rooms: Counter[str] = Counter()
    for (bot, _), times in found.items():
        rooms[bot] += len(times)
    rows = [(bot, count, max(found.get((bot, "waiting"), [0]))) for bot, count in rooms.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def handed_off(shop: Shop, now: int) -> Rows:
    waits = waits_of(shop, now)
    asked = Counter(row.bot_id for row in shop.last_minutes(60, now) if row.move == "agent_connect")
    rows = []
    for bot in sorted(asked.keys() | waits.keys()):
        its = waits.get(bot, [])
        seconds = (median_high(its), its[len(its) * 9 // 10], its[-1]) if its else (0, 0, 0)
        rows.append((bot, asked[bot], len(its), *map(round, seconds)))
    return rows


#: The questions on now, each query of them; tests/e2e/questions.py has those on sealed days.
QUESTIONS: list[tuple[int, int, Callable[[Shop, int], Rows]]] = [
    (3, 0, in_line),
    (3, 1, handed_off),
    (10, 0, busy_bots),
]


@pytest.mark.parametrize(("number", "place", "counted"), QUESTIONS)
def test_a_question_on_now_is_answered_rightly(
    client: Client, shop: Shop, number: int, place: int, counted: Callable[[Shop, int], Rows]
) -> None:
    text = queries(number)[place]
    rows = counted(shop, now_ms())
    assert len(rows) > 1
    assert any(row[-1] for row in rows), "where nobody waits, little is told"
    answers_rightly(shop, counted, lambda: client.rows(text) if "ORDER BY" in text else sorted(client.rows(text)))


def test_every_question_is_compared_with_something() -> None:
    asked_of_now = [(number, place) for number, place, _ in QUESTIONS]
    whole = [(number, place) for number in range(1, 11) for place in range(len(queries(number)))]
    assert sorted([*asked_of_now, *((number, 0) for number in questions.NUMBERS)]) == whole


def queries(number: int) -> list[str]:
    """The queries of a question of docs/sql.md."""
    section = re.search(rf"### {number}\. (.*?)(?=\n##)", DOCS, re.DOTALL)
    assert section is not None
    return re.findall(r"```sql\n(.*?)```", section[1], re.DOTALL)
