"""The embedded engine's configuration files: XML whatever the names are, and no password in them."""

from xml.etree import ElementTree as ET

import pytest

from deploy.clickhouse.accounts import ANALYST, BUILT_IN, EVERY_DATABASE, GUARD, MIGRATOR, OWNER, READER, accounts_for
from deploy.clickhouse.config import RESERVE_BYTES, EngineConfig, server_config, start_statements, users_config

PLACE = EngineConfig(http_port=18123, tcp_port=19000, login_port=17777, login_path="/secret", memory_bytes=1000 << 20)


def text(root: ET.Element, path: str) -> str:
    found = root.find(path)
    assert found is not None, path
    return found.text or ""


EXPECTED = {
    "http_port": "18123",
    "tcp_port": "19000",
    "listen_host": "127.0.0.1",
    "max_server_memory_usage": str(1000 << 20),
    "remote_servers/default/shard/replica/port": "19000",
    "storage_configuration/disks/default/keep_free_space_bytes": str(RESERVE_BYTES),
    "http_authentication_servers/callweave/uri": "http://127.0.0.1:17777/secret",
    "merge_tree/string_serialization_version": "single_stream",
    "merge_tree/merge_selector_base": "10",
    "access_control_improvements/table_engines_require_grant": "true",
    "access_control_improvements/select_from_system_db_requires_grant": "true",
    **{f"{log}/ttl": "event_date + INTERVAL 3 DAY DELETE" for log in ("query_log", "session_log", "part_log")},
}


@pytest.mark.parametrize(("path", "value"), EXPECTED.items(), ids=EXPECTED.keys())
def test_the_server_is_configured(path: str, value: str) -> None:
    assert text(ET.fromstring(server_config(PLACE)), path) == value


def test_every_page_asks_for_a_host_of_this_machine() -> None:
    rules = ET.fromstring(server_config(PLACE)).findall("http_handlers/rule")

    assert rules
    assert all("127" in text(rule, "headers/Host") for rule in rules)


@pytest.mark.parametrize("user", ["", "team-1", "xml", "_"])
@pytest.mark.parametrize("databases", [EVERY_DATABASE, "calls", "a<b&c>\"'"])
@pytest.mark.parametrize("sandboxed", [True, False])
def test_users_are_xml_and_ask_for_their_password_elsewhere(user: str, databases: str, *, sandboxed: bool) -> None:
    written = users_config(accounts_for(user), databases, memory_bytes=1000 << 20, sandboxed=sandboxed)
    users = {one.tag: one for one in ET.fromstring(written).findall("users/*")}

    assert users.keys() == {BUILT_IN, GUARD, user or OWNER, MIGRATOR, READER, ANALYST}
    for one in users.values():
        assert text(one, "http_authentication/server") == "callweave"
        assert {ip.text for ip in one.findall("networks/ip")} == {"127.0.0.1", "::1"}
        assert all((query.text or "").startswith("GRANT ") for query in one.findall("grants/query"))
    assert "password" not in written


def test_readers_cannot_loosen_what_holds_for_them() -> None:
    root = ET.fromstring(users_config(accounts_for(""), "calls", memory_bytes=1000 << 20, sandboxed=True))
    fixed = {one.tag for one in root.findall("profiles/reader/constraints/*") if one.find("const") is not None}
    everybody = {one.tag for one in root.findall("profiles/default/constraints/*") if one.find("const") is not None}

    assert {"readonly", "workload", "additional_table_filters"} <= fixed
    assert text(root, "profiles/reader/readonly") == "2"
    assert {"allow_python_table_function", "allow_introspection_functions"} <= everybody
    assert text(root, f"users/{READER}/profile") == text(root, f"users/{ANALYST}/profile") == "reader"
    assert text(root, f"users/{OWNER}/profile") == "owner"


def test_only_the_engine_itself_may_open_and_end_listeners() -> None:
    users = ET.fromstring(users_config(accounts_for(""), "calls", memory_bytes=1000 << 20, sandboxed=True)).findall(
        "users/*"
    )
    may = {one.tag for one in users if any("SYSTEM LISTEN" in (query.text or "") for query in one.iter("query"))}

    assert may == {BUILT_IN}


@pytest.mark.parametrize("memory_bytes", [512 << 20, 2 << 30])
def test_readers_share_a_part_of_the_memory(memory_bytes: int) -> None:
    joined = "\n".join(start_statements(memory_bytes))

    assert f"WORKLOAD all SETTINGS max_memory = {int(memory_bytes * 0.9)}" in joined
    assert f"WORKLOAD reading IN all SETTINGS max_memory = {int(memory_bytes * 0.6)}" in joined
    assert "WORKLOAD pipeline IN all" in joined
