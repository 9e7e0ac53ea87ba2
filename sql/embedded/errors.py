"""What the endpoint says to a client instead of a result: ClickHouse's code, and its text."""

import re

#: ClickHouse's codes that the endpoint itself gives, or that HTTP has a status for.
CANNOT_PARSE_TEXT = 6
CANNOT_PARSE_INPUT = 27
BAD_ARGUMENTS = 36
UNKNOWN_FUNCTION = 46
UNKNOWN_IDENTIFIER = 47
NOT_IMPLEMENTED = 48
LOGICAL_ERROR = 49
UNKNOWN_TYPE = 50
TYPE_MISMATCH = 53
UNKNOWN_TABLE = 60
SYNTAX_ERROR = 62
UNKNOWN_FORMAT = 73
UNKNOWN_DATABASE = 81
UNEXPECTED_PACKET = 101
UNKNOWN_SETTING = 115
TIMEOUT = 159
READONLY = 164
REQUIRED_PASSWORD = 194
TOO_MANY_QUERIES = 202
SAME_ID_RUNS = 216
TOO_DEEP = 306
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
QUERY_WAS_CANCELLED = 394
SETTING_OUT_OF_RANGE = 452
UNKNOWN_PARAMETER = 456
ACCESS_DENIED = 497
WRONG_LOGIN = 516

_TEXT = re.compile(r"Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)
_LOST = "the statement failed, and why was lost on the way: its text quotes a value that is not UTF-8"
_VERSION = re.compile(r" \(version [\d.]+\)\.?(?: \(\w+\))?$")


class Refused(Exception):
    """A statement that failed: `code` is ClickHouse's, `text` what went wrong, with the code's name at its end."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text}")
        self.code = code
        self.text = text


class Malformed(Exception):
    """The client sent what is no packet of the protocol; its connection ends."""


class Vanished(Exception):
    """The client closed its connection, or fell silent in the middle of a packet."""


def refusal(error: Exception) -> Refused:
    """chDB's error as ClickHouse's: it comes as text, sometimes with the code twice."""
    said = error.object.decode(errors="replace") if isinstance(error, UnicodeDecodeError) else str(error)
    found = _TEXT.search(said)
    if not said.removeprefix("Streaming query failed: ").strip():
        # with some builds of Python chDB loses a text that is no UTF-8, and ClickHouse's code with it
        return Refused(LOGICAL_ERROR, f"{_LOST} (LOGICAL_ERROR)")
    if not found:
        return Refused(LOGICAL_ERROR, f"{said} (LOGICAL_ERROR)")
    inner = _TEXT.match(found[2])
    code, text = (inner or found).groups()
    return Refused(int(code), _VERSION.sub("", text))
