"""Prepares Superset's own database, imports the dashboards, makes the user who may look at them, and serves.

It runs in Superset's environment: `make bi` starts it there, and Compose in Superset's image. In the file
`progress` it says what begins (`step: ...`), who may log in (`login: NAME PASSWORD`), and when it answers (`ready`).
"""

import argparse
import contextlib
import ctypes
import os
import secrets
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ADMIN: Final = "callweave_admin"
READER: Final = "reader"
ROLE: Final = "Callweave reader"
MAY: Final = {
    # To see a dashboard and its charts.
    ("can_read", "Dashboard"),
    ("can_read", "Chart"),
    ("can_dashboard", "Superset"),
    ("can_explore_json", "Superset"),
    ("can_read", "Dataset"),
    ("can_get", "Datasource"),
    ("can_get_column_values", "Datasource"),
    ("can_read", "CssTemplate"),
    ("can_read", "Theme"),
    # To filter, and to pass on an address of what was filtered.
    ("can_time_range", "Api"),
    ("can_read", "DashboardFilterStateRestApi"),
    ("can_write", "DashboardFilterStateRestApi"),
    ("can_read", "DashboardPermalinkRestApi"),
    ("can_write", "DashboardPermalinkRestApi"),
    # To find the dashboards.
    ("menu_access", "Dashboards"),
    ("menu_access", "Home"),
    ("can_read", "CurrentUserRestApi"),
    ("can_recent_activity", "Log"),
}
"""The rights of the reader besides the datasets: less than Superset's role Gamma, no SQL of one's own, no downloads."""


class Progress:
    """The file for who started this."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "progress"
        self.path.touch(mode=0o600)

    def say(self, line: str) -> None:
        """Adds a line, at once."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def database(folder: Path) -> Path:
    """Returns Superset's own database, which superset_config.py names too."""
    return folder / "superset.db"


def mend(folder: Path) -> None:
    """Undoes a preparation that was killed: SQLite keeps each step of it, and the next one would stop at the first.

    A database that was never ready goes away, and one that was being brought to another release is as it was before.
    """
    before = _before(folder)
    if (folder / "prepared").exists() and not before.exists():
        return
    for path in (database(folder), database(folder).with_name("superset.db-journal")):
        path.unlink(missing_ok=True)
    if before.exists():
        (folder / "prepared").write_text("an earlier release", "utf-8")
        before.replace(database(folder))


def _before(folder: Path) -> Path:
    return folder / "superset.db.before"


def _keep(folder: Path) -> None:
    """Keeps the database as it is now, until the preparation is over."""
    half = folder / "superset.db.copy"
    half.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(database(folder))) as old, contextlib.closing(sqlite3.connect(half)) as new:
        old.backup(new)
    half.replace(_before(folder))


def prepare(folder: Path, say: Callable[[str], None]) -> None:
    """Brings Superset's database to this release, unless the last start did."""
    import flask_migrate
    from flask import current_app
    from superset.extensions import appbuilder, security_manager

    done = folder / "prepared"
    release = current_app.config["VERSION_STRING"]
    if done.exists() and done.read_text("utf-8") == release:
        return
    say("step: makes Superset's own database")
    if done.exists():
        _keep(folder)
    flask_migrate.upgrade()
    say("step: makes its roles")
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    # In this order: a database without this text is made anew, and one that is still kept aside comes back.
    done.write_text(release, "utf-8")
    _before(folder).unlink(missing_ok=True)


def import_all() -> None:
    """Imports the folder, in the place of what an earlier import made; raises what Superset raises."""
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.extensions import security_manager
    from superset.utils.core import override_user

    root = HERE / "import"
    contents = {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in sorted(root.rglob("*.yaml"))}
    admin = security_manager.find_user(ADMIN) or security_manager.add_user(
        ADMIN,
        "Callweave",
        "Admin",
        "admin@callweave.invalid",
        security_manager.find_role("Admin"),
        secrets.token_hex(32),
    )
    with override_user(admin):
        ImportAssetsCommand(contents).run()


def reader() -> tuple[str, str]:
    """Returns the name and a new password of the user who may look at what was imported, and do nothing else."""
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.extensions import security_manager

    rights = [security_manager.add_permission_view_menu(what, where) for what, where in sorted(MAY)]
    rights += [
        security_manager.add_permission_view_menu("datasource_access", one.perm) for one in db.session.query(SqlaTable)
    ]
    role = security_manager.add_role(ROLE) or security_manager.find_role(ROLE)
    role.permissions = rights
    password = secrets.token_urlsafe(12)
    user = security_manager.find_user(READER)
    if user:
        security_manager.reset_password(user.id, password)
        user.roles = [role]
    else:
        security_manager.add_user(READER, "Callweave", "Reader", "reader@callweave.invalid", role, password)
    db.session.commit()
    return READER, password


def serve(app: Any, address: str, say: Callable[[str], None]) -> None:
    """Serves until it is told to end."""
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc] # its package is in Superset's environment alone
        def load_config(self) -> None:
            for name, value in {
                "bind": address,
                "workers": 2,
                "worker_class": "gthread",
                "threads": 8,
                "timeout": 120,
                "graceful_timeout": 3,
                "loglevel": "warning",
                # Whoever kills the server frees its port at once.
                "post_fork": lambda _server, _worker: _end_with_parent(),
                "when_ready": lambda _server: say("ready"),
            }.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return app

    Server().run()


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    """Does what the options say."""
    options = argparse.ArgumentParser()
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--address", default="127.0.0.1:8088")
    options.add_argument("--clickhouse", default="127.0.0.1:8123")
    options.add_argument("--password-file", type=Path, required=True)
    given = options.parse_args()
    say = Progress(given.home).say
    say("step: loads Superset")
    mend(given.home)
    # Superset's settings read these.
    os.environ["SUPERSET_CONFIG_PATH"] = str(HERE / "superset_config.py")
    os.environ["CALLWEAVE_BI_HOME"] = str(given.home)
    os.environ["CALLWEAVE_CLICKHOUSE"] = given.clickhouse
    os.environ["CALLWEAVE_CLICKHOUSE_PASSWORD_FILE"] = str(given.password_file)
    # Superset takes the clock's time of its own zone for "now", and all instants of ours are UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()
    from superset.app import create_app

    app = create_app()
    with app.app_context():
        from superset import db

        prepare(given.home, say)
        say("step: imports the dashboards")
        import_all()
        say("login: {} {}".format(*reader()))
        # Each of the server's processes opens connections of its own.
        db.session.remove()
        db.engine.dispose()
    say("step: starts to serve")
    serve(app, given.address, say)


if __name__ == "__main__":
    main()
