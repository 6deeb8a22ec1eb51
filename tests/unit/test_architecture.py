"""The laws of the layout, read from the imports: who may know whom, and what a deciding module must not touch."""

import ast
import functools
import importlib.metadata
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("ingress", "processors", "sinks")
# Rooms and files of each part, lowest first: each knows only those before it.
ORDER: Final = {
    "schemas": "backoff writing reading enums errors audit call_fields facts metrics raw topics ledger config tls kafka dead_letter timeline slot_hours privacy body codec erasing vendor_kit identity vendors resolution",
    "ingress": "admission access audit quota kafka http poll spool app durable overload front main workers",
    "processors": """
        column_bounds versions records normalise partitioning outbox call timeline join poison store engine stages record_clock
        main replay
    """,
    "sinks": "error_classes slots scanning columns rows writing server clickhouse flush typed_records consumer layouts retention rollups moving migrate grants queries worker main",
    "deploy": "checkout_wheel output process kafka clickhouse runtime admin analysis vendor_tools reconcile doctor simulator local superset dashboards bi cli",
    "deploy/reconcile": "rows cells column_words columns records classes totals spilled held results report plan run raw_bodies taking_in",
    "deploy/simulator": "calls expectation requests vendor_contract vendors world broken poison traffic sending main",
}
MOST_FILES: Final = 14
PURE = (
    *(f"schemas/{path.name}" for path in sorted((ROOT / "schemas").glob("*.py"))),
    *(
        f"schemas/{room}/{path.name}"
        for room in ("audit", "body", "config", "config/kafka", "config/privacy", "ledger", "privacy", "vendor_kit", "vendors")
        for path in sorted((ROOT / "schemas" / room).glob("*.py"))
    ),
    "schemas/erasing/erased_letters.py",
    "schemas/slot_hours/__init__.py",
    "ingress/audit/refusals.py",
    "ingress/quota/buckets.py",
    "ingress/quota/quotas.py",
    "ingress/quota/unknown_callers.py",
    *(f"ingress/access/{path.name}" for path in sorted((ROOT / "ingress" / "access").glob("*.py"))),
    *(f"ingress/access/proofs/{path.name}" for path in sorted((ROOT / "ingress" / "access" / "proofs").glob("*.py"))),
    "schemas/config/listening/__init__.py",
    "schemas/config/pages/__init__.py",
    "ingress/http/accept.py",
    "ingress/http/routes.py",
    "ingress/http/heads.py",
    "ingress/http/client_subject.py",
    "ingress/http/proxies.py",
    "ingress/http/signature.py",
    "ingress/front/proxy_header.py",
    "ingress/poll/planner.py",
    *(f"processors/{name}.py" for name in ("column_bounds", "join", "normalise", "partitioning", "records", "versions")),
    *(
        f"processors/{room}/{path.name}"
        for room in ("call", "timeline")
        for path in sorted((ROOT / "processors" / room).glob("*.py"))
    ),
    *(
        f"processors/{name}.py"
        for name in (
            "engine/offsets", "poison/suspects", "stages/join_dead_letters", "stages/ledger_entries", "store/calls", "store/held", "store/kept", "store/old_state_codec",
            "store/partition", "store/segments", "store/shared_text", "store/state_codec", "store/telling",
        )
    ),
    *(f"sinks/{name}.py" for name in ("columns", "error_classes", "grants", "layouts", "retention", "rows", "slots", "typed_records")),
    "sinks/moving/moved_columns.py",
    *(f"sinks/scanning/{path.name}" for path in sorted((ROOT / "sinks" / "scanning").glob("*.py"))),
    *(f"sinks/writing/{path.name}" for path in sorted((ROOT / "sinks" / "writing").glob("*.py"))),
    *(f"sinks/rollups/{name}.py" for name in ("figures", "statements", "zones")),
    "sinks/server/trouble.py",
    *(f"sinks/flush/{name}.py" for name in ("batch", "sink_dead_letter")),
    *(f"deploy/clickhouse/{name}.py" for name in ("accounts", "config")),
    *(f"deploy/analysis/{name}.py" for name in ("prefix_file", "questions")),
    *(f"deploy/reconcile/{name}.py" for name in ("cells", "classes", "column_words", "columns", "records", "report", "totals")),
    "deploy/reconcile/rows/bounds.py",
    "deploy/output/printable.py",
)  # fmt: skip
IMPURE_MODULES = {
    "aiohttp", "aiokafka", "asyncio", "clickhouse_connect", "faust", "mode", "os", "random", "secrets", "socket", "subprocess", "time",
}  # fmt: skip
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def is_module(name: str) -> bool:
    """True when a dotted name is a file of ours."""
    return (ROOT / f"{name.replace('.', '/')}.py").is_file()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@functools.cache
def imported(path: Path) -> set[str]:
    """The absolute names that a file imports."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "" if not node.level else f"{path.parent.name}.{node.module or ''}"
            names |= {
                module,
                *(f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}")),
            }
    return names


@pytest.mark.parametrize("part", [*PARTS, "schemas"])
def test_the_parts_meet_only_on_kafka(part: str) -> None:
    """Ingress, processors and sinks import schemas and never each other; schemas imports none of them."""
    allowed = {part, "schemas"}
    others = {name for name in (*PARTS, "schemas", "deploy") if name not in allowed}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / part).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in others
    }

    assert wrong == set()


def nodes(part: str) -> dict[str, set[str]]:
    """Returns each room or file of a part with the others that it imports."""
    base = ROOT / part
    prefix = part.replace("/", ".") + "."
    found: dict[str, set[str]] = {}
    for path in base.rglob("*.py"):
        own = path.relative_to(base).parts[0].removesuffix(".py")
        of = found.setdefault(own, set())
        of |= {module.removeprefix(prefix).split(".")[0] for module in imported(path) if module.startswith(prefix)} - {
            own
        }
    return found


@pytest.mark.parametrize("part", ORDER)
def test_imports_run_one_way_inside_a_part(part: str) -> None:
    order = ORDER[part].split()
    found = nodes(part)

    assert set(order) == set(found) - {"__init__"}
    wrong = {
        f"{one} imports {other}"
        for one, others in found.items()
        for other in others
        if order.index(other) > order.index(one)
    }
    assert wrong == set()


def test_no_folder_is_crowded() -> None:
    crowded = {
        f"{folder.relative_to(ROOT)}: {count}"
        for part in (*PARTS, "schemas", "deploy", "tests")
        for folder in (ROOT / part, *(path for path in (ROOT / part).rglob("*") if path.is_dir()))
        if (count := len(list(folder.glob("*.py")))) > MOST_FILES
    }

    assert crowded == set()


@pytest.mark.parametrize("name", PURE)
def test_a_deciding_module_does_no_io(name: str) -> None:
    """No I/O, no clock, no environment, no Faust, and nothing imported that has them."""
    path = ROOT / name
    tree = tree_of(path)
    touched = {top for top in (module.split(".")[0] for module in imported(path)) if top in IMPURE_MODULES}
    clocks = {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if (node.func.value.id, node.func.attr) in CLOCKS
    }

    assert touched | clocks == set()


def test_what_a_deciding_module_imports_is_pure_too() -> None:
    """Purity is not lost through a sibling: of the parts, a pure module imports only pure modules."""
    pure = {name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in PURE}
    # The shape of a Kafka record, not its reading.
    wrong = {
        f"{name} imports {module}"
        for name in PURE
        for module in imported(ROOT / name)
        if module.split(".")[0] in (*PARTS, "deploy") and module not in pure
    }

    assert wrong == set()


def test_only_the_runtime_reads_the_environment() -> None:
    """Settings come from one place."""
    may = {
        "deploy/runtime.py",
        "deploy/clickhouse/engine.py",  # sets TZ, which the engine reads
        "deploy/superset/serve.py",  # says where Superset finds its settings
        "deploy/superset/superset_config.py",  # runs in Superset
        "deploy/kafka/java.py",  # JAVA_HOME
        "deploy/kafka/jars.py",  # XDG_CACHE_HOME
        "deploy/process/part_process.py",  # hands it on to the parts
    }
    wrong = {
        str(path.relative_to(ROOT))
        for part in (*PARTS, "schemas", "deploy")
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    } - may

    assert wrong == set()


@pytest.mark.parametrize("package", ["deploy", "ingress", "processors", "schemas", "sinks"])
def test_no_other_distribution_brings_our_packages(package: str) -> None:
    """Plain top-level names are safe only while nobody else installs them into this environment."""
    provided_by = set(importlib.metadata.packages_distributions().get(package, []))

    assert provided_by <= {"callweave"}


def test_no_source_file_is_too_long() -> None:
    """One idea a file: past 400 lines there is a second one in it."""
    long = {
        f"{path.relative_to(ROOT)}: {lines}"
        for part in (*PARTS, "schemas", "deploy")
        for path in (ROOT / part).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }

    assert long == set()
