"""What the endpoint sees in a statement before chDB has it."""

import pytest

from sql.embedded.errors import Refused
from sql.embedded.statement import (
    Insert,
    first_word,
    insert_of_blocks,
    names,
    quoted,
    tokens,
    unquoted_value,
    without_end,
    without_output,
)


@pytest.mark.parametrize(
    "head, data, target, columns",
    [
        ("INSERT INTO t ", "VALUES", "t", None),
        ("insert into db.t (a, b) ", "values;", "db.t", "a, b"),
        ("INSERT INTO TABLE `a b`.`t)` (`x`) ", "FORMAT Native", "`a b`.`t)`", "`x`"),
        ("INSERT INTO t (a)", "", "t", "a"),
        ("INSERT INTO t", ";", "t", None),
        ("INSERT INTO t (a) -- VALUES (1)\n", "VALUES", "t", "a"),
        ("INSERT INTO t SETTINGS a = 1, b = 'VALUES' ", "VALUES", "t", None),
        ("INSERT INTO FUNCTION null('a UInt8, (x)') (a) ", "VALUES", "null('a UInt8, (x)')", "a"),
        ("/* one */ INSERT INTO t (* EXCEPT (a)) ", "VALUES /* none */", "t", "* EXCEPT (a)"),
    ],
)
def test_inserts_whose_rows_the_client_sends(head: str, data: str, target: str, columns: str | None) -> None:
    assert insert_of_blocks(head + data) == Insert(head, target, columns)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t (a) VALUES\n  (1), (2)",
        "INSERT INTO t FORMAT CSV\n1\n2",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) SELECT a FROM v FORMAT Null",
        "INSERT INTO t (a) WITH 1 AS x SELECT x",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "",
        "-- INSERT INTO t VALUES",
    ],
)
def test_statements_that_bring_their_rows(sql: str) -> None:
    assert insert_of_blocks(sql) is None


@pytest.mark.parametrize(
    "columns, expected",
    [
        ("a, `b c`, \"d\"", ["a", "b c", "d"]),
        ("n.a, `it``s`, `x\\`y`", ["n.a", "it`s", "x`y"]),
        ("단계", ["단계"]),
        ("* EXCEPT (a)", None),
        ("a,", None),
    ],
)  # fmt: skip
def test_names_of_columns(columns: str, expected: list[str] | None) -> None:
    assert names(columns) == expected


@pytest.mark.parametrize(
    "sql, left",
    [
        ("SELECT 1 FORMAT JSON", "SELECT 1 "),
        ("SELECT 1 format Native;", "SELECT 1 ;"),
        ("SELECT 1 FORMAT CSV SETTINGS a = 1", "SELECT 1  SETTINGS a = 1"),
        ("SELECT 'FORMAT JSON'", "SELECT 'FORMAT JSON'"),
        ("SELECT 1 -- FORMAT JSON", "SELECT 1 -- FORMAT JSON"),
        ("SELECT a AS format FROM t", "SELECT a AS format FROM t"),
        ("SELECT * FROM format f", "SELECT * FROM format f"),
        ("SELECT format('{}', a) FROM t", "SELECT format('{}', a) FROM t"),
    ],
)
def test_a_format_is_left_out(sql: str, left: str) -> None:
    assert without_output(sql) == left


def test_no_file_is_written() -> None:
    for sql in ("SELECT 1 INTO OUTFILE '/x'", "select 1 into/**/outfile '/x' FORMAT CSV"):
        with pytest.raises(Refused, match="INTO OUTFILE"):
            without_output(sql)
    assert without_output("SELECT 'INTO OUTFILE x'") == "SELECT 'INTO OUTFILE x'"


def test_ends_and_first_words() -> None:
    assert without_end("SELECT ';' ; -- done\n;") == "SELECT ';'"
    assert first_word(" -- no\n (/* a */ (select 1))") == "SELECT"
    assert first_word("/* /* */ select -- */ drop table t") == "DROP"  # comments stand in comments
    assert first_word("/* open select") == first_word("") == ""


@pytest.mark.parametrize("text", ["", "it's", "a\\b", "\n\t\0", '한글`"', "\\x41 ''"])
def test_quoting_goes_both_ways(text: str) -> None:
    assert unquoted_value(quoted(text)) == text


def test_parameters_are_unquoted_once() -> None:
    assert unquoted_value(r"'a\'b\\n\x41'") == r"a'b\nA"
    assert unquoted_value("5") == "5"


@pytest.mark.parametrize(
    "sql, expected",
    [
        ("'a '' \\' b' c", ["'a '' \\' b'", "C"]),
        ("$$a $b$ c$$ d", ["$$a $b$ c$$", "D"]),
        ("$x$a $$ $y$ $x$ d", ["$x$a $$ $y$ $x$", "D"]),
        ("$x$a $y$", ["$", "X", "$", "A", "$", "Y", "$"]),
        ("a 'b c", ["A", "'b c"]),
        ("a `b \\", ["A", "`b \\"]),
    ],
)
def test_quoted_texts(sql: str, expected: list[str]) -> None:
    assert [token.text for token in tokens(sql)] == expected


@pytest.mark.parametrize("part", ["\\'", "'\\'", "`\\`\\", "$a{n}", "$$ $a{n}$", "(", "/*", "a.", "--\n"])
def test_no_statement_takes_for_ever_to_be_read(part: str) -> None:
    """By the square of its length, 200,000 bytes take many minutes."""
    sql = "'" * part.startswith("\\") + "".join(part.replace("{n}", str(n)) for n in range(200_000 // len(part)))
    assert sum(1 for _ in tokens(sql)) <= len(sql)
