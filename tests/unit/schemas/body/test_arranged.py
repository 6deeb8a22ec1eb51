"""A document of which it is said that nothing is to be arranged is one that the arranger leaves as it is."""

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.body.arrange import Arranger, is_arranged
from schemas.body.charset import Text
from schemas.body.json_text import Marked
from schemas.body.member_keys import words_of
from schemas.config.limits import DEFAULT
from schemas.errors import Undecodable
from schemas.facts import Flag

WORDS: Final = words_of({"record": ("id", "to")}, {"cdr": ()}, ("page",), {})
NESTED: Final = words_of({"record": ("id", "to")}, {}, (), {"to": ("number",)})
SCALARS: Final = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "null", '{"id":1}', "[", "应答"])
KEYS: Final = st.sampled_from(["id", "to", "page", "cdr", "CDR", " id", "Id", "other"])
DOCUMENTS: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
TEXTS: Final = st.sampled_from([Text("{}"), Text('{"id":"\\ud800"}'), Text("x" * (DEFAULT.text_chars + 1))])


@given(
    DOCUMENTS | st.builds(lambda known: Marked(known, frozenset({Flag.DUP_KEY})), st.just({"id": 1})),
    TEXTS,
    st.booleans(),
)
@settings(max_examples=400)
def test_the_arranger_would_change_nothing(document: Any, text: Text, nested: bool) -> None:  # noqa: FBT001 - a case
    words = NESTED if nested else WORDS
    before = repr(document)
    if not is_arranged(document, text, words, DEFAULT):
        return
    arranger = Arranger(text, words, DEFAULT)

    assert repr(arranger.document(document)) == before
    assert (arranger.flags, arranger.is_odd) == (set(), False)


@given(st.fixed_dictionaries({"cdr": st.lists(DOCUMENTS, max_size=4)}) | DOCUMENTS)
@settings(max_examples=400)
def test_brackets_that_are_counted_say_what_the_values_say(document: Any) -> None:
    """A text with just as many brackets as its elements need spares a look at each value."""
    counted = Text(json.dumps(document, ensure_ascii=False))

    assert is_arranged(document, counted, WORDS, DEFAULT) is is_arranged(document, Text("{}"), WORDS, DEFAULT)


def test_one_element_and_elements_in_their_envelope_are_arranged() -> None:
    documents: list[dict[str, Any]] = [{"id": "7", "to": None}, {"cdr": [{"id": "7"}, {"to": 8}]}, {"cdr": []}, {}]
    for document in documents:
        assert is_arranged(document, Text("{}"), WORDS, DEFAULT)


def test_more_elements_than_a_body_may_have_are_not() -> None:
    document = {"cdr": [{"id": 1}] * (DEFAULT.elements + 1)}

    assert not is_arranged(document, Text("{}"), WORDS, DEFAULT)
    with pytest.raises(Undecodable, match="elements"):
        Arranger(Text("{}"), WORDS, DEFAULT).document(document)
