"""Text from outside as a terminal gets it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.output.printable import printable

CASES = {
    "plain text": ("not JSON", "not JSON"),
    "another script": ("应答|正常 José \u3000x\u00a0", "应答|正常 José \u3000x\u00a0"),
    "a colour": ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
    "a title of the window": ("\x1b]0;title\x07", r"\u001b]0;title\u0007"),
    "one character that begins a sequence": ("\x9b2J", r"\u009b2J"),
    "a new line that looks like a letter of its own": ("a\ncalls.raw/0/1", r"a\u000acalls.raw/0/1"),
    "a carriage return over the line": ("a\rb", r"a\u000db"),
    "a tab": ("a\tb", r"a\u0009b"),
    "a backspace": ("a\x08b", r"a\u0008b"),
    "delete": ("a\x7fb", r"a\u007fb"),
    "nothing": ("a\x00b", r"a\u0000b"),
    "embeddings and overrides": ("\u202a\u202b\u202c\u202d\u202e", r"\u202a\u202b\u202c\u202d\u202e"),
    "isolates": ("\u2066\u2067\u2068\u2069", r"\u2066\u2067\u2068\u2069"),
    "marks of direction": ("\u200e\u200f\u061c", r"\u200e\u200f\u061c"),
    "line and paragraph separators": ("\u2028\u2029", r"\u2028\u2029"),
    "nothing to see": ("\u200b\ufeff\u00ad", r"\u200b\ufeff\u00ad"),
    "invisible tags": ("\U000e0041", r"\udb40\udc41"),
    "half a pair": ("\ud800", r"\ud800"),
}


@pytest.mark.parametrize(("sent", "shown"), CASES.values(), ids=CASES)
def test_what_could_steer_a_terminal_is_written_out(sent: str, shown: str) -> None:
    assert printable(sent) == shown


@given(st.text())
def test_what_is_shown_steers_nothing_and_json_stays_what_it_says(sent: str) -> None:
    shown = printable(sent)
    assert all(char.isprintable() or char.isspace() for char in shown)
    assert not set(shown) & {
        chr(n) for n in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    }
    whole = json.dumps({"a": [sent, {"b": sent}]}, indent=2, ensure_ascii=False)
    assert json.loads(printable(whole, keep="\n")) == json.loads(whole)
