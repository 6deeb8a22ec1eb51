"""The rights of each account as SQL."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from deploy.cli.main import main
from schemas.config.settings import ClickHouseSettings
from sinks.grants import document

OPERATIONS = Path(__file__).parents[3] / "deploy" / "OPERATIONS.md"
EXAMPLE = ClickHouseSettings(user="callweave", migrator="callweave_migrator")


def test_the_page_for_operators_has_what_the_command_prints() -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", OPERATIONS.read_text("utf-8"), re.DOTALL)
    assert block == document(EXAMPLE)


def test_the_command_prints_it_for_the_configured_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"USER": "parts", "PASSWORD": "never shown", "DATABASE": "telco", "CLUSTER": "main"}.items():
        monkeypatch.setenv(f"CALLWEAVE_CLICKHOUSE__{name}", value)
    done = CliRunner().invoke(main, ["migrate", "--grants"])

    assert done.exit_code == 0
    assert done.output == document(ClickHouseSettings(user="parts", database="telco", cluster="main"))
    assert "GRANT ON CLUSTER main SHOW TABLES, SELECT, INSERT ON telco.* TO parts;" in done.output
    assert "never shown" not in done.output


WHERE = {
    "one server, or Cloud": (EXAMPLE, "ReplacingMergeTree", ("CLUSTER", "REMOTE", "system.disks")),
    "a cluster": (replace(EXAMPLE, cluster="main"), "ReplicatedReplacingMergeTree", ("REMOTE",)),
    "shards": (replace(EXAMPLE, cluster="main", sharded=True), "Distributed", ("system.disks",)),
    "a disk that is watched": (replace(EXAMPLE, min_free_mb=1), "system.disks", ("CLUSTER",)),
}


@pytest.mark.parametrize(("where", "needed", "spared"), WHERE.values(), ids=WHERE)
def test_only_what_is_needed_there_is_granted(where: ClickHouseSettings, needed: str, spared: tuple[str, ...]) -> None:
    text = document(where)
    assert f"ON {needed} TO " in text
    assert not [one for one in spared if one in text]


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("parts", "parts"),
        ("team-1", "`team-1`"),
        ("a b", "`a b`"),
        ("1st", "`1st`"),
        ("x`; DROP USER y", "`x\\`; DROP USER y`"),
    ],
)
def test_names_are_quoted_where_they_must_be(name: str, quoted: str) -> None:
    assert f" TO {quoted};" in document(replace(EXAMPLE, user=name))


def test_run_as_it_is_it_sets_no_password_and_makes_no_user() -> None:
    statements = [line for line in document(EXAMPLE).splitlines() if line and not line.startswith("--")]
    assert {line.split()[0] for line in statements} == {"CREATE", "ALTER", "GRANT"}
    assert not [line for line in statements if "IDENTIFIED" in line or "CREATE USER" in line]
