"""The lists in `schemas/README.md` are those of the code, and every member has one sentence."""

from enum import StrEnum

import pytest

from deploy.admin.contract_lists import ENUMS, FILE, dead_codes, document, sentences
from schemas import enums
from schemas.enums import Flag
from schemas.errors import DEAD_CODES

LISTED_ENUMS: tuple[type[StrEnum], ...] = (Flag, *ENUMS)
LISTED = {
    **{f"{enum.__name__}.{value}": text for enum in LISTED_ENUMS for value, text in sentences(enum).items()},
    **{f"code {code}": text for code, text in dead_codes().items()},
}


def test_the_lists_are_those_of_the_code() -> None:
    """After a new flag, code, member or topic: `python -m deploy.admin.contract_lists`."""
    assert FILE.read_text(encoding="utf-8") == document()


def test_every_enum_and_every_code_is_listed() -> None:
    declared = {
        value for value in vars(enums).values() if isinstance(value, type) and value.__module__ == enums.__name__
    }

    assert declared == set(LISTED_ENUMS)
    assert set(dead_codes()) == DEAD_CODES


@pytest.mark.parametrize("name", LISTED)
def test_a_member_has_one_sentence(name: str) -> None:
    sentence = LISTED[name]

    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "\n" not in sentence
