import pytest

from deploy.admin.flag_list import FILE, document, sentences
from schemas.facts import Flag


def test_the_list_is_the_enum() -> None:
    """Run `python -m deploy.admin.flag_list` after a new flag."""
    assert FILE.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("flag", Flag)
def test_a_flag_has_one_sentence(flag: Flag) -> None:
    sentence = sentences()[flag]

    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "\n" not in sentence
