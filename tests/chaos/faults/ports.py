"""Ports that stay free while nobody listens on them: below the range from which the system picks ports."""

from deploy.process.ports import free_port


def steady_ports(count: int) -> list[int]:
    """Returns `count` distinct ports that are free now."""
    return [free_port() for _ in range(count)]


def steady_run(count: int) -> int:
    """Returns the first of `count` consecutive ports that are free now."""
    return free_port(run=count)
