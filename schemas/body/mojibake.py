"""Mends text that was UTF-8 and was then read as Latin-1 or Windows-1252 on its way: `åº”ç­”` for `应答`.

Reading it back is safe: real Latin-1 text is not valid UTF-8 when it is written out again. Pure: no I/O, no clock.
"""

import re
from typing import Final

# Windows-1252 as browsers and databases read it: the five bytes that it leaves out map to themselves.
_WINDOWS: Final = {
    ord(bytes([byte]).decode("cp1252")): chr(byte) for byte in range(0x80, 0xA0) if byte not in b"\x81\x8d\x8f\x90\x9d"
}
_LEAD_AND_TAIL: Final = re.compile("[Â-ô][\x80-\xbf" + "".join(map(chr, _WINDOWS)) + "]")


def mended(text: str) -> str:
    """Returns the text read back when that works, else the very same object."""
    if not _LEAD_AND_TAIL.search(text):
        return text
    try:
        return text.translate(_WINDOWS).encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text
