"""Every setting with its type, a safe default and a sentence; one section for each part of the system.

`schemas.config.loader.load` reads them from `callweave.toml` and then from `CALLWEAVE_*` (nested by `__`). Units are in
the names. Nothing here reads a file or the environment. The docstrings are the comments of `deploy/example.toml`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from schemas.config.caller_checks import Check
from schemas.config.figures import FiguresSettings
from schemas.config.kafka.registry import SchemaRegistrySettings
from schemas.config.kafka.sasl import Sasl
from schemas.config.keep import KeepSettings
from schemas.config.limits import Count, Limits
from schemas.config.logs import LogSettings
from schemas.config.pages import MetricsSettings
from schemas.config.privacy import PrivacySettings
from schemas.config.secret import Secret
from schemas.config.tls import ClientTls

Port = Annotated[int, Meta(ge=1, le=65535)]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
LEAST_CLICKHOUSE_MB: Final = 256
"""ClickHouse starts with less memory, and then refuses every query."""
COST_LIMIT: Final = 100_000


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: an unknown name is an error, not a silent default."""


class KafkaSettings(_Section, frozen=True, kw_only=True):
    """The broker that all parts meet on."""

    bootstrap: str = ""
    """`host:port,...` of an existing Kafka. Empty: `callweave up` starts one, and other commands look for that one."""
    partitions: Count = 24
    """Partitions of each topic. It cannot change later: the hash of a call's key chooses its partition."""
    replication: Count = 1
    """Replicas of each topic. On a cluster: 3, with `min_insync_replicas = 2`."""
    min_insync_replicas: Count = 1
    """Replicas that must have a record before it is acknowledged."""
    audit_retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 365
    """Days for which the audit trail (`calls.audit`) is kept; 0: for ever. It has addresses of refused callers."""
    avro_release: Literal["newest", "previous"] = "newest"
    """The release whose Avro versions workers and sinks write; every version is always read. "previous" is for an
    upgrade: as long as parts of the release before this one run beside, which cannot read this one's. OPERATIONS.md has
    the steps; afterwards "newest"."""
    compression: Literal["none", "gzip", "lz4", "snappy", "zstd"] = "snappy"
    """Compression of the record batches that are sent."""
    linger_ms: Natural = 5
    """The longest time for which a producer collects records for a batch: latency against throughput."""
    request_timeout_ms: Count = 15000
    """Time after which a request to a broker counts as failed and is repeated."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Encryption and login of the brokers' listener: SSL is TLS, SASL a login. Set what the cluster's listener has."""
    client_id: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]+$")] = "callweave"
    """Beginning of our clients' names in the brokers' logs and quotas; each adds its own, as in `callweave-ingress`."""
    rack: str = ""
    """Rack or zone of this process: consumers then read from replicas there. Empty: from the leaders."""
    client: dict[str, int] = {}
    """Further options of the Kafka client (aiokafka), by their own names, as `{ metadata_max_age_ms = 60000 }`."""
    tls: ClientTls = ClientTls()
    """Certificates, with SSL and SASL_SSL. Files that change are read again at the next connection."""
    sasl: Sasl = Sasl()
    """The login, with SASL_PLAINTEXT and SASL_SSL. Each part may have a user of its own, by its own environment."""


class ClickHouseSettings(_Section, frozen=True, kw_only=True):
    """The database that BI tools query."""

    url: str = ""
    """Address of an existing ClickHouse, `http://host:8123` or `https://host:8443`; several servers of one cluster with
    commas between them: the first that is not away is used. Empty: `callweave up` serves the embedded engine."""
    user: str = "default"
    """Account of the parts, which needs to insert and select in `database`. With the embedded engine, `default`
    stands for its account `callweave`; its own `default`, with the same password, may read the views."""
    password: Secret = Secret()
    """Password of `user`. Empty: none; the embedded engine then draws one, which `callweave clickhouse password writer`
    shows."""
    migrator: str = ""
    """Account of `callweave migrate`, which needs to create and alter in `database`. Empty: `user`. The embedded engine
    always uses its own, `callweave_migrator`."""
    migrator_password: Secret = Secret()
    """Password of `migrator`. Empty: none; the embedded engine then draws one."""
    database: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] = "calls"
    """Database of the tables and views; a name of letters, digits and _."""
    reader: str = "callweave_reader"
    """Account of people and BI tools, for which `callweave migrate --grants` prints the rights. The embedded engine
    always uses `callweave_reader`."""
    analyst: str = "callweave_analyst"
    """Account of those who may see no clear phone number, likewise: it reads the views `masked_*` and the figures."""
    cluster: str = ""
    """Name of a ClickHouse cluster: tables are then Replicated, and DDL runs ON CLUSTER. Empty on ClickHouse Cloud."""
    sharded: bool = False
    """Spreads the calls over the shards of `cluster`: set it before the first `callweave migrate` when one server
    cannot hold all rows. False: every server of the cluster holds all of them."""
    tls: ClientTls = ClientTls()
    """Certificates of https: set them where the server's is of an authority of your own, or where it asks for one."""
    insert_timeout_s: Positive = 25.0
    """Longest time of one insert; below `sink.session_timeout_s`, so that no insert outlives its partitions."""
    min_free_mb: Natural = 0
    """Free space on the server's disk below which an acknowledged insert is repeated; 0: none. It needs the right to
    read `system.disks`. With the embedded engine, which does not report a part that it could not write completely, 0
    means 1, above the 128 MiB that the engine keeps free itself."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses of the servers, in the order in which they are preferred."""
        return tuple(url.strip().rstrip("/") for url in self.url.split(",")) if self.url else ()


class Account(_Section, frozen=True, kw_only=True):
    """One account of ours at a vendor."""

    vendor: str
    """The name of a file in `schemas/vendors`."""
    name: str
    """Our name of the account, which stands in keys and in `account`; letters, digits, `-`, `_`, `.`."""
    secret: Secret = Secret()
    """The path segment of `/v1/a/{secret}/{vendor}...`: at least 16 letters and digits drawn by lot, as `openssl rand
    -hex 16` prints them. Without one `allow` or `checks` must say who may push."""
    second_secret: Secret = Secret()
    """Another valid path segment, while the vendor is moved from one to the other; empty: none."""
    external_ids: tuple[str, ...] = ()
    """The vendor's own ids of this account (appid, ak, appId); a payload with another one becomes a dead letter."""
    allow: tuple[str, ...] = ()
    """Networks (CIDR) that may push for this account; empty: any, which needs a secret or a check."""
    signing_secrets: tuple[Secret, ...] = ()
    """Keys with which the vendor signs; any of them counts, so that two are valid while one is changed. With at least
    one, a push that none of them signs is refused."""
    rate_per_s: NonNegative | None = None
    """Most pushes a second that are taken for this account, ten seconds' worth of them at once; beyond it the vendor
    gets its retry answer. Unset: `ingress.account_rate_per_s`; 0: no bound."""
    daily_cap: Natural | None = None
    """Most pushes of one day (UTC). Unset: `ingress.account_daily_cap`; 0: no bound."""
    checks: tuple[Check, ...] = ()
    """Proofs that a push must bear as well, all of them. OPERATIONS.md has an example of each kind."""
    cost_limit: Count = COST_LIMIT
    """The most that one call can cost, in the vendor's currency; a higher cost is stored as NULL and flagged."""
    time_zone: str = ""
    """IANA name of the zone of its days and hours in `v_kpi_*_local`. Empty: `figures.time_zone`."""


class IngressSettings(_Section, frozen=True, kw_only=True):
    """HTTP in: the listener, its limits, and the spool."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 for every address of this machine, which needs accounts. Where other machines
    reach it, `/metrics` and the details of `/readyz` are on `admin_port` alone."""
    port: Port = 8080
    """Port to listen on."""
    workers: Count = 1
    """Processes that share the port; of two or more, one is always there while SIGHUP renews them in turn. A
    single one takes less over while it runs (OPERATIONS.md)."""
    admin_host: str = "127.0.0.1"
    """The address of the admin pages, where `host` is not loopback; change it for a Prometheus on another machine, and
    then to an address that vendors do not reach."""
    admin_port: Port = 8079
    """Port of the admin pages `/metrics`, `/readyz` and `/healthz`, where `host` is not loopback."""
    require_account: bool | Literal["auto"] = "auto"
    """Refuses pushes that name no configured account. `auto`: where other machines reach us, also by a proxy. There
    `false` is refused at start, but for `--open` of `callweave ingress` and `callweave up`."""
    account_rate_per_s: NonNegative = 0
    """Most pushes a second of each account that sets no `rate_per_s`; 0: no bound. It does not hold for vendors that
    call once, whose refused calls would be lost. This bound and the next two are counted by each process of the
    ingress."""
    account_daily_cap: Natural = 0
    """Most pushes of one day (UTC) of each account that sets no `daily_cap`, likewise; 0: no bound."""
    unknown_per_minute: Natural = 60
    """Refused requests of one address a minute that are answered with their reason; beyond it they get 429. It never
    touches a push that is let in. 0: no bound."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) of the proxies before us. Where any are named, only from them are X-Forwarded-For, the subject of
    a client certificate and, with `proxy_protocol`, a connection at all believed. Where `host` is not loopback,
    `trust_forwarded_for` needs them."""
    trust_forwarded_for: Natural = 0
    """Number of proxies before us: that many entries of X-Forwarded-For are believed."""
    proxy_protocol: bool = False
    """Every connection begins with a PROXY protocol header of version 2, as a load balancer of TCP sends it; the
    address in it is the sender's. It needs `trusted_proxies`: anybody else is cut off."""
    tls_certificate_file: str = ""
    """PEM file of the listener's certificate and the chain below its root: the port then speaks TLS (1.2 or newer).
    Changed files are taken up within seconds, without losing a connection. Empty: plain HTTP."""
    tls_key_file: str = ""
    """PEM file of the certificate's private key; empty: it is in `tls_certificate_file`."""
    tls_key_password: Secret = Secret()
    """Password of the private key, where it is encrypted."""
    tls_client_ca_file: str = ""
    """PEM file of the authorities whose client certificates are known. A caller need not have one; one of another
    authority is refused in the handshake."""
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
    max_queued: Count = 1000
    """Requests of one process that came whole and wait for their turn, some 0.05 s of work; beyond it, vendors that can
    retry get their retry answer. Those that call once are refused for their bytes alone."""
    max_connections: Count = 10_000
    """Open connections of one process; further ones are closed at once."""
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
    """The name of a file in `schemas/vendors` that declares a pull API."""
    account: str = ""
    """Name of the account in keys and in the column `account`. Empty: `app_id`."""
    url: str
    """Base address of the API, as `https://host`."""
    app_id: str
    """The vendor's id of our account."""
    key_id: str = ""
    """The `id` in the address, where the vendor assigned one."""
    interval_s: Positive = 30.0
    """Pause between polls when nothing is left to fetch."""
    lag_s: Natural = 60
    """Time before now at which windows end, so that records are complete."""
    window_s: Count = 600
    """Longest window of start times in one query."""
    overlap_s: Natural = 7200
    """Time by which windows are asked for again, because a call appears only when it ends."""
    sweep_hour_utc: int = 18
    """Hour of the daily query over the last day; -1 for none."""
    start_at: str = ""
    """Start time of the first poll (ISO 8601, UTC). Empty: one overlap before now."""
    min_gap_s: float = 0.2
    """Shortest time between two requests."""
    compress: bool = True
    """Ask for compressed pages."""
    time_zone: str = ""
    """IANA name of the zone of its days and hours in `v_kpi_*_local`. Empty: as in `accounts`, `figures.time_zone`."""


class PollSettings(_Section, frozen=True, kw_only=True):
    """The pollers of the vendors' pull APIs."""

    accounts: tuple[PollAccount, ...] = ()
    """One entry for each account that is pulled. Empty: none."""
    timeout_s: Positive = 20.0
    """Longest time of one request; then it is repeated as the vendor's file says."""
    inflate_cap_bytes: Count = 64 * 1024 * 1024
    """Largest inflated page; a larger one counts as an error of the vendor."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Port of this part's Prometheus metrics, on `metrics.host`; 0: none."""


class JoinSettings(_Section, frozen=True, kw_only=True):
    """Timeouts of a call, all by the record clock and never by the wall clock."""

    provisional_after_s: Count = 1800
    """Time after the last state event at which a call without its record is shown as provisional."""
    close_after_s: Count = 86400
    """Time after the last fact at which a call whose record is not final is closed as it is."""
    horizon_s: Count = 7 * 86400
    """Time after the last fact at which the call is forgotten; a later copy is recognised by the table's key."""
    max_contents: Count = 64
    """Distinct contents that are kept of one item, and distinct states of one leg."""
    store: Literal["memory", "rocksdb"] = "memory"
    """Store of what a worker remembers: its memory, or a RocksDB in `embedded.data_dir` (`callweave[rocksdb]`)."""


class ProcessSettings(_Section, frozen=True, kw_only=True):
    """The Faust workers that normalise and join."""

    slice_records: Count = 1000
    """Records of one partition that an agent gets at once."""
    commit_interval_s: Positive = 1.0
    """Interval of commits; about as much work is repeated after a crash."""
    session_timeout_s: Annotated[float, Meta(ge=6)] = 10.0
    """Silence after which a worker loses its partitions. Kafka's default lower bound is 6."""
    instance: str = ""
    """Name for static membership, which a worker keeps over restarts, so that a restart causes no rebalance."""
    publish_timeout_s: Positive = 30.0
    """Longest time for the acknowledgement of outputs; then the process ends, and repeats from the last commit."""
    tick_s: Positive = 5.0
    """Interval at which the record clock advances where nothing arrives."""
    stall_s: Positive = 60.0
    """Time of growing lag without a commit after which the process ends."""
    blocked_s: NonNegative = 10.0
    """Time after which a worker whose event loop is blocked is killed, and its record is suspected. 0: never."""
    memory_limit_mb: Natural = 0
    """Most memory of a worker for data; it ends at a record that needs more, which is suspected. 0: no limit."""
    crash_dir: str = ""
    """Folder in which the workers of one machine note the record at which they died; one at which two died becomes a
    dead letter. It must outlive the process: in a container, a volume. Empty: `crashes` in `embedded.data_dir`."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Port of this part's Prometheus metrics, on `metrics.host`; 0: none."""


class SinkSettings(_Section, frozen=True, kw_only=True):
    """The sink, which writes topics into tables."""

    max_rows: Count = 50_000
    """Rows of a batch, which is inserted when it reaches this, `max_bytes` or `max_age_s`."""
    max_bytes: Count = 64 * 1024 * 1024
    """Bytes of a batch as Kafka holds them; decoded they take several times as much memory."""
    max_age_s: Positive = 0.35
    """Time from one insert to the next: the most that a row waits for the sake of larger inserts. Up to twice as much
    where thousands of rows come in a second, and four times while they come late, because a backlog is worked off."""
    retry_first_s: Positive = 0.5
    """Wait before the first repetition while ClickHouse is away; it doubles from then on."""
    retry_cap_s: Positive = 30.0
    """Longest wait between two repetitions."""
    session_timeout_s: Annotated[float, Meta(ge=6)] = 45.0
    """Silence after which a sink loses its partitions. It must be above `clickhouse.insert_timeout_s`."""
    instance: str = ""
    """Name for static membership, as in `process`."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Port of this part's Prometheus metrics, on `metrics.host`; 0: none."""


class EmbeddedSettings(_Section, frozen=True, kw_only=True):
    """The servers that `callweave up` runs itself when no address is set."""

    data_dir: str = ".callweave"
    """Folder of Kafka's log, ClickHouse's data and passwords, the spool and the parts' logs; for its user alone."""
    cache_dir: str = ""
    """Folder of the downloaded jars. Empty: `$XDG_CACHE_HOME/callweave` or `~/.cache/callweave`."""
    kafka_port: Port = 9092
    """Kafka's port, on 127.0.0.1."""
    kafka_heap_mb: Count = 384
    """Java's heap for Kafka; about as much again may be needed besides."""
    clickhouse_port: Port = 8123
    """ClickHouse's HTTP port, on 127.0.0.1."""
    clickhouse_tcp_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Port of ClickHouse's native protocol, on 127.0.0.1. 0: `clickhouse_port` + 877, which is 9000 for 8123."""
    clickhouse_memory_mb: Natural = 0
    """ClickHouse's memory for queries, inserts, merges; readers get 60 %. 0: a quarter of all, at most 2048."""
    workers: Count = 1
    """Processes that normalise and join; at most one for each core."""
    metrics_base_port: Port = 9640
    """First of the ports on which `callweave up` serves the metrics of the sink, the poller and the workers."""


class Settings(_Section, frozen=True, kw_only=True):
    """All settings, by section."""

    kafka: KafkaSettings = KafkaSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    """The registry in which schemas are published, where there is one."""
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    accounts: tuple[Account, ...] = ()
    """Our accounts at the vendors. Without any, only the vendor of a push is known."""
    ingress: IngressSettings = IngressSettings()
    poll: PollSettings = PollSettings()
    process: ProcessSettings = ProcessSettings()
    join: JoinSettings = JoinSettings()
    sink: SinkSettings = SinkSettings()
    privacy: PrivacySettings = PrivacySettings()
    """Phone numbers and bodies: their tokens, and the days for which ClickHouse keeps them (`callweave migrate`)."""
    keep: KeepSettings = KeepSettings()
    """Days for which ClickHouse keeps the rows of each table (`callweave migrate`); then a day goes as a whole."""
    figures: FiguresSettings = FiguresSettings()
    """The figures of calls (`v_kpi_*`)."""
    embedded: EmbeddedSettings = EmbeddedSettings()
    limits: Limits = Limits()
    """Bounds of one body."""
    log: LogSettings = LogSettings()
    """The log of every part: one event a line on stderr, times in UTC."""
    metrics: MetricsSettings = MetricsSettings()
    """The pages of workers, sink and poller."""
