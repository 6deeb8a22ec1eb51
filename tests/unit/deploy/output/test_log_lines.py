"""A log line is one line, with its fields, and without the text of exceptions or characters that control a terminal."""

import json
import logging
from collections.abc import Callable

import pytest

from deploy.output.log_limit import LINES_PER_WINDOW, WINDOW_S, LogLimit
from deploy.output.log_lines import JsonLines, TextLines
from schemas.errors import SetupError, Unavailable

AT = 1774958096.5  # 2026-03-31T11:54:56.500Z
SECRET = "POST /v1/a/c0ffee11c0ffee11/ytx?caller=13800000000"


def record(
    text: str, *args: object, name: str = "callweave.ingress", error: BaseException | None = None
) -> logging.LogRecord:
    made = logging.LogRecord(
        name, logging.WARNING, __file__, 1, text, args, (type(error), error, error.__traceback__) if error else None
    )
    made.created = AT
    return made


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Returns the error as one that was raised here, after its cause."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def repeated(text: str, *args: object) -> logging.LogRecord:
    """Returns the line that counts those that were left out."""
    limit = LogLimit(("aiokafka",))
    for number in range(LINES_PER_WINDOW + 2):
        made = record(text, *args, name="aiokafka.client")
        made.created += WINDOW_S if number > LINES_PER_WINDOW else 0.0
        passes = limit.filter(made)
    assert passes
    assert "more like it" in made.getMessage()
    return made


def test_a_line_for_people() -> None:
    line = TextLines().format(record("request status=%d ms=%.1f", 403, 1.25))

    assert line == "2026-03-31T11:54:56.500Z WARNING callweave.ingress request status=403 ms=1.2"


def test_a_line_for_collectors_has_its_fields() -> None:
    line = json.loads(JsonLines("ingress").format(record("request id=%s status=%d ms=%.1f", "a1", 403, 1.25)))

    assert line == {
        "time": "2026-03-31T11:54:56.500Z",
        "level": "WARNING",
        "logger": "callweave.ingress",
        "part": "ingress",
        "message": "request id=a1 status=403 ms=1.2",
        "fields": {"id": "a1", "status": 403, "ms": 1.25},
    }


@pytest.mark.parametrize(
    ("text", "args", "fields"),
    [
        pytest.param("no values", (), None, id="none"),
        pytest.param("100%% of %d", (3,), None, id="a value without a name"),
        pytest.param("a=%s and b=%s", ("x", None), {"a": "x", "b": None}, id="two"),
        pytest.param("%s stopped lag_s=%d", ("poller", 3), {"lag_s": 3}, id="one of two"),
        pytest.param("share=%d%% of=%s", (5, "all"), {"share": 5, "of": "all"}, id="a percent sign"),
        pytest.param("where=%s", ([1, 2],), {"where": "[1, 2]"}, id="an object is its text"),
    ],
)
def test_fields_are_the_named_values(text: str, args: tuple[object, ...], fields: dict[str, object] | None) -> None:
    assert json.loads(JsonLines("sink").format(record(text, *args))).get("fields") == fields


FOREIGN: dict[str, Callable[[], logging.LogRecord]] = {
    "an exception with a request": lambda: record("failed", error=raised(ValueError(SECRET))),
    "the cause of one": lambda: record("failed", error=raised(RuntimeError("x"), ValueError(SECRET))),
    "one of ours, and its cause": lambda: record("failed", error=raised(Unavailable("away"), OSError(SECRET))),
    "an exception as a value": lambda: record("cannot: %s", ValueError(SECRET)),
    "an exception as an object": lambda: record("cannot: %r", ValueError(SECRET)),
    "an object that asyncio shows": lambda: record(
        f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{SECRET}')>", name="asyncio"
    ),
    "a callback that asyncio shows": lambda: record(
        f"Exception in callback Protocol.data_received(b'{SECRET}')\nhandle: <Handle>", name="asyncio"
    ),
    "a line that was repeated": lambda: repeated("cannot: %s", ValueError(SECRET)),
}


@pytest.mark.parametrize("form", [TextLines(), JsonLines("ingress")], ids=["text", "json"])
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_what_an_exception_quotes_is_in_no_line(make: Callable[[], logging.LogRecord], form: logging.Formatter) -> None:
    line = form.format(make())

    assert "c0ffee" not in line
    assert "13800000000" not in line


@pytest.mark.parametrize("form", [TextLines(), JsonLines("ingress")], ids=["text", "json"])
@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "\u202eright to left", "\r\n2026 INFO forged", "\x00"])
def test_a_line_is_one_line_and_controls_no_terminal(text: str, form: logging.Formatter) -> None:
    line = form.format(record("client %s", text))

    assert line.isprintable()


def test_an_exception_is_told_by_its_type_and_place() -> None:
    line = TextLines().format(record("failed", error=raised(RuntimeError("x"), ConnectionResetError(104, "reset"))))

    assert "RuntimeError at test_log_lines.py:" in line
    assert "raised; after ConnectionResetError: reset" in line


def test_our_own_sentences_stay_with_their_advice() -> None:
    line = TextLines().format(record("%s", SetupError("no room", advice="Free some.")))

    assert line.endswith("no room | Free some.")
