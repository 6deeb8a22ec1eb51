"""The section of the settings on phone numbers and bodies: the key of tokens, and how long they are kept. Pure."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from schemas.config.secret import Secret

KEY_CHARS: Final = 32
"""The least length of the key: as many hexadecimal digits are 128 random bits."""
MOST_DAYS: Final = 10_000
"""The database counts the end in seconds since 1970, in 32 bits: a retention must end before 2106."""

Days = Annotated[int, Meta(ge=0, le=MOST_DAYS)]


class PrivacySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Phone numbers and bodies: their tokens, and the days for which ClickHouse keeps them (`callweave migrate`)."""

    key: Secret = Secret()
    """Key of the tokens that stand beside phone numbers: at least 32 characters, as `openssl rand -hex 32` prints them.
    Empty: no tokens; with the embedded ClickHouse, `callweave up` then makes a key once in `embedded.data_dir`. Under
    another key every number has other tokens (OPERATIONS.md)."""
    clear_number_days: Days = 0
    """Days after its receipt for which a row keeps clear phone numbers; tokens and masked forms stay. 0: for ever."""
    address_days: Days = 0
    """Days after its receipt for which a row keeps addresses of recordings, numbers as sent, and fields of the vendor
    that have no column (`extras`). 0: for ever."""
    body_days: Days = 0
    """Days for which a dead letter keeps its bytes and headers. 0: for ever."""
