"""What has to be known of a statement before chDB has it: little, and found by its words, not by a parser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from sql.embedded.errors import NOT_IMPLEMENTED, Refused

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|\#[\ !][^\n]*|/\*.*?\*/)
    |(?P<quoted>'(?:[^'\\]++|\\.|'')*+'|`(?:[^`\\]++|\\.|``)*+`|"(?:[^"\\]++|\\.|"")*+"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<word>\w+)
    |(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}
_ESCAPE = re.compile(r"\\x[0-9a-fA-F]{2}|\\.|''|``|\"\"", re.DOTALL)
_MAYBE_OUTPUT = re.compile(r"\b(?:format|outfile)\b", re.IGNORECASE)
_NO_ALIAS_BEFORE = {"FROM", "JOIN", "AS", "SELECT", ",", ".", "("}
_DATA_FOLLOWS = {"SELECT", "WITH", "FROM", "WATCH", "VALUES", "FORMAT"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word (upper case), a quoted text or a sign (as they are), where it stands, and in how many brackets."""

    text: str
    start: int
    end: int
    depth: int
    quoted: bool


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows the client sends as blocks.

    `head` is the statement up to its data, `target` the table or function, `columns` the list in brackets
    (None: all that may be inserted).
    """

    head: str
    target: str
    columns: str | None


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a statement, without blanks and comments."""
    depth = 0
    for found in _TOKEN.finditer(sql):
        if found["blank"]:
            continue
        text, quoted = found[0], found["quoted"] is not None
        depth -= text in (")", "]")
        yield Token(text if quoted else text.upper(), found.start(), found.end(), depth, quoted)
        depth += text in ("(", "[")


def first_word(sql: str) -> str:
    """The statement's first word, upper case; empty if there is none."""
    return next((token.text for token in tokens(sql) if token.text != "("), "")


def without_output(sql: str) -> str:
    """The statement without a FORMAT clause: the client gets blocks. Refused (48) with INTO OUTFILE."""
    if not _MAYBE_OUTPUT.search(sql):
        return sql
    found = [t for t in tokens(sql) if t.text != ";"]
    for before, token in pairwise(found):
        if (before.text, token.text) == ("INTO", "OUTFILE"):
            raise Refused(
                NOT_IMPLEMENTED, "INTO OUTFILE writes no file here: read the rows and write it. (NOT_IMPLEMENTED)"
            )
    for i in range(1, len(found) - 1):
        if found[i].text == "FORMAT" and _ends_with_format(found, i):
            return sql[: found[i].start] + sql[found[i + 1].end :]
    return sql


def _ends_with_format(found: list[Token], i: int) -> bool:
    last = i + 2 == len(found) or found[i + 2].text == "SETTINGS"
    name = found[i + 1]
    return last and not found[i].depth and found[i - 1].text not in _NO_ALIAS_BEFORE and name.text.isidentifier()


def without_end(sql: str) -> str:
    """The statement up to its last token, without semicolons."""
    return sql[: max((token.end for token in tokens(sql) if token.text != ";"), default=0)]


def insert_of_blocks(sql: str) -> Insert | None:
    """The INSERT whose rows the client sends; None for any other statement, also one that brings its own rows."""
    if first_word(sql) != "INSERT":
        return None
    cursor = _Cursor(tokens(sql))
    while cursor.here and cursor.next() != "INTO":
        pass
    function = False
    while cursor.text in ("TABLE", "FUNCTION"):
        function = cursor.next() == "FUNCTION"
    start, end = cursor.start, cursor.skip_name()
    if function:
        end = cursor.skip_brackets()
    columns = None
    if cursor.text == "(":
        opened = cursor.start + 1
        columns = sql[opened : cursor.skip_brackets() - 1]
        if first_word(columns) in ("SELECT", "WITH"):
            return None
    head_end = cursor.skip_to_data(len(sql))
    return None if head_end is None else Insert(sql[:head_end], sql[start:end], columns)


class _Cursor:
    """Where reading a statement's tokens stands."""

    def __init__(self, found: Iterator[Token]) -> None:
        self._found = found
        self.here = next(found, None)

    @property
    def text(self) -> str:
        return self.here.text if self.here else ""

    @property
    def start(self) -> int:
        return self.here.start if self.here else 0

    def next(self) -> str:
        """Go on by one; the text of the token left behind."""
        left = self.text
        self.here = next(self._found, None)
        return left

    def skip_name(self) -> int:
        """Go past a name such as `database.table`; where it ends."""
        end = 0
        while self.here:
            end = self.here.end
            self.next()
            if self.text != ".":
                break
            self.next()
        return end

    def skip_brackets(self) -> int:
        """Go past a bracket and all in it; where it ends."""
        depth = self.here.depth if self.here else 0
        while self.here and not (self.text == ")" and self.here.depth == depth):
            self.next()
        end = self.here.end if self.here else 0
        self.next()
        return end

    def skip_to_data(self, end: int) -> int | None:
        """Where the data's keyword, or the statement, ends the head; None if the rows are not the client's to send."""
        while self.here and self.text != ";":
            if not self.here.depth and not self.here.quoted and self.text in _DATA_FOLLOWS:
                end, keyword = self.start, self.next()
                if keyword == "FORMAT":
                    self.next()
                elif keyword != "VALUES":
                    return None
                break
            self.next()
        else:
            end = self.start if self.here else end
        while self.text == ";":
            self.next()
        return None if self.here else end


def names(columns: str) -> list[str] | None:
    """The names of a list of columns; None if it is more than a list (`* EXCEPT (x)`)."""
    found: list[str] = []
    name = ""
    for token in [*tokens(columns), Token(",", 0, 0, 0, False)]:
        if token.text == "," and not token.depth:
            found.append(name)
            name = ""
        elif token.quoted or re.fullmatch(r"\w+|\.", token.text):
            name += _unquoted(token.text) if token.quoted else columns[token.start : token.end]
        else:
            return None
    return found if all(found) else None


def _unquoted(text: str) -> str:
    quote, inner = text[0], text[1:-1]
    return _ESCAPE.sub(lambda found: _character(found[0], quote), inner)


def _character(escape: str, quote: str) -> str:
    if escape[0] != "\\":
        return quote if escape == quote * 2 else escape
    return chr(int(escape[2:], 16)) if len(escape) == 4 else _ESCAPES.get(escape[1], escape[1])


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def unquoted_value(text: str) -> str:
    """A parameter's value as clients send it, quoted, as the text to parse."""
    return _unquoted(text) if len(text) > 1 and text[0] == text[-1] == "'" else text


def name(text: str) -> str:
    """A name as SQL writes it."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
