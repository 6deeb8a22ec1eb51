"""Makes a request's head one that aiohttp parses: no byte in a header's value may cost the body that comes with it.

RFC 9110 (5.5) lets a recipient keep control characters or replace them, and aiohttp refuses them; it refuses as well a second
header of a kind of which one is enough. What frames a request (its first line, lengths, codings, line ends) is never mended:
where that is odd, two readers may see two requests. Pure: bytes in, bytes out; what need not change comes back as it is.
"""

import re
from typing import Final

_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {*b"\t\r\n"})
_REPLACED: Final = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))
"""Not by a space: `chunked` with a control character behind it must not become `chunked`."""
_ONE_IS_ENOUGH: Final = re.compile(
    rb"\n(content-type|content-location|content-range|etag|max-forwards|server|user-agent):", re.IGNORECASE
)
_END: Final = b"\r\n\r\n"


def mended(data: bytes) -> bytes:
    """What a socket gave at the beginning of a request; a head that is not whole in it is left as it is."""
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
    """The header lines with one of each such kind, in which all values stand, as a list does."""
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
