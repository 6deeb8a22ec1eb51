"""Vendor quality: what is odd about what each vendor sends."""

from typing import Final

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import CALLS, FLAGS, RECORDS
from deploy.dashboards.model import CALLS as CALLS_UNIT
from deploy.dashboards.model import RECORDS as RECORDS_UNIT
from deploy.dashboards.model import SECONDS, SHARE_OF_RECORDS, TEXT, Chart, Dashboard, Kind, Measure

_RECEIPT: Final = "hour of receipt (UTC)"

VENDOR_QUALITY: Final = Dashboard(
    slug="vendor-quality",
    title="Vendor quality: what must the vendors be told?",
    about="For whoever talks to the vendors: flags of records, calls without states or records, delays. Times are UTC.",
    last="7 days",
    filters=whose(RECORDS),
    rows=(
        (
            Chart(
                slug="flagged",
                question="Of whose records is something odd?",
                kind=Kind.TABLE,
                dataset=RECORDS,
                by=("vendor", "kind"),
                measures=(
                    Measure("Odd", "avg(is_flagged)", SHARE_OF_RECORDS),
                    Measure("Records", "count()", RECORDS_UNIT),
                    Measure("Median delivery", "quantile(0.5)(delivery_s)", SECONDS),
                    Measure("95 % delivered after", "quantile(0.95)(delivery_s)", SECONDS),
                ),
            ),
            Chart(
                slug="flagged-over-time",
                question="Since when is it so?",
                kind=Kind.LINE,
                dataset=RECORDS,
                measures=(Measure("Odd", "avg(is_flagged)", SHARE_OF_RECORDS),),
                by=("vendor",),
                x="received_at",
                x_title=_RECEIPT,
                grain="PT1H",
            ),
        ),
        (
            Chart(
                slug="flags",
                question="What is odd, and where is an example?",
                kind=Kind.TABLE,
                dataset=FLAGS,
                by=("vendor", "kind", "flag"),
                measures=(
                    Measure("Records", "count()", RECORDS_UNIT),
                    Measure("Example", "max(vendor_call_id)", TEXT),
                ),
                width=8,
            ),
            Chart(
                slug="flags-in-all",
                question="Which oddity is the most frequent?",
                kind=Kind.BARS,
                dataset=FLAGS,
                by=("flag",),
                measures=(Measure("Records", "count()", RECORDS_UNIT),),
                limit=15,
                width=4,
            ),
        ),
        (
            Chart(
                slug="halves",
                question="Whose calls lack states, or the record?",
                kind=Kind.TABLE,
                dataset=CALLS,
                by=("vendor", "call_type"),
                measures=(
                    Measure("Calls", "count()", CALLS_UNIT),
                    Measure("Without states", "countIf(NOT has_states)", CALLS_UNIT),
                    Measure("Without a record", "countIf(NOT has_record)", CALLS_UNIT),
                    Measure("Open", "countIf(NOT is_final)", CALLS_UNIT),
                ),
                width=12,
                height=30,
            ),
        ),
    ),
)
