"""The table of rights: on the page on operation as it is, as commands of Kafka's own tool, as the topics say."""

import shlex
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from deploy.cli.main import main
from deploy.kafka.acl_commands import acl_commands
from schemas.kafka.rights import PARTS, ROLE, ROLES, Right, table
from schemas.topics import SINK_GROUP, TOPICS, WORKERS_GROUP

ROOT: Final = Path(__file__).parents[4]
STAGES: Final = {"ingress": ("ingress",), "poll": ("poll",), "process": ("normalise", "join"), "sink": ("sink",)}
COMMANDS: Final = {"dead replay": "dead replay", "conflicts resolve": "conflicts resolve"}


def test_the_page_on_operation_has_the_table_as_it_is() -> None:
    assert table() in (ROOT / "deploy/OPERATIONS.md").read_text("utf-8")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_writes_and_reads_what_the_topics_say_of_it(part: str) -> None:
    of = {
        "Write": {topic.name for topic in TOPICS if set(topic.producers) & set(STAGES[part])},
        "Read": {topic.name for topic in TOPICS if set(topic.consumers) & set(STAGES[part])},
    }
    has = {
        operation: {
            right.name for right in ROLE[part].rights if right.operation == operation and right.resource == "topic"
        }
        for operation in of
    }
    if part == "process":
        of["Write"] |= {"calls.facts"}  # the record clock's ticks, too

    assert has == of


def test_only_the_readers_of_groups_have_them() -> None:
    groups = {role.name: {right.name for right in role.rights if right.resource == "group"} for role in ROLES}

    assert {name: found for name, found in groups.items() if found} == {
        "process": {WORKERS_GROUP},
        "sink": {SINK_GROUP},
        "doctor": {WORKERS_GROUP, SINK_GROUP},
    }


def granted(lines: tuple[str, ...]) -> dict[str, set[tuple[str, str, str]]]:
    """The rights that commands give, by principal, as `kafka-acls.sh` reads them."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for line in lines:
        if line.startswith("#"):
            continue
        words = shlex.split(line)
        pairs = [
            (word, words[at + 1]) for at, word in enumerate(words[:-1]) if word.startswith("--") and word != "--add"
        ]
        (principal,) = [value for word, value in pairs if word == "--allow-principal"]
        operations = [value for word, value in pairs if word == "--operation"]
        found.setdefault(principal, set()).update(
            (operation, word.removeprefix("--"), value)
            for word, value in pairs
            if word in {"--topic", "--group"}
            for operation in operations
        )
    return found


def as_set(rights: tuple[Right, ...]) -> set[tuple[str, str, str]]:
    return {(right.operation, right.resource, right.name) for right in rights}


def test_the_commands_give_each_user_its_rights_and_no_more() -> None:
    lines = acl_commands(
        ROLES, {"sink": "User:CN=sink,O=x y", "poll": "pull"}, bootstrap="k:1", command_config="a.conf"
    )
    found = granted(lines)

    assert set(found) == {
        "User:callweave-ingress",
        "User:pull",
        "User:callweave-process",
        "User:CN=sink,O=x y",
        "User:callweave-admin",
    }
    assert found["User:callweave-ingress"] == as_set(ROLE["ingress"].rights)
    assert found["User:pull"] == as_set(ROLE["poll"].rights)
    assert found["User:CN=sink,O=x y"] == as_set(ROLE["sink"].rights)
    assert found["User:callweave-process"] == as_set(ROLE["process"].rights)
    commands = (right for role in ROLES if role.name not in PARTS for right in role.rights)
    assert found["User:callweave-admin"] == as_set(tuple(commands))
    assert all(
        line.startswith(("#", "kafka-acls.sh --bootstrap-server k:1 --command-config a.conf --add ")) for line in lines
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param((), 0, "--allow-principal User:callweave-ingress --operation Write --topic calls.raw", id="all"),
        pytest.param(("--part", "sink"), 0, "--operation Read --group callweave-sink", id="one part"),
        pytest.param(("--user", "sink=me"), 0, "User:me", id="a user"),
        pytest.param(("--table",), 0, "| `callweave spool drain` | Write | `calls.raw` |  |", id="a table"),
        pytest.param(("--part", "sinks"), 2, "'sinks' is none of: ingress, poll", id="no part"),
        pytest.param(("--user", "sinks=x"), 2, "'sinks' is none of", id="a user of no part"),
        pytest.param(("--user", "me"), 2, "PART=NAME is wanted", id="no part given"),
        pytest.param(("--user", "sink="), 2, "PART=NAME is wanted", id="no name given"),
    ],
)
def test_the_command_line_prints_them(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = CliRunner().invoke(main, ["topics", "acls", *arguments])

    assert done.exit_code == code
    assert said in done.output
    assert ("callweave-ingress" in done.output) is (not arguments or arguments == ("--user", "sink=me"))
