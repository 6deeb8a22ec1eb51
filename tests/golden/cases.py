"""Golden cases: `<vendor>/<callback>-<case>.json` is a vendor's request, `<same>.expected.json` its outcome.

A request has `body` (text) or `body_base64`, `received_at`, and optionally `headers` (`content_type`,
`content_encoding`), `account`, `accounts` (name to external ids of the configured accounts) and `source`.
An outcome has `facts` (fields that differ from their default, without provenance), `dead` (code and element) and
`filtered` (reasons); a key without entries is left out. `pytest --update-golden` writes outcomes; a person reviews them.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

import msgspec

from processors.normalise import Directory, Normalised, directory, normalise
from schemas.body.document import BodyFormat
from schemas.body.xml_text import read_xml
from schemas.config.limits import Limits
from schemas.config.settings import Account
from schemas.errors import Undecodable
from schemas.facts import Fact, Leg
from schemas.raw import Position, RawCallback
from schemas.vendors import VENDORS

HERE: Final = Path(__file__).parent
LIMITS: Final = Limits(inflate_bytes=1024 * 1024)

_XML_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_POSITION: Final = Position("calls.raw", 0, 7)
_PROVENANCE: Final = frozenset(
    {
        "fact_id",
        "slot_at",
        "slot_certain",
        "content_digest",
        "adapter_version",
        "schema_version",
        "version",
        "received_at",
        "request_id",
        "raw_topic",
        "raw_partition",
        "raw_offset",
        "raw_element",
        "raw_sha256",
    }
)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One request and the outcome that it must have."""

    name: str
    path: Path
    """The request's file."""
    raw: RawCallback
    accounts: Directory
    expected: dict[str, Any]
    """The outcome's file, {} when there is none yet."""


def vendor_folders() -> list[Path]:
    """Returns the folders that hold cases."""
    return sorted(path for path in HERE.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def all_cases() -> list[Case]:
    """Returns every case of every vendor, sorted by name."""
    return [load(path) for folder in vendor_folders() for path in requests_in(folder)]


def requests_in(folder: Path) -> list[Path]:
    """Returns the request files of one vendor."""
    return sorted(path for path in folder.glob("*.json") if not path.name.endswith(".expected.json"))


def load(path: Path) -> Case:
    """Reads a request and its outcome."""
    asked = json.loads(path.read_text(encoding="utf-8"))
    outcome = outcome_path(path)
    body = base64.b64decode(asked["body_base64"]) if "body_base64" in asked else asked["body"].encode()
    vendor = path.parent.name
    accounts = asked.get("accounts", {})
    raw = RawCallback(
        vendor=vendor,
        callback=path.name.partition("-")[0],
        account=asked.get("account", ""),
        received_at=datetime.fromisoformat(asked["received_at"]),
        request_id="golden",
        source=asked.get("source", "push"),
        body=body,
        **asked.get("headers", {}),
    )
    return Case(
        name=f"{vendor}/{path.stem}",
        path=path,
        raw=raw,
        accounts=directory(
            tuple(Account(vendor=vendor, name=name, external_ids=tuple(ids)) for name, ids in accounts.items())
        ),
        expected=json.loads(outcome.read_text(encoding="utf-8")) if outcome.exists() else {},
    )


def outcome_path(request: Path) -> Path:
    """Returns the file of a request's outcome."""
    return request.with_suffix(".expected.json")


def written(outcome: dict[str, Any]) -> str:
    """Returns an outcome as its file has it: sorted keys and two spaces, so that the same outcome is the same file."""
    return json.dumps(outcome, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def body_format(case: Case) -> BodyFormat:
    """Returns the format that the case's callback documents for its bodies."""
    return next(one.body for one in VENDORS[case.raw.vendor].callbacks if one.name == case.raw.callback)


def document_of(case: Case) -> Any:
    """Returns the document in a body that is plain in its vendor's format, each key once; raises ValueError if it is not.

    Of a form that is the dict of its parameters. Half a surrogate pair is no plain JSON.
    """
    if body_format(case) == "xml":
        try:
            return read_xml(case.raw.body.decode("utf-8"), LIMITS)
        except Undecodable as exc:
            raise ValueError(str(exc)) from exc
    if body_format(case) == "form":
        pairs = parse_qsl(case.raw.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a parameter twice")
        return dict(pairs)
    json.dumps(json.loads(case.raw.body), ensure_ascii=False).encode()
    return json.loads(case.raw.body, parse_float=str, object_pairs_hook=_each_once)


def body_of(case: Case, document: Any) -> bytes:
    """Returns a document as a body in the format of the case's vendor."""
    if body_format(case) == "form" and isinstance(document, dict):
        return urlencode(document, errors="replace").encode()
    if body_format(case) == "xml" and isinstance(document, dict):
        return _xml("record", document).encode("utf-8", "replace")
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _xml(name: str, value: Any) -> str:
    """Returns a value as an XML element; a key that is no name of XML gets one."""
    if isinstance(value, list):
        return "".join(_xml(name, item) for item in value)
    name = name if _XML_NAME.fullmatch(name) else "field"
    if isinstance(value, dict):
        inner = "".join(_xml(key, item) for key, item in value.items())
    else:
        inner = escape(_NO_XML.sub("?", "" if value is None else str(value)))
    return f"<{name}>{inner}</{name}>"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def run(raw: RawCallback, accounts: Directory | None = None) -> Normalised:
    """Normalises one body."""
    return normalise(raw, _POSITION, accounts or Directory(), LIMITS)


def shown(outcome: Normalised) -> dict[str, Any]:
    """Returns an outcome in the form of `.expected.json`."""
    parts = {
        "facts": [shown_fact(fact) for fact in outcome.facts],
        "dead": [{"code": dead.code, "element": dead.element} for dead in outcome.dead],
        "filtered": list(outcome.filtered),
    }
    return {name: part for name, part in parts.items() if part}


def shown_fact(fact: Fact) -> dict[str, Any]:
    """Returns a fact's fields that differ from their defaults, without provenance, as JSON has them."""
    return {name: value for name, value in _set_fields(fact).items() if name not in _PROVENANCE}


def _set_fields(struct: Fact | Leg) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.required or value != _default(field):
            found[field.name] = _plain(value)
    return found


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _plain(value: Any) -> Any:
    if isinstance(value, Leg):
        return _set_fields(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return str(value)
    return msgspec.to_builtins(value)
