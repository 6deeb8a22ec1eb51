"""The accounts of the embedded ClickHouse, for people: lists them with their purpose, shows and changes passwords.

None of it needs a running engine: the passwords are in its data directory, which a running one reads at each login.
"""

import unicodedata
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import BUILT_IN, READING, EngineAccount, EngineRole, accounts_for
from deploy.clickhouse.launch import given_passwords
from deploy.process.ports import native_port
from deploy.runtime import clickhouse_dir
from schemas.config.secret import Secret
from schemas.config.settings import Settings
from schemas.errors import SetupError

LONGEST: Final = 200
"""Characters of a password: more than anybody types, and below the limit of a header in every client and server."""
_FORBIDDEN: Final = ("Cc", "Cs")
"""Categories of characters that no password may have: control characters and surrogates."""
_SETTING: Final = {EngineRole.WRITER: "clickhouse.password", EngineRole.MIGRATOR: "clickhouse.migrator_password"}
_FIRST_START: Final = (
    "`callweave up` makes them at its first start here; embedded.data_dir says where it ran, if it was elsewhere."
)


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A name and its password."""

    name: str
    password: Secret


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a change."""

    account: EngineAccount
    old: Literal["has ended", "is taken until the next start"]


def reader(settings: Settings) -> Login | None:
    """Returns the login for people and BI tools, None at an external ClickHouse; raises SetupError."""
    if settings.clickhouse.url:
        return None
    name = next(one.name for one in accounts_for(settings.clickhouse.user) if one.role is EngineRole.READER)
    kept = passwords.read(clickhouse_dir(settings.embedded)).get(name, ())
    return Login(name=name, password=Secret(kept[0])) if kept else None


def password_of(settings: Settings, name: str) -> str:
    """Returns the password of an account, given by its name or role; raises SetupError with what to do."""
    account = _account(settings, name)
    kept = _kept(settings, account)
    return given_passwords(settings.clickhouse)[account.name] or kept[account.name][0]


def change(settings: Settings, name: str, password: str, *, at_once: bool) -> Changed:
    """Gives an account another password, valid from now on; raises SetupError with what to do.

    Running parts use the old password of the writer or the migrator, so that stays valid until the next start, unless
    `at_once`.
    """
    account = changeable(settings, name)
    _check(password)
    keep_old = account.role not in READING and not at_once
    directory = clickhouse_dir(settings.embedded)
    try:
        passwords.change(directory, account.name, password, keep_old=keep_old)
    except OSError as exc:
        raise SetupError(
            f"the passwords in {directory} cannot be written: {exc.strerror}",
            code="no_access",
            advice="Run this as the user whom the data directory belongs to, and check that its disk is not full.",
        ) from exc
    return Changed(account=account, old="is taken until the next start" if keep_old else "has ended")


def changeable(settings: Settings, name: str) -> EngineAccount:
    """Returns the account if its password can be changed here; otherwise raises SetupError with what to do."""
    account = _account(settings, name)
    if given_passwords(settings.clickhouse)[account.name]:
        setting = _SETTING[account.role]
        raise SetupError(
            f"the password of {account.name} stands in the settings, as {setting}",
            code="password",
            advice=f"Change it there (or CALLWEAVE_{setting.upper().replace('.', '__')} in the environment) and start again; or take it "
            "out and start again: from then on this command changes it.",
        )
    _kept(settings, account)
    return account


def account_lines(settings: Settings) -> tuple[str, ...]:
    """Returns lines with the addresses and with each account and its purpose; raises SetupError."""
    accounts = {account.role: account.name for account in _accounts(settings)}
    database, embedded = settings.clickhouse.database, settings.embedded
    uses = {
        accounts[EngineRole.READER]: f"people and BI tools: reads the views v_* of {database}",
        accounts[
            EngineRole.ANALYST
        ]: f"who may see no phone number: reads the views masked_* and the figures of {database}",
        accounts[EngineRole.WRITER]: f"the parts: reads and inserts in {database}",
        accounts[EngineRole.MIGRATOR]: f"`callweave migrate`: makes and changes the tables and views of {database}",
        BUILT_IN: f"with the password of {accounts[EngineRole.WRITER]}: reads the views v_* of {database}",
    }
    width = max(map(len, uses))
    return (
        f"HTTP    http://127.0.0.1:{embedded.clickhouse_port}",
        f"native  127.0.0.1:{native_port(embedded)}",
        "",
        *(f"{name:{width}}  {use}" for name, use in uses.items()),
        "",
        "a password: callweave clickhouse password NAME",
    )


def _accounts(settings: Settings) -> tuple[EngineAccount, ...]:
    if settings.clickhouse.url:
        where = ", ".join(urlsplit(url).hostname or "" for url in settings.clickhouse.urls)
        raise SetupError(
            f"clickhouse.url is set: the accounts of {where} are its own",
            code="external",
            advice="Change a password there (ALTER USER ... IDENTIFIED BY ...), then clickhouse.password or clickhouse.migrator_password here.",
        )
    return accounts_for(settings.clickhouse.user)


def _account(settings: Settings, name: str) -> EngineAccount:
    """Returns the account with this name or, if there is none, with this role."""
    accounts = _accounts(settings)
    found = [one for one in accounts if one.name == name] or [one for one in accounts if one.role == name]
    if not found:
        there_are = ", ".join(f"{one.name} ({one.role})" for one in accounts)
        raise SetupError(f"no account {name!r} has a password of its own: there are {there_are}", code="account")
    return found[0]


def _kept(settings: Settings, account: EngineAccount) -> passwords.Passwords:
    """Returns the stored passwords; raises SetupError when this account has none."""
    directory = clickhouse_dir(settings.embedded)
    kept = passwords.read(directory)
    if not kept:
        raise SetupError(f"there are no passwords in {directory} yet", code="password", advice=_FIRST_START)
    if not kept.get(account.name):
        raise SetupError(
            f"there is no password of {account.name} in {directory}: there are those of {', '.join(kept)}",
            code="password",
            advice="Was clickhouse.user changed? The next start of `callweave up` makes a password for each account.",
        )
    return kept


def _check(password: str) -> None:
    if not password:
        raise SetupError("an empty password would let everybody in", code="password", advice="Give one, or use --new.")
    if any(unicodedata.category(char) in _FORBIDDEN for char in password):
        raise SetupError(
            "a password with a control character, as the end of a line is one, does not come through every client",
            code="password",
            advice="Leave it out.",
        )
    if len(password) > LONGEST:
        raise SetupError(f"a password has {LONGEST} characters at the most", code="password")
