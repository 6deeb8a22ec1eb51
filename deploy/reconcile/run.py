"""Reconciles a carrier's file with the records that are held, in memory that does not grow with either.

The file is read row by row, and what is read is divided over many small files by what pairs two records; ours of the
same period are divided in the same way. Then one part after the other is compared, and its outcomes are written.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from deploy.output.printable import printable
from deploy.reconcile.classes import Match, Outcome, Rule, key_of, outcomes
from deploy.reconcile.column_words import CALL_ID
from deploy.reconcile.held import Scope, begun, held, held_with_ids
from deploy.reconcile.plan import Plan, Stage, context_of
from deploy.reconcile.records import FIELDS, CallRecord, Skipped, instant, micros, reader_of, values
from deploy.reconcile.results import ResultWriter, Run, drop_older, version_of
from deploy.reconcile.rows.bounds import UnreadableFile
from deploy.reconcile.spilled import PARTS, Spill
from deploy.reconcile.totals import Result, Totals
from schemas.config.settings import Settings
from schemas.errors import SetupError, Undecodable
from sinks.clickhouse import ClickHouse
from sinks.moving.row_move import patient

_HOUR: Final = timedelta(hours=1)
_LOOKED_UP_AT_ONCE: Final = 500
_MOST_LOOKED_UP: Final = 200_000
MOST_MISSING: Final = 10_000
AT_BORDER: Final = "at the border of the file's time, and perhaps not in it: --from and --to say what it covers"
"""The note at a record of ours before the first call of the file, or behind its last one."""
NOT_LOOKED_FOR: Final = "not looked for outside the period: there were too many"
"""The note at a call that we may have at another time."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The wishes of a person about a comparison."""

    tolerance_s: Decimal = Decimal(1)
    tolerance_cost: Decimal = Decimal("0.01")
    match_s: Decimal = Decimal(5)
    begin: datetime | None = None
    """The first instant of the period; None: that of the file's records, from full hour to full hour."""
    end: datetime | None = None
    """The instant after the last one."""
    kinds: tuple[str, ...] = ()
    """The kinds of our records; (): those of the file, or all where it names none."""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is finished."""

    result: Result
    missing: tuple[str, ...]
    """The ids of calls that only they have, at most `MOST_MISSING`."""
    older_dropped: bool


class _Known:
    """The fields of which a side says anything at all: others are not compared."""

    def __init__(self) -> None:
        self.fields: set[str] = set()
        self.is_stated = False
        self.tells_start = False
        self.kinds: set[str] = set()

    def add(self, record: CallRecord) -> None:
        if len(self.fields) < len(FIELDS):
            self.fields.update(values(record))
        self.is_stated = self.is_stated or record.is_stated
        # A start that is always the answer is one that the side does not know.
        self.tells_start = self.tells_start or record.start_at not in (None, record.answer_at, record.end_at)
        if record.kind:
            self.kinds.add(record.kind)


class _Reconciliation:
    """One run."""

    def __init__(self, settings: Settings, plan: Plan, choice: Choice, now: datetime, stage: Stage) -> None:
        self._settings, self._plan, self._choice, self._now, self._stage = settings, plan, choice, now, stage
        self._by_id = plan.map.reads == "fields" or CALL_ID in plan.map.meanings
        self._theirs, self._ours = _Known(), _Known()
        self._span: list[int] = []
        self._first_end: int | None = None
        self._totals = Totals()
        self._missing: list[str] = []
        self._looked_up = self._rows = self._troubled = self._held = 0

    async def run(self) -> Reconciled:
        """Does it all; raises `UnreadableFile`, `Unavailable`, `SetupError`."""
        settings = self._settings_text()
        run = Run(
            run_id=self._plan.run_id(settings),
            version=version_of(self._now),
            vendor=self._plan.choice.vendor,
            account=self._plan.choice.account,
        )
        with Spill() as spill:
            async with ClickHouse(patient(self._settings.clickhouse)) as client:
                await self._require_tables(client)
                writer = ResultWriter(client, run)
                await self._read_theirs(spill, writer)
                begin, end = self._period()
                scope = self._scope()
                if begin is not None and end is not None:
                    await self._read_ours(client, spill, scope, begin, end)
                rule = self._rule()
                tell = self._stage("comparing", PARTS)
                for part in range(PARTS):
                    found = [
                        self._at_border(one)
                        async for one in self._compared(client, spill, part, scope, rule)
                        if self._belongs(one, begin, end)
                    ]
                    for one in found:
                        self._count(one)
                    await writer.add(found)
                    spill.drop(part)
                    tell(1)
                result = self._result(run, rule, (begin, end))
                await writer.finish(result, settings)
        dropped = await drop_older(self._settings.clickhouse, run)
        return Reconciled(result=result, missing=tuple(self._missing), older_dropped=dropped)

    async def _require_tables(self, client: ClickHouse) -> None:
        """Raises before the file is read what would raise after it."""
        try:
            await client.query(f"SELECT 1 FROM {client.database}.v_reconciled_records LIMIT 0")  # noqa: S608 - our own names
        except SetupError as exc:
            raise SetupError(
                str(exc), code=exc.code, advice="Run `callweave migrate`, which makes the tables."
            ) from exc

    async def _read_theirs(self, spill: Spill, writer: ResultWriter) -> None:
        ctx = context_of(self._settings, self._plan.choice, self._now)
        read = reader_of(self._plan.map, self._plan.vendor, ctx, self._plan.choice.zone)
        tell = self._stage("reading the file", self._plan.survey.size_bytes)
        first, last = None, None
        for line, row in self._plan.rows(tell):
            try:
                record = read(line, row)
            except Undecodable as exc:
                await self._refuse(CallRecord(line=line), str(exc), writer)
                continue
            if isinstance(record, Skipped):
                self._totals.skipped[record.reason] += 1
                continue
            if not self._by_id and record.start_at is None:
                await self._refuse(record, record.trouble or "neither an id nor a start: nothing pairs it", writer)
                continue
            if record.trouble:
                self._troubled += 1
            else:
                self._theirs.add(record)
                self._rows += 1
            if (ended := record.end_at) is not None:
                self._first_end = min(ended, self._first_end or ended)
            if (at := record.start_at) is not None:
                first = at if first is None or at < first else first
                last = at if last is None or at > last else last
            spill.put("theirs", key_of(record, by_id=self._by_id), record)
        self._span = [first, last] if first is not None and last is not None else []
        self._require_records()

    def _require_records(self) -> None:
        """Raises `UnreadableFile` where nothing can be compared: that all records agree would be no true word."""
        choice, found = self._choice, self._totals
        told = choice.begin is not None and choice.end is not None
        if not self._rows and not found.counts[Match.UNREADABLE] and not self._troubled and not told:
            left_out = "; ".join(f"{count:,} rows are {reason}" for reason, count in sorted(found.skipped.items()))
            raise UnreadableFile(f"the file has no record behind its headings{f': {left_out}' if left_out else ''}")
        if not self._span and not told and (choice.begin is not None or choice.end is not None):
            raise UnreadableFile("no record of the file has a start: say both --from and --to, or neither")
        if not self._span and not told and self._rows > _MOST_LOOKED_UP:
            raise UnreadableFile("the file has too many records without a start to look for each: say --from and --to")

    async def _refuse(self, record: CallRecord, note: str, writer: ResultWriter) -> None:
        outcome = Outcome(match=Match.UNREADABLE, theirs=record, note=printable(note))
        self._totals.add(outcome)
        await writer.add([outcome])

    def _period(self) -> tuple[datetime | None, datetime | None]:
        """Returns the period for which the file counts: as told, else the full hours that its records are in."""
        begin, end = self._choice.begin, self._choice.end
        if self._span:
            begin = begin or self._full_hour(self._span[0])
            end = end or self._full_hour(self._span[1]) + _HOUR
        return begin, end

    def _full_hour(self, us: int) -> datetime:
        """Returns the full hour of an instant, by the clock of the file: its days may begin at half past in UTC."""
        at = instant(us)
        assert at is not None, "it is none of nothing"
        apart = at.astimezone(ZoneInfo(self._plan.zone.rstrip("?"))).utcoffset() or timedelta()
        apart %= _HOUR
        return (at + apart).replace(minute=0, second=0, microsecond=0) - apart

    def _scope(self) -> Scope:
        kinds = self._choice.kinds or tuple(sorted(self._theirs.kinds))
        ctx, said = context_of(self._settings, self._plan.choice, self._now), self._plan.choice.account
        return Scope(
            vendor=self._plan.choice.vendor,
            names=tuple(dict.fromkeys(filter(None, (said, ctx.account)))),
            external_ids=tuple(sorted(ctx.external_ids)) if ctx.account else (),
            kinds=kinds,
        )

    async def _read_ours(self, client: ClickHouse, spill: Spill, scope: Scope, begin: datetime, end: datetime) -> None:
        tell = self._stage("reading our records", 0)
        async for records in held(client, scope, begin, end):
            for record in records:
                self._ours.add(record)
                spill.put("ours", key_of(record, by_id=self._by_id), record)
            self._held += len(records)
            tell(len(records))
            del records  # or they are in memory beside the next ones

    def _rule(self) -> Rule:
        fields = set(self._theirs.fields)
        if self._held:
            fields &= self._ours.fields
            if self._theirs.tells_start != self._ours.tells_start and self._plan.map.reads == "fields":
                fields.discard("start_at")
            if self._ours.is_stated and not self._theirs.is_stated:
                fields.discard("billed_s")
        # The outcome of a call follows from its answer: a file without answers says nothing of it.
        if "answer_at" not in fields:
            fields.discard("disposition")
        return Rule(
            tolerance_s=self._choice.tolerance_s,
            tolerance_cost=self._choice.tolerance_cost,
            match_s=self._choice.match_s,
            by_id=self._by_id,
            fields=frozenset(fields),
        )

    async def _compared(
        self, client: ClickHouse, spill: Spill, part: int, scope: Scope, rule: Rule
    ) -> AsyncIterator[Outcome]:
        theirs, ours = list(spill.part("theirs", part)), list(spill.part("ours", part))
        lost: frozenset[str] = frozenset()
        if self._by_id:
            elsewhere, lost = await self._elsewhere(client, theirs, ours, scope)
            ours += elsewhere
        for outcome in outcomes(theirs, ours, rule):
            if outcome.match is Match.ONLY_THEIRS and outcome.theirs and outcome.theirs.call_id in lost:
                yield msgspec.structs.replace(outcome, note=NOT_LOOKED_FOR)
            else:
                yield outcome

    async def _elsewhere(
        self, client: ClickHouse, theirs: Sequence[CallRecord], ours: Sequence[CallRecord], scope: Scope
    ) -> tuple[list[CallRecord], frozenset[str]]:
        """Returns our records of calls outside the period, and the calls that were too many to be looked for.

        Nothing is only theirs that we have at another time.
        """
        known = {one.call_id for one in ours}
        wanted = sorted({one.call_id for one in theirs} - known)
        room = max(0, _MOST_LOOKED_UP - self._looked_up)
        self._looked_up += min(room, len(wanted))
        found: list[CallRecord] = []
        for at in range(0, min(room, len(wanted)), _LOOKED_UP_AT_ONCE):
            found += await held_with_ids(client, scope, wanted[:room][at : at + _LOOKED_UP_AT_ONCE])
        return found, frozenset(wanted[room:])

    def _belongs(self, outcome: Outcome, begin: datetime | None, end: datetime | None) -> bool:
        """Returns True for what is in the period; rows of the file that are not are counted as left out."""
        low, high = micros(begin), micros(end)

        def inside(record: CallRecord | None) -> bool:
            if record is None:
                return False
            at = record.start_at if record.line else micros(begun(record))
            return at is None or ((low is None or at >= low) and (high is None or at < high))

        if outcome.match is Match.ONLY_OURS:
            return low is not None and inside(outcome.ours)
        told = self._choice.begin is not None or self._choice.end is not None
        if not told or inside(outcome.theirs) or inside(outcome.ours):
            return True
        self._totals.skipped["outside the period"] += 1
        return False

    def _at_border(self, outcome: Outcome) -> Outcome:
        """Returns an outcome with a note where nobody told the period, and the file may not reach to our record.

        A file of calls by their ends has the first start long before the first end.
        """
        ours, choice = outcome.ours, self._choice
        if outcome.match is not Match.ONLY_OURS or outcome.note or ours is None or not self._span:
            return outcome
        first, last = self._span
        early = choice.begin is None and (
            (ours.start_at or first) < first or (self._first_end or 0) > (ours.end_at or self._first_end or 0)
        )
        late = choice.end is None and (ours.start_at or last) > last
        return msgspec.structs.replace(outcome, note=AT_BORDER) if early or late else outcome

    def _count(self, outcome: Outcome) -> None:
        self._totals.add(outcome)
        theirs = outcome.theirs
        if outcome.match is Match.ONLY_THEIRS and theirs and theirs.call_id and len(self._missing) < MOST_MISSING:
            self._missing.append(theirs.call_id)

    def _result(self, run: Run, rule: Rule, period: tuple[datetime | None, datetime | None]) -> Result:
        compared = tuple(name for name in FIELDS if name in rule.fields)
        silent = [
            f"{name} ({'the file' if name not in self._theirs.fields else 'we' if name not in self._ours.fields else 'one side'}"
            f" {'says' if name not in self._theirs.fields or name in self._ours.fields else 'say'} nothing of it)"
            for name in FIELDS
            if name not in rule.fields
        ]
        return Result(
            run_id=str(run.run_id),
            file_name=self._plan.file_name,
            sha256=self._plan.survey.sha256,
            vendor=run.vendor,
            account=run.account,
            matched_by="the vendor's id of the call"
            if self._by_id
            else f"both numbers and the start within {rule.match_s:f} s",
            period=period,
            zone=self._plan.zone,
            compared=compared,
            not_compared=tuple(silent),
            tolerance_s=rule.tolerance_s,
            tolerance_cost=rule.tolerance_cost,
            ran_at=self._now,
            totals=self._totals,
        )

    def _settings_text(self) -> str:
        """Returns all that the outcome depends on beside the file and our records, as JSON."""
        told = {
            "vendor": self._plan.choice.vendor,
            "account": self._plan.choice.account,
            "zone": self._plan.choice.zone,
            "encoding": self._plan.choice.encoding,
            "delimiter": self._plan.choice.delimiter,
            "sheet": self._plan.choice.sheet,
            "map": self._map(),
            "choice": msgspec.to_builtins(self._choice),
        }
        return json.dumps(told, sort_keys=True, ensure_ascii=False)

    def _map(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self._plan.map)
        told.pop("ids")  # they follow from the rest
        return told


async def reconciled(
    settings: Settings, plan: Plan, choice: Choice, stage: Stage, now: datetime | None = None
) -> Reconciled:
    """Compares a file with our records and writes the outcome.

    Raises `UnreadableFile`, `Unavailable`, `SetupError`.
    """
    return await _Reconciliation(settings, plan, choice, now or datetime.now(UTC), stage).run()
