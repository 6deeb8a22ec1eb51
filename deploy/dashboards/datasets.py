"""The datasets: the views that charts ask, as far as charts and filters use their columns.

All of them are among what the analyst's account may read, which sees no clear phone number.
"""

from typing import Final

from deploy.dashboards.model import Column, Dataset

_INSTANT: Final = "DateTime64(6, 'UTC')"
_WORD: Final = "LowCardinality(String)"
_WHOSE: Final = (
    Column("vendor", _WORD),
    Column("account", "String", "the configured account whose address let the calls in; empty for none"),
    Column("account_id", "String", "the account as the vendor names it"),
)

FIGURES: Final = Dataset(
    name="v_kpi_5m_local",
    comment="Figures of calls for each five minutes of start in the account's own zone, vendor, account and direction",
    time="slot_at",
    columns=(
        Column("slot_at", "DateTime('UTC')", "start of the five minutes (UTC)"),
        Column("local_slot_at", "DateTime('UTC')", "the same as the clock of the account's zone showed it"),
        Column("local_hour", "UInt8", "hour of the day in the account's zone"),
        Column("time_zone", "LowCardinality(String)", "the account's zone"),
        *_WHOSE,
        Column("direction", _WORD),
        Column("currency", "String", "of the costs; mixed: more than one"),
    ),
)

CALLS: Final = Dataset(
    name="bi_calls",
    comment="A row for each call, with tokens and masked forms in place of phone numbers. Times are UTC",
    time="started_at",
    sql="""SELECT
    started_at, vendor, account, account_id, vendor_call_id, custom_ref, call_type, direction,
    from_token, from_masked, to_token, to_masked, agent_id, disposition, hangup_party,
    if(disposition IN ('answered', 'no_answer', 'busy', 'unreachable', 'rejected', 'cancelled', 'invalid_number'), disposition, 'other') AS outcome,
    concat(disposition, ifNull(concat(' (', toString(q850), ')'), '')) AS cause, hangup_cause, hangup_reason,
    setup_at, alerting_at, answer_at, end_at, pdd_ms, ring_ms, talk_ms, billable_s, cost, currency,
    is_final, has_record, has_states, has_recording, arrayStringConcat(quality_flags, ', ') AS quality_flags
FROM masked_timelines""",
    columns=(
        Column("started_at", _INSTANT, "the earliest instant of the call or of any leg (UTC)"),
        *_WHOSE,
        Column("vendor_call_id", "String", "the id of the call in the vendor's words"),
        Column("custom_ref", "String", "the reference that was given to the vendor with the call"),
        Column("call_type", _WORD),
        Column("direction", _WORD),
        Column("from_token", "String", "token of the caller's number"),
        Column("from_masked", "String", "the caller's number, masked"),
        Column("to_token", "String", "token of the called number"),
        Column("to_masked", "String", "the called number, masked"),
        Column("agent_id", "String"),
        Column("disposition", _WORD, "how the call ended"),
        Column("outcome", "String", "how the call ended, in no more words than there are colours"),
        Column("hangup_party", _WORD),
        Column("cause", "String", "how the call ended, with its cause by ITU-T Q.850 where that is known"),
        Column("hangup_cause", _WORD, "cause in the vendor's words"),
        Column("hangup_reason", "String"),
        *(Column(name, f"Nullable({_INSTANT})") for name in ("setup_at", "alerting_at", "answer_at", "end_at")),
        *(Column(name, "Nullable(UInt32)") for name in ("pdd_ms", "ring_ms", "talk_ms", "billable_s")),
        Column("cost", "Nullable(Decimal(18, 6))"),
        Column("currency", _WORD),
        *(Column(name, "Bool") for name in ("is_final", "has_record", "has_states", "has_recording")),
        Column("quality_flags", "String", "what was odd about the source"),
    ),
)

RECORDS: Final = Dataset(
    name="bi_records",
    comment="A row for each record of a vendor, by its receipt (UTC), with its delays",
    time="received_at",
    sql="""SELECT
    received_at, vendor, account, account_id, kind, source, is_final,
    (toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Micro(end_at) / 1000) / 1000 AS delivery_s,
    (toUnixTimestamp64Milli(ingested_at) - toUnixTimestamp64Milli(received_at)) / 1000 AS storing_s,
    notEmpty(quality_flags) AS is_flagged, quality_flags
FROM masked_cdr""",
    columns=(
        Column("received_at", "DateTime64(3, 'UTC')", "receipt of the record (UTC)"),
        *_WHOSE,
        Column("kind", _WORD, "kind of record"),
        Column("source", _WORD, "pushed or pulled"),
        Column("is_final", "Bool"),
        Column("delivery_s", "Nullable(Float64)", "from the end of the call to the receipt of its record, in s"),
        Column("storing_s", "Float64", "from the receipt of the record to its row, in s"),
        Column("is_flagged", "UInt8", "whether something was odd about the source"),
    ),
)

_DAY: Final = Column("day", "Date", "UTC day of receipt; of calls, of their start")

DELIVERIES: Final = Dataset(
    name="v_vendor_quality",
    comment="How each vendor delivers, for each UTC day and account",
    time="day",
    columns=(_DAY, Column("vendor", _WORD), Column("account", "String")),
)

FLAGS: Final = Dataset(
    name="v_vendor_flags",
    comment="What was odd about what a vendor sent, for each UTC day, account, kind and flag, with an example",
    time="day",
    columns=(
        _DAY,
        *_WHOSE,
        Column("kind", _WORD, "kind of record or event"),
        Column("flag", "String", "what was odd"),
    ),
)

SILENT: Final = Dataset(
    name="v_silent_vendors",
    comment="Vendors of which nothing came for ten times their median gap",
    columns=(
        Column("vendor", _WORD),
        Column("account", "String"),
        Column("last_received_at", "DateTime('UTC')", "the newest receipt (UTC)"),
    ),
)

COUNTRIES: Final = Dataset(
    name="masked_other_parties",
    comment="A row for each call with the country of the party that is not the customer. Times are UTC",
    time="started_at",
    columns=(
        Column("started_at", _INSTANT, "the earliest instant of the call (UTC)"),
        *_WHOSE,
        Column("direction", _WORD),
        Column("country", _WORD, "ISO 3166-1 alpha-2; empty where the masked number begins those of several"),
        Column("prefix_name", "String"),
    ),
)

RUNNING: Final = Dataset(
    name="bi_running",
    comment="A row for each call and each minute (UTC) of the last day in whose first instant it ran",
    time="minute_at",
    # As v_concurrency counts them: Superset cannot read a query with a view's parameters.
    sql="""SELECT
    toDateTime(minute * 60, 'UTC') AS minute_at, vendor, account, account_id, direction
FROM masked_timelines
ARRAY JOIN range(
    toUInt32(ceil(toUnixTimestamp64Milli(started_at) / 60000)),
    toUInt32(ceil(toUnixTimestamp64Milli(if(end_at IS NULL AND phase = 0, now64(6), greatest(started_at, ifNull(end_at, started_at)))) / 60000))
) AS minute
WHERE started_at > now() - toIntervalDay(1) AND started_at <= now()""",
    columns=(
        Column("minute_at", "DateTime('UTC')", "the minute (UTC)"),
        *_WHOSE,
        Column("direction", _WORD),
    ),
)

STATES: Final = Dataset(
    name="bi_states",
    comment="The ladder of a call: what its records and state events say, instant by instant (UTC)",
    time="at",
    sql="""SELECT
    coalesce(event_at, toDateTime64(received_at, 6, 'UTC')) AS at, vendor, account, account_id, vendor_call_id, custom_ref,
    from_token, to_token, toString(state) AS state, leg_masked AS party, 'state event' AS told_by, hangup_reason AS cause
FROM masked_call_events
UNION ALL
SELECT
    assumeNotNull(step.2) AS at, vendor, account, account_id, vendor_call_id, custom_ref,
    from_token, to_token, step.1 AS state, step.3 AS party, 'joined call' AS told_by,
    if(step.1 = 'release', hangup_reason, '') AS cause
FROM masked_timelines
ARRAY JOIN arrayConcat(
    [('setup', setup_at, 'call'), ('alerting', alerting_at, 'call'), ('answer', answer_at, 'call'), ('release', end_at, 'call')],
    arrayMap((role, number, t) -> ('setup', t, concat(role, ' ', number)), legs.role, legs.number_masked, legs.setup_at),
    arrayMap((role, number, t) -> ('alerting', t, concat(role, ' ', number)), legs.role, legs.number_masked, legs.alerting_at),
    arrayMap((role, number, t) -> ('answer', t, concat(role, ' ', number)), legs.role, legs.number_masked, legs.answer_at),
    arrayMap((role, number, t) -> ('release', t, concat(role, ' ', number)), legs.role, legs.number_masked, legs.end_at)
) AS step
WHERE step.2 IS NOT NULL""",
    columns=(
        Column("at", _INSTANT, "instant of the step (UTC)"),
        *_WHOSE,
        Column("vendor_call_id", "String"),
        Column("custom_ref", "String"),
        Column("from_token", "String"),
        Column("to_token", "String"),
        Column("state", "String", "setup, alerting, answer or release"),
        Column("party", "String", "the leg: its role and its number, masked; or the call as a whole"),
        Column("told_by", "String", "a state event of the vendor, or the call as it was joined"),
        Column("cause", "String"),
    ),
)

CHARGES: Final = Dataset(
    name="v_charges_day",
    comment="What the vendors charge for records of every kind, for each day of start (UTC)",
    time="day",
    columns=(
        Column("day", "Date", "UTC day of the earliest instant of the record"),
        *_WHOSE,
        Column("call_type", "String", "call, conference or voice_code"),
        Column("currency", "String", "of the costs; empty: records without a cost"),
    ),
)

CONFERENCES: Final = Dataset(
    name="v_conferences",
    comment="A row for each conference: participants, times (UTC), cost",
    time="started_at",
    columns=(
        Column("started_at", _INSTANT, "when the first participant joined (UTC)"),
        *_WHOSE,
        Column("currency", "String"),
    ),
)

LEDGER: Final = Dataset(
    name="v_ledger",
    comment="What came in and what became of it, for each vendor, account and hour of receipt (UTC)",
    time="hour",
    columns=(
        Column("hour", "DateTime('UTC')", "hour of receipt (UTC)"),
        Column("vendor", "String"),
        Column("account", "String"),
    ),
)

OPEN: Final = Dataset(
    name="v_ledger_open",
    comment="Places on the raw topic that do not balance",
    columns=(
        Column("reason", "String", "not joined, unaccounted or missing"),
        Column("raw_partition", "Int32"),
        Column("raw_offset", "Int64"),
        Column("vendor", "String"),
        Column("account", "String"),
    ),
)

WAYS: Final = Dataset(
    name="v_push_pull",
    comment="Records that were only pushed, only pulled or both, for each hour of the call (UTC)",
    time="hour",
    columns=(
        Column("hour", "DateTime('UTC')", "hour of the call (UTC)"),
        Column("vendor", _WORD),
        Column("account", "String"),
        Column("way", "String", "only pushed, only pulled or both"),
        Column("currency", "String"),
    ),
)

RUNS: Final = Dataset(
    name="v_reconciliations",
    comment="Runs of callweave reconcile",
    time="ran_at",
    columns=(
        Column("ran_at", "DateTime64(3, 'UTC')", "when the file was compared (UTC)"),
        Column("vendor", _WORD),
        Column("account", "String"),
        Column("file_name", "String"),
    ),
)

RECONCILED: Final = Dataset(
    name="bi_reconciled",
    comment="The records that are not the same in a carrier's file and here, by the last run of each file and settings",
    time="ran_at",
    sql="""SELECT
    runs.ran_at AS ran_at, runs.file_name AS file_name, records.line AS line, records.class AS class, records.vendor AS vendor,
    records.account AS account, records.vendor_call_id AS vendor_call_id, records.started_at AS started_at,
    records.their_billed_s AS their_billed_s, records.our_billed_s AS our_billed_s,
    records.their_cost AS their_cost, records.their_currency AS their_currency,
    records.our_cost AS our_cost, records.our_currency AS our_currency,
    arrayStringConcat(arrayMap(
        (field, theirs, ours) -> concat(field, if(theirs = '' AND ours = '', '', concat(': ', theirs, ', ours ', ours))),
        records.differences.field, records.differences.theirs, records.differences.ours
    ), '; ') AS differences, records.note AS note
FROM
(
    SELECT * FROM v_reconciled_records WHERE class NOT IN ('equal', 'within_tolerance')
) AS records
INNER JOIN v_reconciliations AS runs ON runs.run_id = records.run_id""",
    columns=(
        Column("ran_at", "DateTime64(3, 'UTC')", "when the file was compared (UTC)"),
        Column("file_name", "String"),
        Column("line", "UInt64", "row of the file; 0: only we have the record"),
        Column("class", _WORD, "differs, only_theirs, only_ours, doubled_theirs or unreadable"),
        Column("vendor", _WORD),
        Column("account", "String"),
        Column("vendor_call_id", "String"),
        Column("started_at", f"Nullable({_INSTANT})", "the first instant of the call (UTC)"),
        *(Column(f"{whose}_billed_s", "Nullable(UInt32)") for whose in ("their", "our")),
        *(Column(f"{whose}_cost", "Nullable(Decimal(18, 6))") for whose in ("their", "our")),
        *(Column(f"{whose}_currency", _WORD) for whose in ("their", "our")),
        Column("differences", "String", "field by field: theirs, and ours"),
        Column("note", "String", "why a row cannot be read"),
    ),
)
