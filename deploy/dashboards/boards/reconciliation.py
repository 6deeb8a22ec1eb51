"""Reconciliation: whether the books balance, pushes against pulls, and the carriers' files against what is held."""

from typing import Final

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import LEDGER, OPEN, RECONCILED, RUNS, WAYS
from deploy.dashboards.model import MONEY, RECORDS, SECONDS, TEXT, Chart, Dashboard, Kind, Measure

_HOUR: Final = "hour of receipt (UTC)"

RECONCILIATION: Final = Dashboard(
    slug="reconciliation",
    title="Reconciliation: do the books balance?",
    about="For finance and operations: what came in against what became of it, pushed against pulled records, and "
    "the runs of `callweave reconcile`. Times are UTC.",
    last="7 days",
    until="tomorrow",
    filters=whose(LEDGER),
    rows=(
        (
            Chart(
                slug="difference",
                question="How much is missing?",
                kind=Kind.NUMBER,
                dataset=LEDGER,
                measures=(Measure("Without an outcome", "sum(difference)", RECORDS),),
                width=3,
                height=20,
                note="Elements of which nothing is known to have come: it must be 0.",
            ),
            Chart(
                slug="elements",
                question="How much came in?",
                kind=Kind.NUMBER,
                dataset=LEDGER,
                measures=(Measure("Came in", "sum(elements)", RECORDS),),
                width=3,
                height=20,
            ),
            Chart(
                slug="ledger-waiting",
                question="How much is waiting?",
                kind=Kind.NUMBER,
                dataset=LEDGER,
                measures=(Measure("Not joined yet", "sum(waiting)", RECORDS),),
                width=3,
                height=20,
            ),
            Chart(
                slug="ledger-dead",
                question="How much is dead?",
                kind=Kind.NUMBER,
                dataset=LEDGER,
                measures=(Measure("Dead letters", "sum(dead)", RECORDS),),
                width=3,
                height=20,
            ),
        ),
        (
            Chart(
                slug="outcomes",
                question="What became of what came in?",
                kind=Kind.TABLE,
                dataset=LEDGER,
                by=("vendor", "account"),
                measures=(
                    Measure("In", "sum(elements)", RECORDS),
                    Measure("Facts", "sum(facts)", RECORDS),
                    Measure("Duplicates", "sum(duplicates)", RECORDS),
                    Measure("Dead", "sum(dead)", RECORDS),
                    Measure("Filtered", "sum(filtered)", RECORDS),
                    Measure("Waiting", "sum(waiting)", RECORDS),
                    Measure("Difference", "sum(difference)", RECORDS),
                ),
                note="In = facts + duplicates + dead + filtered + waiting + difference, besides what older workers joined.",
                width=12,
                height=30,
            ),
        ),
        (
            Chart(
                slug="elements-by-hour",
                question="When did how much come in?",
                kind=Kind.STACK,
                dataset=LEDGER,
                measures=(Measure("Came in", "sum(elements)", RECORDS),),
                by=("vendor",),
                x="hour",
                x_title=_HOUR,
                grain="PT1H",
            ),
            Chart(
                slug="ways",
                question="Was everything both pushed and pulled?",
                kind=Kind.TABLE,
                dataset=WAYS,
                by=("vendor", "account", "way", "currency"),
                measures=(
                    Measure("Records", "sum(records)", RECORDS),
                    Measure("Cost", "sum(cost_total)", MONEY),
                    Measure("In conflict", "sum(in_conflict)", RECORDS),
                ),
                note="Meaningful for vendors that do both.",
            ),
        ),
        (
            Chart(
                slug="runs",
                question="How do the carriers' files compare?",
                kind=Kind.TABLE,
                dataset=RUNS,
                by=("ran_at", "vendor", "account", "file_name"),
                measures=(
                    Measure("Equal", "sum(equal)", RECORDS),
                    Measure("Within tolerance", "sum(within_tolerance)", RECORDS),
                    Measure("Differ", "sum(differs)", RECORDS),
                    Measure("Only theirs", "sum(only_theirs)", RECORDS),
                    Measure("Only ours", "sum(only_ours)", RECORDS),
                    Measure("Doubled", "sum(doubled_theirs)", RECORDS),
                    Measure("Billed more", "sum(billed_apart_s)", SECONDS),
                ),
                order="ran_at DESC",
                width=12,
                note="A run of `callweave reconcile` a row; nothing before the first.",
                may_be_empty=True,
                height=30,
            ),
        ),
        (
            Chart(
                slug="reconciled",
                question="Which records differ, and in what?",
                kind=Kind.TABLE,
                dataset=RECONCILED,
                by=(
                    *("file_name", "line", "class", "vendor_call_id", "their_billed_s", "our_billed_s"),
                    *("their_cost", "our_cost", "their_currency", "differences", "note"),
                ),
                order="class, line",
                limit=500,
                width=12,
                note="Line 0: only we have the record. Numbers that differ are not shown; `callweave raw show` has the body.",
                may_be_empty=True,
            ),
        ),
        (
            Chart(
                slug="open",
                question="Which places do not balance?",
                kind=Kind.TABLE,
                dataset=OPEN,
                by=("reason", "raw_partition", "raw_offset", "vendor", "account"),
                measures=(
                    Measure("Last offset", "max(raw_offset_last)", TEXT),
                    Measure("Open for", "max(open_s)", SECONDS),
                ),
                note="Elements just received may wait for some seconds. What stays is a fault.",
                may_be_empty=True,
                width=12,
                height=30,
            ),
        ),
    ),
)
