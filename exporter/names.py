"""Names of sheets as Excel takes them: legal, at most 31 characters, each once."""

import re
import unicodedata

from journey import labels

#: In UTF-16 units, as Excel counts.
LONGEST = 31

_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
#: Excel keeps this name for itself, in any case of its letters.
_RESERVED = {"history"}


class Names:
    """The names of one workbook's sheets."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, stem: str, ending: str = "") -> str:
        """A name of `stem` and `ending` (with a space between), legal and unlike all others; only the stem is cut."""
        stem, ending = _legal(stem), _legal(ending)
        number = 1
        while True:
            tail = (" " if stem and ending else "") + ending + (f" ({number})" if number > 1 else "")
            name = (_cut(stem, LONGEST - _units(tail)).strip("' ") + tail).strip()
            if name and (key := _key(name)) not in self._taken and key not in _RESERVED:
                self._taken.add(key)
                return name
            number += 1


def _legal(text: str) -> str:
    shown = labels.visible(text).replace("\n", " ").replace("\t", " ")
    return _FORBIDDEN.sub("·", unicodedata.normalize("NFC", shown)).strip("'")


def _key(name: str) -> str:
    """Excel does not tell big letters from small, nor (in its Asian editions) wide ones from narrow."""
    return unicodedata.normalize("NFKC", name).casefold()


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, units: int) -> str:
    return text.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore")
