"""Writes a new vendor's file and its first golden case from a body that the vendor has sent.

The file has the order of all vendor files and lists every field of the body. It is found, routed and keyed at once; its
mapping refuses every element in a clear sentence until a person has decided on it.
"""

import base64
import importlib.util
import json
import keyword
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import schemas.vendors
from processors.normalise import Directory, normalise
from schemas.body import xml_text
from schemas.body.charset import label_of, text_of
from schemas.body.document import BodyFormat, decode
from schemas.body.wire import form_of, unwrapped
from schemas.config.limits import DEFAULT
from schemas.errors import SetupError, Undecodable
from schemas.raw import Position, RawCallback
from schemas.vendor_kit.contract import Vendor
from schemas.vendors import VENDORS

CALLBACK: Final = "push"
CASE: Final = f"{CALLBACK}-captured"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CALL_ID: Final = re.compile(r"call_?(id|sid|uuid)|session_?id|request_?id|(call_?)?uuid|cdr_?id|id", re.IGNORECASE)
_PEEKS: Final[Mapping[BodyFormat, str]] = {"json": "peek_text", "form": "peek_form", "xml": "peek_xml"}


class Captured(NamedTuple):
    """The parts of a captured body that a vendor's file declares."""

    body_format: BodyFormat
    holder: str
    """The envelope's key that holds the elements, "" when the body is the element or a list of them."""
    beside: tuple[str, ...]
    """The envelope's other keys."""
    fields: tuple[str, ...]
    """The keys of all elements, in the order of their first appearance."""
    call_id: str
    """The field that names the call, by its name, "" when none looks like it."""


def create(root: Path, name: str, body: bytes, content_type: str, now: datetime) -> tuple[Path, Path]:
    """Writes the file and the folder below `root`, the checkout, and returns their paths.

    Raises SetupError for a name that cannot be one or is taken, for a place that is no checkout, and for a body that
    cannot be read.
    """
    _check_name(name)
    file, folder = root / "schemas" / "vendors" / f"{name}.py", root / "tests" / "golden" / name
    if not file.parent.is_dir() or not folder.parent.is_dir():
        raise SetupError(
            f"{root} is no checkout of this project",
            code="usage",
            advice="Run it from a clone: it writes source files.",
        )
    for path in (file, folder):
        if path.exists():
            raise SetupError(f"{path} exists, and is not overwritten", code="usage")
    raw = RawCallback(
        vendor=name, callback=CALLBACK, received_at=now, request_id="", content_type=content_type, body=body
    )
    try:
        captured = examined(raw)
    except Undecodable as exc:
        raise SetupError(f"the body cannot be read: {exc}", code="usage") from exc
    file.write_text(source(name, captured), encoding="utf-8")
    folder.mkdir()
    outcome = normalise(raw, Position("calls.raw", 0, 0), Directory(), DEFAULT, {name: declared(file, name)})
    dead = [{"code": one.code, "element": one.element} for one in outcome.dead]
    _write_json(folder / f"{CASE}.json", _request(raw))
    _write_json(folder / f"{CASE}.expected.json", {"dead": dead} if dead else {})
    return file, folder


def here() -> Path:
    """Returns the directory that holds this project's packages."""
    return Path(schemas.vendors.__file__).parents[2]


def declared(file: Path, name: str) -> Vendor:
    """Returns the vendor that a file declares."""
    spec = importlib.util.spec_from_file_location(f"schemas.vendors.{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vendor = module.VENDOR
    assert isinstance(vendor, Vendor)
    return vendor


def examined(raw: RawCallback) -> Captured:
    """Returns what a body shows of its format and its fields; raises Undecodable."""
    body_format, document = _document(raw)
    holder, beside = "", tuple[str, ...]()
    elements = document if isinstance(document, list) else [document]
    if isinstance(document, Mapping):
        held = [name for name, value in document.items() if _elements_in(value)]
        if len(held) == 1:
            (holder,) = held
            elements = _elements_in(document[holder])
            beside = tuple(name for name in document if name != holder)
    if not elements or not all(isinstance(element, Mapping) for element in elements):
        raise Undecodable("no object with fields is in it", code="shape")
    values = {name: value for element in reversed(elements) for name, value in element.items()}
    fields = tuple(dict.fromkeys(name for element in elements for name in element))
    named = [name for name in fields if _CALL_ID.fullmatch(name) and isinstance(values[name], str | int)]
    call_id = min(named, key=lambda name: name.lower() == "id", default="")
    return Captured(body_format, holder, beside, fields, call_id)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise SetupError(
            f"{name!r} is no name for a vendor",
            code="usage",
            advice="Lower-case letters, digits and _, a letter first.",
        )
    if name in VENDORS:
        raise SetupError(f"the vendor {name} exists: schemas/vendors/{name}.py", code="usage")


def _document(raw: RawCallback) -> tuple[BodyFormat, Any]:
    """Returns a body's format, by its look and its content type, and its document."""
    body, _ = unwrapped(raw.body, raw.content_encoding, DEFAULT)
    if xml_text.begins_xml(body):
        label = label_of(raw.content_type) or xml_text.declared_encoding(body)
        return "xml", xml_text.read_xml(text_of(body, label).without_bad_bytes().text, DEFAULT)
    form = form_of(body, raw.content_type, (), DEFAULT.keys)
    if form is not None and form.members:
        return "form", {
            name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in form.members
        }
    return "json", decode(raw, ()).document


def _elements_in(value: Any) -> list[Any]:
    """Returns the elements that a value of an envelope holds: a list of objects, or one object."""
    found = value if isinstance(value, list) else [value]
    return found if found and all(isinstance(item, Mapping) for item in found) else []


def _request(raw: RawCallback) -> dict[str, Any]:
    """Returns the golden request of a body."""
    head = {"headers": {"content_type": raw.content_type}} if raw.content_type else {}
    received_at = raw.received_at.replace(microsecond=0).isoformat()
    try:
        body = {"body": raw.body.decode("utf-8")}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(raw.body).decode()}
    return {**body, **head, "received_at": received_at}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def source(name: str, captured: Captured) -> str:
    """Returns the text of a vendor's file."""
    peek, call_id = _PEEKS[captured.body_format], captured.call_id
    title = name.replace("_", " ").title()
    holder = _quoted(captured.holder)
    body_format = "" if captured.body_format == "json" else f'            body="{captured.body_format}",\n'
    envelope = "" if not captured.holder else f"            holders={{{holder}: ()}},\n"
    also = "" if not captured.beside else f"            also={_tuple(captured.beside, indent=12)},\n"
    held = (
        f'document[{holder}], "a list of records", {holder}' if captured.holder else 'document, "a record (an object)"'
    )
    guard = _HOLDER_GUARD.format(holder=holder) if captured.holder else ""
    chosen = f"chosen by its name: `{call_id}`" if call_id.isidentifier() else "not found by its name"
    return _TEMPLATE.format(
        title=title,
        name=name,
        peek_import=f"from schemas.body.peek import {peek}\n" if call_id else "",
        mapping_import="from collections.abc import Mapping\n" if captured.holder else "",
        fields=_tuple(captured.fields),
        chosen=chosen,
        call_id=_quoted(call_id),
        key=f"return {peek}(body, _CALL_ID)" if call_id else _NO_KEY,
        argument="body" if call_id else "_body",
        guard=guard,
        held=held,
        callback=CALLBACK,
        body_format=body_format,
        envelope=envelope,
        also=also,
    )


def _quoted(text: str) -> str:
    """Returns a text as Python source, in double quotes unless only single ones need no escape."""
    inner = repr(text)
    if "'" in text or '"' not in text:
        inner = inner[1:-1].replace("\\'", "'").replace('"', '\\"') if inner.startswith("'") else inner[1:-1]
        return f'"{inner}"'
    return inner


def _tuple(names: tuple[str, ...], indent: int = 0) -> str:
    """Returns a tuple of texts as Python source, a line for each as soon as there are two."""
    if len(names) == 1:
        return f"({_quoted(names[0])},)"
    inner = "".join(f"{' ' * (indent + 4)}{_quoted(name)},\n" for name in names)
    return f"(\n{inner}{' ' * indent})"


_HOLDER_GUARD: Final = """    if not isinstance(document, Mapping) or {holder} not in document:
        return Elements(items=listed(document, "a record (an object)"))
"""
_NO_KEY: Final = '''"""Returns "": no field of the captured body has the name of a call id."""
    return ""'''
_TEMPLATE: Final = '''"""{title}: made from one captured body; say here in one line what this vendor reports.

Document: name and version of the vendor's own document, and its replies, retries and signature.

Decisions that only that document can settle, each at its place below:
- `_CALL_ID` is the field that names a call; it was {chosen}.
- `_TELLTALES` are fields that no other vendor's payload has: a body without any of them is refused.
- `accepted`, `retry` and `sends_at_most` in the declaration.
- `_fact` has a column for each field; `schemas/facts.py` explains the columns, `schemas/vendor_kit` has the readers.
- `_IS_MAPPED` becomes True when `_fact` is right; until then each element is a dead letter, to be replayed afterwards.

Known lies and gaps: none is known yet.
"""

{mapping_import}from typing import Any, Final

{peek_import}from schemas.errors import Undecodable
from schemas.facts import Fact, FactType, Kind
from schemas.vendor_kit.contract import Callback, Context, Element, Elements, Mapped, Reply, Vendor
from schemas.vendor_kit.fields import Fields
from schemas.vendor_kit.nested import listed
from schemas.vendor_kit.plausibility import account_of

_NAME: Final = "{name}"
_IS_MAPPED: bool = False

RECORD_FIELDS: Final = {fields}
_CALL_ID: Final = {call_id}
_TELLTALES: Final = RECORD_FIELDS


def _key({argument}: bytes) -> str:
    {key}


def _elements(document: Any) -> Elements:
{guard}    return Elements(items=listed({held}))


def _normalise(element: Element, ctx: Context) -> Mapped:
    fields = Fields(element, ctx.received_at, documented=RECORD_FIELDS)
    if not any(name in element for name in _TELLTALES):
        raise Undecodable("not a record of this vendor", code="wrong_kind")
    call_id = fields.need(_CALL_ID, code="no_id")
    if not _IS_MAPPED:
        raise Undecodable("this vendor is not mapped yet: see _fact in its file", code="wrong_kind")
    return Mapped(fact=_fact(fields, call_id, ctx), dedupe=(call_id,), key_account=ctx.account)


def _fact(fields: Fields, call_id: str, ctx: Context) -> Fact:
    """Maps one record; a field without a column of its own stays an extra."""
    return Fact(
        fact_type=FactType.RECORD,
        vendor=_NAME,
        kind=Kind.SOFTPHONE_CDR,
        account_id=account_of(fields, "", ctx, ""),
        vendor_call_id=call_id,
        time_precision=fields.time_precision,
        extras=fields.extras(),
        quality_flags=tuple(sorted(fields.flags)),
    )


VENDOR = Vendor(
    name=_NAME,
    title="{title}",
    adapter_version=1,
    callbacks=(
        Callback(
            name="{callback}",
            path="",
            key=_key,
            elements=_elements,
            normalise=_normalise,
{body_format}            documented={{"record": RECORD_FIELDS}},
{envelope}{also}        ),
    ),
    accepted=Reply(status=200),
    retry=Reply(status=503),
    sends_at_most=0,
)
'''
