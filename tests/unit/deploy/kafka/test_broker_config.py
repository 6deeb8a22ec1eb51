"""The configuration of a broker: alone, among others, and with extra listeners for some clients."""

from pathlib import Path

from deploy.kafka.broker_config import Listener, Node, jvm_options, server_properties

VOTERS = ("1@127.0.0.1:1001", "2@127.0.0.1:1002", "3@127.0.0.1:1003")
LISTENER = Listener(name="SINK", port=3001, advertised_port=4001)


def properties(**changes: object) -> dict[str, str]:
    node = Node(node_id=2, data_dir=Path("/data"), port=2002, controller_port=1002, **changes)  # type: ignore[arg-type]  # passed through
    return dict(line.split("=", 1) for line in server_properties(node).splitlines())


def test_a_node_that_is_alone_votes_for_itself_and_keeps_one_copy() -> None:
    found = properties()

    assert found["controller.quorum.voters"] == "2@127.0.0.1:1002"
    assert (found["default.replication.factor"], found["min.insync.replicas"]) == ("1", "1")
    assert found["listeners"] == "BROKER://127.0.0.1:2002,CONTROLLER://127.0.0.1:1002"
    assert found["advertised.listeners"] == "BROKER://127.0.0.1:2002"


def test_one_of_three_keeps_three_copies_and_waits_for_two() -> None:
    found = properties(voters=VOTERS)

    assert found["controller.quorum.voters"] == ",".join(VOTERS)
    names = ("default.replication.factor", "offsets.topic.replication.factor", "min.insync.replicas")
    assert [found[name] for name in names] == ["3", "3", "2"]


def test_an_extra_listener_listens_at_one_port_and_advertises_another() -> None:
    found = properties(extra_listeners=(LISTENER,))

    assert found["listeners"].endswith(",SINK://127.0.0.1:3001")
    assert found["advertised.listeners"] == "BROKER://127.0.0.1:2002,SINK://127.0.0.1:4001"
    assert found["listener.security.protocol.map"].endswith(",SINK:PLAINTEXT")
    assert found["inter.broker.listener.name"] == "BROKER"


def test_the_jvm_has_no_option_of_jmx() -> None:
    """The JMX property opens a port even where its value is `false`."""
    assert not [option for option in jvm_options(heap="64m", log4j_file=Path("/x")) if "jmx" in option.lower()]
