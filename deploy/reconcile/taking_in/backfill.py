"""Pulls calls that only the carrier's file has from the vendor, one by one, and publishes them as the poller does."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ingress.poll.main import fetch_known
from schemas.config.settings import Settings
from schemas.errors import CallweaveError
from schemas.metrics import Registry
from schemas.vendors import VENDORS

_MOST: Final = 10_000


class NoPullApi(CallweaveError):
    """A vendor or an account whose calls cannot be pulled."""

    code = "backfill"


def polled(settings: Settings, vendor: str, account: str) -> str:
    """Returns our name of an account whose calls can be pulled; raises `NoPullApi`."""
    if VENDORS[vendor].poll is None:
        raise NoPullApi(
            f"{vendor} has no pull API here: --backfill can do nothing, but `callweave import` takes a file of its records"
        )
    for one in settings.poll.accounts:
        if one.vendor == vendor and account in (one.account, one.app_id):
            return one.account or one.app_id
    raise NoPullApi(
        f"the account {account} of {vendor} is not among the [[poll.accounts]]: --backfill cannot ask for it"
    )


async def backfilled(settings: Settings, vendor: str, account: str, call_ids: Sequence[str]) -> list[str]:
    """Pulls the calls and returns what came of it, as lines; raises `NoPullApi`, `SettingsError`, `Unavailable`."""
    named = polled(settings, vendor, account)
    asked = list(dict.fromkeys(call_ids))[:_MOST]
    answers: Counter[str] = Counter()
    async for _, trouble in fetch_known(settings, Registry(), named, asked):
        answers[trouble] += 1
    found = [f"backfill: {answers['']:,} of {len(asked):,} calls pulled; reconcile again in a minute"]
    found += [f"  {count:,} not given by the vendor: {trouble}" for trouble, count in answers.most_common() if trouble]
    if len(call_ids) >= _MOST:
        found.append(f"  only the first {_MOST:,} were asked for: say it again for more")
    return found
