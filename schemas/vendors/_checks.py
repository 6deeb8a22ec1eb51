"""What every vendor's mapping checks in the same way: whose payload it is, and whether its times can follow each other.

Must not know a vendor. Pure: no I/O, no clock.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from schemas.errors import Undecodable
from schemas.facts import Flag
from schemas.vendors._base import Context
from schemas.vendors._fields import Fields

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
