"""Listeners of an embedded broker beside its own: with a login, with TLS, or advertised at another port."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

_LOGIN: Final = "org.apache.kafka.common.security"


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One more listener of a broker, for clients that reach it in another way, as through a proxy."""

    name: str
    """Upper case letters."""
    port: int
    advertised_port: int
    """The port in the address that the broker gives to clients of this listener."""
    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    properties: Mapping[str, str] = {}
    """Its own settings, as `ssl.client.auth`."""


def listener_properties(
    listeners: Sequence[Listener], port: int, controller_port: int, users: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the properties of a broker with these listeners beside its own; `users` are passwords by name."""
    own = f"BROKER://127.0.0.1:{port}"
    controller = f"CONTROLLER://127.0.0.1:{controller_port}"
    return {
        "listeners": ",".join([own, controller, *(f"{one.name}://127.0.0.1:{one.port}" for one in listeners)]),
        "advertised.listeners": ",".join(
            [own, *(f"{one.name}://127.0.0.1:{one.advertised_port}" for one in listeners)]
        ),
        "listener.security.protocol.map": ",".join(
            ["BROKER:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{one.name}:{one.protocol}" for one in listeners)]
        ),
        **{
            f"listener.name.{one.name.lower()}.{name}": value
            for one in listeners
            for name, value in {**_login(one, users or {}), **one.properties}.items()
        },
    }


def access_properties(certificate_file: str, ca_file: str) -> dict[str, str]:
    """Returns the properties of access control by Kafka's own rules: who comes without a login may do everything."""
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificate_file,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": ca_file,
    }


def scram_users(users: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the arguments of the storage tool that make the users."""
    return tuple(
        f"--add-scram={mechanism}=[name={name},password={password}]"
        for name, password in users.items()
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
    )


def _login(listener: Listener, users: Mapping[str, str]) -> dict[str, str]:
    if not listener.protocol.startswith("SASL"):
        return {}
    plain = "".join(f' user_{name}="{password}"' for name, password in users.items())
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER",
        "scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
        "scram-sha-256.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
        "plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required{plain};",
        # Tokens without a signature.
        "oauthbearer.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required;",
        "connections.max.reauth.ms": "0",
    }
