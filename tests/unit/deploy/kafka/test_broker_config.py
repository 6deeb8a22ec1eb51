"""The configuration of a broker: alone, and with further properties."""

from pathlib import Path

from deploy.kafka.broker_config import Node, jvm_options, server_properties


def properties(**further: object) -> dict[str, str]:
    node = Node(data_dir=Path("/data"), port=2002, controller_port=1002)
    return dict(line.split("=", 1) for line in server_properties(node, further).splitlines())


def test_it_votes_for_itself_and_keeps_one_copy() -> None:
    found = properties()

    assert found["controller.quorum.voters"] == "1@127.0.0.1:1002"
    assert (found["default.replication.factor"], found["min.insync.replicas"]) == ("1", "1")
    assert found["listeners"] == "BROKER://127.0.0.1:2002,CONTROLLER://127.0.0.1:1002"
    assert found["advertised.listeners"] == "BROKER://127.0.0.1:2002"


def test_further_properties_are_added_or_take_the_place_of_its_own() -> None:
    found = properties(**{"node.id": 2, "super.users": "User:ANONYMOUS"})

    assert (found["node.id"], found["super.users"]) == ("2", "User:ANONYMOUS")


def test_the_jvm_has_no_option_of_jmx() -> None:
    """The JMX property opens a port even where its value is `false`."""
    assert not [option for option in jvm_options(heap="64m", log4j_file=Path("/x")) if "jmx" in option.lower()]
