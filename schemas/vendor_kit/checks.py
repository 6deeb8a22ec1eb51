"""What every vendor's mapping checks in the same way: whose payload it is, and whether its times can follow each other.

Must not know a vendor. Pure: no I/O, no clock.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
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
    """The vendor's account id that a payload belongs to; `external_id` is the one it names itself, "" for none.

    Raises Undecodable `wrong_account` when it is not for the address that the payload came by: another account's, one that only
    a secret or a network may push for, or none of those that this account lists.
    """
    if external_id:
        listed = not ctx.external_ids or external_id in ctx.external_ids
        if external_id in ctx.foreign_ids or not listed:
            raise Undecodable("belongs to another account than its address", code="wrong_account", path=path)
        if ctx.known_ids and external_id not in ctx.known_ids:
            fields.flag(Flag.UNKNOWN_ACCOUNT)
        return external_id
    return next(iter(ctx.external_ids)) if len(ctx.external_ids) == 1 else ctx.account


def check_order(fields: Fields, *times: datetime | None) -> None:
    """Flag times that go backwards; by exactly eight hours somebody mixed up Beijing and UTC, which is not mended here."""
    known = [at for at in times if at is not None]
    if any(later < earlier for earlier, later in pairwise(known)):
        fields.flag(Flag.TIME_ORDER)
    if known and known[0] - known[-1] == _BEIJING:
        fields.flag(Flag.TZ_SUSPECT)


def check_ahead(fields: Fields, latest: datetime | None, received_at: datetime) -> None:
    """Flag a time that lies eight hours after its receipt, give or take half an hour on the way."""
    if latest and abs(latest - received_at - _BEIJING) <= _ON_THE_WAY:
        fields.flag(Flag.TZ_SUSPECT)


def beijing_readings(fields: Fields, bound: str, names: tuple[str, ...], received_at: datetime) -> dict[str, str]:
    """Where times without a zone fit `bound` and their receipt only as Beijing's: that reading, to stand beside ours (UTC)."""
    if Flag.TZ_ASSUMED not in fields.flags:
        return {}
    ours, theirs = (
        {name: instants.parse(fields.glance(name), zone, received_at).at for name in (bound, *names)}
        for zone in ("UTC", "Asia/Shanghai")
    )

    def fits(reading: dict[str, datetime | None]) -> bool:
        first = reading[bound] or datetime.min.replace(tzinfo=UTC)
        return all(first <= at <= received_at for name in names if (at := reading[name]))

    if fits(ours) or not fits(theirs):
        return {}
    fields.flag(Flag.TZ_SUSPECT)
    return {f"{name}.beijing": at.isoformat() for name, at in theirs.items() if at and at != ours[name]}


def shown(text: str) -> str:
    """An id as a message may quote it: short, and without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN_CHARS]) or "none"
