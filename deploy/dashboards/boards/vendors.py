"""Vendor quality: what is odd about what each vendor sends."""

from typing import Final

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import DELIVERIES, FLAGS, RECORDS
from deploy.dashboards.model import CALLS as CALLS_UNIT
from deploy.dashboards.model import EVENTS, SECONDS, SHARE_OF_RECORDS, TEXT, Chart, Dashboard, Kind, Measure
from deploy.dashboards.model import RECORDS as RECORDS_UNIT

_RECEIPT: Final = "hour of receipt (UTC)"

VENDOR_QUALITY: Final = Dashboard(
    slug="vendor-quality",
    title="Vendor quality: what must the vendors be told?",
    about="For whoever talks to the vendors: flags of records, calls without states or records, delays. Times are UTC.",
    last="7 days",
    until="tomorrow",
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
                width=7,
            ),
            Chart(
                slug="flags-in-all",
                question="What is odd most often?",
                kind=Kind.BARS,
                dataset=FLAGS,
                by=("flag",),
                measures=(Measure("Times", "sum(items)", RECORDS_UNIT),),
                limit=15,
                width=5,
            ),
        ),
        (
            Chart(
                slug="flagged-over-time",
                question="Since when are how many records odd?",
                kind=Kind.LINE,
                dataset=RECORDS,
                measures=(Measure("Odd", "avg(is_flagged)", SHARE_OF_RECORDS),),
                by=("vendor",),
                x="received_at",
                x_title=_RECEIPT,
                grain="PT1H",
                width=12,
            ),
        ),
        (
            Chart(
                slug="flags",
                question="What is odd, and where is an example?",
                kind=Kind.TABLE,
                dataset=FLAGS,
                by=("vendor", "account", "kind", "flag"),
                measures=(
                    Measure("Times", "sum(items)", RECORDS_UNIT),
                    Measure("Share", "sum(items) / sum(of_items)", SHARE_OF_RECORDS),
                    Measure("Example", "max(example_call_id)", TEXT),
                ),
                width=12,
                note="The share is of the days on which it was so; the example is the id of a call.",
                height=52,
            ),
        ),
        (
            Chart(
                slug="deliveries",
                question="Who delivers late, odd or half?",
                kind=Kind.TABLE,
                dataset=DELIVERIES,
                by=("vendor", "account"),
                measures=(
                    Measure("Records in all", "sum(records)", RECORDS_UNIT),
                    Measure("State events", "sum(events)", EVENTS),
                    Measure("Repaired", "sum(repaired)", RECORDS_UNIT),
                    Measure("Unknown values", "sum(unknown_values)", RECORDS_UNIT),
                    Measure("Drifted", "sum(drifted)", RECORDS_UNIT),
                    Measure("Contradicted", "sum(contradicted)", RECORDS_UNIT),
                    Measure("Dead", "sum(dead)", RECORDS_UNIT),
                    Measure("Calls in all", "sum(calls)", CALLS_UNIT),
                    Measure("Without states", "sum(calls_without_states)", CALLS_UNIT),
                    Measure("Without a record", "sum(calls_without_record)", CALLS_UNIT),
                ),
                width=12,
                height=30,
            ),
        ),
    ),
)
