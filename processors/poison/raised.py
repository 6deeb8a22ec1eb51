"""What our own code raised, told without the values that its message may quote."""

from schemas.errors import raised_at


def raised(exc: Exception) -> str:
    """The type of an exception and the place that it came from: `TypeError at legs.py:123`. Memory that ran out is raised again."""
    if isinstance(exc, MemoryError):
        raise exc  # nobody's fault in particular, and no state to go on in
    return raised_at(exc)
