"""The words of screens and files: Korean, with English beside; and the page's table, which they name.

The keys are DESIGN.md's words: moves, view columns, statuses, hotkeys. What has no label here (a dialog, a button)
is the scenario's own text and stays as it is.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Lang = Literal["ko", "en"]
LANGUAGES: tuple[Lang, ...] = ("ko", "en")


class Label(NamedTuple):
    """One thing's name in both languages."""

    ko: str
    en: str

    def of(self, lang: Lang) -> str:
        return self.ko if lang == "ko" else self.en


MOVES: Mapping[str, Label] = {
    "start": Label("시작", "start"),
    "next_step": Label("다음 단계", "next step"),
    "error": Label("error", "error"),
    "agent_connect": Label("상담사연결", "agent connect"),
    "agent_served": Label("상담사진행", "agent served"),
    "bot_end": Label("챗봇종료", "bot end"),
    "dropout": Label("이탈", "dropout"),
    "open": Label("진행 중", "open"),
}

HOTKEYS: Mapping[str, Label] = {
    "home": Label("처음으로", "home"),
    "back": Label("이전으로", "back"),
    "agent": Label("상담사 연결", "agent"),
}

CLOSED_BY: Mapping[str, Label] = {
    "customer": Label("고객 종료", "closed by the customer"),
    "agent": Label("상담사 종료", "closed by the agent"),
    "manager": Label("관리자 종료", "closed by a manager"),
    "auto": Label("자동 종료", "closed automatically"),
    "timeout": Label("무응답 종료", "timeout"),
}

#: The messages that the rules make; which they are depends on the move: a button may well be called `home`.
MESSAGES: Mapping[str, Mapping[str, Label]] = {
    "next_step": {
        "(text)": Label("(텍스트 입력)", "(text)"),
        "(auto)": Label("(자동 진행)", "(auto)"),
    },
    "error": {"error": Label("입력 오류", "input error")},
    "agent_connect": {
        "agent": HOTKEYS["agent"],
        "(takeover)": Label("(상담사 개입)", "(takeover)"),
    },
    "agent_served": {"agent": HOTKEYS["agent"]},
    "bot_end": CLOSED_BY,
    "dropout": {**HOTKEYS, "(bot)": Label("(챗봇 변경)", "(other bot)")},
}

STATUSES: Mapping[str, Label] = {
    "bot": Label("챗봇 진행중", "with the bot"),
    "waiting": Label("상담대기", "waiting for an agent"),
    "assigned": Label("접수", "assigned"),
    "agent": Label("진행중", "with an agent"),
    "bot_ended": Label("챗봇 종료", "ended with the bot"),
    "agent_ended": Label("상담종료", "ended with an agent"),
}

COLUMNS: Mapping[str, Label] = {
    "step": Label("단계", "Step"),
    "dialog": Label("현재 대화", "Dialog"),
    "inflow": Label("유입 수", "Inflow"),
    "rooms": Label("방 수", "Rooms"),
    "customers": Label("고객 수", "Customers"),
    "message": Label("고객 선택/입력 메시지", "Message"),
    "next": Label("다음 대화", "Next dialog"),
    "next_dialog": Label("다음 대화", "Next dialog"),
    "moves": Label("유출 수", "Outflow"),
    "move_rooms": Label("방 수", "Rooms"),
    "move_customers": Label("고객 수", "Customers"),
    "dropouts": Label("이탈 수", "Dropouts"),
    "dropout_rate": Label("이탈률", "Dropout rate"),
    "carried": Label("이월", "Carried in"),
    "open": Label("진행 중", "Open"),
    "move": Label("이동", "Move"),
    "visits": Label("노출 수", "Visits"),
    "next_step": Label("다음 단계", "Next step"),
    "error": Label("error", "Error"),
    "agent_connect": Label("상담사연결", "Agent connect"),
    "agent_served": Label("상담사진행", "Agent served"),
    "bot_end": Label("챗봇종료", "Bot end"),
    "timeout": Label("무응답 종료", "Timeout"),
    "dropout": Label("이탈", "Dropout"),
    "site_id": Label("고객사", "Site"),
    "bot_id": Label("챗봇", "Bot"),
    "day": Label("날짜", "Day"),
    "revision": Label("마감 차수", "Revision"),
    "as_of": Label("마감 기준 시각", "As of"),
    "place": Label("위치", "Place"),
    "topic": Label("토픽", "Topic"),
    "reason": Label("사유", "Reason"),
    "detail": Label("설명", "Detail"),
    "key": Label("키", "Key"),
    "value": Label("값", "Value"),
    "state": Label("상태", "State"),
    "late_rooms": Label("늦은 방 수", "Late rooms"),
    "sealed_at": Label("마감 시각", "Sealed at"),
    "checksum": Label("체크섬", "Checksum"),
    "what": Label("항목", "What"),
    "published": Label("마감 값", "Published"),
    "recomputed": Label("재계산 값", "Recomputed"),
    "kind": Label("구분", "Kind"),
    "written_at": Label("기록 시각", "Written at"),
    "letters": Label("건수", "Letters"),
    "newest": Label("최근", "Newest"),
    "outcome": Label("처리", "Outcome"),
    "refused_for": Label("거부 사유", "Refused for"),
    "connect_rate": Label("연결률", "Connect rate"),
    "asked": Label("고객 요청", "Asked for"),
    "asked_rooms": Label("요청 방 수", "Rooms asking"),
    "takeovers": Label("상담사 개입", "Takeovers"),
    "served_rooms": Label("진행 방 수", "Rooms served"),
    "served_customers": Label("진행 고객 수", "Customers served"),
    "served_rate": Label("진행률", "Served rate"),
}

#: The sheets of a file, by the view that they show; docs/export.md.
SHEETS: Mapping[str, Label] = {
    "cover": Label("표지", "Cover"),
    "table": Label("표", "Table"),
    "nodes": Label("대화", "Dialogs"),
    "edges": Label("흐름", "Flows"),
    "handoffs": Label("상담 연결", "Hand-offs"),
}

#: The page's table, from left to right; `next` says move and next dialog in one cell.
TABLE = [
    *("step", "dialog", "inflow", "rooms", "customers"),
    *("message", "next", "moves", "move_rooms", "move_customers"),
    *("dropouts", "dropout_rate"),
]
#: Today's has the visits of before midnight, too: they count in the dropout rate.
TODAY_TABLE = [*TABLE[:3], "carried", *TABLE[3:]]

BY_ROOM_END = Label(
    "상담방이 종료된 날짜 기준입니다. 마감된 값으로, 이후 바뀌지 않습니다.",
    "By the day on which a room ended; sealed, and never changed afterwards.",
)
BY_MOVE = Label(
    "이동이 일어난 날짜 기준의 잠정 값입니다. 마감된 표와 합계가 다를 수 있습니다.",
    "By the day of each move; provisional, and never adding up to the same as a sealed table.",
)

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def label(words: Mapping[str, Label], key: str, lang: Lang) -> str:
    """The word for `key`, or the key itself where there is none."""
    return words[key].of(lang) if key in words else key


def message(move: str, text: str, lang: Lang) -> str:
    """What the cell 고객 선택/입력 메시지 says of a row with this move and message."""
    return label(MESSAGES.get(move, {}), text, lang)


def next_dialog(move: str, dialog: str, to: str, lang: Lang) -> str:
    """What the cell 다음 대화 says: the next dialog, or the move, with where it led if not to the same dialog."""
    if move == "next_step":
        return to
    name = label(MOVES, move, lang)
    return f"{name} → {to}" if to and (move, to) != ("error", dialog) else name


def shown(columns: Sequence[str]) -> list[str]:
    """Which columns the page's table has for a view with these: TABLE, or TODAY_TABLE."""
    return TODAY_TABLE if "carried" in columns else TABLE


def table_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], lang: Lang) -> Iterator[tuple[Any, ...]]:
    """Rows of `journey_table` or `today_table`, which have `columns`, as rows of the page's table (`shown`)."""
    names = shown(columns)
    at = {name: columns.index(name) for name in columns}
    for row in rows:
        move, dialog = row[at["move"]], row[at["dialog"]]
        made = {
            "message": message(move, row[at["message"]], lang),
            "next": next_dialog(move, dialog, row[at["next_dialog"]], lang),
        }
        yield tuple(made[name] if name in made else row[at[name]] for name in names)


def visible(text: str) -> str:
    """`text` with each control character as its picture (␀, ␛ …): none acts on a terminal or breaks a file.

    Tab and line feed stay; what has no picture becomes the replacement character."""
    return _UNPRINTABLE.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def width(text: str) -> int:
    """How many half-width columns `text` takes: East Asian wide characters two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
