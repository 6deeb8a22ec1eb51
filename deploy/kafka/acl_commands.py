"""The commands of Kafka's own `kafka-acls.sh` that grant what the table of rights says. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from schemas.kafka.rights import Right, Role, together

_PRINCIPAL: Final = "User:"


def acl_commands(
    roles: Sequence[Role], users: Mapping[str, str], *, bootstrap: str, command_config: str
) -> tuple[str, ...]:
    """Returns a comment for each principal and its commands; `users` has those that are not the default."""
    principals: dict[str, list[Role]] = {}
    for role in roles:
        name = users.get(role.name, role.user)
        principals.setdefault(name if name.startswith(_PRINCIPAL) else _PRINCIPAL + name, []).append(role)
    head = ("kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", command_config)
    lines = []
    for principal, played in principals.items():
        lines.append(f"# {', '.join(f'callweave {role.name}' for role in played)}")
        lines += [
            shlex.join((*head, "--add", "--allow-principal", principal, *arguments))
            for arguments in _arguments(together(played))
        ]
    return tuple(lines)


def _arguments(rights: Sequence[Right]) -> Iterator[tuple[str, ...]]:
    """Yields the arguments of one command for all topics or groups that have the same operations."""
    operations: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        operations.setdefault((right.resource, right.name), []).append(right.operation)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (resource, name), found in operations.items():
        alike.setdefault((resource, tuple(sorted(found))), []).append(name)
    for (resource, named), names in alike.items():
        yield (
            *(word for operation in named for word in ("--operation", operation)),
            *(word for name in names for word in (f"--{resource}", name)),
        )
