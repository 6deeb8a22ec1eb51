"""A server of a ClickHouse cluster: the embedded engine with more in its configuration, as a process of its own.

It has an administrator, users with given rights, a cluster of several shards, and no sandbox, because its shards call
each other. `python -m tests.support.clickhouse_node` takes the options of `python -m deploy.clickhouse`, and what is to
be added to its configuration from CALLWEAVE_TEST_NODE, as JSON.
"""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from deploy.clickhouse import __main__ as server
from deploy.clickhouse import launch, sandbox
from deploy.clickhouse.config import EngineConfig, server_config, users_config
from deploy.clickhouse.launch import ClickHouseServer
from deploy.process.child import Child, spawn
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings

ADMIN: Final = "admin"
ADMIN_PASSWORD: Final = "the administrator's"
_MORE: Final = "CALLWEAVE_TEST_NODE"
_ADMIN: Final = (
    f"<{ADMIN}><password>{ADMIN_PASSWORD}</password><networks><ip>127.0.0.1</ip></networks>"
    "<profile>default</profile><quota>default</quota></admin>"
)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user with its rights, as GRANT statements without a receiver; the password is the name."""

    name: str
    grants: tuple[str, ...]


def cluster(tcp_ports: Sequence[int], *, secret: str = "") -> str:
    """Returns the cluster `main`, one server for each shard.

    With a secret a shard is asked in the name of who asks; without one the servers log in as the administrator.
    """
    login = "" if secret else f"<user>{ADMIN}</user><password>{ADMIN_PASSWORD}</password>"
    each = "".join(
        "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host>"
        f"<port>{port}</port>{login}</replica></shard>"
        for port in tcp_ports
    )
    return f"<main>{f'<secret>{secret}</secret>' if secret else ''}{each}</main>"


def admin_at(server: ClickHouseServer, **more: Any) -> ClickHouseSettings:
    """Returns the settings with which the administrator reaches a node."""
    return ClickHouseSettings(url=server.url, user=ADMIN, password=Secret(ADMIN_PASSWORD), **more)


@asynccontextmanager
async def node(
    data_dir: Path, *, remote_servers: str = "", tcp_port: int = 0, users: Sequence[User] = ()
) -> AsyncIterator[ClickHouseServer]:
    """Yields a running server with these users and the administrator `ADMIN`."""
    started = ClickHouseServer(data_dir, tcp_port=tcp_port)

    async def own(command: Sequence[str], *, output: Path) -> Child:
        changed = [word.replace("deploy.clickhouse", "tests.support.clickhouse_node") for word in command]
        more = {"remote_servers": remote_servers, "users": _ADMIN + "".join(map(_user, users))}
        return await spawn(changed, output=output, env={**os.environ, _MORE: json.dumps(more)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "spawn", own)
        await started.start()
    try:
        yield started
    finally:
        await started.stop()


def _user(user: User) -> str:
    grants = "".join(f"<query>GRANT {grant}</query>" for grant in user.grants)
    return (
        f"<{user.name}><password>{user.name}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>"
        f"<quota>default</quota><grants>{grants}</grants></{user.name}>"
    )


def main() -> int:
    """Runs the server and returns the exit code."""
    more = json.loads(os.environ[_MORE])

    def config(engine: EngineConfig) -> str:
        return server_config(engine).replace("<remote_servers>", f"<remote_servers>{more['remote_servers']}")

    def users(*args: Any, **kwargs: Any) -> str:
        return users_config(*args, **kwargs).replace("<users>", f"<users>{more['users']}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "server_config", config)
        patch.setattr(server, "users_config", users)
        patch.setattr(sandbox, "version", lambda: 0)
        return server.main()


if __name__ == "__main__":
    os._exit(main())
