"""The words of `make audit` about what pip-audit printed: never silence where nothing was asked."""

import json
from typing import Any

import pytest

from tests.deployment.audit import FOUND, NOT_ASKED, outcome


def printed(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(packages), "fixes": []})


@pytest.mark.parametrize(
    ("text", "error", "code", "said"),
    [
        (printed({"name": "aiohttp", "version": "3", "vulns": []}), "", 0, "1 packages, 0 known"),
        (printed({"name": "aiohttp", "version": "3", "vulns": [{"id": "PYSEC-1"}]}), "", FOUND, "aiohttp 3: PYSEC-1"),
        ("", "ERROR: Max retries exceeded", NOT_ASKED, "could not be asked, so nothing is known: ERROR: Max retries"),
        ("", "", NOT_ASKED, "could not be asked"),
        ("[]", "", NOT_ASKED, "could not be asked"),
        (printed({"name": "aiohttp", "skip_reason": "not found"}), "", NOT_ASKED, "1 packages could not be looked up"),
    ],
    ids=["nothing found", "one found", "no network", "silence", "another form", "one skipped"],
)
def test_the_outcome_is_said(text: str, error: str, code: int, said: str) -> None:
    found, sentence = outcome(text, error)

    assert found == code
    assert said in sentence
