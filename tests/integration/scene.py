"""A partition of its own with a worker that reads it: the worker's batches over the real tables, step by step."""

from datetime import UTC, datetime
from threading import Event as Flag
from typing import Any

import orjson

from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE
from sql.client import Client
from sql.readback import Readback
from sql.sink import Sink
from stream.batch import Batches
from stream.poll import Poll
from stream.windows import Quiet
from tests.unit.histories import DAY, T0, Record

WAIT = 30_000


class Scene:
    """A partition of its own, and a worker that reads it; `site` is the test's own, too."""

    def __init__(self, client: Client, readback: Client, partition: int) -> None:
        self.client, self.partition, self.site = client, partition, f"site {partition}"
        self._reads, self._writes = Readback(readback), Sink(client)
        self.logs: dict[str, list[Record]] = {TOPIC_LIVE: [], TOPIC_IMPORT: []}
        self.committed = {TOPIC_LIVE: 0, TOPIC_IMPORT: 0}
        self.start_anew()

    def start_anew(self) -> None:
        """A worker with nothing in memory, which reads again what was not committed."""
        self.batches = Batches(
            self._reads, self._writes, Calendar("Asia/Seoul"),
            wait=WAIT, idle=DAY, rooms_in_memory=1000, stopping=Flag(),
        )  # fmt: skip
        for topic, log in self.logs.items():
            if log[self.committed[topic] :]:
                self._run(topic, log[self.committed[topic] :])

    def event(self, seq: int, at: int = 0, *, room: str = "r", site: str = "", **fields: Any) -> bytes:
        """A turn that shows a dialog, or what the fields say; `at`: ms after T0."""
        head = {"site_id": site or self.site, "bot_id": "b", "room_id": room, "customer_id": "c", "seq": seq}
        turn = {"type": "turn", "input_kind": "button", "input": f"to {seq}", "dialog": f"d{seq}"}
        return orjson.dumps({**turn, **head, "occurred_at": iso(T0 + at), **fields})

    def receive(self, *values: bytes, at: int = 0, topic: str = TOPIC_LIVE) -> int:
        """One batch, received at `at` ms after T0; up to where it may be committed."""
        log = self.logs[topic]
        some = [Record(len(log) + n, T0 + at, None, _room_of(value), value) for n, value in enumerate(values)]
        log += some
        return self._run(topic, some)

    def _run(self, topic: str, records: list[Record]) -> int:
        limit = self.batches.run([Poll(topic, self.partition, records, len(self.logs[topic]))])[topic, self.partition]
        self.committed[topic] = limit
        return limit

    def tick(self, at: int) -> int:
        """Time passes in the log, and the worker looks for what that brings."""
        limit = self.receive(b'{"type":"tick"}', at=at)
        place = (TOPIC_LIVE, self.partition)
        self.batches.write(self.batches.prepare([], Quiet(T0 + at, {place: len(self.logs[TOPIC_LIVE])}, look=True)))
        return limit

    def moves(self, room: str = "r", site: str = "") -> list[str]:
        """What `moves` has of a room, in its order: `move message (step, dialog) -> (step, dialog)`."""
        rows = self.client.rows(
            "SELECT move, message, step, dialog, next_step, next_dialog FROM moves FINAL "
            "WHERE site_id = {site:String} AND room_id = {room:String} ORDER BY seq, part, bot_id",
            {"site": site or self.site, "room": room},
        )
        return [f"{m} {text} ({n}, {a}) -> ({k}, {d})" if text else f"{m} ({n}, {a}) -> ({k}, {d})"
                for m, text, n, a, k, d in rows]  # fmt: skip

    def room(self, what: str, room: str = "r", site: str = "") -> Any:
        """The room's one row in `rooms`: these columns."""
        sql = f"SELECT {what} FROM rooms FINAL WHERE site_id = {{site:String}} AND room_id = {{room:String}}"
        (row,) = self.client.rows(sql, {"site": site or self.site, "room": room})
        return row if len(row) > 1 else row[0]

    def seqs(self, room: str = "r") -> list[int]:
        """What of the room stands in `turns`."""
        sql = "SELECT seq FROM turns FINAL WHERE site_id = {site:String} AND room_id = {room:String} ORDER BY seq"
        return [seq for (seq,) in self.client.rows(sql, {"site": self.site, "room": room})]

    def letters(self) -> list[tuple[int, str]]:
        rows = self.client.rows(
            "SELECT offset, reason FROM dead_letters FINAL WHERE partition = {p:UInt16} ORDER BY topic, offset",
            {"p": self.partition},
        )
        return [(offset, reason) for offset, reason in rows]

    def everything(self) -> list[list[tuple[Any, ...]]]:
        """All that stands of this site, but for how far the worker came."""
        tables = ("turns", "moves", "rooms")
        where = "FINAL WHERE site_id = {site:String} ORDER BY ALL"
        return [self.client.rows(f"SELECT * EXCEPT written_on FROM {t} {where}", {"site": self.site}) for t in tables]


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")


def _room_of(value: bytes) -> bytes | None:
    room = orjson.loads(value).get("room_id")
    return None if room is None else str(room).encode()
