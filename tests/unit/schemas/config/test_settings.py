"""Settings: files and the environment, and errors that name the place."""

import ast
import inspect
import re
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.config import settings as declared
from schemas.config.figures.zones import account_zones
from schemas.config.listening import needs_account
from schemas.config.loader import load, shown, whole
from schemas.config.settings import Settings
from schemas.errors import SettingsError

VENDORS = frozenset({"acme"})
SECRET = "k3vq9xw2mz7rt5hb"
OTHER_SECRET = "9f2c71e8b05d46a3"
ACCOUNT = f'[[accounts]]\nvendor = "acme"\nname = "main"\nsecret = "{SECRET}"\n'
POLLED = '[[poll.accounts]]\nvendor = "acme"\naccount = "main"\nurl = "https://vendor.example"\napp_id = "4711"\n'


def read(toml: str = "", **environ: str) -> Settings:
    if not toml:
        return load(None, environ, VENDORS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "callweave.toml"
        path.write_text(toml, "utf-8")
        return load(path, environ, VENDORS)


def test_defaults_are_a_working_setup() -> None:
    settings = read()

    assert (settings.ingress.host, settings.ingress.port, settings.kafka.partitions) == ("127.0.0.1", 8080, 24)


@pytest.mark.parametrize("address", ["a", "a:9092", "a:9092, b.example:9093", "[::1]:9092", "192.0.2.1:9092"])
def test_brokers_are_named_by_host_and_port(address: str) -> None:
    assert read(f'[kafka]\nbootstrap = "{address}"\n').kafka.bootstrap == address


def test_the_environment_wins_over_the_file() -> None:
    """Text becomes the field's type."""
    settings = read("[kafka]\npartitions = 6\nlinger_ms = 9\n", CALLWEAVE_KAFKA__PARTITIONS="12")

    assert (settings.kafka.partitions, settings.kafka.linger_ms) == (12, 9)


def test_each_account_has_the_time_zone_that_it_sets() -> None:
    """A polled one is named as the column `account` names it."""
    zoned = (
        ACCOUNT
        + 'time_zone = "Asia/Kathmandu"\n'
        + POLLED.replace('account = "main"\n', "")
        + 'time_zone = "Asia/Tokyo"\n'
    )
    unzoned = ACCOUNT.replace("main", "b").replace(SECRET, OTHER_SECRET)
    settings = read(f'{zoned}{unzoned}[figures]\ntime_zone = "Europe/Berlin"\n')

    assert account_zones(settings) == {
        ("", ""): "Europe/Berlin", ("acme", "main"): "Asia/Kathmandu", ("acme", "4711"): "Asia/Tokyo",
    }  # fmt: skip
    assert account_zones(read()) == {("", ""): "UTC"}


def test_lists_in_the_environment_are_json() -> None:
    settings = read(CALLWEAVE_ACCOUNTS='[{"vendor":"acme","name":"main","allow":["10.0.0.0/8"]}]')

    assert settings.accounts[0].allow == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("toml", "environ", "message"),
    [
        pytest.param("[kafka]\npartitions = 'many'", {}, "$.kafka.partitions", id="wrong type"),
        pytest.param("[kafka]\npartition = 3", {}, "unknown field `partition` - at `$.kafka`", id="misspelt"),
        pytest.param("[kafka\n", {}, "is not TOML", id="not TOML"),
        pytest.param("", {"CALLWEAVE_KAFKA__PARTITIONS": "0"}, "$.kafka.partitions", id="out of range"),
        pytest.param("", {"CALLWEAVE_INGRESS__PORT": "70000"}, "$.ingress.port", id="no such port"),
        pytest.param("", {"CALLWEAVE_METRICS__HOST": ""}, "$.metrics.host", id="pages on every address by an empty variable"),
        pytest.param("", {"CALLWEAVE_KAFKA__AUDIT_RETENTION_DAYS": "-1"}, "$.kafka.audit_retention_days", id="a negative age"),
        pytest.param("", {"CALLWEAVE_KAFKA__AVRO_RELEASE": "0.1"}, """one of "newest", "previous" is wanted, not '0.1' - at `$.kafka.avro_release`""", id="a release that is none"),
        pytest.param("[kafka]\navro_release = 2", {}, "$.kafka.avro_release", id="a version for a release"),
        pytest.param("", {"CALLWEAVE_KAFKA": "x"}, "$.kafka", id="a section is no value"),
        pytest.param("", {"CALLWEAVE_ACCOUNTS": "[{"}, "CALLWEAVE_ACCOUNTS is not JSON", id="broken JSON"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__DATABASE": "a;b"}, "$.clickhouse.database", id="database is an identifier"),
        pytest.param("", {"CALLWEAVE_KAFKA__MIN_INSYNC_REPLICAS": "2"}, "$.kafka.min_insync_replicas", id="replicas"),
        pytest.param(
            "",
            {"CALLWEAVE_EMBEDDED__CLICKHOUSE_MEMORY_MB": "255"},
            "$.embedded.clickhouse_memory_mb",
            id="too little memory for ClickHouse",
        ),
        pytest.param("", {"CALLWEAVE_SINK__SESSION_TIMEOUT_S": "20"}, "$.clickhouse.insert_timeout_s", id="insert outlives session"),
        pytest.param("", {"CALLWEAVE_PROCESS__SESSION_TIMEOUT_S": "5"}, "$.process.session_timeout_s", id="Kafka takes no such session"),
        pytest.param("", {"CALLWEAVE_PRIVACY__KEY": SECRET + SECRET[1:]}, "at least 32 characters, or none, are wanted - at `$.privacy.key`", id="a short key of tokens"),
        pytest.param("", {"CALLWEAVE_PRIVACY__KEY": "callweave" * 4}, "- at `$.privacy.key`", id="a key of tokens that can be guessed"),
        pytest.param("", {"CALLWEAVE_PRIVACY__CLEAR_NUMBER_DAYS": "-1"}, "$.privacy.clear_number_days", id="days before now"),
        pytest.param("", {"CALLWEAVE_PRIVACY__BODY_DAYS": "10001"}, "$.privacy.body_days", id="days beyond the clock of the database"),
        pytest.param("", {"CALLWEAVE_KAFKA__BOOTSTRAP": "a:9092,b:x"}, "'b:x' - at `$.kafka.bootstrap`", id="no port of a broker"),
        pytest.param("", {"CALLWEAVE_KAFKA__BOOTSTRAP": "kafka://a:9092"}, "$.kafka.bootstrap", id="a URL for a broker"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "a:8123"}, "$.clickhouse.url", id="no URL of ClickHouse"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "http://[::1"}, "$.clickhouse.url", id="a bracket that does not close"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "http://a:many"}, "$.clickhouse.url", id="a port that is no number"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "http://x:y@a:8123"}, "clickhouse.user and clickhouse.password, not in the address - at `$.clickhouse.url`", id="a password in the address"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "https://a:8443, b:8443"}, "$.clickhouse.url", id="one of two addresses is none"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "http://a,http://a/"}, "twice - at `$.clickhouse.url`", id="one address twice"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__URL": "http://a:1,http://x:y@b:1"}, "not in the address - at `$.clickhouse.url`", id="a password in the second address"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__SHARDED": "true"}, "$.clickhouse.sharded", id="shards of no cluster"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__TLS__KEY_FILE": "k.pem"}, "$.clickhouse.tls.key_file", id="a key without a certificate"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__USER": "a:b"}, "$.clickhouse.user", id="a colon in a name"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__MIGRATOR": "a\nb"}, "$.clickhouse.migrator", id="two lines in a name"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__PASSWORD": "a\n"}, "$.clickhouse.password", id="the end of a line in a password"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__MIGRATOR_PASSWORD": "\x01"}, "$.clickhouse.migrator_password", id="a control character in a password"),
        pytest.param("", {"CALLWEAVE_SCHEMA_REGISTRY__URL": "a:8081"}, "$.schema_registry.url", id="no URL of a registry"),
        pytest.param(ACCOUNT.replace("acme", "nobody"), {}, "$.accounts[0].vendor", id="unknown vendor"),
        pytest.param("", {"CALLWEAVE_FIGURES__TIME_ZONE": "Mars/Olympus"}, "not 'Mars/Olympus' - at `$.figures.time_zone`", id="no time zone"),
        pytest.param("", {"CALLWEAVE_FIGURES__TIME_ZONE": "+08:00"}, "$.figures.time_zone", id="an offset for a time zone"),
        pytest.param("", {"CALLWEAVE_FIGURES__TIME_ZONE": "localtime"}, "$.figures.time_zone", id="the machine's own time zone"),
        pytest.param("", {"CALLWEAVE_FIGURES__TIME_ZONE": "../../etc/passwd"}, "$.figures.time_zone", id="a path for a time zone"),
        pytest.param(ACCOUNT + 'time_zone = "asia/kolkata"\n', {}, "$.accounts[0].time_zone", id="a time zone in small letters"),
        pytest.param(ACCOUNT + 'time_zone = "Asia/Tokyo"\n' + POLLED + 'time_zone = "UTC"\n', {}, "another zone already, Asia/Tokyo - at `$.poll.accounts[0].time_zone`", id="two zones of an account that is polled, too"),
        pytest.param(POLLED + 'time_zone = "CEST"\n', {}, "$.poll.accounts[0].time_zone", id="an abbreviation for a time zone"),
        pytest.param(ACCOUNT.replace("main", "a b"), {}, "$.accounts[0].name", id="name with a space"),
        pytest.param(ACCOUNT.replace(SECRET, "short"), {}, "at least 16 letters and digits are wanted: make one with", id="short secret"),
        pytest.param(ACCOUNT.replace(SECRET, SECRET[:15]), {}, "$.accounts[0].secret", id="a secret that is one short"),
        pytest.param(ACCOUNT.replace(SECRET, "k3vq-9xw2_mz7rt5hb"), {}, "$.accounts[0].secret", id="a secret that an address must encode"),
        pytest.param(ACCOUNT + ACCOUNT, {}, "$.accounts[1].name", id="two of a name"),
        pytest.param(ACCOUNT + ACCOUNT.replace("main", "other"), {}, "$.accounts[1].secret", id="two of a secret"),
        pytest.param(ACCOUNT + 'allow = ["10.0.0.1/8"]\n', {}, "$.accounts[0].allow[0]", id="no network"),
        pytest.param('[[poll.accounts]]\nvendor = "acme"\nurl = "ftp://x"\napp_id = "1"', {}, "$.poll.accounts[0].url", id="no http"),
    ],
)  # fmt: skip
def test_an_error_names_the_place(toml: str, environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(toml, **environ)

    assert message in str(caught.value)


NO_DOOR = ACCOUNT.replace(f'secret = "{SECRET}"\n', "")


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "",
        "192.0.2.1",
        "2001:db8::1",
        "example.com",
        "0",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "::ffff:192.0.2.1",
    ],
)
def test_beyond_this_machine_an_account_is_demanded(host: str) -> None:
    assert needs_account(read(ACCOUNT, CALLWEAVE_INGRESS__HOST=host).ingress)
    for text, more in ((ACCOUNT, {"CALLWEAVE_INGRESS__REQUIRE_ACCOUNT": "false"}), ("", {})):
        with pytest.raises(SettingsError, match=r"at `\$\.ingress\.require_account`") as caught:
            read(text, CALLWEAVE_INGRESS__HOST=host, **more)
        assert "require_account = true" in str(caught.value)
        assert "ingress.host" in str(caught.value)
        assert "--open" in str(caught.value)
    settings = read(ACCOUNT, CALLWEAVE_INGRESS__HOST=host, CALLWEAVE_INGRESS__REQUIRE_ACCOUNT="true")
    assert settings.ingress.host == host


@pytest.mark.parametrize(
    "proxy",
    [
        {"TRUST_FORWARDED_FOR": "1"},
        {"TRUSTED_PROXIES": '["192.0.2.7/32"]'},
        {"TRUSTED_PROXIES": '["192.0.2.7/32"]', "PROXY_PROTOCOL": "true"},
    ],
    ids=["a count", "networks", "the PROXY protocol"],
)
def test_behind_a_proxy_an_account_is_demanded(proxy: dict[str, str]) -> None:
    """The server listens on this machine only, but the proxy lets others in."""
    given = {f"CALLWEAVE_INGRESS__{name}": value for name, value in proxy.items()}
    with pytest.raises(SettingsError, match=r"a proxy lets other machines in.* at `\$\.ingress\.require_account`"):
        read(ACCOUNT, CALLWEAVE_INGRESS__REQUIRE_ACCOUNT="false", **given)
    assert needs_account(read(ACCOUNT, **given).ingress)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        pytest.param({"HOST": "0.0.0.0", "TRUST_FORWARDED_FOR": "1"}, "trust_forwarded_for", id="X-Forwarded-For of anybody"),
        pytest.param({"PROXY_PROTOCOL": "true"}, "proxy_protocol", id="a PROXY header of anybody"),
        pytest.param({"TRUSTED_PROXIES": '["0.0.0.0/0"]'}, "trusted_proxies", id="everybody is a proxy"),
        pytest.param({"TRUSTED_PROXIES": '["::/1", "8000::/1"]'}, "trusted_proxies", id="everybody is a proxy, in halves"),
        pytest.param({"TRUSTED_PROXIES": '["192.0.2.7/24"]'}, "trusted_proxies[0]", id="no network"),
        pytest.param({"TLS_KEY_FILE": "tls.key"}, "tls_key_file", id="a key without a certificate"),
        pytest.param({"TLS_CLIENT_CA_FILE": "ca.crt"}, "tls_client_ca_file", id="authorities without a certificate"),
        pytest.param({"TLS_KEY_PASSWORD": "x"}, "tls_key_password", id="a password without a certificate"),
        pytest.param({"HOST": "0.0.0.0", "ADMIN_PORT": "8080"}, "admin_port", id="the admin pages on the port of the pushes"),
    ],
)  # fmt: skip
def test_a_listener_that_could_be_fooled_is_refused(given: dict[str, str], place: str) -> None:
    with pytest.raises(SettingsError, match=rf"at `\$\.ingress\.{re.escape(place)}`"):
        read(ACCOUNT, **{f"CALLWEAVE_INGRESS__{name}": value for name, value in given.items()})


def test_x_forwarded_for_of_named_proxies_is_fine_beyond_this_machine() -> None:
    given = {"HOST": "0.0.0.0", "TRUST_FORWARDED_FOR": "1", "TRUSTED_PROXIES": '["192.0.2.7/32"]'}
    assert read(ACCOUNT, **{f"CALLWEAVE_INGRESS__{name}": value for name, value in given.items()}).accounts


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST.", "::ffff:127.0.0.1"])
def test_on_this_machine_none_is(host: str) -> None:
    assert not needs_account(read(CALLWEAVE_INGRESS__HOST=host).ingress)


@pytest.mark.parametrize(
    ("more", "place"),
    [
        pytest.param("", "$.accounts[0].secret", id="neither secret nor network"),
        pytest.param('secret = ""\n', "$.accounts[0].secret", id="an empty secret"),
        pytest.param("allow = []\n", "$.accounts[0].secret", id="an empty list of networks"),
        pytest.param('external_ids = ["x1"]\n', "$.accounts[0].secret", id="external ids are known to many"),
        pytest.param('allow = ["0.0.0.0/0"]\n', "$.accounts[0].allow", id="all of IPv4"),
        pytest.param('allow = ["::/0"]\n', "$.accounts[0].allow", id="all of IPv6"),
        pytest.param('allow = ["::ffff:0:0/96"]\n', "$.accounts[0].allow", id="all of IPv4, written as IPv6"),
        pytest.param('allow = ["0.0.0.0/1", "128.0.0.0/1"]\n', "$.accounts[0].allow", id="all of IPv4 in halves"),
        pytest.param('allow = ["192.0.2.0/24", "0.0.0.0/0"]\n', "$.accounts[0].allow", id="a network and all others"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_account_needs_a_secret_or_a_network(more: str, place: str, host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(NO_DOOR + more, CALLWEAVE_INGRESS__HOST=host, CALLWEAVE_INGRESS__REQUIRE_ACCOUNT="true")
    assert f"at `{place}`" in str(caught.value)
    assert "openssl rand -hex 16" in str(caught.value)


@pytest.mark.parametrize(
    "more", [f'secret = "{SECRET}"\n', 'allow = ["192.0.2.0/24"]\n', f'secret = "{SECRET}"\nallow = ["0.0.0.0/0"]\n']
)
def test_either_is_enough(more: str) -> None:
    assert len(read(NO_DOOR + more).accounts) == 1


def test_an_account_that_nobody_can_push_to_needs_neither() -> None:
    """Such an account only names the vendor's ids that a pulled page may carry."""
    assert load(
        None, {"CALLWEAVE_ACCOUNTS": '[{"vendor":"acme","name":"main"}]'}, VENDORS, frozenset({"acme"})
    ).accounts


def test_all_unsafe_settings_are_named_at_once() -> None:
    second = ACCOUNT.replace("main", "second").replace(SECRET, "passwordpassword")
    with pytest.raises(SettingsError) as caught:
        read(NO_DOOR + second, CALLWEAVE_INGRESS__HOST="0.0.0.0", CALLWEAVE_INGRESS__REQUIRE_ACCOUNT="false")
    message = str(caught.value).split("\n")
    assert [
        place in line for place, line in zip(("$.ingress.", "$.accounts[0].", "$.accounts[1]."), message, strict=True)
    ] == [True] * 3
    assert "passwordpassword" not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("aaaaaaaaaaaaaaaa", id="one character"),
        pytest.param("abababababababab", id="two in turn"),
        pytest.param("1111111122222222", id="two after the other"),
        pytest.param("abcdabcdabcdabcd", id="a few over and over"),
        pytest.param("kq7v2m9xkq7v2m9x", id="a good half twice"),
        pytest.param("abcdefghijklmnop", id="the alphabet"),
        pytest.param("zyxwvutsrqponmlk", id="the alphabet backwards"),
        pytest.param("ABCDEFGHijklmnop", id="the alphabet in two cases"),
        pytest.param("0123456789012345", id="digits in order"),
        pytest.param("9876543210987654", id="digits backwards"),
        pytest.param("0123456789abcdef", id="hexadecimal digits in order"),
        pytest.param("abcdefgh12345678", id="letters and digits in order"),
        pytest.param("a1b2c3d4e5f6a7b8", id="letters and digits in order, in turn"),
        pytest.param("1122334455667788", id="each digit twice"),
        pytest.param("acegikmoqsuwybdf", id="every other letter"),
        pytest.param("qwertyuiopasdfgh", id="rows of a keyboard"),
        pytest.param("1qaz2wsx3edc4rfv", id="columns of a keyboard"),
        pytest.param("q1w2e3r4t5y6u7i8", id="rows of a keyboard in turn"),
        pytest.param("passwordpassword", id="a word twice"),
        pytest.param("mysecretpassword", id="words"),
        pytest.param("Password12345678", id="a word and digits"),
        pytest.param("p4ssw0rd53cr3t99", id="words with digits for letters"),
        pytest.param("changemechangeme", id="what a template says"),
        pytest.param("callweavesecret1", id="our own name"),
        pytest.param("acmecallback2026", id="the vendor's name and a year"),
        pytest.param("shenzhenoffice01", id="the account's name"),
        pytest.param("ff80808145fc70a7", id="an id of the vendor's"),
        pytest.param("70A7013FC7231232", id="a part of an id in another case"),
        pytest.param("9f2c71e8b05d46a4", id="another account's secret but for the last digit"),
        pytest.param("x9f2c71e8b05d46a3", id="another account's secret and one more"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused_and_not_shown(secret: str) -> None:
    account = (
        f'[[accounts]]\nvendor = "acme"\nname = "shenzhen-office"\nsecret = "{secret}"\n'
        'external_ids = ["ff80808145fc70a7013fc72312324213"]\n'
    )
    other = ACCOUNT.replace(SECRET, OTHER_SECRET)
    with pytest.raises(SettingsError) as caught:
        read(account + other)
    assert "this secret can be guessed" in str(caught.value)
    assert "at `$.accounts[0].secret`" in str(caught.value)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("9f86d081884c7d659a2feaa0c55ad015", id="of openssl rand -hex 16"),
        pytest.param("3e1f9ac0d47b2586", id="of openssl rand -hex 8"),
        pytest.param("kX9mQ2vL7pR4tZ8w", id="letters in two cases"),
        pytest.param("5c1d0e9ab7f3482e8d6670f1b2a94c3d", id="a UUID without dashes"),
        pytest.param("4926358172906418", id="digits"),
        pytest.param("wm4password7xk2qv9hz", id="more than a word"),
        pytest.param("Z" * 3 + "7dk2mv9qx4wt8p", id="a short repetition in it"),
        pytest.param("v7kq2xm9wt4zh8rp" * 200, id="very long"),
    ],
)
def test_a_secret_drawn_by_lot_is_taken(secret: str) -> None:
    assert read(ACCOUNT.replace(SECRET, secret)).accounts[0].secret.value == secret


SIGNED = ACCOUNT + 'signing_secrets = ["one-key", "the-next-key"]\n'


def signing(toml: str, tmp_path: Path) -> Settings:
    """Reads settings where signatures of the vendor can be checked."""
    path = tmp_path / "callweave.toml"
    path.write_text(toml, "utf-8")
    return load(path, {}, VENDORS, signing=VENDORS)


def test_several_signing_secrets_are_taken_and_none_is_shown(tmp_path: Path) -> None:
    settings = signing(SIGNED, tmp_path)
    assert [secret.value for secret in settings.accounts[0].signing_secrets] == ["one-key", "the-next-key"]
    assert shown(settings)["accounts"][0]["signing_secrets"] == ["***", "***"]
    assert "key" not in repr(settings.accounts[0].signing_secrets)
    assert load(None, {}, VENDORS, signing=VENDORS, handed_over=whole(settings)) == settings
    given = '[{"vendor":"acme","name":"main","allow":["10.0.0.0/8"],"signing_secrets":["one-key"]}]'
    (account,) = load(None, {"CALLWEAVE_ACCOUNTS": given}, VENDORS, signing=VENDORS).accounts
    assert [secret.value for secret in account.signing_secrets] == ["one-key"]


def test_signing_secrets_of_a_vendor_whose_signatures_cannot_be_checked_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        read(SIGNED)
    assert "signatures of acme cannot be checked" in str(caught.value)
    assert "at `$.accounts[0].signing_secrets`" in str(caught.value)
    assert "key" not in str(caught.value)


def test_an_empty_signing_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"at `\$\.accounts\[0\]\.signing_secrets\[1\]`"):
        signing(SIGNED.replace("the-next-key", ""), tmp_path)


def test_signing_secrets_do_not_stand_in_for_a_secret_or_a_network(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"at `\$\.accounts\[0\]\.secret`"):
        signing(SIGNED.replace(f'secret = "{SECRET}"\n', ""), tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.toml"):
        load(tmp_path / "none.toml", {}, VENDORS)


def test_secrets_never_show() -> None:
    """Neither in --check-config nor in a repr that could reach a log."""
    settings = read(ACCOUNT, CALLWEAVE_CLICKHOUSE__PASSWORD="open sesame")

    message = repr(settings) + str(settings) + str(shown(settings))

    assert SECRET not in message
    assert "open sesame" not in message
    assert settings.clickhouse.password.value == "open sesame"


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("[1]", id="as a list"),
        pytest.param("{x", id="as a broken object"),
        pytest.param('{"value":"x"}', id="as an object"),
        pytest.param("a:b", id="a colon"),
        pytest.param(" a ", id="spaces around"),
        pytest.param("0815", id="as a number"),
        pytest.param("true", id="as a switch"),
        pytest.param("пароль", id="letters of another script"),
    ],
)
@pytest.mark.parametrize("setting", ["password", "migrator_password"])
def test_a_password_in_the_environment_is_taken_as_it_is(setting: str, password: str) -> None:
    settings = read(**{f"CALLWEAVE_CLICKHOUSE__{setting.upper()}": password})

    assert getattr(settings.clickhouse, setting).value == password
    assert shown(settings)["clickhouse"][setting] == "***"
    assert load(None, {}, VENDORS, handed_over=whole(settings)) == settings


def test_the_password_in_an_address_does_not_show() -> None:
    settings = read(CALLWEAVE_SCHEMA_REGISTRY__URL="https://me:open%20sesame@registry.example:8081/a@b")

    assert shown(settings)["schema_registry"]["url"] == "https://***@registry.example:8081/a@b"


def test_every_setting_says_what_it_is() -> None:
    """The sentence is under its name; a setting that is a section has the section's."""
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
    assert bare == set()
