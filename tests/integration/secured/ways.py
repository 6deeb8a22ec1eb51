"""The ways into a broker with TLS and logins: those that lead in, and those that are wrong, each with its sentence."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from schemas.config.kafka.sasl import Sasl
from schemas.config.secret import Secret
from schemas.config.settings import KafkaSettings
from schemas.config.tls import ClientTls
from tests.support.kafka.secured_kafka import PASSWORDS, SecuredKafka

USER = "callweave-ingress"
WRONG = "sesame-open-sesame"


def token(subject: str, lives_s: int = 3600) -> str:
    """Returns a token without a signature, as the broker of the tests takes it."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + lives_s})
    return ".".join(base64.urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts) + "."


def login(mechanism: Any = "SCRAM-SHA-512", password: str = PASSWORDS[USER]) -> Sasl:
    return Sasl(mechanism=mechanism, user=USER, password=Secret(password))


def by_token(*command: str) -> Sasl:
    return Sasl(mechanism="OAUTHBEARER", token_command=command)


def tls(kafka: SecuredKafka, **more: Any) -> ClientTls:
    return ClientTls(ca_file=kafka.papers.file("ca.pem"), **more)


def pem(kafka: SecuredKafka, name: str) -> Secret:
    return Secret(Path(kafka.papers.file(name)).read_text("utf-8"))


def without_login(kafka: SecuredKafka, listener: str, **more: Any) -> KafkaSettings:
    """Returns the settings of TLS alone."""
    options = {"tls": tls(kafka), "security_protocol": "SSL", **more}
    return kafka.settings(USER, bootstrap=kafka.at(listener), sasl=Sasl(), **options)


Given = Callable[[SecuredKafka], KafkaSettings]
IN: dict[str, Given] = {
    "SCRAM-SHA-512 over TLS": lambda k: k.settings(USER),
    "SCRAM-SHA-256 over TLS": lambda k: k.settings(USER, sasl=login("SCRAM-SHA-256")),
    "PLAIN over TLS": lambda k: k.settings(USER, sasl=login("PLAIN")),
    "a token of a command": lambda k: k.settings(USER, sasl=by_token("echo", token(USER))),
    "a token of a command as JSON": lambda k: k.settings(
        USER, sasl=by_token("echo", f'{{"access_token":"{token(USER)}","expires_in":300}}')
    ),
    "a certificate of ours": lambda k: without_login(
        k, "MUTUAL", tls=tls(k, certificate_file=k.papers.file("client.pem"))
    ),
    "a certificate of ours as text": lambda k: without_login(
        k, "MUTUAL", tls=ClientTls(ca_pem=pem(k, "ca.pem"), certificate_pem=pem(k, "client.pem"))
    ),
    "a login without TLS": lambda k: k.settings(
        USER, bootstrap=k.at("BARE"), security_protocol="SASL_PLAINTEXT", tls=ClientTls()
    ),
    "a name that the certificate lacks, unchecked": lambda k: k.settings(
        USER, bootstrap=k.at("LOGIN", "localhost"), tls=tls(k, check_hostname=False)
    ),
}
OUT: dict[str, tuple[Given, str, str]] = {
    "a wrong password (SCRAM)": (lambda k: k.settings(USER, sasl=login(password=WRONG)), "kafka_login", "is wrong"),
    "a wrong password (PLAIN)": (
        lambda k: k.settings(USER, sasl=login("PLAIN", WRONG)),
        "kafka_login",
        f"user {USER} in: the user or the password is wrong",
    ),
    "a token that is no token": (
        lambda k: k.settings(USER, sasl=by_token("echo", WRONG)),
        "kafka_login",
        "the token is not accepted",
    ),
    "a token that has ended": (
        lambda k: k.settings(USER, sasl=by_token("echo", token(USER, -60))),
        "kafka_login",
        "the token is not accepted",
    ),
    "a command that fails": (
        lambda k: k.settings(USER, sasl=by_token("sh", "-c", f"echo {WRONG} >&2; exit 3")),
        "kafka_token",
        "kafka.sasl.token_command ended with code 3",
    ),
    "a command that is not there": (
        lambda k: k.settings(USER, sasl=by_token("no-such-command")),
        "kafka_token",
        "cannot be run: No such file",
    ),
    "an authority that is not the system's": (
        lambda k: k.settings(USER, tls=ClientTls()),
        "kafka_certificate",
        "set kafka.tls.ca_file",
    ),
    "another authority": (
        lambda k: k.settings(USER, tls=ClientTls(ca_file=k.papers.file("other-ca.pem"))),
        "kafka_certificate",
        "an authority that is not trusted",
    ),
    "a wrong host name": (
        lambda k: k.settings(USER, bootstrap=k.at("LOGIN", "localhost")),
        "kafka_certificate",
        "for another name",
    ),
    "an expired certificate of the broker": (
        lambda k: without_login(k, "EXPIRED"),
        "kafka_certificate",
        "has expired",
    ),
    "no certificate where one is wanted": (
        lambda k: without_login(k, "MUTUAL"),
        "kafka_certificate",
        "set kafka.tls.certificate_file",
    ),
    "a certificate of a stranger": (
        lambda k: without_login(k, "MUTUAL", tls=tls(k, certificate_file=k.papers.file("stranger.pem"))),
        "kafka_certificate",
        "does not accept our certificate",
    ),
    "no TLS on a port with TLS": (
        lambda k: KafkaSettings(bootstrap=k.at("OPEN")),
        "kafka_protocol",
        "speaks TLS, and kafka.security_protocol is PLAINTEXT: set it to SSL",
    ),
    "TLS on a port without": (
        lambda k: KafkaSettings(bootstrap=k.server.bootstrap, security_protocol="SSL", tls=tls(k)),
        "kafka_protocol",
        "speaks no TLS, and kafka.security_protocol is SSL: set it to PLAINTEXT",
    ),
    "a login with TLS on a port with a login alone": (
        lambda k: k.settings(USER, bootstrap=k.at("BARE")),
        "kafka_protocol",
        "set it to SASL_PLAINTEXT",
    ),
    "no login where one is wanted, over TLS": (
        lambda k: without_login(k, "LOGIN"),
        "kafka_protocol",
        "set kafka.security_protocol to SASL_SSL",
    ),
    "no login where one is wanted": (
        lambda k: KafkaSettings(bootstrap=k.at("BARE")),
        "kafka_protocol",
        "set kafka.security_protocol to SASL_PLAINTEXT",
    ),
    "a login where none is wanted": (
        lambda k: k.settings(USER, bootstrap=k.at("OPEN")),
        "kafka_protocol",
        "asks for no login",
    ),
    "a user without a right": (
        lambda k: k.settings("callweave-nobody"),
        "kafka_rights",
        "refuses user callweave-nobody what `callweave ingress` needs: Write on topic calls.raw",
    ),
    "nobody there": (lambda _k: KafkaSettings(bootstrap="127.0.0.1:1"), "unavailable", "does not answer"),
}
