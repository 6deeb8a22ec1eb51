"""The chart: rendered by Helm and checked by Kubernetes' published schemas where the tools are, and read anyway."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from processors.engine.offsets import GROUP as WORKERS_GROUP
from schemas.config.listening import is_loopback
from schemas.config.safety import unsafe
from schemas.topics import TOPICS
from sinks.consumer import GROUP as SINK_GROUP
from tests.deployment.files import DEPLOY, STATUS_PATHS, drawn_by_lot, is_command, settings_of, tool, yaml_of

CHART: Final = DEPLOY / "helm/callweave"
VALUES: Final[dict[str, Any]] = yaml_of((CHART / "values.yaml").read_text("utf-8"))[0]
SCHEMA: Final[dict[str, Any]] = json.loads((CHART / "values.schema.json").read_text("utf-8"))
NEWEST: Final = "1.37"
OLDEST: Final = "1.27"
"""The oldest version that `Chart.yaml` allows."""
NEEDED: Final[dict[str, Any]] = {
    "existingSecret": "callweave",
    "settings": {
        "kafka": {"bootstrap": "kafka-1:9092,kafka-2:9092", "partitions": 24},
        "clickhouse": {"url": "http://clickhouse:8123"},
        "accounts": [
            {
                "vendor": "ytx",
                "name": "main",
                "secret": {"file": "/run/secrets/callweave/account-ytx"},
                "external_ids": ["ff8080813fc70a7b013fc72312324213"],
                "allow": ["192.0.2.0/24"],
            }
        ],
    },
}
ALL: Final[dict[str, Any]] = {
    **NEEDED,
    "setup": {"existingSecret": "callweave-setup"},
    "image": {"pullSecrets": [{"name": "pull"}], "tag": "1.2.3"},
    "ingress": {"http": {"enabled": True, "className": "nginx", "hosts": ["calls.example.org"], "tlsSecret": "tls"}},
    "workers": {"keda": {"enabled": True, "authenticationRef": "kafka"}, "crashes": {"existingClaim": "crashes"}},
    "sink": {"keda": {"enabled": True}, "tag": "1.2.4"},
    "poller": {"enabled": True, "annotations": {"a": "b"}, "nodeSelector": {"disk": "ssd"}},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"name": "edge"}}}]},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "extraEnv": [{"name": "CALLWEAVE_SINK__MAX_ROWS", "value": "1000"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
}
CLOSED: Final[dict[str, Any]] = {
    **NEEDED,
    "settings": {**NEEDED["settings"], "metrics": {"host": "127.0.0.1"}, "ingress": {"admin_host": "127.0.0.1"}},
    "networkPolicy": {"metricsFrom": []},
    "poller": {"enabled": True},
}
SETS: Final[Mapping[str, dict[str, Any]]] = {
    "what is needed": NEEDED,
    "everything": ALL,
    "metrics in no Pod's reach": CLOSED,
}
MONITORING: Final = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
FOREIGN: Final = ("keda.sh/", "monitoring.coreos.com/")
"""Kinds that operators bring along, and Kubernetes' own schemas do not have."""
Objects = list[dict[str, Any]]


def helm(*arguments: str, values: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs Helm on the chart with these values."""
    file = folder / "values.json"
    file.write_text(json.dumps(values), "utf-8")
    # Built from its module, Helm takes itself for that of an old Kubernetes.
    command = (tool("helm"), *arguments, str(CHART), "-f", str(file), "--kube-version", "1.32.0")
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(folder)})


@pytest.fixture(scope="module", params=SETS)
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """Yields the objects that the chart makes of each set of values."""
    values = SETS[request.param]
    done = helm("template", "calls", values=values, folder=tmp_path_factory.mktemp("helm"))
    assert done.returncode == 0, done.stderr
    return yaml_of(done.stdout)


def workloads(objects: Objects) -> dict[str, dict[str, Any]]:
    """Returns the Pods' specification by part."""
    return {
        one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]["spec"]
        for one in objects
        if one["kind"] in {"StatefulSet", "Deployment", "Job"}
    }


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_helm_finds_no_fault_in_the_chart(values: dict[str, Any], tmp_path: Path) -> None:
    done = helm("lint", "--strict", values=values, folder=tmp_path)

    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("version", [pytest.param(OLDEST, marks=pytest.mark.long), NEWEST])
def test_each_object_is_one_of_that_kubernetes(version: str, rendered: Objects, tmp_path: Path) -> None:
    own = [one for one in rendered if not one["apiVersion"].startswith(FOREIGN)]
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(own), "utf-8")
    done = subprocess.run(
        (tool("kubernetes-validate"), "--strict", "-k", version, str(file)), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert len(own) > 10


def test_the_settings_are_read_and_safe(rendered: Objects, tmp_path: Path) -> None:
    texts = [one["data"]["callweave.toml"] for one in rendered if one["kind"] == "ConfigMap"]
    pods = workloads(rendered)

    assert len(set(texts)) == 1
    for part, pod in pods.items():
        for container in containers(pod):
            told = {one["name"]: one["value"] for one in container["env"]}
            settings = settings_of(texts[0], told, tmp_path)
            assert unsafe(settings, frozenset(), frozenset()) == ()
            assert settings.ingress.require_account
            assert [account.secret.file for account in settings.accounts]
            assert not settings.clickhouse.migrator_password.value or part == "setup"


def test_only_new_parts_are_told_what_to_write_beside_old_ones(tmp_path: Path) -> None:
    """A variable for all of them would end the old ones, which do not know its name."""
    told = [{"name": "CALLWEAVE_KAFKA__AVRO_RELEASE", "value": "previous"}]
    values = {**ALL, "sink": {"extraEnv": told}, "workers": {"extraEnv": told}}
    done = helm("template", "calls", values=values, folder=tmp_path)
    knowing = {
        part
        for part, pod in workloads(yaml_of(done.stdout)).items()
        for container in containers(pod)
        if told[0] in container["env"]
    }

    assert knowing == {"sink", "workers"}


def test_every_part_runs_a_command_that_there_is(rendered: Objects) -> None:
    for pod in workloads(rendered).values():
        assert [container["args"] for container in containers(pod) if not is_command(container["args"])] == []


def test_every_pod_may_do_little(rendered: Objects) -> None:
    for part, pod in workloads(rendered).items():
        assert pod["securityContext"]["runAsNonRoot"], part
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False
        declared = {volume["name"] for volume in pod["volumes"]} | ({"spool"} if part == "ingress" else set())
        for container in containers(pod):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert not security["allowPrivilegeEscalation"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(mounted) <= declared
            assert "/var/lib/callweave" in mounted.values()
            assert "/tmp" in mounted.values()


def test_probes_ask_what_the_parts_answer(rendered: Objects) -> None:
    for part, pod in workloads(rendered).items():
        if part == "setup":
            continue
        container = pod["containers"][0]
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[name]
            if "httpGet" in probe:
                assert probe["httpGet"]["path"] in STATUS_PATHS
                assert probe["httpGet"]["port"] in {port["name"] for port in container["ports"]}
            else:
                path = probe["exec"]["command"][3]
                assert path.removeprefix(f"http://127.0.0.1:{metrics_port(container)}") in STATUS_PATHS


def metrics_port(container: dict[str, Any]) -> int:
    """Returns the port at which the part in a container serves its metrics."""
    return next((int(one["value"]) for one in container["env"] if one["name"].endswith("__METRICS_PORT")), 8079)


def test_each_pod_has_its_metrics_at_the_port_of_that_name(rendered: Objects) -> None:
    for part, pod in workloads(rendered).items():
        container = pod["containers"][0]
        named = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        assert named.get("metrics") == (None if part == "setup" else metrics_port(container)), part


@pytest.mark.parametrize(("values", "open_to"), [(NEEDED, MONITORING), (CLOSED, None)], ids=["monitoring", "nobody"])
def test_the_metrics_are_reached_by_who_scrapes_alone(
    values: dict[str, Any], open_to: list[dict[str, Any]] | None, tmp_path: Path
) -> None:
    done = helm("template", "calls", values=values, folder=tmp_path)
    objects = yaml_of(done.stdout)
    rules = [
        rule
        for one in objects
        if one["kind"] == "NetworkPolicy"
        for rule in one["spec"].get("ingress", ())
        if {"protocol": "TCP", "port": "metrics"} in rule.get("ports", ())
    ]
    (text,) = {one["data"]["callweave.toml"] for one in objects if one["kind"] == "ConfigMap"}
    settings = settings_of(text, {}, tmp_path)

    assert rules == ([{"ports": [{"protocol": "TCP", "port": "metrics"}], "from": open_to}] if open_to else [])
    assert {is_loopback(settings.metrics.host), is_loopback(settings.ingress.admin_host)} == {not open_to}
    # A rule without ports would open all of them.
    assert all(
        rule.get("ports")
        for one in objects
        if one["kind"] == "NetworkPolicy"
        for rule in one["spec"].get("ingress", ())
    )


def test_a_monitor_of_the_operator_scrapes_every_part(tmp_path: Path) -> None:
    done = helm("template", "calls", values=ALL, folder=tmp_path)
    (monitor,) = [one for one in yaml_of(done.stdout) if one["kind"] == "PodMonitor"]
    pods = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in yaml_of(done.stdout)
        if one["kind"] in {"StatefulSet", "Deployment"}
    ]

    assert [(one["port"], one["path"]) for one in monitor["spec"]["podMetricsEndpoints"]] == [("metrics", "/metrics")]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert len(pods) == 4
    assert all(monitor["spec"]["selector"]["matchLabels"].items() <= labels.items() for labels in pods)


def test_the_spool_stays_with_its_pod(rendered: Objects) -> None:
    (ingress,) = [one for one in rendered if one["kind"] == "StatefulSet"]
    settings = ingress["spec"]["template"]["spec"]

    assert ingress["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert [claim["metadata"]["name"] for claim in ingress["spec"]["volumeClaimTemplates"]] == ["spool"]
    assert settings["terminationGracePeriodSeconds"] >= 10 + 20


def test_there_is_one_poller_at_most(rendered: Objects) -> None:
    pollers = [one for one in rendered if one["metadata"]["name"].endswith("-poller")]

    for poller in pollers:
        assert poller["spec"]["replicas"] == 1
        assert poller["spec"]["strategy"] == {"type": "Recreate"}


def test_scaling_follows_the_groups_and_topics_that_there_are(tmp_path: Path) -> None:
    done = helm("template", "calls", values=ALL, folder=tmp_path)
    scaled = [one for one in yaml_of(done.stdout) if one["kind"] == "ScaledObject"]
    deployments = {one["metadata"]["name"]: one for one in yaml_of(done.stdout) if one["kind"] == "Deployment"}
    triggers = [trigger["metadata"] for one in scaled for trigger in one["spec"]["triggers"]]

    assert {trigger["consumerGroup"] for trigger in triggers} == {WORKERS_GROUP, SINK_GROUP}
    assert {trigger["topic"] for trigger in triggers} <= {topic.name for topic in TOPICS}
    for one in scaled:
        assert "replicas" not in deployments[one["spec"]["scaleTargetRef"]["name"]]["spec"]


WRONG: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "no Kafka": ({"settings": {"clickhouse": {"url": "http://clickhouse:8123"}}}, "settings.kafka.bootstrap"),
    "a password as a text": (
        {**NEEDED, "settings": {**NEEDED["settings"], "clickhouse": {"url": "http://c:8123", "password": "open"}}},
        "password",
    ),
    "an account's secret as a text": (
        {**NEEDED, "settings": {**NEEDED["settings"], "accounts": [{"vendor": "ytx", "name": "m", "secret": "open"}]}},
        "accounts",
    ),
    "a key as a text": (
        {**NEEDED, "settings": {**NEEDED["settings"], "accounts": [{"vendor": "ytx", "signing_secrets": ["open"]}]}},
        "accounts",
    ),
    "a name that there is not": ({**NEEDED, "ingres": {}}, "ingres"),
    "no replicas": ({**NEEDED, "ingress": {"replicas": 0}}, "replicas"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_values_are_refused(wrong: str, tmp_path: Path) -> None:
    values, named = WRONG[wrong]
    done = helm("template", "calls", values=values, folder=tmp_path)

    assert done.returncode != 0
    assert named in done.stderr


def test_the_values_hold_no_secret_and_their_settings_are_settings(tmp_path: Path) -> None:
    text = (CHART / "values.yaml").read_text("utf-8")
    environment = {
        f"CALLWEAVE_{section}__{name}".upper(): _as_text(value)
        for section, names in VALUES["settings"].items()
        if isinstance(names, dict)
        for name, value in names.items()
        if not isinstance(value, dict)
    }
    settings = settings_of("", environment, tmp_path)

    assert settings.ingress.host == "0.0.0.0"
    assert drawn_by_lot(text) == []
    assert set(VALUES) <= set(SCHEMA["properties"])


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_each_value_that_a_template_reads_has_a_default() -> None:
    read = {
        path
        for template in (CHART / "templates").iterdir()
        for path in re.findall(r"\.Values\.([\w.]+\w)", template.read_text("utf-8"))
    }

    assert len(read) > 30
    for path in read:
        here: Any = VALUES
        for name in path.split("."):
            assert name in here, path
            here = here[name]


def test_the_chart_has_the_version_of_the_packages() -> None:
    chart = yaml_of((CHART / "Chart.yaml").read_text("utf-8"))[0]
    project = (DEPLOY.parent / "pyproject.toml").read_text("utf-8")

    assert f'\nversion = "{chart["appVersion"]}"\n' in project
