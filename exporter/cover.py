"""The first sheet: what this file is, which days it is made of, totals with charts, and what the columns mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from exporter import charts
from exporter.asked import Asked
from exporter.cells import COUNT, DAY, RATE, TIME, Look, Rows, Style
from exporter.days import Day, said, said_of_bots
from exporter.sheets import HEAD, WAYS, Book, Sums, columns
from journey import labels
from journey.definitions import definition
from journey.labels import Label

_WIDTHS = (24, 22, *[12] * 11)
_TOTALS = ("rooms", "customers", "inflow", *WAYS, "agent_served", "timeout", "dropout_rate")
#: So many steps get a bar of their own; what is deeper is one more.
_STEPS = 30
_NAMED = 8

_TITLE = Label("챗봇 여정", "Chatbot journeys")
_NONE = Label("없음", "none")
#: Before the bots, each with its days: who reads a zero there shall know why.
OUT_OF_USE = Label("사용 중지로 빠진 챗봇", "Left out, being out of use")


@dataclass(frozen=True, slots=True)
class BotFacts:
    """A bot in the workbook, with its first sheet; `rooms` and `customers` of the whole range, None for today."""

    bot: str
    name: str
    rooms: int | None
    customers: int | None
    sums: Sums
    sheet: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cover tells. `days` is empty for today's; `out_of_use`: of each bot, the days that it is left out of."""

    asked: Asked
    days: Sequence[Day]
    bots: Sequence[BotFacts]
    bots_missing: Sequence[str]
    out_of_use: Mapping[str, Sequence[date]]
    written_at: datetime


class Cover:
    """Made before all other sheets, so that it is the first; written after them, since it tells of them."""

    def __init__(self, book: Book, footer: str) -> None:
        self._book, self._lang = book, book.lang
        self._sheet = book.sheet("", labels.SHEETS["cover"].of(book.lang), footer)
        self._sheet.sheet_view.showGridLines = False
        self._sheet.sheet_view.tabSelected = True
        for place, width in enumerate(_WIDTHS):
            self._sheet.column_dimensions["ABCDEFGHIJKLM"[place]].width = width

    def write(self, facts: Facts) -> None:
        """All of it, from top to bottom."""
        self._rows = Rows(self._sheet, self._book.changes)
        self._line(_TITLE, font="title", height=30)
        self._line(labels.BY_MOVE if facts.asked.today else labels.BY_ROOM_END, font="name")
        self._gap()
        self._facts(facts)
        self._gap()
        head, last = self._totals(facts)
        self._gap()
        place = self._rows.count + 1
        self._gap(charts.ROWS)
        steps, end = self._steps(facts)
        self._charts(place, head, last, steps, end)
        self._days(facts)
        self._notes(facts)
        self._definitions(facts.asked.today)
        self._sheet.close()

    def _facts(self, facts: Facts) -> None:
        asked, zone = facts.asked, facts.asked.zone
        self._fact(labels.COLUMNS["site_id"], asked.site)
        if len(facts.bots) == 1:
            self._fact(labels.COLUMNS["bot_id"], facts.bots[0].bot)
            self._fact(Label("챗봇 이름", "Bot's name"), facts.bots[0].name)
        else:
            self._fact(Label("챗봇 수", "Bots"), len(facts.bots))
        if facts.bots_missing:
            self._fact(Label("자료가 없는 챗봇", "Bots without rows"), _some(facts.bots_missing))
        if asked.today:
            self._fact(labels.COLUMNS["day"], asked.first)
        else:
            self._range(facts)
        self._fact(Label("작성 시각", "Written at"), facts.written_at.astimezone(zone).replace(tzinfo=None))
        self._fact(Label("시간대", "Time zone"), zone.key)

    def _range(self, facts: Facts) -> None:
        missing = [day.day for day in facts.days if not day.sealed]
        self._fact(Label("시작일", "From"), facts.asked.first)
        self._fact(Label("종료일", "To"), facts.asked.last)
        self._fact(Label("마감된 날 수", "Days sealed"), len(facts.days) - len(missing))
        to = "~" if self._lang == "ko" else "to"
        self._fact(Label("마감되지 않은 날", "Days not sealed"), said(missing, to) or _NONE.of(self._lang))
        if facts.out_of_use:
            self._fact(OUT_OF_USE, _some(said_of_bots(facts.out_of_use, to)))

    def _totals(self, facts: Facts) -> tuple[int, int]:
        """A row a bot, and their sum where there are several; the rows of the header and of the sum."""
        names = [labels.COLUMNS["visits" if name == "inflow" else name] for name in _TOTALS]
        head = self._head(labels.COLUMNS["bot_id"], Label("챗봇 이름", "Bot's name"), *names, texts=2)
        for bot in facts.bots:
            self._figures(bot.bot, bot.name, _figures(bot.sums, bot.rooms, bot.customers))
            self._rows.link(0, bot.sheet)
        if len(facts.bots) > 1:
            whole = Sums()
            for bot in facts.bots:
                whole.merge(bot.sums)
            self._figures(Label("합계", "Total").of(self._lang), "", _figures(whole, None, None), "bold")
        return head, self._rows.count

    def _figures(self, bot: str, name: str, figures: Mapping[str, Any], font: str = "plain") -> None:
        looks = [Look(RATE if column.endswith("_rate") else COUNT, font, line=True) for column in _TOTALS]
        first = Look(font="link" if font == "plain" else font, line=True)
        values = [bot, name, *(figures[column] for column in _TOTALS)]
        both = zip([first, Look(font=font, line=True), *looks], _WIDTHS, strict=True)
        self._rows.add(values, [self._book.styles.of(look, width) for look, width in both])

    def _steps(self, facts: Facts) -> tuple[int, int]:
        """Inflow and dropouts of each step; the rows of the header and of the last step."""
        names = ("step", "inflow", "dropout", "dropout_rate")
        head = self._head(*(labels.COLUMNS[name] for name in names))
        for step, inflow, dropouts in _by_step(facts.bots):
            rate = dropouts / inflow if inflow else None
            numbers = [Look(kind, line=True) for kind in (COUNT, COUNT, RATE)]
            self._add([step, inflow, dropouts, rate], [Look(line=True, align="left"), *numbers])
        end = self._rows.count
        self._gap()
        return head, end

    def _charts(self, place: int, head: int, last: int, steps: int, end: int) -> None:
        titles = Label("단계별 이탈 수", "Dropouts by step"), Label("나간 방법별 횟수", "Ways out")
        first = charts.by_step(self._sheet, titles[0].of(self._lang), (steps, 3), end)
        column = 3 + _TOTALS.index(WAYS[0])
        second = charts.ways_out(self._sheet, titles[1].of(self._lang), (head, column), last)
        charts.put(self._sheet, first, place, (0, 5))
        charts.put(self._sheet, second, place, (6, 13))

    def _days(self, facts: Facts) -> None:
        if not facts.days:
            return
        self._head(*(labels.COLUMNS[name] for name in ("day", "as_of", "revision")), texts=2)
        for day in facts.days:
            if day.sealed and day.as_of:
                as_of: Any = _local(day.as_of, facts.asked)
            else:
                as_of = Label("마감되지 않음", "not sealed").of(self._lang)
            looks = [Look(DAY, line=True, align="left"), Look(TIME, line=True, align="left"), Look("0", line=True)]
            self._add([day.day, as_of, day.revision or None], looks)
        self._gap()

    def _notes(self, facts: Facts) -> None:
        self._line(Label("알림", "Notes"), font="bold")
        balance = Label(
            "유입 수 = 다음 단계 + error + 상담사연결 + 챗봇종료 + 이탈. 방 수와 고객 수는 더할 수 없습니다.",
            "Inflow = next step + error + agent connect + bot end + dropout. Rooms and customers do not add up.",
        )
        today = Label(
            "유입 수 + 이월 = 나간 횟수 + 진행 중. 시트마다 몇 초 차이가 날 수 있습니다.",
            "Inflow + carried in = ways out + open. The sheets may be some seconds apart.",
        )
        for note in (today if facts.asked.today else balance, *self._book.changes.notes()):
            self._line(note)
        self._gap()

    def _definitions(self, today: bool) -> None:
        self._head(
            Label("시트", "Sheet"), Label("열", "Column"), Label("뜻", "Meaning"), *[Label("", "")] * 10, texts=13
        )
        for kind, name, meaning in _defined(today):
            values = [labels.SHEETS[kind], labels.COLUMNS[name], meaning]
            looks = [Look(font="name", line=True), Look(line=True), *[Look(line=True)] * 11]
            self._add([*(value.of(self._lang) for value in values), *[None] * 10], looks)

    # --- rows ---

    def _fact(self, name: Label, value: Any) -> None:
        kind = TIME if isinstance(value, datetime) else DAY if isinstance(value, date) else COUNT
        look = Look(align="left") if isinstance(value, str) else Look(kind, align="left")
        self._add([name.of(self._lang), value], [Look(font="name"), look])

    def _line(self, words: Label, font: str = "plain", height: float | None = None) -> None:
        self._add([words.of(self._lang)], [Look(font=font)], height)

    def _gap(self, rows: int = 1) -> None:
        for _ in range(rows):
            self._rows.add([], [])

    def _head(self, *names: Label, texts: int = 1) -> int:
        """A header; the first `texts` columns hold text, the others numbers."""
        looks = [Look(font="bold", fill=HEAD, align="left" if n < texts else "right") for n in range(len(names))]
        styles = [self._book.styles.of(look, width) for look, width in zip(looks, _WIDTHS, strict=False)]
        self._rows.add([name.of(self._lang) for name in names], styles)
        return self._rows.count

    def _add(self, values: Sequence[Any], looks: Sequence[Look], height: float | None = None) -> None:
        self._rows.add(values, self._looks(looks), height)

    def _looks(self, looks: Sequence[Look]) -> list[Style]:
        return [self._book.styles.of(look) for look in looks]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" … ({len(names)})" if len(names) > _NAMED else "")


def _figures(sums: Sums, rooms: int | None, customers: int | None) -> dict[str, Any]:
    base = sums.all["inflow"] + sums.all["carried"]
    rate = sums.all["dropout"] / base if base else None
    return {**sums.all, "rooms": rooms, "customers": customers, "dropout_rate": rate}


def _by_step(bots: Sequence[BotFacts]) -> Iterator[tuple[str, int, int]]:
    whole = Sums()
    for bot in bots:
        whole.merge(bot.sums)
    rest: list[int] = []
    for step, counts in sorted(whole.steps.items()):
        if step <= _STEPS:
            yield str(step), counts["inflow"], counts["dropout"]
        else:
            rest = [*(rest or [0, 0])]
            rest = [rest[0] + counts["inflow"], rest[1] + counts["dropout"]]
    if rest:
        yield f"{_STEPS + 1} +", rest[0], rest[1]


def _defined(today: bool) -> Iterator[tuple[str, str, Label]]:
    """Each column of each sheet with its meaning; what was said of an earlier sheet is not said again."""
    known: set[tuple[str, Label]] = set()
    for kind in ("table", "nodes", "edges", "handoffs"):
        for name in columns(kind, today):
            meaning = definition(kind, name, today)
            if (name, meaning) not in known:
                known.add((name, meaning))
                yield kind, name, meaning


def _local(at: datetime, asked: Asked) -> datetime:
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return aware.astimezone(asked.zone).replace(tzinfo=None)
