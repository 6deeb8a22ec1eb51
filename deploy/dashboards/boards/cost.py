"""Cost: what the vendors charge, for what, and which of it is disputed or not final."""

from typing import Final

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import CHARGES, CONFERENCES, FIGURES
from deploy.dashboards.model import (
    MINUTES,
    MONEY,
    MONEY_PER_MINUTE,
    PARTIES,
    RECORDS,
    Chart,
    Dashboard,
    Kind,
    Measure,
)

_DAY: Final = "day of start (UTC)"
_WITH_COST: Final = "currency != ''"

COST: Final = Dashboard(
    slug="cost",
    title="Cost: what do the vendors charge?",
    about="For finance: charges as the vendors' records say them, never a sum over currencies. Days are UTC.",
    last="30 days",
    until="tomorrow",
    filters=(*whose(CHARGES),),
    rows=(
        (
            Chart(
                slug="charges",
                question="How much was charged?",
                kind=Kind.TABLE,
                dataset=CHARGES,
                by=("vendor", "call_type", "currency"),
                measures=(
                    Measure("Charged", "sum(cost_total)", MONEY),
                    Measure("In conflict", "ifNull(sum(cost_in_conflict), 0)", MONEY),
                    Measure("Provisional", "ifNull(sum(cost_provisional), 0)", MONEY),
                    Measure("Records", "sum(records)", RECORDS),
                ),
                where=_WITH_COST,
                note="Amounts in conflict and provisional ones stand beside the charges, not in them.",
                width=7,
                height=34,
            ),
            Chart(
                slug="conferences",
                question="What do conferences cost?",
                kind=Kind.TABLE,
                dataset=CONFERENCES,
                by=("vendor", "currency"),
                measures=(
                    Measure("Cost", "sum(cost)", MONEY),
                    Measure("Participants", "sum(participants)", PARTIES),
                    Measure("Talk", "sum(talk_ms) / 60000", MINUTES),
                ),
                width=5,
                height=34,
            ),
        ),
        (
            Chart(
                slug="charges-over-time",
                question="On which day was how much charged?",
                kind=Kind.STACK,
                dataset=CHARGES,
                measures=(Measure("Charged", "sum(cost_total)", MONEY),),
                by=("vendor", "currency"),
                x="day",
                x_title=_DAY,
                grain="P1D",
                where=_WITH_COST,
            ),
            Chart(
                slug="billed-minutes",
                question="How many minutes were billed on which day?",
                kind=Kind.STACK,
                dataset=CHARGES,
                measures=(Measure("Billed", "sum(billed_s) / 60", MINUTES),),
                by=("vendor",),
                x="day",
                x_title=_DAY,
                grain="P1D",
            ),
        ),
        (
            Chart(
                slug="cost-per-minute",
                question="What does a minute of talk cost?",
                kind=Kind.LINE,
                dataset=FIGURES,
                measures=(
                    Measure(
                        "Cost of a minute",
                        "toFloat64(sum(cost)) * 60000 / nullIf(sum(talk_total_ms), 0)",
                        MONEY_PER_MINUTE,
                    ),
                ),
                by=("vendor", "currency"),
                x="local_slot_at",
                x_title="hour of start (local time of the account)",
                grain="PT1H",
                where="cost IS NOT NULL",
                width=12,
            ),
        ),
        (
            Chart(
                slug="charges-by-account",
                question="Which account causes which charges?",
                kind=Kind.TABLE,
                dataset=CHARGES,
                by=("vendor", "account", "account_id", "call_type", "currency"),
                measures=(
                    Measure("Charged", "sum(cost_total)", MONEY),
                    Measure("Billed", "sum(billed_s) / 60", MINUTES),
                    Measure("Records", "sum(records)", RECORDS),
                    Measure("Records in conflict", "sum(in_conflict)", RECORDS),
                ),
                width=12,
                note="Without a currency: records for which the vendor names no cost.",
            ),
        ),
    ),
)
