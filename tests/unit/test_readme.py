"""The commands, settings, accounts and rights in the README and the pages on operation are those that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest

from deploy.cli.main import main
from deploy.clickhouse.accounts import MIGRATOR, OWNER, READER, EngineRole, grants
from deploy.process.ports import native_port
from schemas.config.settings import EmbeddedSettings, Settings
from sinks.migrate import migrations

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "deploy/OPERATIONS.md", "deploy/clickhouse/README.md")
OTHERS = frozenset({".bi", ".venv", "build", "node_modules"})
"""The folders of others' packages."""
README = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SPANS = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL))
LINES = [line.partition(" # ")[0] for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = sorted(
    {
        found
        for text in (*LINES, *SPANS)
        for found in re.findall(r"(?:^|/bin/|\$\(|\s)callweave ((?:[a-z-]+ ?)+[^)`\n]*)", text)
        if not text.startswith(("GRANT", "CREATE"))
    }
)
SETTINGS = sorted(
    {
        (section, name)
        for text in (*LINES, *SPANS)
        for section, name in re.findall(r"(?<![\w/.])([a-z_]+)\.([a-z_]+)(?![\w(/])", text)
        if section in Settings.__struct_fields__ and name not in {"py", "raw", "facts"}
    }
)


@pytest.mark.parametrize(
    "page",
    sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("README.md") if OTHERS.isdisjoint(path.parts)),
)
def test_a_page_links_to_files_that_there_are(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    linked = {
        (ROOT / page).parent / target.partition("#")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
        if not target.startswith(("http", "#"))
    }
    named = {
        ROOT / name for name in re.findall(r"`((?:ingress|processors|sinks|schemas|deploy|tests)/[\w/.-]+)`", text)
    }

    assert {str(path) for path in linked | named if not path.exists()} == set()


def test_the_front_page_is_read_in_five_minutes() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()

    assert len(lines) <= 180
    assert [line for line in lines if len(line) > 120] == []


def test_there_is_something_to_look_at() -> None:
    assert len(COMMANDS) > 12
    assert len(SETTINGS) > 12


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_is_one_of_ours_and_takes_these_options(text: str) -> None:
    words = shlex.split(text)
    command: click.Command = main
    options = {option for param in main.params for option in param.opts}
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        word = words.pop(0)
        assert word in command.commands, text
        command = command.commands[word]
        options |= {option for param in command.params for option in param.opts}
        if words[:1] == ["|"]:  # `dead list | show | replay`
            break

    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize(("section", "name"), SETTINGS, ids=[".".join(one) for one in SETTINGS])
def test_a_setting_is_one_of_ours(section: str, name: str) -> None:
    assert hasattr(getattr(Settings(), section), name)


def test_every_setting_of_clickhouse_is_told() -> None:
    told = {name for section, name in SETTINGS if section == "clickhouse"}

    assert set(Settings().clickhouse.__struct_fields__) - told == {"insert_timeout_s"}


def test_whoever_asks_clickhouse_logs_in() -> None:
    asking = [line for line in LINES if "curl" in line and ":8123" in line]

    assert asking
    assert [
        line for line in asking if '-u "callweave_reader:$(.venv/bin/callweave clickhouse password)"' not in line
    ] == []


def test_the_ports_and_names_are_those_of_the_settings() -> None:
    embedded = EmbeddedSettings()
    row = f"| `embedded.clickhouse_port`, `embedded.clickhouse_tcp_port` | `{embedded.clickhouse_port}`, `{native_port(embedded)}` |"

    assert row in README
    assert {name for name in (OWNER, MIGRATOR, READER) if f"| `{name}` |" not in README} == set()


def test_the_views_that_people_are_told_of_are_those_that_the_reader_may_read() -> None:
    (table,) = re.findall(r"^\| view \| .*?(?=\n\n)", README, re.MULTILINE | re.DOTALL)
    told = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    (made,) = (one.template for one in migrations() if one.name == "015_definer")
    later = {"v_ledger", "v_push_pull"}

    assert told == set(re.findall(r"(\w+)=\d", made)) | later
    assert all(any(f"{{{{database}}}}.{name} {{{{" in one.template for one in migrations()) for name in later)


def rights(granted: str, target: str) -> set[tuple[str, str]]:
    return {(right.strip(), target.replace("`", "")) for right in granted.split(",")}


@pytest.mark.parametrize(
    ("user", "role"),
    [(OWNER, EngineRole.WRITER), (MIGRATOR, EngineRole.MIGRATOR), (READER, EngineRole.READER)],
    ids=["writer", "migrator", "reader"],
)
def test_a_server_of_one_s_own_is_asked_for_no_right_that_the_embedded_one_does_not_give(
    user: str, role: EngineRole
) -> None:
    """The suite runs with the embedded one's, so they are enough; `CLUSTER` is for what that one has not."""
    wanted = {
        one
        for granted, target in re.findall(rf"^GRANT (.*) ON (\S+) TO {user};", README, re.MULTILINE)
        for one in rights(granted, target)
        if granted != "CLUSTER"
    }
    given = {
        one
        for grant in grants(role, "calls", sandboxed=True)
        for one in rights(*re.fullmatch(r"(.*) ON (\S+)", grant).groups())  # type: ignore[union-attr]  # each has this form
    }
    parts = {"DROP": ("DROP TABLE", "DROP VIEW"), "SHOW": ("SHOW TABLES", "SHOW COLUMNS")}
    narrower = {(one, "calls.*") for whole, some in parts.items() if (whole, "calls.*") in given for one in some}

    assert wanted
    assert wanted - narrower - given == set()
