"""What is published of a day beside what was recomputed: the differences, by edge, node, room and customer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from journey.room import Row
from seal.turns import FoldedRoom

_Rows = list[tuple[Any, ...]]

#: (site, bot)
_Bot = tuple[str, str]


class Difference(NamedTuple):
    """`what`: edge, node, room, customer or checksum; `name`: which one. What is published, and what `turns` says."""

    what: str
    site_id: str
    bot_id: str
    name: str
    published: str
    recomputed: str


class Comparison:
    """A day under way: rooms are given one by one, and counted; then `differences` has all that differs.

    `edges`, `nodes`: the published ones as (site, bot, number, step, dialog, move, message, next_step, next_dialog,
    moves, rooms); `left_out`: the bots that the seal left out, as `site:bot`.
    """

    def __init__(self, edges: _Rows, nodes: _Rows, left_out: set[str]) -> None:
        self._edges, self._nodes = _Counted("edge", edges, 9), _Counted("node", nodes, 5)
        self._left_out = left_out
        self._found: list[Difference] = []
        self.rooms = self.moves = 0

    def room(self, folded: FoldedRoom | None, published: _Rows) -> None:
        """A room as recomputed (None: it is not in `turns`, or not of this day) and as published: a row for each bot.

        Published: (site, hash, bot, room_id, customer, channel, version, ended_at, moves, edge and node numbers)."""
        now = self._by_bot(folded) if folded else {}
        was = {(row[0], row[2]): row for row in published}
        self.rooms += bool(now)
        for bot in sorted(now.keys() | was.keys()):
            rows = now.get(bot, [])
            self._count(bot, rows)
            name = folded.key.room_id if folded else was[bot][3]
            before = self._as_published(bot, was[bot]) if bot in was else {}
            after = _as_recomputed(folded, rows) if folded and rows else {}
            self._found += _room_differences(bot, name, before, after)

    def differences(self) -> list[Difference]:
        """All of them: edges and nodes, then rooms and customers."""
        return [*self._edges.differences(), *self._nodes.differences(), *self._found]

    def _by_bot(self, folded: FoldedRoom) -> dict[_Bot, list[Row]]:
        rows: dict[_Bot, list[Row]] = defaultdict(list)
        for row in folded.folded.rows:
            bot = folded.key.site_id, row.bot_id
            if ":".join(bot) not in self._left_out:
                rows[bot].append(row)
        return dict(rows)

    def _count(self, bot: _Bot, rows: list[Row]) -> None:
        self.moves += len(rows)
        self._edges.add(bot, map(_edge, rows))
        self._nodes.add(bot, filter(None, map(_node, rows)))

    def _as_published(self, bot: _Bot, row: tuple[Any, ...]) -> dict[str, Any]:
        customer, channel, version, ended_at, moves, edges, nodes = row[4:]
        return {
            "customer": customer,
            "channel": channel,
            "scenario_version": version,
            "ended_at": ended_at,
            "moves": moves,
            "edges": {self._edges.named(bot, number) for number in edges},
            "nodes": {self._nodes.named(bot, number) for number in nodes},
        }


def _edge(row: Row) -> tuple[Any, ...]:
    return row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog


def _node(row: Row) -> tuple[Any, ...] | None:
    return (row.next_step, row.next_dialog) if row.next_step else None


def _as_recomputed(folded: FoldedRoom, rows: list[Row]) -> dict[str, Any]:
    last = max(rows, key=lambda row: (row.seq, row.part))
    return {
        "customer": folded.customer,
        "channel": last.channel,
        "scenario_version": last.scenario_version,
        "ended_at": folded.folded.room.ended_at,
        "moves": len(rows),
        "edges": set(map(_edge, rows)),
        "nodes": set(filter(None, map(_node, rows))),
    }


def _room_differences(bot: _Bot, name: str, was: dict[str, Any], now: dict[str, Any]) -> Iterator[Difference]:
    if not was or not now:
        yield Difference("room", *bot, name, "published" if was else "is not there", "is in" if now else "is not in")
        return
    for key in was:
        if was[key] != now[key]:
            what = "customer" if key == "customer" else "room"
            yield Difference(what, *bot, f"{name}: {key}", _said(was[key]), _said(now[key]))


def _said(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, set) else str(value)


class _Counted:
    """The edges or nodes of the day: as published, and counted again. `width`: how far the place's columns go."""

    def __init__(self, what: str, published: _Rows, until: int) -> None:
        self._what = what
        self._published = {(*row[:2], *row[3:until]): (row[9], row[10]) for row in published}
        self._names = {(row[0], row[1], row[2]): row[3:until] for row in published}
        self._moves: Counter[tuple[Any, ...]] = Counter()
        self._rooms: Counter[tuple[Any, ...]] = Counter()

    def add(self, bot: _Bot, places: Iterable[tuple[Any, ...]]) -> None:
        """Those of one room."""
        came = Counter((*bot, *place) for place in places)
        self._moves.update(came)
        self._rooms.update(came.keys())

    def named(self, bot: _Bot, number: int) -> tuple[Any, ...]:
        """The columns of the one with this number; the number alone where there is none."""
        return self._names.get((*bot, number), (number,))

    def differences(self) -> Iterator[Difference]:
        for place in sorted(self._published.keys() | self._moves.keys()):
            was, now = self._published.get(place, (0, 0)), (self._moves[place], self._rooms[place])
            if was != now:
                name = " ".join(map(str, place[2:]))
                yield Difference(self._what, place[0], place[1], name, _counts(was), _counts(now))


def _counts(counts: tuple[int, int]) -> str:
    return f"{counts[0]} moves, {counts[1]} rooms"
