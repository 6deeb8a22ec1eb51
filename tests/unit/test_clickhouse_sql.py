"""Where an INSERT's data begin and which format an answer has, found without ClickHouse's grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.clickhouse.sql import answer_format, first_word, identifier, quoted, split_insert

INSERTS = [
    pytest.param(
        b"INSERT INTO t FORMAT Native\n\x00\xff", "INSERT INTO t ", "Native", b"\x00\xff", id="a line break ends it"
    ),
    pytest.param(
        b"INSERT INTO t FORMAT Native\r\n\n", "INSERT INTO t ", "Native", b"\n", id="one line break and no more"
    ),
    pytest.param(b"insert into d.t (a, b) format CSV 1,2", "insert into d.t (a, b) ", "CSV", b"1,2", id="on one line"),
    pytest.param(b"INSERT INTO t VALUES (1)", "INSERT INTO t ", "Values", b" (1)", id="values"),
    pytest.param(b"INSERT INTO `values` VALUES(1)", "INSERT INTO `values` ", "Values", b"(1)", id="a quoted table"),
    pytest.param(b"INSERT INTO values VALUES(1)", "INSERT INTO values ", "Values", b"(1)", id="a table named so"),
    pytest.param(
        b"INSERT INTO d.format FORMAT CSV\n1", "INSERT INTO d.format ", "CSV", b"1", id="a table named format"
    ),
    pytest.param(
        b"INSERT INTO t (format, `)`) FORMAT CSV\n1", "INSERT INTO t (format, `)`) ", "CSV", b"1", id="odd columns"
    ),
    pytest.param(b"INSERT INTO TABLE t FORMAT CSV\n1", "INSERT INTO TABLE t ", "CSV", b"1", id="TABLE"),
    pytest.param(
        b"INSERT INTO FUNCTION remote('x', d.t) FORMAT CSV\n1",
        "INSERT INTO FUNCTION remote('x', d.t) ",
        "CSV",
        b"1",
        id="FUNCTION",
    ),
    pytest.param(
        b"INSERT INTO t SETTINGS a='FORMAT x' FORMAT CSV\n1",
        "INSERT INTO t ",
        "CSV",
        b"1",
        id="settings",
    ),
    pytest.param(
        b"INSERT INTO settings (settings) SETTINGS a=1 VALUES (1)",
        "INSERT INTO settings (settings) ",
        "Values",
        b" (1)",
        id="a table and a column named settings",
    ),
    pytest.param(
        b"-- FORMAT a\n/* b */INSERT INTO t FORMAT CSV\n1",
        "-- FORMAT a\n/* b */INSERT INTO t ",
        "CSV",
        b"1",
        id="comments",
    ),
]


@pytest.mark.parametrize(("text", "statement", "name", "data"), INSERTS)
def test_an_insert_ends_where_its_data_begin(text: bytes, statement: str, name: str, data: bytes) -> None:
    found = split_insert(text)

    assert found is not None
    assert (found.statement, found.format, text[found.data_at :]) == (statement, name, data)


def test_the_settings_of_an_insert_stand_apart() -> None:
    """The engine wants them behind the place of the data, clients write them before the format."""
    found = split_insert(b"INSERT INTO t (a) SETTINGS a='FORMAT x', b=1 FORMAT CSV\n1")

    assert found is not None
    assert found.settings == "SETTINGS a='FORMAT x', b=1 "


NO_DATA = [
    pytest.param(b"SELECT 1 FORMAT CSV", id="no insert"),
    pytest.param(b"INSERT INTO t SELECT 1 FORMAT CSV", id="from a selection"),
    pytest.param(b"INSERT INTO t (a) WITH 1 AS x SELECT x", id="from a selection with WITH"),
    pytest.param(b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", id="from a file"),
    pytest.param(b"INSERT INTO t", id="nothing at all"),
    pytest.param(b"", id="no text"),
]


@pytest.mark.parametrize("text", NO_DATA)
def test_a_statement_without_data_of_its_own_goes_to_the_engine_whole(text: bytes) -> None:
    assert split_insert(text) is None


ANSWERS = [
    pytest.param(b"SELECT 1", None, id="none"),
    pytest.param(b"SELECT 1 FORMAT JSON", "JSON", id="plain"),
    pytest.param(b"select 1 format JSON ;\n", "JSON", id="semicolon"),
    pytest.param(b"SELECT 1 FORMAT JSON SETTINGS a=1", "JSON", id="settings"),
    pytest.param(b"SELECT 'FORMAT CSV' AS format FROM t", None, id="a column named format"),
    pytest.param(b"SELECT format FROM t FORMAT CSV", "CSV", id="both"),
    pytest.param(b"SELECT (SELECT 1 FORMAT CSV)", None, id="in brackets"),
    pytest.param(b"SELECT 1 -- FORMAT CSV", None, id="in a comment"),
]


@pytest.mark.parametrize(("text", "expected"), ANSWERS)
def test_the_format_of_an_answer_is_the_statements_own(text: bytes, expected: str | None) -> None:
    assert answer_format(text) == expected


@given(st.binary())
def test_any_bytes_are_read_without_an_error(text: bytes) -> None:
    split_insert(text)
    answer_format(text)
    first_word(text)
    found = split_insert(b"INSERT INTO t FORMAT Native\n" + text)

    assert found is not None
    assert found.data_at == len(b"INSERT INTO t FORMAT Native\n")


@given(st.text(), st.text())
def test_quoting_hides_whatever_is_quoted(value: str, name: str) -> None:
    text = f"SELECT {quoted(value)} AS {identifier(name)} FORMAT CSV"

    assert answer_format(text.encode()) == "CSV"
