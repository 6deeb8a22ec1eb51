"""Every setting, typed and documented: one section a part, each with a safe default.

Read by `schemas.config.loader.load` from `callweave.toml`, then from `CALLWEAVE_*` (nested by `__`, as in
`CALLWEAVE_KAFKA__BOOTSTRAP`). Units are in the names. Nothing here reads a file or the environment.
"""

import ipaddress
import re
import unicodedata
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from schemas.config.limits import Limits
from schemas.errors import SettingsError

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
LEAST_CLICKHOUSE_MB: Final = 256
"""ClickHouse starts with less, and then refuses whatever is asked."""
COST_LIMIT: Final = 100_000
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/]+)(:\d{1,5})?")


class Secret(msgspec.Struct, frozen=True):
    """A value that never shows: not in a log, not in `--check-config`."""

    value: str = ""

    def __repr__(self) -> str:
        return "Secret('***')" if self.value else "Secret('')"

    __str__ = __repr__


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: an unknown name is an error, not a silent default."""


class KafkaSettings(_Section, frozen=True, kw_only=True):
    """The broker that all parts meet on."""

    bootstrap: str = ""
    """`host:port,...` of an existing Kafka; empty: `callweave up` starts its own, the other commands look for that one."""
    partitions: Count = 24
    """Partitions of each topic. Fixed for life: a call's place hashes on it."""
    replication: Count = 1
    """Replicas of each topic; 3 with `min.insync.replicas=2` on a cluster."""
    min_insync_replicas: Count = 1
    """Acknowledgements wait for this many replicas."""
    compression: Literal["none", "gzip", "lz4"] = "lz4"
    """Of the batches that we send."""
    linger_ms: Natural = 5
    """How long a producer waits for company; latency against throughput."""
    request_timeout_ms: Count = 15000
    """After this a request to a broker counts as failed and is repeated."""


class SchemaRegistrySettings(_Section, frozen=True, kw_only=True):
    """Where schemas are published, when anywhere."""

    url: str = ""
    """Confluent-compatible registry: schemas are registered there and its ids go on the wire. Empty: the pinned ids."""


class ClickHouseSettings(_Section, frozen=True, kw_only=True):
    """The database that BI tools query."""

    url: str = ""
    """`http://host:8123` of an existing ClickHouse; empty: `callweave up` serves the embedded engine."""
    user: str = "default"
    """Who the parts are to it: needs to insert and select in `database`. The embedded engine keeps `default` for itself: there
    `default` here means `callweave`, and who logs in as `default`, with the same password, may read the views."""
    password: Secret = Secret()
    """Of `user`, never shown; empty: none, and for the embedded engine one made by lot (`callweave clickhouse password writer`)."""
    migrator: str = ""
    """Who `callweave migrate` is: needs to create and alter in `database`; empty: `user`. The embedded engine has its own,
    `callweave_migrator`, whatever stands here."""
    migrator_password: Secret = Secret()
    """Of `migrator`; never shown, and for the embedded engine made by lot where it is empty."""
    database: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] = "calls"
    """Where tables and views are; a name of letters, digits and _."""
    cluster: str = ""
    """Name of a cluster: tables become Replicated and DDL runs ON CLUSTER."""
    insert_timeout_s: Positive = 25.0
    """Below Kafka's session time, so that a stuck insert cannot outlive its partitions."""
    min_free_mb: Natural = 0
    """An insert after which the server's disk has less room than this is repeated; 0: not asked. It takes a right to read
    `system.disks`. The embedded engine does not say when a part could not be written whole: 0 is 1 there, above the 128 MiB that
    it keeps free itself."""


class Account(_Section, frozen=True, kw_only=True):
    """One account of ours at a vendor."""

    vendor: str
    """A file's name in `schemas/vendors`."""
    name: str
    """Our name of the account, which stands in keys and in `account`; letters, digits, `-`, `_`, `.`."""
    secret: Secret = Secret()
    """The path segment of `/v1/a/{secret}/{vendor}...`: at least 16 letters and digits drawn by lot, as `openssl rand
    -hex 16` prints them. Without one `allow` must say who may push."""
    external_ids: tuple[str, ...] = ()
    """The vendor's own ids of this account (appid, ak, appId); payloads with another one are dead letters."""
    allow: tuple[str, ...] = ()
    """Networks (CIDR) that may push for this account; empty: any, which needs a secret."""
    signing_secrets: tuple[Secret, ...] = ()
    """Keys with which the vendor signs; any of them counts, so that two are valid while one is changed. With at least
    one, a push that none of them signs is refused."""
    cost_limit: Count = COST_LIMIT
    """The most that one call can cost, in the vendor's currency: what is above is unknown (NULL) and flagged."""


class IngressSettings(_Section, frozen=True, kw_only=True):
    """HTTP in: the listener, its limits, and the spool."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 for every address of this machine, which needs `require_account`."""
    port: Port = 8080
    """The port to listen on."""
    workers: Count = 1
    """Processes that share the port; of two or more, one is always there while SIGHUP renews them in turn."""
    require_account: bool = False
    """Refuses pushes that name no configured account. True is a must where other machines reach us, also by a proxy."""
    trust_forwarded_for: Natural = 0
    """Number of proxies before us: that many entries of X-Forwarded-For are believed."""
    max_body_bytes: Count = 10 * 1024 * 1024
    """Largest body; a larger one gets 413. Counted on the wire: a compressed body is stored as it came, and
    `limits.inflate_bytes` bounds it where it is read."""
    body_timeout_s: Positive = 10.0
    """Time from the headers to the body's last byte; then 408."""
    publish_timeout_s: Positive = 10.0
    """Time from the body's last byte until Kafka or the spool has it; then the vendor's retry answer."""
    max_buffer_bytes: Count = 256 * 1024 * 1024
    """Memory of one process's requests, until they are answered and Kafka's client and the disk released them. Beyond
    it the retry answer is given, to vendors that can retry at four fifths of it; a quarter beyond it connections are
    cut. The process itself takes at most about 200 MiB more, and 25 KiB a connection."""
    max_queued: Count = 500
    """Requests of one process that came whole and wait for their turn, some 0.1 s of work; beyond it, vendors that can
    retry get their retry answer. Those that call once are refused for their bytes alone."""
    max_connections: Count = 10_000
    """Open connections of one process; more are closed at once."""
    head_timeout_s: Positive = 15.0
    """Time from the connection to the end of its first head, and for reading a response; then it is cut."""
    leave_s: NonNegative = 1.0
    """Time for which everything goes on at a stop, while `/readyz` says 503 and each response ends its connection.
    Behind a load balancer, set it longer than that takes to notice."""
    drain_s: Positive = 20.0
    """Time after that for requests that are not answered yet."""
    spool_dir: str = ""
    """Folder of bodies that wait for Kafka, with one for each worker; empty: `spool` in embedded.data_dir."""
    spool_after_ms: Count = 250
    """Time for Kafka's acknowledgement, after which a body is spooled. Some vendors give up at 700."""
    spool_max_bytes: Count = 2 * 1024**3
    """Bytes of all bodies in one worker's spool; vendors that can retry are refused at four fifths of it."""
    spool_min_free_bytes: Natural = 256 * 1024**2
    """Bytes that the spool leaves free on its disk."""
    spool_max_age_s: Count = 3600
    """Age beyond which a body in the spool is an error in the log, again and again; nothing is ever dropped."""
    spool_drain_per_s: Count = 2000
    """Most bodies that go from the spool to Kafka in a second, so that live ones keep their latency."""


class PollAccount(_Section, frozen=True, kw_only=True):
    """One pull API, polled under one of our accounts."""

    vendor: str
    """A file's name in `schemas/vendors`; one that says how to poll."""
    account: str = ""
    """What stands in keys and in `account`; empty: `app_id`."""
    url: str
    """The API's base address, as `https://host`."""
    app_id: str
    """The id that the vendor knows us by."""
    key_id: str = ""
    """The `id` in the address, where the vendor assigned one."""
    interval_s: Positive = 30.0
    """Between polls when all is settled."""
    lag_s: Natural = 60
    """Windows end this long before now: records settle."""
    window_s: Count = 600
    """The longest window of start times that one query asks for."""
    overlap_s: Natural = 7200
    """Start times are asked for again this far back: calls appear when they end."""
    sweep_hour_utc: int = 18
    """Hour of the daily sweep over the last day; -1 for none."""
    start_at: str = ""
    """Where the first poll begins (ISO, UTC); empty: one overlap before now."""
    min_gap_s: float = 0.2
    """At least this long between two requests."""
    compress: bool = True
    """Ask for compressed pages."""


class PollSettings(_Section, frozen=True, kw_only=True):
    """The pollers."""

    accounts: tuple[PollAccount, ...] = ()
    """One entry for each of our accounts that is pulled; empty: nothing is."""
    timeout_s: Positive = 20.0
    """Of one request; then it is repeated as the vendor's page says."""
    inflate_cap_bytes: Count = 64 * 1024 * 1024
    """A page that inflates beyond it is an error of the vendor's."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Prometheus metrics of this part on 127.0.0.1; 0: none."""


class JoinSettings(_Section, frozen=True, kw_only=True):
    """When a call is waited for, and when it is closed. All by the record's clock, never by the wall's."""

    provisional_after_s: Count = 1800
    """After the last state push: a call without its record is shown as provisional."""
    close_after_s: Count = 86400
    """After the last fact: a record that is not final is closed as it is."""
    horizon_s: Count = 7 * 86400
    """After the last fact the call is forgotten; a copy that comes later is told by the table's key."""
    max_contents: Count = 64
    """Distinct contents kept of one item, and distinct states of one leg."""


class ProcessSettings(_Section, frozen=True, kw_only=True):
    """The Faust workers."""

    slice_records: Count = 1000
    """Records of one partition handed to an agent at once."""
    commit_interval_s: Positive = 1.0
    """How often offsets are committed: about as much is done again after a crash."""
    session_timeout_s: Annotated[float, Meta(ge=6)] = 10.0
    """A worker that is not heard of for this long loses its partitions. Kafka takes no less than 6 unless it is told to."""
    instance: str = ""
    """Static membership: a name that a worker keeps over restarts, so that one causes no rebalance."""
    publish_timeout_s: Positive = 30.0
    """Outputs not acknowledged by then end the process; it starts again from the last commit."""
    tick_s: Positive = 5.0
    """How often the record clock moves on where nothing arrives."""
    stall_s: Positive = 60.0
    """Lag that grows this long with nothing committed ends the process."""
    blocked_s: NonNegative = 10.0
    """A worker whose event loop is held this long is ended from outside it, and what it was at is suspected. 0: never."""
    memory_limit_mb: Natural = 0
    """Most memory a worker may take for data; at a record that wants more it ends, as at any that ends workers. 0: no limit of ours."""
    crash_dir: str = ""
    """Where workers of one machine note at which record they died; a record at which two died becomes a dead letter. It must outlive
    the process: in a container a volume. Empty: `crashes` in `embedded.data_dir`."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Prometheus metrics of this part on 127.0.0.1; 0: none."""


class SinkSettings(_Section, frozen=True, kw_only=True):
    """Topics to tables."""

    max_rows: Count = 50_000
    """A batch is inserted when it has so many rows, or `max_bytes`, or is `max_age_s` old, whatever comes first."""
    max_bytes: Count = 64 * 1024 * 1024
    """As Kafka holds them; decoded they take several times as much memory."""
    max_age_s: Positive = 0.5
    """How late a row may be for the sake of larger inserts."""
    retry_first_s: Positive = 0.5
    """While ClickHouse is away: the wait before the first repetition; it doubles from then on."""
    retry_cap_s: Positive = 30.0
    """The longest wait between two repetitions."""
    session_timeout_s: Annotated[float, Meta(ge=6)] = 45.0
    """A sink that is not heard of for this long loses its partitions; above clickhouse.insert_timeout_s."""
    instance: str = ""
    """Static membership, as in `process`."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Prometheus metrics of this part on 127.0.0.1; 0: none."""


class EmbeddedSettings(_Section, frozen=True, kw_only=True):
    """What `callweave up` runs itself when no address is set."""

    data_dir: str = ".callweave"
    """Kafka's log, ClickHouse's store and passwords, the spool and the logs of the parts; for its user alone."""
    cache_dir: str = ""
    """Downloaded jars; empty: `$XDG_CACHE_HOME/callweave` or `~/.cache/callweave`."""
    kafka_port: Port = 9092
    """Kafka's, on 127.0.0.1."""
    kafka_heap_mb: Count = 384
    """The most that Java may take for Kafka's objects; as much again may be needed besides."""
    clickhouse_port: Port = 8123
    """ClickHouse's HTTP port, on 127.0.0.1."""
    clickhouse_tcp_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Of ClickHouse's native protocol, on 127.0.0.1; 0: `clickhouse_port` + 877, which is 9000 beside 8123."""
    clickhouse_memory_mb: Natural = 0
    """The most that ClickHouse may take for queries, inserts and merges together; 0: a quarter of the machine's, at most 2048.
    Readers together get 60 % of it."""
    workers: Count = 1
    """Processes that normalise and join; one a core at the most."""
    metrics_base_port: Port = 9640
    """`up` gives the sink, the poller and the workers this port and the ones after it."""


class Settings(_Section, frozen=True, kw_only=True):
    """All of it."""

    kafka: KafkaSettings = KafkaSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    accounts: tuple[Account, ...] = ()
    """Ours at the vendors. Without any, a push is told apart by its vendor alone."""
    ingress: IngressSettings = IngressSettings()
    poll: PollSettings = PollSettings()
    process: ProcessSettings = ProcessSettings()
    join: JoinSettings = JoinSettings()
    sink: SinkSettings = SinkSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    limits: Limits = Limits()
    """Bounds of what a body may ask of us."""


def check(settings: Settings, vendors: frozenset[str]) -> None:
    """Raise `SettingsError` with the path of what no single field can tell."""
    _check_addresses(settings)
    _check_accounts(settings.accounts, vendors)
    for index, poll in enumerate(settings.poll.accounts):
        path = f"$.poll.accounts[{index}]"
        _check_vendor(poll.vendor, path, vendors)
        if not poll.url.startswith(("http://", "https://")):
            raise SettingsError(f"an http(s) address is wanted - at `{path}.url`")
    _check_logins(settings.clickhouse)
    if settings.kafka.min_insync_replicas > settings.kafka.replication:
        raise SettingsError("more in-sync replicas than replicas - at `$.kafka.min_insync_replicas`")
    if 0 < settings.embedded.clickhouse_memory_mb < LEAST_CLICKHOUSE_MB:
        raise SettingsError(f"0, or at least {LEAST_CLICKHOUSE_MB} - at `$.embedded.clickhouse_memory_mb`")
    if settings.clickhouse.insert_timeout_s >= settings.sink.session_timeout_s:
        raise SettingsError("must be below sink.session_timeout_s - at `$.clickhouse.insert_timeout_s`")


def _check_addresses(settings: Settings) -> None:
    for address in settings.kafka.bootstrap.split(",") if settings.kafka.bootstrap else ():
        if not _BROKER.fullmatch(address.strip()):
            raise SettingsError(f"host:port is wanted, not {address!r} - at `$.kafka.bootstrap`")
    for path, url in (("clickhouse", settings.clickhouse.url), ("schema_registry", settings.schema_registry.url)):
        if url and not _is_http(url):
            raise SettingsError(f"an http(s) address is wanted - at `$.{path}.url`")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, or a port that is no number
        return False


def _check_logins(clickhouse: ClickHouseSettings) -> None:
    """What no client can carry: HTTP's Basic authorization has a colon after the name, and a header has one line."""
    if "@" in urlsplit(clickhouse.url).netloc:
        raise SettingsError(
            "name and password stand in clickhouse.user and clickhouse.password, not in the address - at `$.clickhouse.url`"
        )
    for path, name in (("user", clickhouse.user), ("migrator", clickhouse.migrator)):
        if ":" in name or not _one_line(name):
            raise SettingsError(f"a name without colons and control characters is wanted - at `$.clickhouse.{path}`")
    for path, password in (("password", clickhouse.password), ("migrator_password", clickhouse.migrator_password)):
        if not _one_line(password.value):
            raise SettingsError(f"a control character does not come through every client - at `$.clickhouse.{path}`")


def _one_line(text: str) -> bool:
    return not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _check_vendor(vendor: str, path: str, vendors: frozenset[str]) -> None:
    if vendor not in vendors:
        raise SettingsError(f"unknown vendor {vendor!r}: one of {', '.join(sorted(vendors))} - at `{path}.vendor`")


def _check_accounts(accounts: tuple[Account, ...], vendors: frozenset[str]) -> None:
    names: set[tuple[str, str]] = set()
    secrets: set[str] = set()
    for index, account in enumerate(accounts):
        path = f"$.accounts[{index}]"
        _check_vendor(account.vendor, path, vendors)
        if not account.name or not all(c.isalnum() or c in "-_." for c in account.name):
            raise SettingsError(f"a name of letters, digits, - _ . is wanted - at `{path}.name`")
        if (account.vendor, account.name) in names:
            raise SettingsError(f"{account.vendor} has two accounts of this name - at `{path}.name`")
        secret = account.secret.value
        if secret and secret in secrets:
            raise SettingsError(f"another account has the same secret - at `{path}.secret`")
        _check_networks(account.allow, path)
        names.add((account.vendor, account.name))
        secrets.add(secret)


def _check_networks(networks: tuple[str, ...], path: str) -> None:
    for index, network in enumerate(networks):
        try:
            ipaddress.ip_network(network)
        except ValueError as exc:
            raise SettingsError(f"{exc} - at `{path}.allow[{index}]`") from exc
