"""Compose: everything on one machine, with settings that the parts can read and secrets that stand in files alone."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.clickhouse.accounts import ANALYST
from deploy.dashboards.__main__ import GRAFANA
from deploy.dashboards.grafana_form import SOURCE
from schemas.config.listening import is_loopback
from schemas.config.safety import unsafe
from tests.deployment.files import DEPLOY, ROOT, STATUS_PATHS, drawn_by_lot, is_command, settings_of, yaml_of

HERE: Final = DEPLOY / "compose"
TEXT: Final = (HERE / "compose.yaml").read_text("utf-8")
COMPOSE: Final[dict[str, Any]] = yaml_of(TEXT)[0]
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
READER_SETTINGS: Final = "SETTINGS readonly = 2, additional_table_filters CONST"
PARTS: Final = ("ingress", "process", "sink", "poll")


@pytest.mark.parametrize("name", [*PARTS, "setup"])
def test_the_settings_of_a_part_are_read_and_safe(name: str, tmp_path: Path) -> None:
    settings = settings_of((HERE / "callweave.toml").read_text("utf-8"), SERVICES[name]["environment"], tmp_path)

    assert unsafe(settings, frozenset(), frozenset()) == ()
    assert settings.ingress.require_account
    assert len(settings.clickhouse.password.value) == 32
    assert bool(settings.clickhouse.migrator_password.value) == (name == "setup")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_runs_a_command_that_there_is(name: str) -> None:
    assert is_command(SERVICES[name]["command"])


def test_the_setup_runs_commands_that_there_are() -> None:
    script = SERVICES["setup"]["entrypoint"][2]

    assert [is_command(part.split()[1:]) for part in script.split(" && ")] == [True, True]


@pytest.mark.parametrize("name", [*PARTS, "setup"])
def test_a_part_may_do_little(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    written = {str(place).split(":")[1] for place in service.get("volumes", ())} | {
        str(place).split(":")[0] for place in service["tmpfs"]
    }
    assert written <= {"/tmp", "/var/lib/callweave"}


def test_what_a_service_mounts_or_waits_for_is_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"]), name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (HERE / source).exists(), (name, volume)


def test_secrets_are_files_that_the_script_draws(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets"
    script.write_bytes((HERE / "make-secrets").read_bytes())
    subprocess.run(("sh", str(script)), check=True)
    made = {path.name: path.read_text("utf-8") for path in (tmp_path / "secrets").iterdir()}
    subprocess.run(("sh", str(script)), check=True)

    assert {one["file"].removeprefix("secrets/") for one in COMPOSE["secrets"].values()} == set(made)
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "secrets").iterdir()} == made
    assert len(set(made.values())) == len(made)
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert "deploy/compose/secrets/" in (ROOT / ".gitignore").read_text("utf-8").split()
    assert drawn_by_lot(TEXT + (HERE / "callweave.toml").read_text("utf-8")) == []


def test_nothing_listens_for_other_machines() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", PARTS)
def test_who_scrapes_joins_the_network_of_the_parts(name: str, tmp_path: Path) -> None:
    settings = settings_of((HERE / "callweave.toml").read_text("utf-8"), SERVICES[name]["environment"], tmp_path)

    assert "inside" in SERVICES[name]["networks"]
    assert not is_loopback(settings.ingress.admin_host if name == "ingress" else settings.metrics.host)


def test_health_checks_ask_paths_that_there_are() -> None:
    asked = re.findall(r"deploy\.process\.probe\", \"http://127\.0\.0\.1:\d+(/\w+)", TEXT)

    assert asked
    assert set(asked) <= STATUS_PATHS


def _mounts(name: str) -> dict[str, str]:
    """Returns what a service mounts where, by the place inside."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[name]["volumes"]}


def test_grafana_is_provisioned_with_what_it_mounts() -> None:
    grafana, mounts = SERVICES["grafana"], _mounts("grafana")
    (provider,) = yaml_of((DEPLOY / "grafana/provisioning/dashboards/callweave.yaml").read_text("utf-8"))[0][
        "providers"
    ]
    (source,) = yaml_of((DEPLOY / "grafana/provisioning/datasources/callweave.yaml").read_text("utf-8"))[0][
        "datasources"
    ]

    assert (HERE / mounts["/etc/grafana/provisioning"]).resolve() == DEPLOY / "grafana/provisioning"
    assert (HERE / mounts[provider["options"]["path"]]).resolve() == GRAFANA
    assert {"type": source["type"], "uid": source["uid"]} == SOURCE
    assert source["type"] in grafana["environment"]["GF_INSTALL_PLUGINS"].split(",")
    asked = source["jsonData"]
    assert f"127.0.0.1:{asked['port']}:{asked['port']}" in SERVICES[asked["host"]]["ports"]
    assert set(grafana["networks"]) & set(SERVICES[asked["host"]]["networks"])
    assert (asked["username"], asked["defaultDatabase"]) == (ANALYST, "calls")
    for text in (source["secureJsonData"]["password"], grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]):
        (name,) = re.findall(r"/run/secrets/([\w-]+)", text)
        assert name in grafana["secrets"]


def test_superset_is_started_with_what_it_mounts() -> None:
    superset, mounts = SERVICES["superset"], _mounts("superset")
    script = (HERE / "superset/start.sh").read_text("utf-8")
    options = dict(re.findall(r"--([a-z-]+) (\S+)", script))
    (folder,) = re.findall(r"^cd (\S+)$", script, re.MULTILINE)

    assert (HERE / mounts[folder] / "serve.py").resolve() == DEPLOY / "superset/serve.py"
    assert mounts[options["home"]] in COMPOSE["volumes"]
    assert options["clickhouse"] == "clickhouse:8123"
    assert set(superset["networks"]) & set(SERVICES["clickhouse"]["networks"])
    assert options["address"].endswith(superset["ports"][0].split(":")[2])
    for path in (options["password-file"], superset["environment"]["SUPERSET_SECRET_KEY_FILE"]):
        assert path.removeprefix("/run/secrets/") in superset["secrets"]


def test_the_image_of_superset_has_the_versions_that_the_tests_ran() -> None:
    image = (HERE / "superset/Dockerfile").read_text("utf-8")
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)", (DEPLOY / "superset/requirements.txt").read_text("utf-8"), re.MULTILINE)
    )

    assert re.findall(r"apache/superset:(\S+)", image) == [pinned["apache-superset"]]
    assert re.findall(r"clickhouse-connect==([\d.]+)", image) == [pinned["clickhouse-connect"]]


@pytest.mark.parametrize("name", ["superset", "grafana", "poll"])
def test_what_is_optional_has_a_profile(name: str) -> None:
    assert SERVICES[name]["profiles"] == [name]


def test_the_accounts_have_the_rights_that_the_page_on_operation_lists() -> None:
    page = (DEPLOY / "OPERATIONS.md").read_text("utf-8")
    script = (HERE / "clickhouse/accounts.sh").read_text("utf-8")
    rights = [line for line in script.splitlines() if line.startswith("GRANT")]

    assert len(rights) >= 12
    assert [line for line in rights if line not in page] == []
    # People get all that the page gives them: a dashboard fails for a view that is missing.
    people = re.findall(r"^GRANT .* TO callweave_(?:reader|analyst);$", page, re.MULTILINE)
    assert [line for line in people if line not in rights] == []
    for role in ("reader", "analyst"):
        assert f"'$(password {role})' {READER_SETTINGS};" in script
    assert READER_SETTINGS in page
