"""Reads the tables and says, by name, which event is missing or counted twice, and which figure is not the model's."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from journey.events import RoomKey
from sql.client import Client
from sql.sink import EVENT
from tests.faults.model import ROOM, Edge, Model, Node

#: So many differences of a kind are named, the others counted.
NAMED = 8

_MOVE = (
    "bot_id", "seq", "part", "occurred_at", "entered_at", "received_at", "step", "dialog", "move", "message",
    "next_step", "next_dialog", "channel", "category", "scenario_version",
)  # fmt: skip
_WAYS = ("next_step", "error", "agent_connect", "agent_served", "bot_end", "timeout", "dropout")


def _columns(names: tuple[str, ...]) -> str:
    times = ("occurred_at", "entered_at", "received_at", "opened_at", "last_at", "ended_at", "phase_since")
    return ", ".join(
        f"toUnixTimestamp64Milli({name})" if name in (*times, "last_received_at") else name for name in names
    )


@dataclass
class Report:
    """`differences`: sentences, none where all is well; `facts`: what was counted on the way."""

    differences: list[str] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)

    def compare(self, what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        """Key by key; every difference counts as one."""
        wrong = [key for key in expected if found.get(key) != expected[key]]
        wrong += [key for key in found if key not in expected]
        self.facts[what] = len(expected)
        for key in wrong[:NAMED]:
            self.differences.append(
                f"{what}: {_named(key)}: expected {expected.get(key, 'nothing')}, there is {found.get(key, 'nothing')}"
            )
        if len(wrong) > NAMED:
            self.differences.append(f"{what}: and {len(wrong) - NAMED} more")

    def none_of(self, what: str, wrong: list[Any]) -> None:
        self.differences += [f"{what}: {item}" for item in wrong[:NAMED]]
        if len(wrong) > NAMED:
            self.differences.append(f"{what}: and {len(wrong) - NAMED} more")


def _named(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return " ".join(f"{p.site_id}/{p.room_id}" if isinstance(p, RoomKey) else str(p) for p in parts)


def verify(client: Client, model: Model) -> Report:
    """Everything but the sealed days."""
    report = Report()
    report.none_of("sent, and in no log", model.absent)
    report.none_of("in a log, and never sent", model.unknown)
    report.facts |= {"repeats in the logs": model.repeats, "ticks": model.ticks}
    _turns(client, model, report)
    _moves(client, model, report)
    _counts(client, model, report)
    _rooms(client, model, report)
    _letters(client, model, report)
    bots = client.rows("SELECT offset, name, in_use FROM bots FINAL")
    report.compare("bots", model.bots, {offset: (name, in_use) for offset, name, in_use in bots})
    _progress(client, model, report)
    _days(client, model, report)
    return report


def _turns(client: Client, model: Model, report: Report) -> None:
    names = ("topic", "partition", "offset", "received_at", *EVENT)
    rows = client.rows(f"SELECT site_id, room_id, {_columns(names)} FROM turns FINAL")
    seq = 2 + names.index("seq")
    found = {(RoomKey(row[0], row[1]), row[seq]): row[2:] for row in rows}
    if len(found) != len(rows):
        report.none_of("turns, twice under FINAL", [len(rows) - len(found)])
    report.compare("turns", model.turns, found)
    physical: int = client.rows("SELECT count() FROM turns")[0][0]
    report.facts["rows of turns that a merge will drop"] = physical - len(rows)
    # a copy at another offset than the first is not a retry: somebody counted a repeat as an event
    twice = client.rows(
        "SELECT site_id, room_id, seq, groupUniqArray((topic, partition, offset)) AS copies FROM turns "
        "GROUP BY site_id, room_id, seq HAVING length(copies) > 1 LIMIT 100"
    )
    report.none_of("turns, from more than one record", twice)


def _moves(client: Client, model: Model, report: Report) -> None:
    rows = client.rows(f"SELECT site_id, room_id, day, customer_id, {_columns(_MOVE)} FROM moves FINAL")
    found = {(RoomKey(r[0], r[1]), r[4], r[2], r[5], r[6]): r[3:] for r in rows}
    report.compare("moves", model.moves, found)


def _counts(client: Client, model: Model, report: Report) -> None:
    """The incremental counts of every day: of records over all partitions; with timeouts. These as in `moves`."""
    for table, expected in (
        ("edge_counts", model.counts(timeouts=False)),
        ("edge_totals", model.counts(timeouts=True)),
    ):
        rows = client.rows(
            f"SELECT day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog, sum(moves) AS total "
            f"FROM {table} FINAL GROUP BY ALL HAVING total != 0"
        )
        report.compare(table, expected, {row[:9]: row[9] for row in rows})
    columns = "site_id, bot_id, day, room, seq, step, dialog, move, message, next_step, next_dialog"
    there = f"SELECT {columns} FROM moves FINAL WHERE part = 9"
    copied = f"SELECT {columns} FROM timeouts FINAL WHERE is_deleted = 0"
    for title, sql in (("missing in", f"{there} EXCEPT {copied}"), ("only in", f"{copied} EXCEPT {there}")):
        report.none_of(f"{title} timeouts", client.rows(sql))


def _rooms(client: Client, model: Model, report: Report) -> None:
    rows = client.rows(f"SELECT site_id, room_id, day, topic, partition, {_columns(ROOM)} FROM rooms FINAL")
    report.compare("rooms", model.rooms, {(RoomKey(r[0], r[1]), r[2]): r[3:] for r in rows})


def _letters(client: Client, model: Model, report: Report) -> None:
    rows = client.rows("SELECT topic, partition, offset, reason FROM dead_letters WHERE topic != 'chatbot.bots'")
    found: dict[tuple[str, int, int], str] = {}
    for topic, partition, offset, reason in rows:
        before = found.setdefault((topic, partition, offset), reason)
        if before != reason:
            report.none_of("dead_letters, with two reasons", [(topic, partition, offset, before, reason)])
    report.compare("dead_letters", model.letters, found)


def _progress(client: Client, model: Model, report: Report) -> None:
    """A partition's time at an offset is the log's, whoever wrote it."""
    rows = client.rows(
        "SELECT DISTINCT topic, partition, offset, toUnixTimestamp64Milli(time) FROM progress "
        "WHERE topic != 'chatbot.bots'"
    )
    wrong = []
    for topic, partition, offset, at in rows:
        times = model.times.get((topic, partition), [])
        if at != (times[offset - 1] if 0 < offset <= len(times) else 0):
            wrong.append(f"{topic}[{partition}] at offset {offset}: {at}")
    report.none_of("progress, with a time that is not the log's", wrong)
    last = {(topic, partition): offset for topic, partition, offset, _ in sorted(rows)}
    report.compare("progress", {place: len(times) for place, times in model.times.items()}, last)


# -- what people see ---------------------------------------------------------------------------------------------------
def _days(client: Client, model: Model, report: Report) -> None:
    edges, nodes = model.live()
    found_edges: dict[Any, Any] = {}
    found_nodes: dict[Any, Any] = {}
    for day, site, bot in sorted({key[:3] for key in (*edges, *nodes)}):
        given = {"day": day, "site": site, "bot": bot}
        of = "site={site:String}, bot={bot:String}, day={day:Date}"
        for row in client.rows(f"SELECT * FROM day_edges({of})", given):
            found_edges[day, site, bot, *row[:6]] = row[6:]
        for row in client.rows(
            f"SELECT step, dialog, inflow, rooms, customers, {', '.join(_WAYS)}, open, carried FROM day_nodes({of})",
            given,
        ):
            found_nodes[day, site, bot, *row[:2]] = row[2:]
    report.compare("day_edges", {key: _edge(edge) for key, edge in edges.items()}, found_edges)
    report.compare("day_nodes", {key: _node(node) for key, node in nodes.items()}, found_nodes)
    _today(client, edges, nodes, report)


def _edge(edge: Edge) -> tuple[int, ...]:
    return edge.moves, len(edge.rooms), len(edge.customers), edge.carried


def _node(node: Node) -> tuple[int, ...]:
    ways = (node.timeouts if way == "timeout" else node.ways[way] for way in _WAYS)
    open_now = node.inflow - node.fresh_out
    return node.inflow, len(node.rooms), len(node.customers), *ways, open_now, node.carried


def _today(client: Client, edges: dict[Any, Edge], nodes: dict[Any, Node], report: Report) -> None:
    """The views of today, whatever day that is while they are asked."""
    before = after = _today_is(client)
    expected: dict[Any, Any] = {}
    found: dict[Any, Any] = {}
    for site, bot in {key[1:3] for key in nodes}:
        given = {"site": site, "bot": bot}
        of = "site={site:String}, bot={bot:String}"
        head = (before, site, bot)
        for row in client.rows(f"SELECT step, dialog, inflow, open, carried FROM today_nodes({of})", given):
            found["node", *head, *row[:2]] = row[2:]
        for row in client.rows(f"SELECT * FROM today_edges({of})", given):
            found["edge", *head, *row[:6]] = row[6:]
        for row in client.rows(
            f"SELECT step, dialog, move, message, next_step, next_dialog, moves FROM today_table({of})", given
        ):
            found["table", *head, *row[:6]] = row[6]
    expected |= {("node", *k): (n.inflow, n.inflow - n.fresh_out, n.carried) for k, n in nodes.items()}
    expected |= {("edge", *k): _edge(e) for k, e in edges.items()}
    expected |= {("table", *k): e.moves for k, e in edges.items() if k[5] != "start"}
    expected |= {
        ("table", *k, "open", "", 0, ""): n.inflow - n.fresh_out for k, n in nodes.items() if n.inflow > n.fresh_out
    }
    after = _today_is(client)
    if before == after:  # else a midnight fell between: the days themselves were compared
        report.compare("today's views", {k: v for k, v in expected.items() if k[1] == before}, found)


def _today_is(client: Client) -> date:
    day: date = client.rows("SELECT day FROM (SELECT toDate(now(), 'Asia/Seoul') AS day)")[0][0]
    return day


def verify_seals(client: Client, model: Model, seal_at: time) -> Report:
    """Every sealed day against the model's, in the order in which they were sealed."""
    report, elsewhere = Report(), set[RoomKey]()
    expected_edges: dict[Any, Any] = {}
    expected_rooms: Counter[Any] = Counter()
    days = [day for (day,) in client.rows("SELECT day FROM daily WHERE kind = 'seal' ORDER BY day")]
    for day in days:
        edges, rooms = model.sealed(day, seal_at, elsewhere)
        elsewhere |= {RoomKey(room[0], room[2]) for room in rooms}
        expected_edges |= {(day, *key): (edge.moves, len(edge.rooms)) for key, edge in edges.items()}
        expected_rooms.update((day, *room) for room in rooms)
    found = client.rows(
        "SELECT day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog, moves, rooms "
        "FROM daily WHERE kind = 'edge'"
    )
    report.compare("sealed edges", expected_edges, {row[:9]: row[9:] for row in found})
    found = client.rows(
        "SELECT day, site_id, bot_id, room_id, toUnixTimestamp64Milli(ended_at), moves FROM daily WHERE kind = 'room'"
    )
    report.compare("sealed rooms", expected_rooms, Counter(found))
    report.facts["sealed days"] = len(days)
    return report
