"""Stock Faust doing the worker's work: events() one by one, state in a dict, 1,000 rows or 1 s an insert.

The same decoding, rules and sink as the worker's; what differs is the transport, and that it acks by itself and keeps
none of Delivery's promises. Run by bench.ingest.
"""

import time
from typing import Any

import faust
from msgspec.structs import astuple

from journey.decode import decode
from journey.events import TOPIC_LIVE, Entry, RoomKey, Tick
from journey.room import Room
from journey.rules import step
from settings import load
from sql.client import Client
from sql.sink import Sink
from stream.batch import _room_row

GROUP = "stock"
IDLE = 86_400_000


def main() -> None:
    settings = load()
    sink = Sink(Client(settings.clickhouse))
    app = faust.App(
        GROUP, broker=f"kafka://{settings.kafka}", datadir=str(settings.data / "stock"), store="memory://",
        web_enabled=False, topic_disable_leader=True, topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    topic = app.topic(TOPIC_LIVE, value_serializer="raw", key_serializer="raw")
    rooms: dict[RoomKey, Room] = {}
    turns: list[tuple[Any, ...]] = []
    moves: list[tuple[Any, ...]] = []
    touched: set[RoomKey] = set()
    last = time.monotonic()

    def take(event: Any) -> None:
        message = event.message
        at = int(message.timestamp * 1000)
        decoded = decode(message.value, message.key, at)
        assert not isinstance(decoded, Tick)
        key, found = decoded
        entry = Entry(found, message.offset, at)
        room = rooms.get(key) or rooms.setdefault(key, Room(entry))
        place = (key.site_id, key.room_id, message.topic, message.partition, message.offset, at)
        turns.append(place + astuple(found))
        for row in step(room, entry, IDLE):
            moves.append((key.site_id, key.room_id, room.customer_id, 2 * room.folded, 0, *astuple(row)))
        touched.add(key)

    def write() -> None:
        sink.turns(turns)
        sink.moves(moves)
        sink.rooms([_room_row(_Place, key, rooms[key], 1, 0, rooms[key].opened_at) for key in touched])  # type: ignore[arg-type]
        turns.clear()
        moves.clear()
        touched.clear()

    class _Place:
        topic, partition = TOPIC_LIVE, 0

    @app.agent(topic)
    async def stock(stream: Any) -> None:
        nonlocal last
        async for event in stream.events():
            take(event)
            if len(turns) >= 1000 or time.monotonic() - last >= 1:
                write()
                last = time.monotonic()

    faust.Worker(app, loglevel="WARNING", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
