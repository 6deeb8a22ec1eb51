"""Settings: files and the environment, and errors that name the place."""

import ast
import inspect
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import settings as declared
from schemas.config import load, shown
from schemas.errors import SettingsError
from schemas.settings import Settings

VENDORS = frozenset({"acme"})
SECRET = "abcdefghijklmnop1234"
ACCOUNT = f'[[accounts]]\nvendor = "acme"\nname = "main"\nsecret = "{SECRET}"\n'


def read(toml: str = "", **environ: str) -> Settings:
    path = None
    if toml:
        path = Path(__file__).with_suffix(".does-not-exist.toml")
        path.write_text(toml, "utf-8")
    try:
        return load(path, environ, VENDORS)
    finally:
        if path:
            path.unlink()


def test_defaults_are_a_working_setup() -> None:
    settings = read()

    assert (settings.ingress.host, settings.ingress.port, settings.kafka.partitions) == ("127.0.0.1", 8080, 24)


@pytest.mark.parametrize("address", ["a", "a:9092", "a:9092, b.example:9093", "[::1]:9092", "192.0.2.1:9092"])
def test_brokers_are_named_by_host_and_port(address: str) -> None:
    assert read(f'[kafka]\nbootstrap = "{address}"\n').kafka.bootstrap == address


def test_the_environment_wins_over_the_file() -> None:
    """And text becomes the field's type."""
    settings = read("[kafka]\npartitions = 6\nlinger_ms = 9\n", CALLWEAVE_KAFKA__PARTITIONS="12")

    assert (settings.kafka.partitions, settings.kafka.linger_ms) == (12, 9)


def test_lists_in_the_environment_are_json() -> None:
    settings = read(CALLWEAVE_ACCOUNTS='[{"vendor":"acme","name":"main","allow":["10.0.0.0/8"]}]')

    assert settings.accounts[0].allow == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("toml", "environ", "told"),
    [
        pytest.param("[kafka]\npartitions = 'many'", {}, "$.kafka.partitions", id="wrong type"),
        pytest.param("[kafka]\npartition = 3", {}, "unknown field `partition` - at `$.kafka`", id="misspelt"),
        pytest.param("[kafka\n", {}, "is not TOML", id="not TOML"),
        pytest.param("", {"CALLWEAVE_KAFKA__PARTITIONS": "0"}, "$.kafka.partitions", id="out of range"),
        pytest.param("", {"CALLWEAVE_INGRESS__PORT": "70000"}, "$.ingress.port", id="no such port"),
        pytest.param("", {"CALLWEAVE_KAFKA": "x"}, "$.kafka", id="a section is no value"),
        pytest.param("", {"CALLWEAVE_ACCOUNTS": "[{"}, "CALLWEAVE_ACCOUNTS is not JSON", id="broken JSON"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__DATABASE": "a;b"}, "$.clickhouse.database", id="database is an identifier"),
        pytest.param("", {"CALLWEAVE_KAFKA__MIN_INSYNC_REPLICAS": "2"}, "$.kafka.min_insync_replicas", id="replicas"),
        pytest.param("", {"CALLWEAVE_SINK__SESSION_TIMEOUT_S": "20"}, "$.clickhouse.insert_timeout_s", id="insert outlives session"),
        pytest.param("", {"CALLWEAVE_PROCESS__SESSION_TIMEOUT_S": "5"}, "$.process.session_timeout_s", id="Kafka takes no such session"),
        pytest.param("", {"CALLWEAVE_KAFKA__BOOTSTRAP": "a:9092,b:x"}, "'b:x' - at `$.kafka.bootstrap`", id="no port of a broker"),
        pytest.param("", {"CALLWEAVE_KAFKA__BOOTSTRAP": "kafka://a:9092"}, "$.kafka.bootstrap", id="a URL for a broker"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "a:8123"}, "$.clickhouse.url", id="no URL of ClickHouse"),
        pytest.param("", {"CALLWEAVE_SCHEMA_REGISTRY__URL": "a:8081"}, "$.schema_registry.url", id="no URL of a registry"),
        pytest.param(ACCOUNT.replace("acme", "nobody"), {}, "$.accounts[0].vendor", id="unknown vendor"),
        pytest.param(ACCOUNT.replace("main", "a b"), {}, "$.accounts[0].name", id="name with a space"),
        pytest.param(ACCOUNT.replace(SECRET, "short"), {}, "$.accounts[0].secret", id="short secret"),
        pytest.param(ACCOUNT + ACCOUNT, {}, "$.accounts[1].name", id="two of a name"),
        pytest.param(ACCOUNT + ACCOUNT.replace("main", "other"), {}, "$.accounts[1].secret", id="two of a secret"),
        pytest.param(ACCOUNT + 'allow = ["10.0.0.1/8"]\n', {}, "$.accounts[0].allow[0]", id="no network"),
        pytest.param('[[poll.accounts]]\nvendor = "acme"\nurl = "ftp://x"\napp_id = "1"', {}, "$.poll.accounts[0].url", id="no http"),
    ],
)  # fmt: skip
def test_an_error_names_the_place(toml: str, environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(toml, **environ)

    assert told in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.toml"):
        load(tmp_path / "none.toml", {}, VENDORS)


def test_secrets_never_show() -> None:
    """Not in --check-config, not in a repr that could reach a log."""
    settings = read(ACCOUNT, CALLWEAVE_CLICKHOUSE__PASSWORD="open sesame")

    told = repr(settings) + str(settings) + str(shown(settings))

    assert SECRET not in told
    assert "open sesame" not in told
    assert settings.clickhouse.password.value == "open sesame"


def test_every_setting_says_what_it_is() -> None:
    """Under its name; one that holds a whole section is said by the section."""
    sections = {
        node.name: node for node in ast.parse(inspect.getsource(declared)).body if isinstance(node, ast.ClassDef)
    }
    bare = {
        f"{name}.{field.target.id}"
        for name, section in sections.items()
        for field, after in pairwise([*section.body, ast.Pass()])
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
        and ast.unparse(field.annotation) not in sections
    }

    assert len(sections) > 8
    assert bare - {"Secret.value"} == set()
