"""Settings of the login at Kafka, and of the client's options that have no setting of their own. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from schemas.config.secret import Secret
from schemas.config.tls import ClientTls

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"]


class Oidc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Client credentials at an OpenID Connect provider, for tokens of OAUTHBEARER."""

    url: str = ""
    """Address of the provider's token endpoint. Empty: none is asked."""
    client_id: str = ""
    """Name of our client at the provider."""
    client_secret: Secret = Secret()
    """Secret of our client."""
    scope: str = ""
    """Scopes to ask for, separated by spaces. Empty: the provider's default."""
    audience: str = ""
    """Audience to ask for, where the provider wants one (Auth0, some of Keycloak's). Empty: none."""
    tls: ClientTls = ClientTls()
    """Certificates of the connection to the provider."""


class Sasl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The login, where `kafka.security_protocol` begins with SASL. Each part may have a user of its own."""

    mechanism: Mechanism = "SCRAM-SHA-512"
    """The login that the broker asks for. PLAIN and OAUTHBEARER send their secret to the broker: use them over TLS.
    GSSAPI (Kerberos) takes the ticket of this process and needs the package `gssapi`."""
    user: str = ""
    """Name of the user, with PLAIN and SCRAM. Each part may have its own: CALLWEAVE_KAFKA__SASL__USER."""
    password: Secret = Secret()
    """Password of `user`."""
    token_command: tuple[str, ...] = ()
    """Command and arguments that print the token, with OAUTHBEARER: the token alone, or JSON with `access_token`.
    It is shown by `--check-config`: put no secret among the arguments."""
    oidc: Oidc = Oidc()
    """The provider of tokens, with OAUTHBEARER, instead of `token_command`."""
    kerberos_service: str = "kafka"
    """First part of the brokers' principal, with GSSAPI."""
    kerberos_domain: str = ""
    """Host part of the brokers' principal, with GSSAPI. Empty: the host that is connected to."""


OPEN: Final = frozenset(
    {
        "connections_max_idle_ms",
        "consumer_timeout_ms",
        "fetch_max_bytes",
        "fetch_max_wait_ms",
        "fetch_min_bytes",
        "max_partition_fetch_bytes",
        "max_poll_interval_ms",
        "metadata_max_age_ms",
        "retry_backoff_ms",
    }
)
"""Options of the client that may be set as they are; all are whole numbers."""
_OWN: Final = {
    "bootstrap_servers": "kafka.bootstrap",
    "client_id": "kafka.client_id",
    "client_rack": "kafka.rack",
    "compression_type": "kafka.compression",
    "linger_ms": "kafka.linger_ms",
    "request_timeout_ms": "kafka.request_timeout_ms",
    "sasl_kerberos_domain_name": "kafka.sasl.kerberos_domain",
    "sasl_kerberos_service_name": "kafka.sasl.kerberos_service",
    "sasl_mechanism": "kafka.sasl.mechanism",
    "sasl_oauth_token_provider": "kafka.sasl.oidc or kafka.sasl.token_command",
    "sasl_plain_password": "kafka.sasl.password",
    "sasl_plain_username": "kafka.sasl.user",
    "security_protocol": "kafka.security_protocol",
    "session_timeout_ms": "process.session_timeout_s and sink.session_timeout_s",
    "ssl_context": "kafka.tls",
    "group_instance_id": "process.instance and sink.instance",
    "max_poll_records": "process.slice_records and sink.max_rows",
}
_GUARANTEES: Final = {
    "acks": "an acknowledgement means all in-sync replicas",
    "auto_commit_interval_ms": "offsets are committed only behind what is durable",
    "auto_offset_reset": "no record is jumped over",
    "check_crcs": "a record that was damaged on its way must not be read",
    "enable_auto_commit": "offsets are committed only behind what is durable",
    "enable_idempotence": "a repeated batch must not count twice",
    "group_id": "offsets belong to one group for each part",
    "heartbeat_interval_ms": "it follows from the session's timeout",
    "isolation_level": "it is part of how each part reads",
    "max_batch_size": "the largest record must fit into a batch",
    "max_request_size": "the largest record must fit into a request",
    "partition_assignment_strategy": "all members of a group share one",
    "partitioner": "a call's partition is part of the contract",
    "rebalance_timeout_ms": "it follows from the session's timeout",
    "transaction_timeout_ms": "no transactions are used",
    "transactional_id": "no transactions are used",
}
_OF_PROGRAMS: Final = (
    *("api_version", "exclude_internal_topics", "key_deserializer", "key_serializer", "loop"),
    *("value_deserializer", "value_serializer"),
)
CLOSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: f"it has a setting of its own, {setting}" for name, setting in _OWN.items()},
        **{name: f"it may not be set, because {why}" for name, why in _GUARANTEES.items()},
        **dict.fromkeys(_OF_PROGRAMS, "it is for programs and cannot be set"),
    }
)
"""Options of the client that may not be set, each with the reason."""
