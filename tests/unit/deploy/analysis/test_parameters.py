"""Parameters of questions: what the server would misread is refused, with its name, and times are those of UTC."""

import pytest

from deploy.analysis.asking import all_questions
from deploy.analysis.parameters import checked
from schemas.errors import CallweaveError

TYPES = {
    "top": "UInt32",
    "hour": "UInt8",
    "share": "Float64",
    "from": "DateTime('UTC')",
    "to": "DateTime('UTC')",
    "id": "String",
}


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("top", "4294967295", "4294967295"),
        ("hour", " 22 ", "22"),
        ("share", "0.5", "0.5"),
        ("share", "1", "1"),
        ("from", "2026-03-01", "2026-03-01 00:00:00"),
        ("from", "2026-03-01 08:30", "2026-03-01 08:30:00"),
        ("from", "2026-03-01T08:30:00Z", "2026-03-01 08:30:00"),
        ("from", "2026-03-01 08:30:00+08:00", "2026-03-01 00:30:00"),
        ("id", " it's; DROP TABLE calls --\n\\", " it's; DROP TABLE calls --\n\\"),
        ("id", "", ""),
    ],
)
def test_a_value_is_sent_as_the_server_reads_it(name: str, value: str, read: str) -> None:
    assert checked({name: value}, TYPES) == {name: read}


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        *(("top", value, "a whole number from 0 to 4294967295") for value in ("", "-1", "1.5", "4294967296", "1; x", "²")),
        ("hour", "300", "a whole number from 0 to 255"),
        *(("share", value, "a number") for value in ("", "nan", "inf", "half", "0,5")),
        *(
            ("from", value, "a time in UTC, as 2026-03-01 or 2026-03-01 08:00:00,")
            for value in ("", "2026-02-30", "2026-13-01", "2026-03-01 25:00:00", "yesterday", "1960-01-01", "2200-01-01")
        ),
    ],
)  # fmt: skip
def test_a_value_that_the_server_would_misread_is_refused_by_name(name: str, value: str, wanted: str) -> None:
    with pytest.raises(CallweaveError) as refused:
        checked({name: value}, TYPES)
    assert str(refused.value).startswith(f"--param {name}={value!r}: {wanted} is wanted")
    assert refused.value.code == "usage"


@pytest.mark.parametrize("to", ["2026-03-01", "2026-02-28 23:59:59"])
def test_a_time_that_ends_before_it_begins_is_refused(to: str) -> None:
    with pytest.raises(CallweaveError, match="from=2026-03-01 00:00:00 is not before to="):
        checked({"from": "2026-03-01", "to": to}, TYPES)


@pytest.mark.parametrize("question", all_questions().values(), ids=all_questions())
def test_every_type_of_a_question_is_checked_and_its_examples_are_good(question: object) -> None:
    types, examples = question.types, question.examples  # type: ignore[attr-defined]
    assert set(types.values()) <= {*TYPES.values()}
    assert checked(examples, types) == dict(examples)
