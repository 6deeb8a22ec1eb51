"""The counts of callers in one process, which outlive a change of settings."""

import msgspec

from ingress.audit.refusals import Refusals
from ingress.quota.quotas import AccountQuotas
from ingress.quota.unknown_callers import UnknownCallers


class CallerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of pushes by account, and of refused requests by address and for the audit trail."""

    quotas: AccountQuotas
    unknown: UnknownCallers
    refusals: Refusals


def no_counts(unknown_per_minute: int) -> CallerCounts:
    """Returns counts that begin from nothing."""
    return CallerCounts(quotas=AccountQuotas(), unknown=UnknownCallers(unknown_per_minute), refusals=Refusals())
