"""Who may ask: names and passwords from headers, basic authentication or the address, as ClickHouse takes them. Pure.

chDB has no users of its own, so these guard the door and nothing behind it.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may send queries."""

    password: str = ""
    readonly: int = 0
    """0: everything; 1: read only; 2: read only, but settings may be changed."""


DEFAULT_USERS: Final[Mapping[str, User]] = {"default": User()}


def read_users(raw: bytes) -> dict[str, User]:
    """Users from JSON: `{"name": {"password": "...", "readonly": 2}}`."""
    return msgspec.json.decode(raw, type=dict[str, User])


def authenticate(
    users: Mapping[str, User], headers: Mapping[str, str], address: Mapping[str, str]
) -> tuple[str, User | None]:
    """The name that was given, and its user when the password is right; `headers` must ignore case."""
    name, password = _given(headers, address)
    user = users.get(name)
    # Compared in any case, so that the time taken does not tell which names exist.
    right = hmac.compare_digest((user.password if user else "").encode(), password.encode())
    return name, user if right else None


def _given(headers: Mapping[str, str], address: Mapping[str, str]) -> tuple[str, str]:
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name or "default", password
    return address.get("user", "default"), address.get("password", "")
