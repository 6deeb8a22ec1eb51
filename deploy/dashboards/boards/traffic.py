"""Traffic and quality: how many calls, how many of them reached somebody, how fast, and why the others did not."""

from typing import Final

from deploy.dashboards.boards.common import whose
from deploy.dashboards.datasets import CALLS, COUNTRIES, FIGURES
from deploy.dashboards.model import CALLS as CALLS_UNIT
from deploy.dashboards.model import (
    MINUTES,
    SECONDS,
    SHARE,
    SHARE_OF_ANSWERED,
    SHARE_OF_FINAL,
    Chart,
    Dashboard,
    Kind,
    Measure,
)

_START: Final = "five minutes of start (UTC)"
_LOCAL: Final = "five minutes of start (local time of the account)"
_ASR: Final = Measure("ASR", "sum(answered) / nullIf(sum(seizures), 0)", SHARE)
_NER: Final = Measure("NER", "sum(network_effective) / nullIf(sum(seizures), 0)", SHARE)
_ACD: Final = Measure("ACD", "sum(talk_total_ms) / 1000 / nullIf(sum(answered_with_talk), 0)", SECONDS)
_ATTEMPTS: Final = Measure("Attempts", "sum(attempts)", CALLS_UNIT)
_FINAL_CALLS: Final = "is_final AND call_type = 'call'"

TRAFFIC: Final = Dashboard(
    slug="traffic",
    title="Traffic and quality: do calls get through?",
    about="For routing and quality: attempts, ASR and NER (ITU-T E.411, E.425), delays and causes of final calls. "
    "Figures are by the local time of each account, single calls by UTC.",
    last="1 day",
    filters=whose(FIGURES),
    rows=(
        (
            Chart(
                slug="attempts",
                question="How many attempts?",
                kind=Kind.NUMBER,
                dataset=FIGURES,
                measures=(_ATTEMPTS,),
                width=3,
                height=20,
            ),
            Chart(
                slug="asr",
                question="How many answered?",
                kind=Kind.NUMBER,
                dataset=FIGURES,
                measures=(_ASR,),
                width=3,
                height=20,
                note="Answer-seizure ratio (ITU-T E.411): answered / seizures.",
            ),
            Chart(
                slug="ner",
                question="How many served?",
                kind=Kind.NUMBER,
                dataset=FIGURES,
                measures=(_NER,),
                width=3,
                height=20,
                note="Network effectiveness ratio (ITU-T E.425): busy, unanswered and rejected calls count as served.",
            ),
            Chart(
                slug="acd",
                question="How long is talk?",
                kind=Kind.NUMBER,
                dataset=FIGURES,
                measures=(_ACD,),
                width=3,
                height=20,
                note="Average call duration of answered attempts whose talk is known.",
            ),
        ),
        (
            Chart(
                slug="attempts-over-time",
                question="When are how many calls attempted?",
                kind=Kind.STACK,
                dataset=FIGURES,
                measures=(_ATTEMPTS,),
                by=("vendor",),
                x="local_slot_at",
                x_title=_LOCAL,
            ),
            Chart(
                slug="asr-over-time",
                question="When does whose answer-seizure ratio fall?",
                kind=Kind.LINE,
                dataset=FIGURES,
                measures=(_ASR,),
                by=("vendor",),
                x="local_slot_at",
                x_title=_LOCAL,
            ),
        ),
        (
            Chart(
                slug="ner-over-time",
                question="When does a network fail?",
                kind=Kind.LINE,
                dataset=FIGURES,
                measures=(_NER,),
                by=("vendor",),
                x="local_slot_at",
                x_title=_LOCAL,
            ),
            Chart(
                slug="short-calls",
                question="When are many answered calls short?",
                kind=Kind.LINE,
                dataset=FIGURES,
                measures=(
                    Measure("Short calls", "sum(short_calls) / nullIf(sum(answered_with_talk), 0)", SHARE_OF_ANSWERED),
                ),
                by=("vendor",),
                x="local_slot_at",
                x_title=_LOCAL,
                note="Answered calls with less than 6 s of talk.",
            ),
        ),
        (
            Chart(
                slug="pdd",
                question="How long until it rings?",
                kind=Kind.LINE,
                dataset=CALLS,
                measures=(
                    Measure("Median", "quantileExact(0.5)(pdd_ms) / 1000", SECONDS),
                    Measure("95th percentile", "quantileExact(0.95)(pdd_ms) / 1000", SECONDS),
                ),
                x="started_at",
                x_title=_START,
                grain="PT5M",
                where=f"pdd_ms IS NOT NULL AND {_FINAL_CALLS}",
                note="Post-dial delay: from setup to alerting, of calls where both are known.",
            ),
            Chart(
                slug="ringing",
                question="How long does it ring?",
                kind=Kind.LINE,
                dataset=CALLS,
                measures=(
                    Measure("Median", "quantileExact(0.5)(ring_ms) / 1000", SECONDS),
                    Measure("95th percentile", "quantileExact(0.95)(ring_ms) / 1000", SECONDS),
                ),
                x="started_at",
                x_title=_START,
                grain="PT5M",
                where=f"ring_ms IS NOT NULL AND {_FINAL_CALLS}",
                note="From alerting to the answer, or to the end of an unanswered call.",
            ),
        ),
        (
            Chart(
                slug="dispositions",
                question="How do calls end?",
                kind=Kind.STACK,
                dataset=CALLS,
                measures=(Measure("Calls", "count()", CALLS_UNIT),),
                by=("outcome",),
                x="started_at",
                x_title=_START,
                grain="PT5M",
                where=_FINAL_CALLS,
                note="Other: barred, congestion, failed and unknown; the chart of causes tells them apart.",
            ),
            Chart(
                slug="causes",
                question="For which causes do calls fail?",
                kind=Kind.BARS,
                dataset=CALLS,
                measures=(Measure("Calls", "count()", CALLS_UNIT),),
                by=("cause",),
                where=f"disposition != 'answered' AND {_FINAL_CALLS}",
                limit=15,
                note="The cause by ITU-T Q.850 where it is known; the fifteen most frequent.",
            ),
        ),
        (
            Chart(
                slug="hours",
                question="At which hour of the day do people call?",
                kind=Kind.COLUMNS,
                dataset=FIGURES,
                measures=(_ATTEMPTS,),
                by=("local_hour",),
                x_title="hour of the day (local time of the account)",
                width=12,
            ),
        ),
        (
            Chart(
                slug="countries",
                question="In which countries are the other parties?",
                kind=Kind.MAP,
                dataset=COUNTRIES,
                measures=(Measure("Calls", "count()", CALLS_UNIT),),
                by=("country",),
                where="country != ''",
                height=50,
                note="By the digits that the masked number shows; where they begin numbers of several countries, none is told.",
            ),
            Chart(
                slug="countries-list",
                question="Which countries are reached?",
                kind=Kind.TABLE,
                dataset=COUNTRIES,
                by=("country", "prefix_name"),
                measures=(
                    Measure("Calls", "count()", CALLS_UNIT),
                    Measure(
                        "Answered",
                        "countIf(disposition = 'answered' AND is_final) / nullIf(countIf(is_final), 0)",
                        SHARE_OF_FINAL,
                    ),
                    Measure("Talk", "sumIf(talk_ms, is_final) / 60000", MINUTES),
                ),
                height=50,
            ),
        ),
        (
            Chart(
                slug="accounts",
                question="Whose calls get through?",
                kind=Kind.TABLE,
                dataset=FIGURES,
                by=("vendor", "account", "account_id", "direction", "time_zone"),
                measures=(_ATTEMPTS, _ASR, _NER, _ACD),
                width=12,
                height=52,
                note="The zone is that of the local times on this page.",
            ),
        ),
    ),
)
