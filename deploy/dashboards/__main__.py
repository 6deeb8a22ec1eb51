"""`python -m deploy.dashboards`: writes the files for Superset and Grafana from the table of charts."""

import json
from pathlib import Path
from typing import Final

import yaml

from deploy.dashboards import grafana_form, superset_form
from deploy.dashboards.boards import DASHBOARDS

DEPLOY: Final = Path(__file__).parents[1]
SUPERSET: Final = DEPLOY / "superset" / "import"
GRAFANA: Final = DEPLOY / "grafana" / "dashboards"


def contents() -> dict[Path, str]:
    """Returns the text of each file."""
    boards = superset_form.files(DASHBOARDS).items()
    panels = grafana_form.files(DASHBOARDS).items()
    return {
        **{SUPERSET / name: _yaml(content) for name, content in boards},
        **{GRAFANA / name: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for name, content in panels},
    }


class _Block(yaml.SafeDumper):
    """Writes texts of several lines as they are read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Block.add_representer(str, _text)


def _yaml(content: object) -> str:
    return yaml.dump(content, Dumper=_Block, sort_keys=False, allow_unicode=True, width=120)


def main() -> None:
    """Writes every file anew, and removes those of charts that there are no more."""
    texts = contents()
    for old in (*SUPERSET.rglob("*.yaml"), *GRAFANA.rglob("*.json")):
        if old not in texts:
            old.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
