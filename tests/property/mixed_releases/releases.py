"""The releases whose parts may work side by side, each with what it writes."""

from typing import Final, Literal

import msgspec

from processors.call.state import CallState
from processors.outbox import Message
from processors.store.state_codec import decode_state, encode_state
from schemas.codec import PREVIOUS, Codecs, codecs_for
from schemas.topics import STATE

Writes = Literal["newest", "previous", "older"]
"""The versions that a worker writes; `older` is one of the release before, which has no slots in its states either."""
RELEASES: Final[dict[Writes, Codecs]] = {
    "newest": Codecs(),
    "previous": codecs_for({}, PREVIOUS),
    "older": codecs_for({}, PREVIOUS),
}


def without_slots(message: Message) -> Message:
    """Return a state as a worker of the release before writes it; any other message as it is."""
    if message.topic != STATE.name or message.value is None:
        return message
    state = decode_state(message.value)
    return msgspec.structs.replace(message, value=encode_state(_forgetting(state)))


def _forgetting(state: CallState) -> CallState:
    replace = msgspec.structs.replace
    items = {
        name: replace(
            item,
            contents=tuple(
                replace(content, fact=replace(content.fact, slot_at=None, slot_certain=False))
                for content in item.contents
            ),
        )
        for name, item in state.items.items()
    }
    return replace(state, items=items, slots={})
