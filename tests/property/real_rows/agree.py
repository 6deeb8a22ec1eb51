"""Agreement of `v_cdr` and `v_timelines` on the same calls: one query and one sentence for each rule."""

from typing import Final

from sinks.clickhouse import ClickHouse
from tests.property.real_rows.engine import ask

_CALLS: Final = """
    SELECT
        r.vendor AS vendor, r.account_id AS account_id, r.vendor_call_id AS id,
        count() AS records, countIf(r.kind = 'conference_leg') AS participants,
        any(r.cost) AS one_cost, countIf(r.cost IS NULL) AS unpriced, sum(r.cost) AS cost,
        uniqExactIf(r.currency, r.cost IS NOT NULL) AS currencies,
        any(r.disposition) AS disposition, any(r.is_final) AS is_final, any(r.billable_s) AS billable_s,
        any(r.answer_at) AS answer_at
    FROM {db}.v_cdr AS r
    GROUP BY vendor, account_id, id
"""
_KEY: Final = "r.vendor = t.vendor AND r.account_id = t.account_id AND r.id = t.vendor_call_id"
_UNDECIDED: Final = "('unknown', 'in_progress')"

LAWS: Final = {
    "every record has its call": f"SELECT r.id FROM ({_CALLS}) AS r LEFT ANTI JOIN {{db}}.v_timelines AS t ON {_KEY}",
    "every call with a record has it": f"""
        SELECT t.vendor_call_id FROM {{db}}.v_timelines AS t LEFT ANTI JOIN ({_CALLS}) AS r ON {_KEY} WHERE t.has_record
    """,
    "a call is one row": """
        SELECT vendor_call_id FROM {db}.v_timelines GROUP BY vendor, account_id, vendor_call_id HAVING count() > 1
    """,
    "a call knows of its record": f"""
        SELECT r.id FROM ({_CALLS}) AS r JOIN {{db}}.v_timelines AS t ON {_KEY}
        WHERE NOT t.has_record OR t.fact_count < r.records
    """,
    "one record's money is its call's": f"""
        SELECT r.id, r.one_cost, t.cost FROM ({_CALLS}) AS r JOIN {{db}}.v_timelines AS t ON {_KEY}
        WHERE r.records = 1 AND NOT (r.one_cost IS NOT DISTINCT FROM t.cost)
    """,
    "a conference's money is the sum of its participants'": f"""
        SELECT r.id, r.cost, t.cost FROM ({_CALLS}) AS r JOIN {{db}}.v_timelines AS t ON {_KEY}
        WHERE r.participants > 1 AND r.participants = r.records AND r.unpriced = 0 AND r.currencies = 1
            AND NOT (t.cost IS NOT DISTINCT FROM r.cost) AND NOT (t.cost IS NULL AND has(t.quality_flags, 'range_error'))
    """,
    "one record's end is its call's": f"""
        SELECT r.id, r.disposition, t.disposition FROM ({_CALLS}) AS r JOIN {{db}}.v_timelines AS t ON {_KEY}
        WHERE r.records = 1 AND r.is_final AND r.disposition NOT IN {_UNDECIDED} AND r.disposition != t.disposition
    """,
    "an answered record's call is answered at the same time, or says that it cannot be": f"""
        SELECT r.id, r.answer_at, t.answer_at FROM ({_CALLS}) AS r JOIN {{db}}.v_timelines AS t ON {_KEY}
        WHERE r.records = 1 AND r.is_final AND NOT (r.answer_at IS NOT DISTINCT FROM t.answer_at)
            AND NOT (t.answer_at IS NULL AND hasAny(t.quality_flags, ['range_error', 'bad_time', 'time_order']))
    """,
    "one record's billed seconds are its call's": f"""
        SELECT r.id, r.billable_s, t.billable_s FROM ({_CALLS}) AS r JOIN {{db}}.v_timelines AS t ON {_KEY}
        WHERE r.records = 1 AND NOT (r.billable_s IS NOT DISTINCT FROM t.billable_s)
    """,
    "who talked was answered before the end": """
        SELECT vendor_call_id, answer_at, end_at FROM {db}.v_timelines
        WHERE answer_at > end_at AND talk_ms > 0
    """,
}
"""Rule to the query for the calls that break it."""


async def disagreements(db: ClickHouse, examples: int = 3) -> list[str]:
    """List each broken rule, with its count and some of the calls."""
    found = []
    for law, query in LAWS.items():
        broken = await ask(db, query)
        if broken:
            found.append(f"not so: {law}: {len(broken)} calls, {sorted(map(str, broken))[:examples]}")
    return found
