"""Secrets are compared in one place, by hashes of one length, and nowhere with `==`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[4]
FILES: Final = sorted(
    str(path.relative_to(ROOT))
    for folder in ("ingress/access", "ingress/http", "schemas/vendor_kit")
    for path in (ROOT / folder).rglob("*.py")
)
SECRET_NAMES: Final = frozenset(
    {"secret", "secrets", "second_secret", "key", "keys", "token", "password", "digest", "signature", "signatures", "proof", "login", "wanted"}
)  # fmt: skip
NO_SECRETS: Final = frozenset({"ingress/http/accept.py", "schemas/vendor_kit/contract.py"})
"""Files in which these words mean something else: a Kafka key."""


def secret_comparisons(tree: ast.Module) -> Iterator[str]:
    """Yields each comparison by value of something that is named as a secret is; its length may be compared."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        for operator, (one, other) in zip(
            node.ops, zip([node.left, *node.comparators], node.comparators, strict=False), strict=True
        ):
            if isinstance(operator, ast.Eq | ast.NotEq) and {name_of(one), name_of(other)} & SECRET_NAMES:
                yield f"{node.lineno}: {ast.unparse(node)}"


def name_of(node: ast.expr) -> str:
    """Returns the last part of a name; `x.secret.value` is a secret, and so is `secrets[0]`."""
    match node:
        case ast.Attribute(value=below, attr="value"):
            return name_of(below)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Subscript(value=below):
            return name_of(below)
    return ""


@pytest.mark.parametrize("name", [name for name in FILES if name not in NO_SECRETS])
def test_no_secret_is_compared_by_value(name: str) -> None:
    assert list(secret_comparisons(ast.parse((ROOT / name).read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    [
        "given == secret",
        "check.secret.value != given",
        "secrets[0] == x",
        "1 if signature == spelt else 2",
        "a < b == token",
    ],
)
def test_such_a_comparison_is_found(line: str) -> None:
    assert list(secret_comparisons(ast.parse(line)))


def test_only_two_places_compare_secrets() -> None:
    """Everything else asks `is_any`, or `signs` of a vendor's own check."""
    found = {name for name in FILES if "compare_digest" in (ROOT / name).read_text("utf-8")}
    assert found == {"ingress/access/comparing.py", "schemas/vendor_kit/signatures.py"}
