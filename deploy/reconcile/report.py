"""A reconciliation as one HTML file: it fetches nothing, runs nothing, prints well, and escapes whatever stands in it.

Phone numbers are masked unless somebody asks for them: the file is made to be sent.
"""

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Final

from deploy.output.printable import printable
from deploy.reconcile.classes import AGREED, Difference, Match, Outcome
from deploy.reconcile.records import NUMBERS, CallRecord, text_of
from deploy.reconcile.totals import Result, Totals, sums
from schemas.privacy.masks import masked

_STYLE: Final = """
body{font:14px/1.45 system-ui,sans-serif;color:#1b1f24;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{border:1px solid #c9d1d9;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f2f4f7}td.n{text-align:right;font-variant-numeric:tabular-nums}
p.verdict{font-weight:600;padding:.5rem .75rem;border-left:.4rem solid}
p.good{border-color:#0b6bcb}p.bad{border-color:#b35900}
@media print{body{margin:0;max-width:none}tr{break-inside:avoid}thead{display:table-header-group}}
"""
_SENTENCES: Final = {
    Match.EQUAL: "Both sides have the record, with the same values",
    Match.WITHIN_TOLERANCE: "Both have it, and nothing differs by more than the tolerance",
    Match.DIFFERS: "Both have it, with different values",
    Match.ONLY_THEIRS: "Only the file has it",
    Match.ONLY_OURS: "Only we have it, and the file covers its time",
    Match.DOUBLED_THEIRS: "The file has it once more",
    Match.UNREADABLE: "The row of the file cannot be read",
}


def page(result: Result, *, clear_numbers: bool = False) -> str:
    """Returns the report."""
    totals: Totals = result.totals
    title = f"Reconciliation of {result.file_name} with {result.vendor} {result.account}"
    verdict = ("good", "All records agree.") if totals.agrees else ("bad", "Not all records agree.")
    facts = (
        ("File", f"{result.file_name} (SHA-256 {result.sha256})"),
        ("Vendor and account", f"{result.vendor} {result.account}"),
        ("Period (UTC)", " to ".join(map(_utc, result.period))),
        ("Matched by", result.matched_by),
        ("Zone of the file's times", result.zone),
        ("Compared", ", ".join(result.compared)),
        ("Not compared", "; ".join(result.not_compared) or "nothing else"),
        ("Tolerance", f"{result.tolerance_s:f} s, {result.tolerance_cost:f} of money"),
        ("Run", f"{result.run_id} at {_utc(result.ran_at)} UTC"),
    )
    classes = [(str(match), _SENTENCES[match], f"{totals.counts[match]:,}") for match in Match]
    left_out = [(f"left out: {reason}", "", f"{count:,}") for reason, count in sorted(totals.skipped.items())]
    left_out += [(note, "", f"{count:,}") for note, count in sorted(totals.notes.items())]
    fields = [(name, f"{count:,}") for name, count in totals.fields.most_common()]
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>',
        # Nothing is loaded and nothing runs, whatever the file had in its cells.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{_STYLE}</style></head><body>",
        f'<h1>{_safe(title)}</h1><p class="verdict {verdict[0]}">{verdict[1]}</p>',
        _table((), facts),
        "<h2>Records by class</h2>",
        _table(("Class", "", "Records"), [*classes, *left_out], numbers=(2,)),
        "<h2>Sums</h2>",
        _table(("", "Theirs", "Ours", "Theirs less ours"), sums(totals), numbers=(1, 2, 3)),
        *(("<h2>Fields that differ</h2>", _table(("Field", "Records"), fields, numbers=(1,))) if fields else ()),
        *(
            part
            for match in Match
            if match not in AGREED
            for part in _records(match, totals, clear_numbers=clear_numbers)
        ),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _records(match: Match, totals: Totals, *, clear_numbers: bool) -> Iterable[str]:
    shown = totals.shown[match]
    if not shown:
        return
    yield f"<h2>{_safe(_SENTENCES[match])}</h2>"
    if (more := totals.counts[match] - len(shown)) > 0:
        yield f"<p>The first {len(shown):,}; {more:,} more are in v_reconciled_records.</p>"
    head = ("Row", "Call", "Start (UTC)", "From", "To", "Seconds", "Cost", "Differences (theirs / ours)")
    yield _table(head, [_cells(outcome, clear_numbers=clear_numbers) for outcome in shown], numbers=(0, 5, 6))


def _cells(outcome: Outcome, *, clear_numbers: bool) -> tuple[str, ...]:
    one = outcome.theirs or outcome.ours or CallRecord()
    said = "; ".join(told(difference, clear_numbers=clear_numbers) for difference in outcome.differences)
    return (
        str(one.line or ""),
        one.call_id,
        text_of("start_at", one.start_at),
        number(one.from_number, clear_numbers=clear_numbers),
        number(one.to_number, clear_numbers=clear_numbers),
        "" if one.billed_s is None else str(one.billed_s),
        "" if one.cost is None else f"{one.cost:f} {one.currency}".rstrip(),
        "; ".join(filter(None, (said, outcome.note))),
    )


def told(difference: Difference, *, clear_numbers: bool) -> str:
    """Returns a difference as text: the field and both values."""

    def text(value: object) -> str:
        if difference.field in NUMBERS:
            return number(value if isinstance(value, str) else None, clear_numbers=clear_numbers) or "none"
        return text_of(difference.field, value) or "none"

    return f"{difference.field}: {text(difference.theirs)} / {text(difference.ours)}"


def number(value: str | None, *, clear_numbers: bool) -> str:
    """Returns a phone number as it is shown, "" for none."""
    return (value or "") if clear_numbers else masked(value)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: tuple[int, ...] = ()) -> str:
    titles = "".join(f"<th>{_safe(name)}</th>" for name in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if at in numbers else ''}>{_safe(cell)}</td>" for at, cell in enumerate(row))
        + "</tr>\n"
        for row in rows
    )
    return f"<table>{f'<thead><tr>{titles}</tr></thead>' if titles else ''}<tbody>{body}</tbody></table>"


def _safe(text: str) -> str:
    return escape(printable(text), quote=True)


def _utc(at: datetime | None) -> str:
    return "unknown" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
