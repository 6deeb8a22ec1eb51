"""Bodies of up to a megabyte that ask for far more work than their length; each with its request."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

MEGABYTE: Final = 1_000_000
_FORM: Final = "application/x-www-form-urlencoded"


class Hostile(NamedTuple):
    """A body and its request."""

    body: Callable[[], bytes]
    vendor: str = "nxcloud"
    encoding: str = ""
    content_type: str = ""


def _nx(value: bytes) -> bytes:
    return b'{"sessionid":"x","show_phone":"1","start_time":' + value + b"}"


def _yx(value: bytes) -> bytes:
    record = (
        b'{"requestid":"x","fid":"4","caller":"1","called":"2","oriamount":' + value + b',"duration":' + value + b"}"
    )
    return b'{"cdr":[' + record + b"]}"


def _filled(start: bytes, piece: bytes, end: bytes = b"", size: int = MEGABYTE) -> bytes:
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


def _keys(form: str, size: int = MEGABYTE) -> bytes:
    made = (form % number for number in range(size // (len(form) + 5)))
    return b'{"sessionid":"x","show_phone":"1",' + ",".join(made).encode() + b"}"


def _numbers() -> dict[str, Hostile]:
    return {
        "an absurd exponent": Hostile(lambda: _nx(b"1e2999999999")),
        "an absurd exponent, negative": Hostile(lambda: _nx(b"-1e-2999999999")),
        "an absurd exponent in every amount": Hostile(lambda: _yx(b"1e2999999999"), "ytx"),
        "the largest exponent that is read": Hostile(lambda: _yx(b"9e127"), "ytx"),
        "many absurd exponents": Hostile(lambda: _nx(_filled(b"[1", b",1e2999999999", b"]", MEGABYTE - 100))),
        "a million digits": Hostile(lambda: _nx(b"1" * MEGABYTE)),
        "a million digits in amounts": Hostile(lambda: _yx(b"1" * (MEGABYTE // 2 - 100)), "ytx"),
        "a million places": Hostile(lambda: _nx(b"1." + b"1" * MEGABYTE)),
        "a million digits as text": Hostile(lambda: _yx(b'"' + b"1" * (MEGABYTE // 2 - 100) + b'"'), "ytx"),
        "numbers of 4,000 digits": Hostile(lambda: _nx(_filled(b"[1", b"," + b"7" * 4000, b"]", MEGABYTE - 100))),
        "numbers of 128 digits": Hostile(lambda: _nx(_filled(b"[1", b"," + b"7" * 128, b"]", MEGABYTE - 100))),
        "an amount with spaces in it": Hostile(lambda: _yx(b'"1' + b" " * (MEGABYTE // 2 - 100) + b'2"'), "ytx"),
        "a time with spaces in it": Hostile(lambda: _nx(b'"2026-01-01' + b" " * (MEGABYTE - 100) + b'x"')),
        "a million minus signs": Hostile(lambda: _nx(b"-" * MEGABYTE)),
    }


def _texts() -> dict[str, Hostile]:
    ligature = "\ufdfa".encode()  # NFKC makes eighteen characters of it
    phone = b'{"sessionid":"x","show_phone":"'
    return {
        "a million letters": Hostile(lambda: _nx(b'"' + b"x" * MEGABYTE + b'"')),
        "ligatures that grow": Hostile(lambda: _filled(phone, ligature, b'"}')),
        "ligatures that grow, compressed": Hostile(
            lambda: gzip.compress(phone + ligature * MEGABYTE + b'"}'), encoding="gzip"
        ),
        "half characters": Hostile(lambda: _filled(phone, b"\\ud800", b'"}')),
        "whole characters of two halves": Hostile(
            lambda: _filled(b'{"sessionid":"x","phone":[""', b',"\\ud83d\\ude00"', b"]}")
        ),
        "bad bytes": Hostile(lambda: _filled(phone, b"\xff\xff", b'"}')),
        "bad bytes, each alone": Hostile(lambda: _filled(phone, b"\xffa", b'"}')),
        "bad bytes, few": Hostile(lambda: _filled(phone, b"\xff" + b"a" * 20, b'"}')),
        "bytes with the high bit": Hostile(
            lambda: phone + bytes(b | 128 for b in random.Random(1).randbytes(MEGABYTE)) + b'"}'
        ),
        "any bytes": Hostile(lambda: random.Random(2).randbytes(MEGABYTE)),
        "GBK": Hostile(lambda: _filled(phone, "应".encode("gbk"), b'"}')),
        "GBK with bad bytes": Hostile(lambda: _filled(phone, "应答应答应答".encode("gbk") + b"\xff", b'"}')),
        "UTF-8 that says Latin-1": Hostile(
            lambda: _filled(phone, "应".encode(), b'"}'), content_type="a/b;charset=latin1"
        ),
        "UTF-8 read as Latin-1 once": Hostile(lambda: _filled(phone, "Ã©".encode(), b'"}')),
        "UTF-16 without a mark": Hostile(lambda: ('{"a":"' + "应" * (MEGABYTE // 2 - 10) + '"}').encode("utf-16-le")),
        "white space": Hostile(lambda: b" \r\n\t" * (MEGABYTE // 4)),
        "NULs": Hostile(lambda: bytes(MEGABYTE)),
        "semicolons": Hostile(lambda: b";" * MEGABYTE),
        "HTML": Hostile(lambda: b"<a>" * (MEGABYTE // 3)),
    }


def _structures() -> dict[str, Hostile]:
    levels = 100_000
    return {
        "half a million zeros": Hostile(lambda: _filled(b"[0", b",0", b"]"), "ytx"),
        "five million zeros, compressed": Hostile(lambda: gzip.compress(_filled(b"[0", b",0", b"]", 10 * MEGABYTE)), "ytx", "gzip"),
        "ten megabytes of empty texts, compressed": Hostile(lambda: gzip.compress(_filled(b'[""', b',""', b"]", 10 * MEGABYTE)), "ytx", "gzip"),
        "empty lists": Hostile(lambda: _filled(b"[[]", b",[]", b"]"), "ytx"),
        "empty objects": Hostile(lambda: _filled(b"[{}", b",{}", b"]"), "ytx"),
        "as many values as are taken": Hostile(lambda: _nx(b"[0" + b",0" * 159_000 + b"]")),
        "as many objects as are taken": Hostile(lambda: _nx(b"[{}" + b',{"":{}}' * 53_000 + b"]")),
        "as many elements as are taken": Hostile(lambda: b"[{}" + b",{}" * 4_999 + b"]"),
        "as many records as are taken": Hostile(lambda: b"[" + b",".join(b'{"sessionid":"%d","show_phone":""}' % n for n in range(2_400)) + b"]"),
        "lists in lists": Hostile(lambda: b"[" * levels),
        "lists in lists, closed": Hostile(lambda: b"[" * levels + b"]" * levels),
        "objects in objects": Hostile(lambda: b'{"a":' * levels),
        "lists in objects": Hostile(lambda: b'{"a":[' * levels),
        "900 levels in a record": Hostile(lambda: _nx(b"[" * 900 + b"]" * 900)),
        "levels in a text of JSON": Hostile(lambda: json.dumps({"subscriptionId": "1", "bindResponse": '{"a":' * levels}).encode(), "huawei"),
        "texts in texts in texts": Hostile(lambda: json.dumps(json.dumps(json.dumps('{"a":"' + "x" * 400_000 + '"'))).encode()),
        "texts that look like elements": Hostile(lambda: b"[" + b",".join([b'"{\\"a\\""'] * 4_999) + b"]"),
        "many keys": Hostile(lambda: _keys('"k%d":0')),
        "many keys with spaces": Hostile(lambda: _keys('" k%d ":0')),
        "many keys like repeated ones": Hostile(lambda: _keys('"phone#%d":0,"phone":0')),
        "equal keys": Hostile(lambda: _filled(b'{"sessionid":"x","show_phone":"1"', b',"phone":0', b"}")),
        "equal keys in another case": Hostile(lambda: _filled(b'{"sessionid":"x","show_phone":"1"', b',"Phone":0', b"}")),
        "keys of every case": Hostile(lambda: _filled(b'{"sessionid":"x","show_phone":"1"', b',"PHONE":0,"Phone":1', b"}")),
        "a key of a million letters": Hostile(lambda: _filled(b'{"sessionid":"x","show_phone":"1","', b"k", b'":0}')),
    }  # fmt: skip


def _repairs() -> dict[str, Hostile]:
    wanting = {
        "quotes": b'"', "quotes and spaces": b'" ', "texts": b'"a"', "keys": b'"a" :', "numbers and texts": b'1 "a"', "closers": b"}", "commas": b",",
        "commas and closers": b",]", "empty objects": b"}{", "backslashes": b"\\", "escaped quotes": b'\\"', "half strings": b'"\\', "spaces": b" ",
        "commas and spaces": b",   ", "a text each line": b'"a":"b"\n', "signs of ours": b"\x01", "numbers and spaces": b"1 ", "words": b"null\t",
    }  # fmt: skip
    return {
        **{f"an object of {name}": Hostile(partial(_filled, b"{", piece)) for name, piece in wanting.items()},
        **{f"a list of {name}": Hostile(partial(_filled, b"[", piece)) for name, piece in wanting.items()},
        **{f"a text of {name}": Hostile(partial(_filled, b'{"a":"', piece)) for name, piece in wanting.items()},
        "one repair after much": Hostile(
            lambda: _filled(b'{"sessionid":"x","show_phone":"1"', b',"a":"b"', b',"c":1 "d":""}')
        ),
        "lines": Hostile(lambda: b"{}\n" * 100_000),
        "lines, every other one broken": Hostile(lambda: b'{"a":1}\n{bad\n' * 50_000),
        "few lines, nearly all broken": Hostile(lambda: b'{"a":1}\n{"b":2}\n' + b'{"a":"\n' * 4_990),
        "lines, half of them broken": Hostile(lambda: b'{"a":1}\n{"a" 1\n' * 2_490),
        "empty lines": Hostile(lambda: b"{}" + b"\n" * MEGABYTE + b"{"),
    }


def _wrappings() -> dict[str, Hostile]:
    empty = zlib.compress(b"")
    layers = BODY
    for _ in range(100):
        layers = zlib.compress(layers)
    return {
        "a form of ampersands": Hostile(lambda: b"a=1" + b"&" * MEGABYTE),
        "a form of parameters": Hostile(lambda: _filled(b"sessionid=1", b"&a=1"), content_type=_FORM),
        "a form of percent signs": Hostile(lambda: _filled(b"cdr=", b"%41")),
        "a form of percent signs in its own keys": Hostile(
            lambda: _filled(b"sessionid=1&phone=", b"%E5"), content_type=_FORM
        ),
        "a form of plus signs": Hostile(lambda: _filled(b"cdr=%7B", b"+")),
        "a form's name": Hostile(lambda: _filled(b"", b"%41", b"=1"), content_type=_FORM),
        "empty members": Hostile(lambda: _filled(b"", empty), "ytx", "deflate"),
        "empty members, undeclared": Hostile(lambda: _filled(b"", gzip.compress(b"")), "ytx"),
        "empty members, compressed again": Hostile(lambda: zlib.compress(empty * 2_000_000), "ytx", "deflate, deflate"),
        "a hundred layers": Hostile(lambda: layers, "ytx", ", ".join(["deflate"] * 100)),
        "a hundred layers, undeclared": Hostile(lambda: layers, "ytx"),
        "a gigabyte of NULs": Hostile(lambda: gzip.compress(gzip.compress(bytes(1 << 24)) * 60), "ytx", "gzip, gzip"),
        "one member after another": Hostile(lambda: gzip.compress(b"[0,0]") * 30_000, "ytx", "gzip"),
        "padding after a member": Hostile(lambda: gzip.compress(b"{}") + bytes(MEGABYTE), "ytx", "gzip"),
        "noise that says gzip": Hostile(
            lambda: b"\x1f\x8b\x08\x00" + random.Random(3).randbytes(MEGABYTE), "ytx", "gzip"
        ),
        "noise that says Base64": Hostile(lambda: b"H4sI" + b"A" * MEGABYTE, "ytx", "gzip,base64"),
        "Base64 that nobody declares": Hostile(lambda: b"eJ" + b"A" * MEGABYTE, "ytx"),
        "many encodings": Hostile(lambda: BODY, encoding=",".join(["gzip"] * 10_000)),
        "ten megabytes of spaces, compressed": Hostile(lambda: gzip.compress(b" " * 10 * MEGABYTE), encoding="gzip"),
    }


BODY: Final = b'{"sessionid":"x","show_phone":"1"}'
HOSTILE: Final = {**_numbers(), **_texts(), **_structures(), **_repairs(), **_wrappings()}
