"""What could not be written as it was: counted, with the first places, and said on the cover and by commands."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from journey.labels import Label

_PLACES = 3

_WORDS = {
    "control": Label(
        "제어 문자나 잘못된 문자를 눈에 보이는 기호로 바꾼 칸: {count}개 ({places})",
        "cells whose control or invalid characters were replaced by visible ones: {count} ({places})",
    ),
    "cut": Label(
        "엑셀 한도(32,767자)를 넘어 끝을 …로 줄인 칸: {count}개 ({places})",
        "cells over Excel's limit of 32,767 characters, cut and ended with …: {count} ({places})",
    ),
    "sheet": Label(
        "엑셀에서 쓸 수 없거나 길거나 겹쳐서 바꾼 시트 이름: {count}개 ({places})",
        "sheets whose names were not legal, too long or taken, and were changed: {count} ({places})",
    ),
    "rows": Label(
        "한 시트의 행 한도(1,048,576행)를 넘어 다음 시트로 이어진 시트: {count}개 ({places})",
        "sheets over Excel's limit of 1,048,576 rows, which go on in another sheet: {count} ({places})",
    ),
}


@dataclass
class Changes:
    """How often what was changed, by kind (`control`, `cut`, `sheet`, `rows`)."""

    _found: dict[str, list[str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """One more of `kind`, at `place`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        places = self._found.setdefault(kind, [])
        if len(places) < _PLACES:
            places.append(place)

    def notes(self) -> tuple[Label, ...]:
        """A sentence for each kind that occurred."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[Label]:
        for kind, words in _WORDS.items():
            if count := self._counts.get(kind):
                places = ", ".join(self._found[kind]) + (" …" if count > len(self._found[kind]) else "")
                yield Label(*(word.format(count=f"{count:,}", places=places) for word in words))
