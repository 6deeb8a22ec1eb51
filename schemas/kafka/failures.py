"""Turns what a connection to Kafka ends with into one sentence with a bounded code. Pure.

Neither the sentence nor the code quotes a password, a token, or a text that came from the other side.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from schemas.config.settings import KafkaSettings
from schemas.errors import Unavailable
from schemas.kafka.tokens import TokenError
from schemas.tls.faults import causes, fault

KafkaCode = Literal[
    "kafka_certificate",  # one side does not trust the other's certificate
    "kafka_login",  # wrong user, password or token, or a mechanism that the broker does not take
    "kafka_protocol",  # TLS or a login on one side alone
    "kafka_rights",  # the user may not do what the part does
    "kafka_token",  # the source of tokens gave none
]
REFUSED: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


def explained(error: BaseException, kafka: KafkaSettings, place: str) -> Unavailable | None:
    """Returns the failure in words, or None when it says no more than that Kafka does not answer."""
    for cause in causes(error):
        for kind, words in _WORDS:
            if isinstance(cause, kind):
                return words(cause, kafka, place)
    if untrusted := fault(error, f"Kafka at {place}", kafka.tls, "kafka.tls"):
        return _failure("kafka_certificate", untrusted.sentence)
    return None


def mismatch(kafka: KafkaSettings, place: str, *, speaks_tls: bool) -> Unavailable:
    """Returns the failure of a connection with TLS on one side alone."""
    has, wants = ("TLS", "SSL") if speaks_tls else ("no TLS", "PLAINTEXT")
    named = f"SASL_{wants}" if kafka.security_protocol.startswith("SASL") else f"{wants} (with a login SASL_{wants})"
    text = (
        f"Kafka at {place} speaks {has}, and kafka.security_protocol is {kafka.security_protocol}: set it to {named}, "
        "or use another port"
    )
    return _failure("kafka_protocol", text)


def token_refused(kafka: KafkaSettings, place: str) -> Unavailable:
    """Returns the failure of a token that the broker does not accept."""
    return _login_refused(None, kafka, place)


def wants_login(kafka: KafkaSettings, place: str) -> Unavailable:
    """Returns the failure of a connection that ends at the first request beyond a greeting."""
    text = (
        f"Kafka at {place} hangs up on {kafka.security_protocol} without a login: set kafka.security_protocol to SASL_"
    )
    text += "SSL" if kafka.security_protocol.endswith("SSL") else "PLAINTEXT"
    return _failure("kafka_protocol", f"{text} and kafka.sasl")


def unknown(error: BaseException, place: str) -> Unavailable:
    """Returns the failure of which nothing more is known."""
    return Unavailable(f"Kafka at {place} does not answer: {type(error).__name__}")


def _failure(code: KafkaCode, text: str) -> Unavailable:
    return Unavailable(text, code=code)


_WRONG: Final[Mapping[str, str]] = {
    "OAUTHBEARER": "the token is not accepted (kafka.sasl.oidc or kafka.sasl.token_command)",
    "GSSAPI": "the ticket is not accepted (kafka.sasl.kerberos_service and this process's credentials)",
}


def _login_refused(_error: BaseException | None, kafka: KafkaSettings, place: str) -> Unavailable:
    who = f" user {kafka.sasl.user}" if kafka.sasl.user and kafka.sasl.mechanism not in _WRONG else " us"
    password = "the user or the password is wrong (kafka.sasl.user and kafka.sasl.password)"  # noqa: S105 - a sentence
    why = _WRONG.get(kafka.sasl.mechanism, password)
    return _failure("kafka_login", f"Kafka at {place} does not let{who} in: {why}")


def _other_login(_error: BaseException, kafka: KafkaSettings, place: str) -> Unavailable:
    text = f"does not take the login {kafka.sasl.mechanism}: set kafka.sasl.mechanism to one that it does"
    return _failure("kafka_login", f"Kafka at {place} {text}")


def _no_login(_error: BaseException, kafka: KafkaSettings, place: str) -> Unavailable:
    instead = "SSL" if kafka.security_protocol.endswith("SSL") else "PLAINTEXT"
    text = f"asks for no login: set kafka.security_protocol to {instead}, or use another port"
    return _failure("kafka_protocol", f"Kafka at {place} {text}")


_WORDS: Final[tuple[tuple[type[BaseException], Callable[[Any, KafkaSettings, str], Unavailable]], ...]] = (
    (Unavailable, lambda error, _kafka, _place: error),
    (TokenError, lambda error, _kafka, _place: _failure("kafka_token", str(error.args[0]))),
    (SaslAuthenticationFailed, _login_refused),
    (UnsupportedSaslMechanismError, _other_login),
    (IllegalSaslStateError, _no_login),
)
"""The failures that explain themselves, beside those of certificates."""
