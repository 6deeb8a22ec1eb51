"""Settings of Kafka and of the schema registry: what contradicts or endangers is refused with its path."""

import json

import pytest

from schemas.config.loader import load, shown, whole
from schemas.config.settings import Settings
from schemas.errors import SettingsError

SASL = {"BOOTSTRAP": "kafka:9093", "SECURITY_PROTOCOL": "SASL_SSL", "SASL__USER": "me", "SASL__PASSWORD": "sesame"}
TOKEN = {"BOOTSTRAP": "k:1", "SECURITY_PROTOCOL": "SASL_SSL", "SASL__MECHANISM": "OAUTHBEARER"}
OIDC = {
    **TOKEN,
    "SASL__OIDC__URL": "https://id.example/token",
    "SASL__OIDC__CLIENT_ID": "us",
    "SASL__OIDC__CLIENT_SECRET": "sesame",
}
REGISTRY = {"URL": "https://registry.example"}


def settings(section: str, given: dict[str, str]) -> Settings:
    return load(None, {f"CALLWEAVE_{section}__{name}": value for name, value in given.items()}, frozenset())


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="nothing"),
        pytest.param(SASL, id="SCRAM over TLS"),
        pytest.param({**SASL, "SASL__MECHANISM": "PLAIN"}, id="PLAIN"),
        pytest.param(
            {"BOOTSTRAP": "k:1", "SECURITY_PROTOCOL": "SSL", "TLS__CERTIFICATE_FILE": "c.pem"}, id="mutual TLS"
        ),
        pytest.param({**TOKEN, "SASL__TOKEN_COMMAND": '["get-token", "--kafka"]'}, id="a command's token"),
        pytest.param(OIDC, id="a provider's token"),
        pytest.param({**OIDC, "SASL__OIDC__URL": "http://127.0.0.1:8080/token"}, id="a provider on this machine"),
        pytest.param(
            {"BOOTSTRAP": "k:1", "SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL__MECHANISM": "GSSAPI"}, id="Kerberos"
        ),
        pytest.param({"CLIENT": '{"metadata_max_age_ms": 60000}'}, id="a further option as JSON"),
        pytest.param({"CLIENT__METADATA_MAX_AGE_MS": "60000"}, id="a further option by its name"),
        pytest.param({"RACK": "zone-a", "CLIENT_ID": "call-weave.eu"}, id="rack and name"),
    ],
)
def test_it_is_accepted(given: dict[str, str]) -> None:
    settings("KAFKA", given)


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        pytest.param({"SECURITY_PROTOCOL": "TLS", "BOOTSTRAP": "k:1"}, "security_protocol", "'TLS'", id="no protocol"),
        pytest.param(
            {"SECURITY_PROTOCOL": "SSL"}, "security_protocol", "set kafka.bootstrap", id="TLS to the embedded one"
        ),
        pytest.param(
            {"BOOTSTRAP": "k:1", "TLS__CA_FILE": "c"}, "security_protocol", "set SSL", id="a file without TLS"
        ),
        pytest.param(
            {**SASL, "SECURITY_PROTOCOL": "SSL"}, "security_protocol", "has no login", id="a user without a login"
        ),
        pytest.param({**SASL, "SASL__USER": ""}, "sasl.user", "wants a user", id="no user"),
        pytest.param({**SASL, "SASL__PASSWORD": ""}, "sasl.password", "wants a password", id="no password"),
        pytest.param({**SASL, "SASL__MECHANISM": "MD5"}, "sasl.mechanism", "'MD5'", id="no mechanism"),
        pytest.param({**SASL, "TLS__KEY_FILE": "k"}, "tls.key_file", "of no use", id="a key alone"),
        pytest.param(TOKEN, "sasl.token_command", "one of them", id="no source of tokens"),
        pytest.param(
            {**OIDC, "SASL__TOKEN_COMMAND": '["x"]'}, "sasl.token_command", "one of them", id="two sources of tokens"
        ),
        pytest.param(
            {**OIDC, "SASL__OIDC__URL": "http://id.example/"}, "sasl.oidc.url", "https", id="a secret in clear"
        ),
        pytest.param({**OIDC, "SASL__OIDC__URL": "https://[x"}, "sasl.oidc.url", "https", id="no address"),
        pytest.param({**OIDC, "SASL__OIDC__CLIENT_ID": ""}, "sasl.oidc.client_id", "name", id="no client"),
        pytest.param({**OIDC, "SASL__OIDC__CLIENT_SECRET": ""}, "sasl.oidc.client_secret", "secret", id="no secret"),
        pytest.param(
            {**OIDC, "SASL__OIDC__TLS__KEY_PEM": "k"}, "sasl.oidc.tls.key_pem", "of no use", id="its key alone"
        ),
        pytest.param({"CLIENT_ID": "a b"}, "client_id", "", id="a name with a space"),
        pytest.param({"CLIENT__ACKS": "1"}, "client.acks", "may not be set", id="acks"),
        pytest.param(
            {"CLIENT__ENABLE_AUTO_COMMIT": "1"}, "client.enable_auto_commit", "may not be set", id="auto commit"
        ),
        pytest.param({"CLIENT__GROUP_ID": "1"}, "client.group_id", "may not be set", id="group"),
        pytest.param({"CLIENT__CLIENT_RACK": "1"}, "client.client_rack", "kafka.rack", id="an option with a setting"),
        pytest.param(
            {"CLIENT__METADATA_MAX_AGE": "1"}, "client.metadata_max_age", "metadata_max_age_ms is meant", id="misspelt"
        ),
        pytest.param({"CLIENT__XYZ": "1"}, "client.xyz", "one of", id="unknown"),
        pytest.param({"CLIENT__FETCH_MIN_BYTES": "0"}, "client.fetch_min_bytes", "from 1", id="zero"),
        pytest.param({"CLIENT__FETCH_MIN_BYTES": "99999999999"}, "client.fetch_min_bytes", "from 1", id="too large"),
        pytest.param({"CLIENT__FETCH_MIN_BYTES": "many"}, "client", "int", id="no number"),
    ],
)
def test_it_is_refused_with_its_path(given: dict[str, str], path: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings("KAFKA", given)

    assert f"`$.kafka.{path}" in str(error.value)
    assert said in str(error.value)
    assert "sesame" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        pytest.param({**REGISTRY, "USER": "u", "TOKEN": "sesame"}, "token", id="two logins"),
        pytest.param({**REGISTRY, "PASSWORD": "sesame"}, "user", id="a password alone"),
        pytest.param({**REGISTRY, "USER": "a:b"}, "user", id="a colon"),
        pytest.param(
            {"URL": "https://u:sesame@registry.example", "USER": "u"}, "url", id="a login in the address, too"
        ),
        pytest.param({"URL": "http://registry.example", "TLS__CA_FILE": "c"}, "url", id="certificates without TLS"),
        pytest.param({**REGISTRY, "TLS__KEY_FILE": "k"}, "tls.key_file", id="a key alone"),
    ],
)
def test_a_registry_is_refused_with_its_path(given: dict[str, str], path: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings("SCHEMA_REGISTRY", given)

    assert f"`$.schema_registry.{path}`" in str(error.value)
    assert "sesame" not in str(error.value)


def test_no_secret_of_kafka_is_shown_and_all_come_through_to_the_parts() -> None:
    given = {
        **OIDC,
        "TLS__CA_PEM": "sesame-ca",
        "TLS__CERTIFICATE_PEM": "sesame-c",
        "TLS__KEY_PEM": "sesame-k",
        "TLS__KEY_PASSWORD": "sesame-p",
    }
    known = settings("KAFKA", given)

    assert "sesame" not in json.dumps(shown(known))
    assert "sesame" not in repr(known)
    assert load(None, {}, frozenset(), handed_over=whole(known)) == known
