"""Finds unread fields that hold a verification code, which is never kept outside the raw body.

A code and a phone number together open somebody's account. Must not know a vendor. Pure: no I/O, no clock.
"""

import re
from typing import Final

# Names in lower case, of letters and digits alone.
_NAMES: Final = re.compile(
    r"\w*(?:captcha|verif|validat|authcode|验证码|yanzheng)\w*|yzm\w*|\w*otp|otp\w*|(?:v|sms|msg|voice|play|check|valid|dynamic|random|pass"
    r"|pin|secret|secure|security|identify|identifying|confirm|confirmation|login|safe|tts|speech)?"
    r"(?:codes?|pin|passwd|password|pwd)(?:num|number|text|value|content|str)?[0-9]*"
)
_PHRASES: Final = re.compile(
    r"验证码|校验码|动态码|verification code|captcha|one[ -]time (?:code|password)", re.IGNORECASE
)
_CODE: Final = re.compile(r"[0-9]{4,8}")
_INNER_NAME: Final = re.compile(r"""(?<!\w)(\w{1,64})(?!\w)\\{0,4}["']?\s{0,4}[:=]""")
_APART: Final = re.compile(r"[\W_]+")


def holds_code(name: str, text: str, *, spoken: bool) -> bool:
    """True when a field holds a code: by its name, a name inside it, a phrase, or (`spoken`) four to eight digits."""
    inner = _INNER_NAME.findall(text) if "{" in text or "=" in text else ()
    named = any(_NAMES.fullmatch(_APART.sub("", part).casefold()) for part in (name.partition("#")[0], *inner))
    return named or _PHRASES.search(text) is not None or (spoken and _CODE.fullmatch(text) is not None)
