"""`turnpath dead-letters`: the records that break the event contract; and sending them again."""

import asyncio
import base64
import re
import sys
import time
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from cli import output, wiring
from cli.progress import Progress
from feed.dead_letters import Judge, Tally, send_again
from journey import labels
from journey.errors import BadUsage, NoData
from journey.events import REASONS
from journey.labels import Lang
from settings import Settings, load
from sql import dead_letters
from sql.client import Client, Table
from sql.dead_letters import Letter, Wanted

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WIDE = 60

_SHORT = ["written_at", "place", "reason", "detail", "key", "value"]
_WHOLE = [
    *("topic", "partition", "offset", "reason", "detail", "key", "key_encoding", "value", "value_encoding"),
    *("received_at", "written_at"),
]


@click.command()
@click.option("--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Only these; may be repeated.")
@click.option("--topic", "topics", multiple=True, help="Only of this topic; may be repeated.")
@click.option("--since", help="Put aside since then: 30m, 2h, 7d ago, or a time such as 2026-11-23T10:00.")
@click.option("--limit", type=click.IntRange(min=1), help="How many to list, the newest first [default: 50].")
@click.option("--count", is_flag=True, help="How many there are, by reason and topic.")
@click.option("--show", "place", metavar="TOPIC:PARTITION:OFFSET", help="One of them, whole.")
@click.option("--raw", is_flag=True, help="With --show: the value's bytes as they are, for a file or a pipe.")
@click.option("--replay", is_flag=True, help="Send again those that are valid now and not counted yet.")
@click.option("--dry-run", is_flag=True, help="With --replay: say what would be sent, and send nothing.")
@output.output_options
def command(
    reasons: tuple[str, ...], topics: tuple[str, ...], since: str | None, limit: int | None, count: bool,
    place: str | None, raw: bool, replay: bool, dry_run: bool, form: output.Form, lang: Lang,
) -> None:  # fmt: skip
    """List the records that break the event contract: kept whole, counted nowhere, and gone after 7 days.

    They may hold customers' words. A table shows values cut, with whatever is no plain text as an escape, such as
    \\x1b; csv and json have them whole, as base64 where key_encoding or value_encoding says so: bytes that are no
    UTF-8, or text with control characters.

    \b
    turnpath dead-letters --count --since 24h
    turnpath dead-letters --reason key_mismatch --limit 10
    turnpath dead-letters --show chatbot.turns:3:1042 --raw > record.json
    turnpath dead-letters --replay --dry-run

    --replay is for when the cause is mended. Each letter is judged as a worker would judge it now: what is valid is
    sent again to its own topic, with its room's id as the key; what is counted already, or still invalid, is not. A
    worker must run for it to be counted. A value that has to be mended by hand: --show … --raw, then `turnpath replay`.
    """  # fmt: skip
    _refuse_mixtures(count=count, show=place is not None, replay=replay, raw=raw, dry_run=dry_run, limit=limit)
    settings = load()
    wanted = Wanted(list(reasons), list(topics), _since(since, settings.timezone, datetime.now(UTC)))
    with wiring.client(settings) as client:
        if place is not None:
            _show(client, place, raw, form, lang)
        elif count:
            output.show(_some(client, wanted, dead_letters.counts(client, wanted)), form, lang)
        elif replay:
            _replay(settings, client, wanted, dry_run, form, lang)
        else:
            _list(client, wanted, limit or 50, form, lang)


def _refuse_mixtures(*, count: bool, show: bool, replay: bool, raw: bool, dry_run: bool, limit: int | None) -> None:
    if count + show + replay > 1:
        raise BadUsage("--count, --show and --replay do different things: give one of them")
    if raw and not show:
        raise BadUsage("--raw goes with --show: say which record is meant")
    if dry_run and not replay:
        raise BadUsage("--dry-run goes with --replay")
    if limit is not None and (count or show or replay):
        raise BadUsage("--limit goes with the list alone; narrow the others by --reason, --topic or --since")


def _since(text: str | None, zone: str, now: datetime) -> datetime:
    """A time given as how long ago, or as a time or day, local where it names no zone."""
    if text is None:
        return Wanted().since
    ago = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", text)
    try:
        if ago:
            return now - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
        at = datetime.fromisoformat(text.strip())
        at = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or not 1970 <= at.year < 2100:
        raise BadUsage(f"--since {text!r}: write how long ago, such as 2h or 7d, or a time such as 2026-11-23T10:00")
    return at


def _some(client: Client, wanted: Wanted, found: Table) -> Table:
    """`found`, or NoData with what there is instead."""
    if found.rows:
        return found
    there = dead_letters.counts(client, Wanted())
    if not there.rows:
        raise NoData("there are no dead letters: every record of the last days was an event, or a copy of one")
    said = ", ".join(f"{number:,} {reason} of {topic}" for reason, topic, number, _ in there.rows[:5])
    raise NoData(f"no dead letters of that kind; there are {labels.visible(said)}")


def _list(client: Client, wanted: Wanted, limit: int, form: output.Form, lang: Lang) -> None:
    there = _some(client, wanted, dead_letters.counts(client, wanted))
    letters = dead_letters.newest(client, wanted, limit)
    output.show(_short(letters) if form == "table" else _whole(letters), form, lang)
    total = sum(row[2] for row in there.rows)
    if total > len(letters):
        output.say(f"the newest {len(letters):,} of {total:,}; --limit shows more, --count how many of which reason")


def _short(letters: list[Letter]) -> Table:
    rows: list[tuple[Any, ...]] = [
        (x.written_at.astimezone(UTC), _place(x), x.reason, *map(_cut, (x.detail.encode(), x.key, x.value)))
        for x in letters
    ]
    return Table(_SHORT, ["String"] * len(_SHORT), rows)


def _whole(letters: list[Letter]) -> Table:
    rows = [
        (
            *(x.topic, x.partition, x.offset, x.reason, x.detail, *_encoded(x.key), *_encoded(x.value)),
            *(_time(x.received_at), x.written_at),
        )
        for x in letters
    ]
    return Table(_WHOLE, ["String"] * len(_WHOLE), rows)


def _show(client: Client, place: str, raw: bool, form: output.Form, lang: Lang) -> None:
    topic, _, rest = place.partition(":")
    numbers = re.fullmatch(r"(\d{1,5}):(\d{1,18})", rest)
    if not numbers or int(numbers[1]) > 65_535:
        raise BadUsage(f"--show {place!r}: write topic:partition:offset, such as chatbot.turns:3:1042")
    letter = dead_letters.one(client, topic, int(numbers[1]), int(numbers[2]))
    if letter is None:
        raise NoData(f"{place} is no dead letter, or has expired; `turnpath dead-letters` lists those that are there")
    if raw:
        _write_raw(letter)
    elif form != "table":
        output.show(_whole([letter]), form, lang)
    else:
        facts = (_place(letter), letter.reason, letter.detail, _shown(letter.key), letter.written_at, "")
        for name, fact in zip(("place", "reason", "detail", "key", "written_at", "value"), facts, strict=True):
            click.echo(f"{labels.label(labels.COLUMNS, name, lang)}: {_safe(str(fact))}".rstrip())
        click.echo(_shown(letter.value))


def _write_raw(letter: Letter) -> None:
    if sys.stdout.isatty():
        raise BadUsage("--raw writes bytes that a terminal may take for commands: send it to a file or a pipe")
    sys.stdout.buffer.write(letter.value or b"")
    sys.stdout.buffer.flush()


def _replay(settings: Settings, client: Client, wanted: Wanted, dry_run: bool, form: output.Form, lang: Lang) -> None:
    progress = Progress("letters judged")
    judge = Judge(client, lambda: round(time.time() * 1000))
    pages = dead_letters.pages(client, wanted)
    work = send_again(settings.kafka, pages, judge.judge, dry_run=dry_run, progress=progress)
    try:
        tally = asyncio.run(work)
    except KeyboardInterrupt:
        progress.end()
        output.say("stopped; what was sent counts, and the same command goes on with the others")
        sys.exit(130)
    progress.end()
    rows = [(t.reason, t.topic, t.outcome, t.refused_for, n) for t, n in sorted(tally.items(), key=_by_reason)]
    found = Table(["reason", "topic", "outcome", "refused_for", "letters"], [*["String"] * 4, "UInt64"], rows)
    output.show(_some(client, wanted, found), form, lang)
    _report(tally, dry_run)


def _by_reason(item: tuple[Tally, int]) -> tuple[str, str, str, str]:
    return item[0].reason, item[0].topic, item[0].outcome, item[0].refused_for


def _report(tally: Counter[Tally], dry_run: bool) -> None:
    number: Counter[str] = Counter()
    for kind, letters in tally.items():
        number[kind.outcome] += letters
    said = "would be sent" if dry_run else "sent"
    output.say(
        f"{number['send']:,} {said}, {number['counted']:,} are counted already, {number['refused']:,} refused: "
        "a worker would put them aside again"
    )
    if number["send"] and not dry_run:
        output.say(
            "a running worker counts them as it reads them; a day that is sealed stays as it is, and shows them in "
            "late_rooms"
        )


def _place(letter: Letter) -> str:
    return f"{letter.topic}:{letter.partition}:{letter.offset}"


def _time(at: int) -> datetime | None:
    """A record's time; None where its sender gave one that no calendar has."""
    try:
        return datetime.fromtimestamp(at / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _encoded(raw: bytes | None) -> tuple[str | None, str | None]:
    """Text and how it is encoded: base64 where it is no UTF-8, or has control characters other than white space."""
    if raw is None:
        return None, None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), "base64"
    if any(unicodedata.category(char) == "Cc" and char not in "\t\n\r" for char in text):
        return base64.b64encode(raw).decode(), "base64"
    return text, "text"


def _cut(raw: bytes | None) -> str:
    if raw is None:
        return "(none)"
    text = _safe(raw[: 4 * _WIDE].decode(errors="backslashreplace")).replace("\n", "\\n").replace("\t", "\\t")
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"


def _shown(raw: bytes | None) -> str:
    return "(none)" if raw is None else _safe(raw.decode(errors="backslashreplace"))


def _safe(text: str) -> str:
    """Text for a terminal: what is not printed as it stands is an escape; line feeds and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t\u3000\u00a0" else ascii(c)[1:-1] for c in text)
