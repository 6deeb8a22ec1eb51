"""The ids of what Superset imports, made of names, so that a second import replaces what the first one made. Pure."""

import uuid
from typing import Final

VERSION: Final = "1.0.0"
"""The version of Superset's form for import."""
_NAMES: Final = uuid.UUID("6f0f0c1c-7c5e-5a77-9a2b-6b8f0f5d2b11")


def id_of(what: str, name: str) -> str:
    """Returns the id of a thing, the same for ever."""
    return str(uuid.uuid5(_NAMES, f"{what}/{name}"))
