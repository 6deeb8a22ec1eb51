"""The section of the settings on the registry of schemas. Pure."""

import msgspec

from schemas.config.secret import Secret
from schemas.config.tls import ClientTls


class SchemaRegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The registry in which schemas are published, where there is one."""

    url: str = ""
    """Address of a Confluent-compatible registry, whose ids are then on the wire. Empty: the pinned ids."""
    user: str = ""
    """Name for basic authorization, as Confluent Cloud's API key. Empty: none."""
    password: Secret = Secret()
    """Password of `user`."""
    token: Secret = Secret()
    """Bearer token, instead of `user`. Empty: none."""
    tls: ClientTls = ClientTls()
    """Certificates, where `url` begins with https."""
