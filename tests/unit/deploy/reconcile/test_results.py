"""Inserts of a run's results: tried again while a server is away, a bounded number of times."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.reconcile.classes import Match, Outcome
from deploy.reconcile.records import CallRecord
from deploy.reconcile.results import TRIES, ResultWriter, Run
from schemas.backoff import Backoff
from schemas.errors import Unavailable

RUN = Run(run_id=uuid.UUID(int=1), version=int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()), vendor="ytx", account="")


class Failing:
    """A client whose server is away for the first inserts."""

    database = "calls"

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.tables: list[str] = []

    async def insert_rows(self, table: str, *_: Any) -> None:
        await asyncio.sleep(0)
        self.tables.append(table)
        if self.left:
            self.left -= 1
            raise Unavailable("away")


async def written(client: Failing) -> None:
    writer = ResultWriter(client, RUN, Backoff(first_s=0, cap_s=0))  # type: ignore[arg-type]  # as much of a client as it uses
    await writer.add([Outcome(match=Match.ONLY_THEIRS, theirs=CallRecord(line=7))])
    await writer._flush()


@pytest.mark.parametrize("failures", [0, 1, TRIES - 1])
async def test_a_block_is_tried_again(failures: int) -> None:
    client = Failing(failures)
    await written(client)
    assert client.tables == ["calls.reconciled_records"] * (failures + 1)


async def test_a_server_that_stays_away_ends_the_run() -> None:
    client = Failing(TRIES)
    with pytest.raises(Unavailable):
        await written(client)
    assert len(client.tables) == TRIES
