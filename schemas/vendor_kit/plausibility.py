"""Checks that every vendor's mapping shares: the account of a payload, and the order of its times.

Must not know a vendor. Pure: no I/O, no clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.vendor_kit import instants
from schemas.vendor_kit.contract import Context
from schemas.vendor_kit.fields import Fields

_SHOWN_CHARS: Final = 64
_ON_THE_WAY: Final = timedelta(minutes=30)
_BEIJING: Final = timedelta(hours=8)


def account_of(fields: Fields, external_id: str, ctx: Context, path: str) -> str:
    """Returns the vendor's account id of a payload; `external_id` is the one it names itself, "" for none.

    Raises Undecodable `wrong_account` when the id may not come by this address: it is another account's, one that
    needs a secret or a network, or none of those that this account lists.
    """
    if external_id:
        listed = not ctx.external_ids or external_id in ctx.external_ids
        if external_id in ctx.foreign_ids or not listed:
            raise Undecodable("belongs to another account than its address", code="wrong_account", path=path)
        if ctx.known_ids and external_id not in ctx.known_ids:
            fields.flag(Flag.UNKNOWN_ACCOUNT)
        return external_id
    return own_account(ctx)


def own_account(ctx: Context) -> str:
    """Returns the vendor's account id of a payload that names none: the only one of its address, else our name."""
    return next(iter(ctx.external_ids)) if len(ctx.external_ids) == 1 else ctx.account


def check_order(fields: Fields, *times: datetime | None) -> None:
    """Flags times that go backwards; when by exactly eight hours, as a mix-up of Beijing and UTC. Nothing is mended."""
    before: datetime | None = None
    for at in times:
        if at is not None:
            if before is not None and at < before:
                break
            before = at
    else:
        return
    fields.flag(Flag.TIME_ORDER)
    known = [at for at in times if at is not None]
    if known[0] - known[-1] == _BEIJING:
        fields.flag(Flag.TZ_SUSPECT)


def check_ahead(fields: Fields, latest: datetime | None, received_at: datetime) -> None:
    """Flags a time that lies eight hours after its receipt, give or take half an hour of transport."""
    if latest and latest > received_at and abs(latest - received_at - _BEIJING) <= _ON_THE_WAY:
        fields.flag(Flag.TZ_SUSPECT)


def beijing_readings(fields: Fields, bound: str, names: tuple[str, ...], received_at: datetime) -> dict[str, str]:
    """Returns the Beijing reading of times without a zone when only that fits `bound` and the receipt; else nothing.

    It becomes extras beside the columns, which keep the UTC reading.
    """
    if Flag.TZ_ASSUMED not in fields.flags:
        return {}
    as_utc, as_beijing = (
        {name: instants.parse(fields.glance(name), zone, received_at).at for name in (bound, *names)}
        for zone in ("UTC", "Asia/Shanghai")
    )

    def fits(reading: dict[str, datetime | None]) -> bool:
        first = reading[bound] or datetime.min.replace(tzinfo=UTC)
        return all(first <= at <= received_at for name in names if (at := reading[name]))

    if fits(as_utc) or not fits(as_beijing):
        return {}
    fields.flag(Flag.TZ_SUSPECT)
    return {f"{name}.beijing": at.isoformat() for name, at in as_beijing.items() if at and at != as_utc[name]}


def shown(text: str) -> str:
    """Returns an id as a message may quote it: short, and without control characters."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN_CHARS]) or "none"
