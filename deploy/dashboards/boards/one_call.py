"""One call: found by its id, a number's token or a reference, and told instant by instant."""

from typing import Final

from deploy.dashboards.datasets import CALLS, STATES
from deploy.dashboards.model import Chart, Dashboard, Filter, Kind

ONE_CALL: Final = Dashboard(
    slug="one-call",
    title="One call: what happened to it?",
    about="For support: type an id, a token (`callweave token NUMBER` makes one of a number) or a reference into its filter. "
    "Numbers are masked. Times are UTC.",
    last="7 days",
    filters=(
        Filter(name="Call id", column="vendor_call_id", dataset=CALLS, is_typed=True),
        Filter(name="Reference", column="custom_ref", dataset=CALLS, is_typed=True),
        Filter(name="Token of the caller", column="from_token", dataset=CALLS, is_typed=True),
        Filter(name="Token of the called", column="to_token", dataset=CALLS, is_typed=True),
    ),
    rows=(
        (
            Chart(
                slug="calls",
                question="Which calls are meant?",
                kind=Kind.TABLE,
                dataset=CALLS,
                by=(
                    *("started_at", "vendor", "vendor_call_id", "custom_ref", "direction", "from_masked", "to_masked"),
                    "disposition",
                ),
                order="started_at DESC",
                limit=50,
                width=12,
                height=30,
                note="The newest fifty that fit.",
            ),
        ),
        (
            Chart(
                slug="ladder",
                question="What happened, instant by instant?",
                kind=Kind.TABLE,
                dataset=STATES,
                by=("vendor_call_id", "at", "state", "party", "told_by", "cause", "vendor", "custom_ref"),
                order="vendor_call_id, at, told_by, party",
                limit=200,
                width=12,
                height=46,
                note="One step a row: the states that the vendor sent, and the milestones of the joined call and its legs. "
                "A vendor's states may name neither reference nor numbers: the call's id finds them always.",
            ),
        ),
        (
            Chart(
                slug="measured",
                question="How long did it take, and what did it cost?",
                kind=Kind.TABLE,
                dataset=CALLS,
                by=(
                    *(
                        "vendor_call_id",
                        "pdd_ms",
                        "ring_ms",
                        "talk_ms",
                        "billable_s",
                        "cost",
                        "currency",
                        "hangup_party",
                    ),
                    *("is_final", "quality_flags"),
                ),
                order="started_at DESC",
                limit=50,
                width=12,
                height=24,
                note="NULL (N/A) is not known, 0 is zero.",
            ),
        ),
        (
            Chart(
                slug="tokens",
                question="Which tokens find other calls of the same numbers?",
                kind=Kind.TABLE,
                dataset=CALLS,
                by=("vendor_call_id", "from_masked", "from_token", "to_masked", "to_token"),
                order="started_at DESC",
                limit=50,
                width=12,
                height=24,
            ),
        ),
    ),
)
