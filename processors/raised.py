"""What our own code raised, told without the values that its message may quote."""


def raised(exc: Exception) -> str:
    """The type of an exception and the place that it came from: `TypeError at legs.py:123`. Memory that ran out is raised again."""
    if isinstance(exc, MemoryError):
        raise exc  # nobody's fault in particular, and no state to go on in
    where = exc.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    if where is None:
        return type(exc).__name__
    return f"{type(exc).__name__} at {where.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{where.tb_lineno}"
