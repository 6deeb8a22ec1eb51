"""Opens clickhouse-connect's client of one server, over http or https, with a password or a client certificate.

The library asks the server for its version and settings first, so whatever is wrong with an address shows here.
"""

import logging
import socket
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver import httputil, options
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from urllib3 import PoolManager

from schemas.config.settings import ClickHouseSettings
from schemas.errors import Unavailable
from schemas.tls.faults import causes, greeted
from sinks.server.answers import WholeAnswers, WholeAnswersByProxy
from sinks.server.trouble import Trouble, no_connection, place, port, refused, speaks_tls

CONNECT_S: Final = 5.0
_ON_SHARDS: Final = {
    # A row is in its shard when the insert is answered; otherwise the server answers first and sends it later.
    "distributed_foreground_insert": "1",
    # Otherwise a join of two tables over all shards is refused.
    "distributed_product_mode": "global",
}


def connect(settings: ClickHouseSettings, url: str, tls: ssl.SSLContext | None) -> Client:
    """Returns a client of the server at `url`; `tls` is for an https one. Raises `Unavailable` with what is wrong."""
    # At the first insert the library imports pandas and numpy to ask whether the rows are theirs. That costs 1.4 s of a
    # core before the first row of a restarted sink, and 90 MB of memory.
    options.pd = options.np = None
    # The library logs values that do not fit, and each attempt at a server that is away. Both are reported elsewhere.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    parts = urlsplit(url)
    try:
        client = clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=port(url),
            proxy_path=parts.path,
            **login(settings, parts.scheme),
            connect_timeout=int(CONNECT_S),
            send_receive_timeout=max(1, int(settings.insert_timeout_s)),
            autogenerate_session_id=False,  # several inserts at once
            form_encode_query_params=True,  # values in an address would stand in logs of servers and proxies
            show_clickhouse_errors="scrub",
            pool_mgr=_connections(url, tls),
        )
    except (ClickHouseError, OSError) as exc:
        trouble = trouble_of(settings, url, exc, tls)
        raise Unavailable(trouble.sentence, code=trouble.code) from exc
    if settings.sharded:
        _set_for_shards(client, settings, url)
    return client


def _set_for_shards(client: Client, settings: ClickHouseSettings, url: str) -> None:
    """Sets what every statement on shards needs; raises `Unavailable` where the server keeps this account from it."""
    for name, value in _ON_SHARDS.items():
        if may_set(client, name):
            client.set_client_setting(name, value)
        elif getattr(client.server_settings.get(name), "value", None) != value:
            raise Unavailable(
                f"ClickHouse at {place(url)} keeps {settings.user} from setting {name} to {value}, which shards need",
                code="rights",
            )


def may_set(client: Client, name: str) -> bool:
    """True when the server knows a setting and does not keep its users from changing it."""
    known = client.server_settings.get(name)
    return known is not None and not known.readonly


def trouble_of(settings: ClickHouseSettings, url: str, exc: BaseException, tls: ssl.SSLContext | None) -> Trouble:
    """Returns what is wrong with a server; where it ended a connection without an answer, it is asked once more how.

    An http port may be one with TLS; and a server that refuses our certificate says so after the handshake, when the
    request may have failed already.
    """
    code = getattr(exc, "code", None)
    # The library raises an OperationalError where it got no answer.
    answered = isinstance(exc, ClickHouseError) and (code is not None or not isinstance(exc, OperationalError))
    found = (
        refused(url, settings.user, code, getattr(exc, "name", None))
        if answered
        else no_connection(url, settings.tls, exc)
    )
    if code is not None or found.code not in ("away", "not_clickhouse") or not _was_dropped(exc):
        return found
    host = urlsplit(url).hostname or ""
    if urlsplit(url).scheme == "http":
        return speaks_tls(url) if greeted(host, port(url)) is None else found
    failure = greeted(host, port(url), tls, waits=True) if tls is not None else None
    return no_connection(url, settings.tls, failure) if isinstance(failure, ssl.SSLError) else found


def _was_dropped(exc: BaseException) -> bool:
    """True when a server took a connection and ended it without an answer, or with something that is no HTTP."""
    return not any(isinstance(cause, ConnectionRefusedError | TimeoutError | socket.gaierror) for cause in causes(exc))


def _connections(url: str, tls: ssl.SSLContext | None) -> PoolManager:
    """Returns the connections of one client, through the proxy of the environment where it names one.

    A pool for all clients would let a slow server hold up the others.
    """
    parts = urlsplit(url)
    own = httputil.get_pool_manager_options()
    if tls is not None and parts.scheme == "https":
        # urllib3 compares names by itself where the context does not.
        names = None if tls.check_hostname else False
        own = httputil.get_pool_manager_options(ssl_context=tls, assert_hostname=names)
    proxy = httputil.check_env_proxy(parts.scheme, parts.hostname or "", port(url))
    if proxy:
        return WholeAnswersByProxy(proxy if "://" in proxy else f"http://{proxy}", **own)
    return WholeAnswers(**own)


def login(settings: ClickHouseSettings, scheme: str) -> dict[str, Any]:
    """Returns the arguments of a login: the client certificate alone where there is no password, else Basic."""
    tls = settings.tls
    if scheme == "https" and (tls.certificate_file or tls.certificate_pem.value) and not settings.password.value:
        by_certificate = {"X-ClickHouse-User": settings.user, "X-ClickHouse-SSL-Certificate-Auth": "on"}
        return {"username": "", "headers": by_certificate}
    return {"username": settings.user, "password": settings.password.value}
