"""Operations: whether records come in, how late, and what could not be read."""

from typing import Final

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import CALLS, RECORDS
from deploy.dashboards.model import CALLS as CALLS_UNIT
from deploy.dashboards.model import RECORDS as RECORDS_UNIT
from deploy.dashboards.model import SECONDS, Chart, Dashboard, Kind, Measure

_RECEIPT: Final = "minute of receipt (UTC)"

OPERATIONS: Final = Dashboard(
    slug="operations",
    title="Operations: does everything flow?",
    about="For whoever runs Callweave: what comes in, how late, who is silent. Times are UTC.",
    last="6 hours",
    refresh_s=60,
    filters=whose(RECORDS),
    rows=(
        (
            Chart(
                slug="records-in",
                question="How many records?",
                kind=Kind.NUMBER,
                dataset=RECORDS,
                measures=(Measure("Records", "count()", RECORDS_UNIT),),
                width=3,
                height=18,
            ),
            Chart(
                slug="newest-record",
                question="Since when silence?",
                kind=Kind.NUMBER,
                dataset=RECORDS,
                measures=(
                    Measure(
                        "Age of the newest record",
                        "dateDiff('millisecond', max(received_at), now64(3)) / 1000",
                        SECONDS,
                    ),
                ),
                width=3,
                height=18,
            ),
            Chart(
                slug="storing-p95",
                question="How late are rows?",
                kind=Kind.NUMBER,
                dataset=RECORDS,
                measures=(Measure("95th percentile", "quantile(0.95)(storing_s)", SECONDS),),
                width=3,
                height=18,
                note="From the receipt of a record to the row of its newest version.",
            ),
            Chart(
                slug="open-calls",
                question="How many open calls?",
                kind=Kind.NUMBER,
                dataset=CALLS,
                measures=(Measure("Open calls", "countIf(NOT is_final)", CALLS_UNIT),),
                width=3,
                height=18,
                note="Calls that are provisional: no final record of them is here yet.",
            ),
        ),
        (
            Chart(
                slug="records-by-vendor",
                question="What comes in, minute by minute?",
                kind=Kind.STACK,
                dataset=RECORDS,
                measures=(Measure("Records", "count()", RECORDS_UNIT),),
                by=("vendor",),
                x="received_at",
                x_title=_RECEIPT,
                grain="PT1M",
            ),
            Chart(
                slug="silence",
                question="How long has each vendor been silent?",
                kind=Kind.TABLE,
                dataset=RECORDS,
                by=("vendor", "account", "account_id"),
                measures=(
                    Measure("Silent for", "dateDiff('millisecond', max(received_at), now64(3)) / 1000", SECONDS),
                    Measure("Records", "count()", RECORDS_UNIT),
                ),
            ),
        ),
        (
            Chart(
                slug="delivery-lag",
                question="How long after a call's end does its record come?",
                kind=Kind.LINE,
                dataset=RECORDS,
                measures=(Measure("95th percentile", "quantile(0.95)(delivery_s)", SECONDS),),
                by=("vendor",),
                x="received_at",
                x_title=_RECEIPT,
                grain="PT1M",
                where="delivery_s IS NOT NULL",
                note="Below zero, a vendor's clock is ahead of ours.",
            ),
            Chart(
                slug="storing-lag",
                question="How long after its receipt is a record in a row?",
                kind=Kind.LINE,
                dataset=RECORDS,
                measures=(
                    Measure("Median", "quantile(0.5)(storing_s)", SECONDS),
                    Measure("95th percentile", "quantile(0.95)(storing_s)", SECONDS),
                ),
                x="received_at",
                x_title=_RECEIPT,
                grain="PT1M",
            ),
        ),
    ),
)
