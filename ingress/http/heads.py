"""Mends a request's head so that aiohttp parses it: no byte in a header's value may cost the body that comes with it.

RFC 9110 (section 5.5) lets a recipient keep control characters or replace them, but aiohttp refuses them; it also
refuses a second header of a kind of which one is enough. The parts that frame a request (its first line, lengths,
codings, line ends) are never mended: where those are odd, two readers may see two requests. Pure: bytes in, bytes out.
"""

import re
from typing import Final

_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {*b"\t\r\n"})
_REPLACED: Final = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))
"""Replaced by "?" and not by a space: `chunked` with a control character behind it must not become `chunked`."""
_ONE_IS_ENOUGH: Final = re.compile(
    rb"\n(content-type|content-location|content-range|etag|max-forwards|server|user-agent):", re.IGNORECASE
)
_END: Final = b"\r\n\r\n"


def mended(data: bytes) -> bytes:
    """Returns the first bytes of a request with its head mended; a head that is not whole in them is left as it is."""
    end = data.find(_END)
    first = data.find(b"\r\n", 0, end)
    if first <= 0:
        return data
    head = data[first:end]
    names = [name.lower() for name in _ONE_IS_ENOUGH.findall(head)]
    odd = len(head.translate(None, _CONTROLS)) != len(head)
    if not odd and len(names) == len(set(names)):
        return data
    if odd:
        head = head.translate(_REPLACED)
    return data[:first] + _without_copies(head) + data[end:]


def _without_copies(head: bytes) -> bytes:
    """Returns the header lines with one line of each such kind, which lists all values of it."""
    lines: list[list[bytes]] = []
    place: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\r\n"):
        found = _ONE_IS_ENOUGH.match(b"\n" + line)
        name = found[1].lower() if found else b""
        if name and name in place:
            place[name].append(line.partition(b":")[2].strip(b" \t"))
            continue
        lines.append([line])
        if name:
            place[name] = lines[-1]
    return b"\r\n".join(b", ".join(filter(None, values)) for values in lines)
