"""Sends dead letters again, once what was wrong with them is mended: each is judged first, as a worker would judge it.

Nothing is marked as sent: a letter whose event stands in `turns` is counted, and is not sent again. So a replay may be
broken off and begun again, and what is still invalid never goes round.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Literal

import msgspec
import orjson

from broker.produce import Producer
from feed.replay import head
from journey.decode import decode, decode_bot
from journey.errors import DeadLetter
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, BotChange, Event, RoomKey, Tick
from sql import dead_letters
from sql.client import Client
from sql.dead_letters import Letter
from sql.readback import Readback

Outcome = Literal["send", "counted", "refused"]
Place = tuple[RoomKey, int]


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a letter: sent with this key and time (ms; None: the broker's), or why not.

    `refused_for`: one of journey.events.REASONS, what a worker would say of it now.
    """

    outcome: Outcome
    refused_for: str = ""
    key: bytes = b""
    at: int | None = None


class Tally(msgspec.Struct, frozen=True):
    """Letters of one kind: why they were put aside, by which topic they came, and what became of them."""

    reason: str
    topic: str
    outcome: Outcome
    refused_for: str


COUNTED = Verdict("counted")


class Judge:
    """Says of letters, page after page, what a worker would do with them now. `now`: the clock, ms."""

    def __init__(self, client: Client, now: Callable[[], int]) -> None:
        self._client, self._now = client, now
        self._sent: dict[Place, Event] = {}
        self._sent_bots: set[tuple[object, ...]] = set()

    def judge(self, letters: list[Letter]) -> list[Verdict]:
        """A verdict for each letter, in their order. Of two with the same room and seq the first is sent."""
        read = [self._read(letter) for letter in letters]
        events = [found for found in read if isinstance(found, tuple)]
        standing = {**dead_letters.counted(self._client, [(key, event.seq) for key, event in events]), **self._sent}
        topics = Readback(self._client).known_rooms({key for key, _ in events})
        changes = [found for found in read if isinstance(found, _Change)]
        self._sent_bots |= dead_letters.bot_changes(self._client, {(c.row[0], c.row[1]) for c in changes})
        return [self._verdict(*pair, standing, topics) for pair in zip(letters, read, strict=True)]

    def _read(self, letter: Letter) -> "tuple[RoomKey, Event] | _Change | DeadLetter":
        """What it says, under the key that belongs to it, received now: or what is wrong with it."""
        value = letter.value
        try:
            if letter.topic == TOPIC_BOTS:
                change, at = decode_bot(value, _bot_key(value), self._now())
                return _Change(_bot_row(change, at))
            at = letter.received_at if letter.topic == TOPIC_IMPORT else self._now()
            found = decode(value, head(value or b"")[0], at)
        except DeadLetter as wrong:
            return wrong
        return DeadLetter("bad_value", "a tick is no event") if isinstance(found, Tick) else found

    def _verdict(
        self,
        letter: Letter,
        read: "tuple[RoomKey, Event] | _Change | DeadLetter",
        standing: dict[Place, Event],
        topics: dict[RoomKey, set[str]],
    ) -> Verdict:
        if isinstance(read, DeadLetter):
            return Verdict("refused", read.reason)
        if isinstance(read, _Change):
            return self._bot(read)
        key, event = read
        there = standing.get((key, event.seq))
        if there == event:
            return COUNTED
        if letter.topic not in topics.get(key, {letter.topic}):
            return Verdict("refused", "other_topic")
        if there is not None:
            return Verdict("refused", "conflict")
        standing[key, event.seq] = self._sent[key, event.seq] = event
        at = letter.received_at if letter.topic == TOPIC_IMPORT else None
        return Verdict("send", key=key.room_id.encode(), at=at)

    def _bot(self, change: "_Change") -> Verdict:
        if change.row in self._sent_bots:
            return COUNTED
        self._sent_bots.add(change.row)
        return Verdict("send", key=f"{change.row[0]}:{change.row[1]}".encode())


class _Change(msgspec.Struct, frozen=True):
    """A bot's change as `bots` has it: (site, bot, occurred_at in ms, name, in_use, channel, category)."""

    row: tuple[str, str, int, str, bool, str, str]


def _bot_row(change: BotChange, at: int) -> tuple[str, str, int, str, bool, str, str]:
    described = (change.name, change.in_use, change.channel or "", change.category or "")
    return change.site_id, change.bot_id, at, *described


def _bot_key(value: bytes | None) -> bytes | None:
    try:
        found = orjson.loads(value or b"")
        return f"{found['site_id']}:{found['bot_id']}".encode()
    except (orjson.JSONDecodeError, TypeError, KeyError, UnicodeEncodeError):
        return None


async def send_again(
    kafka: str,
    pages: Iterable[list[Letter]],
    judge: Callable[[list[Letter]], list[Verdict]],
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Counter[Tally]:
    """Send what is found valid, each to the topic that it came by; how many letters came to what.

    `dry_run`: only judge. `progress` is called with the number of letters done. Returns when all is confirmed.
    """
    tally: Counter[Tally] = Counter()
    async with AsyncExitStack() as open_producers:
        producers: dict[str, Producer] = {}
        for page in pages:
            for letter, verdict in zip(page, judge(page), strict=True):
                tally[Tally(letter.reason, letter.topic, verdict.outcome, verdict.refused_for)] += 1
                if verdict.outcome != "send" or dry_run:
                    continue
                if letter.topic not in producers:
                    producers[letter.topic] = await open_producers.enter_async_context(Producer(kafka, letter.topic))
                assert letter.value is not None
                await producers[letter.topic].send(letter.value, verdict.key, verdict.at)
            progress(tally.total())
    return tally
