"""Superset's settings for Callweave, for `make bi` and for Compose: colours, and the way to ClickHouse.

What stands in the import folder names an account and no password. The password is read for each connection, so that a
changed one is used at once and Superset's own database has none.
"""

import json
import os
from pathlib import Path
from typing import Any

_HOME = Path(os.environ.get("CALLWEAVE_BI_HOME", "/app/superset_home"))
_ACCOUNT = "callweave_analyst"

SECRET_KEY = Path(os.environ.get("SUPERSET_SECRET_KEY_FILE", _HOME / "secret-key")).read_text("utf-8").strip()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_HOME / 'superset.db'}?check_same_thread=false"
# Several processes write to it, and on a busy machine one of them waits for long.
SQLALCHEMY_ENGINE_OPTIONS = {"connect_args": {"timeout": 60}}

# The colours of Okabe and Ito: deploy/dashboards/style.py says why, and a test holds that both are the same.
EXTRA_CATEGORICAL_COLOR_SCHEMES = [
    {
        "id": "okabe_ito",
        "label": "Okabe and Ito",
        "description": "Colours that colour-blind readers can tell apart",
        "isDefault": True,
        "colors": ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"],
    }
]
EXTRA_SEQUENTIAL_COLOR_SCHEMES = [
    {
        "id": "callweave_blues",
        "label": "Light to dark",
        "description": "Told apart by brightness alone",
        "isDiverging": False,
        "isDefault": True,
        "colors": ["#E8F1F8", "#9CC5E3", "#4F97C9", "#0072B2", "#003F63"],
    }
]

# "The last hour" ends now, and not at midnight.
DEFAULT_RELATIVE_START_TIME = "now"
DEFAULT_RELATIVE_END_TIME = "now"
SUPERSET_WEBSERVER_TIMEOUT = 120
# Superset's makers are told nothing about this installation.
SCARF_ANALYTICS = False


def _password() -> str:
    """Returns the password of the account: the file's text, or its first one in the embedded ClickHouse's list."""
    text = Path(os.environ["CALLWEAVE_CLICKHOUSE_PASSWORD_FILE"]).read_text("utf-8")
    return json.loads(text)[_ACCOUNT][0] if text.startswith("{") else text.strip()


def DB_CONNECTION_MUTATOR(uri: Any, params: Any, *_: Any) -> tuple[Any, Any]:  # noqa: N802 - Superset's name
    """Fills in the address and the password of the account of the dashboards."""
    if uri.username == _ACCOUNT and "CALLWEAVE_CLICKHOUSE_PASSWORD_FILE" in os.environ:
        host, port = os.environ.get("CALLWEAVE_CLICKHOUSE", "127.0.0.1:8123").split(":")
        uri = uri.set(host=host, port=int(port), password=_password())
    return uri, params
