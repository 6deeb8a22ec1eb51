"""Ports that stay ours while nobody listens on them: below the range from which the system picks ports for connections."""

from deploy.process.ports import free_port


def steady_ports(count: int) -> list[int]:
    """So many distinct ports that are free now."""
    return [free_port() for _ in range(count)]


def steady_run(count: int) -> int:
    """The first of so many ports in a row that are free now."""
    return free_port(run=count)
