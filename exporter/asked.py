"""What is asked of the exporter, and what it gives back."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from exporter.days import Day
from journey.labels import Label, Lang

#: Called with the rows written so far and, where it is known, how many there will be; as often as one likes.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One workbook: the bots of a site from `first` to `last` (both in it), in one language.

    `bots`: their ids; None: every bot of the site that has rows there. `zone`: the stack's, in which times are shown.
    `today`: today's moves so far, provisional, in place of sealed days (see `of_today`).
    """

    site: str
    bots: tuple[str, ...] | None
    first: date
    last: date
    zone: ZoneInfo
    lang: Lang = "ko"
    today: bool = False

    @classmethod
    def of_today(cls, site: str, bots: tuple[str, ...] | None, zone: ZoneInfo, lang: Lang = "ko") -> Self:
        """Today so far, in place of sealed days."""
        day = datetime.now(zone).date()
        return cls(site, bots, day, day, zone, lang, today=True)


@dataclass(frozen=True, slots=True)
class Exported:
    """A workbook that was written: where, what is in it and what is not.

    `rows`: of the sheets 표, of all bots. `bots_missing`: bots asked for that have no rows there. `days`: those of the
    range, none for today. `out_of_use`: of each bot, the days from which it was left out, being out of use.
    `notes`: what could not be written as it was (the cover says it, too). `size` in bytes.
    """

    path: Path
    rows: int
    sheets: tuple[str, ...]
    bots: tuple[str, ...]
    bots_missing: tuple[str, ...]
    days: tuple[Day, ...]
    out_of_use: Mapping[str, Sequence[date]]
    notes: tuple[Label, ...]
    size: int

    @property
    def days_missing(self) -> tuple[date, ...]:
        """Days that are not sealed, and so not in it."""
        return tuple(day.day for day in self.days if not day.sealed)

    @property
    def revisions(self) -> Mapping[date, int]:
        """Of each sealed day, which revision."""
        return {day.day: day.revision for day in self.days if day.sealed}


_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\s]+')
_LONGEST = 90  # bytes of each name, so that all of it stays below the 255 of a file system


def file_name(asked: Asked) -> str:
    """A name for the file that any system takes: `shop_delivery_2026-11-16_2026-11-22.xlsx`.

    Where it is of all bots or of several, the site alone names it.
    """
    bot = asked.bots[0] if asked.bots and len(asked.bots) == 1 else ""
    days = [asked.first.isoformat(), asked.last.isoformat()]
    parts = [_safe(asked.site), _safe(bot), *dict.fromkeys(days), "today" if asked.today else ""]
    return "_".join(part for part in parts if part) + ".xlsx"


def _safe(name: str) -> str:
    shown = unicodedata.normalize("NFC", "".join(c for c in name if unicodedata.category(c) not in ("Cf", "Cs")))
    return _UNSAFE.sub("-", shown).encode()[:_LONGEST].decode(errors="ignore").strip("-. ")
