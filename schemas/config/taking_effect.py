"""The table that says how a changed setting takes effect in each part when SIGHUP makes it read its settings again.

Pure. The longest path in the table that a setting begins with counts for it; `accounts.*` is for the settings of an
entry, where `accounts` is for the list, of which entries were added or taken away. A test holds that every setting
stands in it, so that a new one must say how it takes effect.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal

import msgspec

Reader = Literal["ingress", "ingress workers", "poll", "process", "sink", "up"]
"""A part that reads settings: `ingress` is one with a single worker, `up` what `callweave up` does itself."""
READERS: Final[tuple[Reader, ...]] = ("ingress", "ingress workers", "poll", "process", "sink", "up")


class Effect(StrEnum):
    """The way in which a changed setting takes effect in a part."""

    AT_ONCE = "applied"
    RENEWED = "applied by a new process or connection, when the old one has finished what it holds"
    RESTART = "needs a restart"
    UNUSED = "not used here"


_N: Final = Effect.AT_ONCE
_R: Final = Effect.RENEWED
_S: Final = Effect.RESTART
_O: Final = Effect.UNUSED

# fmt: off
_TABLE: Final[Mapping[str, tuple[Effect, ...]]] = {
    # path                       ingress  workers  poll  process  sink  up
    "log":                        (_N,     _R,     _N,     _N,    _N,   _O),
    "kafka":                      (_R,     _R,     _R,     _R,    _R,   _O),
    "kafka.bootstrap":            (_S,     _R,     _R,     _R,    _R,   _S),
    "kafka.partitions":           (_O,     _O,     _O,     _O,    _O,   _S),
    "kafka.replication":          (_O,     _O,     _O,     _O,    _O,   _S),
    "kafka.min_insync_replicas":  (_O,     _O,     _O,     _O,    _O,   _S),
    "kafka.audit_retention_days": (_O,     _O,     _O,     _O,    _O,   _S),
    "kafka.avro_release":         (_O,     _O,     _O,     _R,    _R,   _O),
    "schema_registry":            (_O,     _O,     _O,     _R,    _R,   _O),
    "clickhouse":                 (_O,     _O,     _O,     _O,    _R,   _O),
    "clickhouse.url":             (_O,     _O,     _O,     _O,    _R,   _S),
    "clickhouse.user":            (_O,     _O,     _O,     _O,    _R,   _S),
    "clickhouse.password":        (_O,     _O,     _O,     _O,    _R,   _N),
    "clickhouse.migrator":        (_O,     _O,     _O,     _O,    _O,   _S),
    "clickhouse.migrator_password": (_O,   _O,     _O,     _O,    _O,   _N),
    "clickhouse.database":        (_O,     _O,     _O,     _O,    _R,   _S),
    "accounts":                   (_N,     _R,     _O,     _N,    _R,   _O),
    "accounts.*":                 (_N,     _R,     _O,     _N,    _O,   _O),
    "accounts.time_zone":         (_O,     _O,     _O,     _O,    _R,   _O),
    "ingress.host":               (_S,     _S,     _O,     _O,    _O,   _S),
    "ingress.port":               (_S,     _S,     _O,     _O,    _O,   _S),
    "ingress.workers":            (_S,     _S,     _O,     _O,    _O,   _S),
    "ingress.admin_host":         (_S,     _S,     _O,     _O,    _O,   _S),
    "ingress.admin_port":         (_S,     _S,     _O,     _O,    _O,   _S),
    "ingress.proxy_protocol":     (_S,     _S,     _O,     _O,    _O,   _S),
    "ingress.tls_certificate_file": (_S,   _S,     _O,     _O,    _O,   _S),
    "ingress.tls_key_file":       (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.tls_key_password":   (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.tls_client_ca_file": (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.require_account":    (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.trusted_proxies":    (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.account_rate_per_s": (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.account_daily_cap":  (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.unknown_per_minute": (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.trust_forwarded_for": (_N,    _R,     _O,     _O,    _O,   _O),
    "ingress.max_body_bytes":     (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.body_timeout_s":     (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.publish_timeout_s":  (_S,     _R,     _R,     _O,    _O,   _O),
    "ingress.max_buffer_bytes":   (_S,     _R,     _R,     _O,    _O,   _O),
    "ingress.max_queued":         (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.max_connections":    (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.head_timeout_s":     (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.leave_s":            (_N,     _R,     _O,     _O,    _O,   _O),
    "ingress.drain_s":            (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.spool_dir":          (_S,     _S,     _O,     _O,    _O,   _O),
    "ingress.spool_after_ms":     (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.spool_max_bytes":    (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.spool_min_free_bytes": (_S,   _R,     _O,     _O,    _O,   _O),
    "ingress.spool_max_age_s":    (_S,     _R,     _O,     _O,    _O,   _O),
    "ingress.spool_drain_per_s":  (_S,     _R,     _O,     _O,    _O,   _O),
    "poll":                       (_O,     _O,     _R,     _O,    _O,   _O),
    "poll.accounts":              (_O,     _O,     _R,     _O,    _R,   _O),
    "poll.accounts.*":            (_O,     _O,     _R,     _O,    _O,   _O),
    "poll.accounts.time_zone":    (_O,     _O,     _O,     _O,    _R,   _O),
    "process":                    (_O,     _O,     _O,     _R,    _O,   _O),
    "join":                       (_O,     _O,     _O,     _R,    _O,   _O),
    "sink":                       (_O,     _O,     _O,     _O,    _R,   _O),
    "privacy":                    (_O,     _O,     _O,     _O,    _O,   _S),
    "privacy.key":                (_O,     _O,     _O,     _R,    _R,   _O),
    "figures":                    (_O,     _O,     _O,     _O,    _R,   _O),
    "keep":                       (_O,     _O,     _O,     _O,    _O,   _S),
    "embedded":                   (_S,     _S,     _R,     _R,    _R,   _S),
    "metrics":                    (_O,     _O,     _R,     _R,    _R,   _S),
    "limits":                     (_O,     _O,     _O,     _N,    _O,   _O),
    "limits.header_chars":        (_N,     _R,     _O,     _N,    _O,   _O),
}
# fmt: on
_NUMBER: Final = re.compile(r"\[\d+\]")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The differences that one part found, by the way in which they take effect there; the others do not concern it."""

    applied: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Returns what becomes of the differences, in one line: paths, never a value."""
        said = [
            f"{effect}: {', '.join(paths)}"
            for effect, paths in (
                (Effect.AT_ONCE, self.applied),
                (Effect.RENEWED, self.renewed),
                (Effect.RESTART, self.restart),
            )
            if paths
        ]
        return f"the settings were read again: {'; '.join(said) or 'nothing differs here'}"


def effect(path: str, reader: Reader) -> Effect:
    """Returns how the setting at `path` takes effect; one that the table does not have needs a restart."""
    effects = in_parts(path)
    return effects[READERS.index(reader)] if effects else Effect.RESTART


def in_parts(path: str) -> tuple[Effect, ...]:
    """Returns how the setting at `path` takes effect in each of `READERS`; nothing when the table does not have it."""
    known = _NUMBER.sub("", path)
    while known and known not in _TABLE:
        known = known.rpartition(".")[0]
        if f"{known}.*" in _TABLE:
            known = f"{known}.*"
    return _TABLE.get(known, ())


def plan(paths: Sequence[str], reader: Reader) -> Plan:
    """Returns what becomes of differing settings in a part."""
    by_effect: dict[Effect, list[str]] = {each: [] for each in Effect}
    for path in paths:
        by_effect[effect(path, reader)].append(path)
    return Plan(
        applied=tuple(by_effect[Effect.AT_ONCE]),
        renewed=tuple(by_effect[Effect.RENEWED]),
        restart=tuple(by_effect[Effect.RESTART]),
    )
