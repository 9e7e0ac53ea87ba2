"""What has to be known of a statement before chDB has it: little, and found by its words, not by a parser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from sql.embedded.errors import NOT_IMPLEMENTED, Refused

#: A quoted text that does not end goes to the statement's end, as the engine has it: so no byte is looked at again for
#: each quote before it.
_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|\#[\ !][^\n]*)|(?P<comment>/\*)
    |(?P<quoted>'(?:[^'\\]++|\\.|'')*+(?:'|\\?\Z)|`(?:[^`\\]++|\\.|``)*+(?:`|\\?\Z)|"(?:[^"\\]++|\\.|"")*+(?:"|\\?\Z))
    |(?P<tag>\$\w*\$)
    |(?P<word>\w+)
    |(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)
_TAG = re.compile(r"(?=(\$\w*\$))")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
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


@dataclass(frozen=True, slots=True)
class RowsInsert:
    """An INSERT whose rows stand after it, in `form`, from the place `data` on; `head` is without `settings`."""

    insert: Insert
    head: str
    settings: str
    form: str
    data: int


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a statement, without blanks and comments."""
    depth = end = 0
    last_tags: dict[str, int] | None = None
    while found := _TOKEN.match(sql, end):
        end = found.end()
        if found["comment"]:
            end = _comment_end(sql, end)
            continue
        if found["blank"]:
            continue
        quoted = found["quoted"] is not None
        if tag := found["tag"]:
            last_tags = last_tags or {each[1]: each.start() for each in _TAG.finditer(sql)}
            quoted = last_tags[tag] >= end
            end = sql.index(tag, end) + len(tag) if quoted else found.start() + 1
        text = sql[found.start() : end]
        depth -= text in (")", "]")
        yield Token(text if quoted else text.upper(), found.start(), end, depth, quoted)
        depth += text in ("(", "[")


def _comment_end(sql: str, pos: int) -> int:
    """Where the comment ends that opened before `pos`: comments stand in comments."""
    opened = 1
    for edge in _COMMENT_EDGE.finditer(sql, pos):
        opened += 1 if edge[0] == "/*" else -1
        if not opened:
            return edge.end()
    return len(sql)


def first_word(sql: str) -> str:
    """The statement's first word, upper case; empty if there is none."""
    return next((token.text for token in tokens(sql) if token.text != "("), "")


def after_describe(sql: str) -> str:
    """What a DESCRIBE statement describes: a table, a function, a query in brackets."""
    found = list(tokens(sql))
    skipped = 2 if len(found) > 2 and found[1].text == "TABLE" else 1
    return sql[found[skipped].start :] if len(found) > skipped else ""


def after_use(sql: str) -> str:
    """The database that a USE statement names; empty if it is none."""
    found = [token for token in tokens(sql) if token.text != ";"]
    if not found or found[0].text != "USE":
        return ""
    listed = names(" ".join(sql[token.start : token.end] for token in found[1:] if token.text != "DATABASE"))
    return listed[0] if listed and len(listed) == 1 else ""


def without_output(sql: str) -> str:
    """The statement without a FORMAT clause: the client gets blocks. Refused (48) with INTO OUTFILE."""
    return output_of(sql)[0]


def output_of(sql: str) -> tuple[str, str]:
    """The statement without its FORMAT clause, and the format (empty: none). Refused (48) with INTO OUTFILE."""
    if not _MAYBE_OUTPUT.search(sql):
        return sql, ""
    found = [t for t in tokens(sql) if t.text != ";"]
    for before, token in pairwise(found):
        if (before.text, token.text) == ("INTO", "OUTFILE"):
            raise Refused(
                NOT_IMPLEMENTED, "INTO OUTFILE writes no file here: read the rows and write it. (NOT_IMPLEMENTED)"
            )
    for i in range(1, len(found) - 1):
        if found[i].text == "FORMAT" and _ends_with_format(found, i):
            return sql[: found[i].start] + sql[found[i + 1].end :], sql[found[i + 1].start : found[i + 1].end]
    return sql, ""


def _ends_with_format(found: list[Token], i: int) -> bool:
    last = i + 2 == len(found) or found[i + 2].text == "SETTINGS"
    name = found[i + 1]
    return last and not found[i].depth and found[i - 1].text not in _NO_ALIAS_BEFORE and name.text.isidentifier()


def without_end(sql: str) -> str:
    """The statement up to its last token, without semicolons."""
    return sql[: max((token.end for token in tokens(sql) if token.text != ";"), default=0)]


def insert_of_blocks(sql: str) -> Insert | None:
    """The INSERT whose rows the client sends; None for any other statement, also one that brings its own rows."""
    found = insert_of_rows(sql)
    return found.insert if found and not any(token.text != ";" for token in tokens(sql[found.data :])) else None


def insert_of_rows(sql: str) -> RowsInsert | None:
    """The INSERT whose rows stand after it; None for any other statement, also INSERT … SELECT."""
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
    settings = cursor.start if cursor.text == "SETTINGS" else None
    return cursor.rows_after(sql, Insert("", sql[start:end], columns), settings)


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

    def rows_after(self, sql: str, insert: Insert, settings: int | None) -> RowsInsert | None:
        """Go to where the data begins: after VALUES or FORMAT x, or at the statement's end; None: it is a query."""
        while self.here and self.text != ";" and not (self._is_word and self.text in _DATA_FOLLOWS):
            self.next()
        head_end, data, form = self.start if self.here else len(sql), len(sql), ""
        if self.here and self.text != ";":
            keyword, data = self.text, self.here.end
            self.next()
            if keyword == "FORMAT" and self.here:
                form, data = sql[self.here.start : self.here.end], self.here.end
            elif keyword != "VALUES":
                return None
        cut = head_end if settings is None else settings
        return RowsInsert(replace(insert, head=sql[:head_end]), sql[:cut], sql[cut:head_end], form or "Values", data)

    @property
    def _is_word(self) -> bool:
        return self.here is not None and not self.here.depth and not self.here.quoted


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
