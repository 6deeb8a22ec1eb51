"""Operations: whether records come in, how late, and what could not be read."""

from typing import Final

from msgspec.structs import replace

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import CALLS, DELIVERIES, RECORDS, RUNNING, SILENT
from deploy.dashboards.model import CALLS as CALLS_UNIT
from deploy.dashboards.model import RECORDS as RECORDS_UNIT
from deploy.dashboards.model import SECONDS, Chart, Dashboard, Kind, Measure

_RECEIPT: Final = "minute of receipt (UTC)"
_P95: Final = replace(SECONDS, axis="seconds (95th percentile)")

OPERATIONS: Final = Dashboard(
    slug="operations",
    title="Operations: does everything flow?",
    about="For whoever runs Callweave: what comes in, how late, who is silent. Times are UTC.",
    last="6 hours",
    until="tomorrow",
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
                height=20,
            ),
            Chart(
                slug="newest-record",
                question="How old is the newest record?",
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
                height=20,
            ),
            Chart(
                slug="storing-p95",
                question="How late are rows?",
                kind=Kind.NUMBER,
                dataset=RECORDS,
                measures=(Measure("95th percentile", "quantile(0.95)(storing_s)", _P95),),
                width=3,
                height=20,
                note="From the receipt of a record to the row of its newest version.",
            ),
            Chart(
                slug="open-calls",
                question="How many open calls?",
                kind=Kind.NUMBER,
                dataset=CALLS,
                measures=(Measure("Open calls", "countIf(NOT is_final)", CALLS_UNIT),),
                width=3,
                height=20,
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
                slug="running",
                question="How many calls run at the same time?",
                kind=Kind.STACK,
                dataset=RUNNING,
                measures=(Measure("Running", "count()", CALLS_UNIT),),
                by=("vendor",),
                x="minute_at",
                x_title="minute (UTC), of the last day",
                grain="PT1M",
                note="Counted at the first instant of each minute, at most of the last 24 hours.",
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
        (
            Chart(
                slug="silence",
                question="How long has each vendor been silent?",
                kind=Kind.TABLE,
                dataset=RECORDS,
                by=("vendor", "account"),
                measures=(
                    Measure("Silent for", "dateDiff('millisecond', max(received_at), now64(3)) / 1000", SECONDS),
                    Measure("Records", "count()", RECORDS_UNIT),
                ),
                width=4,
                height=30,
            ),
            Chart(
                slug="too-silent",
                question="Who is silent for too long?",
                kind=Kind.TABLE,
                dataset=SILENT,
                by=("vendor", "account"),
                measures=(
                    Measure("Silence", "max(silent_s)", SECONDS),
                    Measure("Median gap", "max(median_gap_s)", SECONDS),
                ),
                width=4,
                height=30,
                note="Ten times the median gap of the last 30 days, and a minute at least. Nothing here is good.",
                may_be_empty=True,
            ),
            Chart(
                slug="dead",
                question="What could not be read?",
                kind=Kind.TABLE,
                dataset=DELIVERIES,
                by=("vendor", "account"),
                measures=(
                    Measure("Dead letters", "sum(dead)", RECORDS_UNIT),
                    Measure("Unresolved", "sum(dead_unresolved)", RECORDS_UNIT),
                ),
                where="dead > 0",
                width=4,
                height=30,
                note="Of whole UTC days. `callweave dead list` shows each, with its reason.",
                may_be_empty=True,
            ),
        ),
    ),
)
