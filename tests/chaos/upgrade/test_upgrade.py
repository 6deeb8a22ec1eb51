"""The plan of an upgrade, and the balancer before the two ingresses; the run itself is `make upgrade`."""

import asyncio

import pytest

from deploy.process.ports import free_port
from tests.chaos.upgrade.balancer import Balancer
from tests.chaos.upgrade.plan import BEFORE_TABLES, SINKS, SLOTS, WRITERS, Change, plan
from tests.chaos.upgrade.written import TOPICS, Written, out_of_turn


@pytest.mark.parametrize("stop_workers_first", [False, True], ids=["side by side", "workers apart"])
def test_every_part_is_replaced_goes_back_the_other_way_and_is_replaced_again(*, stop_workers_first: bool) -> None:
    steps = plan(stop_workers_first=stop_workers_first, rollback=True)
    there = [slot for step in steps if step.version == "new" for slot in step.slots]
    back = [slot for step in steps[1:] if step.version == "old" for slot in step.slots]

    assert there == [*BEFORE_TABLES, *BEFORE_TABLES, *SINKS]
    assert sorted(back) == sorted(BEFORE_TABLES)
    assert back[0] == "poll"
    assert back[-1].startswith("process")
    assert len({step.text for step in steps}) == len(steps)


@pytest.mark.parametrize("rollback", [False, True])
def test_the_newest_is_written_when_no_old_part_is_left_and_by_one_part_after_the_other(*, rollback: bool) -> None:
    steps = plan(stop_workers_first=False, rollback=rollback)
    newest = [step for step in steps if step.version == "newest"]

    assert steps[-len(newest) :] == tuple(newest)
    assert [step.slots for step in newest] == [*((slot,) for slot in WRITERS), ()]
    assert set(at_work(steps[: -len(newest)])) == {"new"}


def at_work(steps: tuple[Change, ...]) -> list[str]:
    """Returns the version of each part after these steps."""
    parts = dict.fromkeys(SLOTS, "old")
    for step in steps:
        parts.update(dict.fromkeys(step.slots, step.version))
    return list(parts.values())


def records(first_ms: int, *schema_ids: int) -> list[Written]:
    return [
        Written(topic=topic, schema_id=schema_id, count=1, first_ms=first_ms, last_ms=first_ms)
        for topic in TOPICS
        for schema_id in schema_ids
    ]


STANDS: dict[str, tuple[list[Written], int | None, int]] = {
    "nothing new, where nobody was told to write it": (records(5, 1004, 1005), None, 0),
    "the newest, after the first was told to": ([*records(1, 1004, 1005), *records(5, 1009, 1010)], 5, 0),
    "the newest, before that": (records(4, 1009), 5, 3),
    "the newest, and nobody was told to": (records(4, 1009), None, 3),
    "nothing new, and all were told to": (records(9, 1004, 1005), 5, 3),
}


@pytest.mark.parametrize(("stands", "newest_ms", "wrong"), STANDS.values(), ids=STANDS)
def test_what_old_parts_cannot_read_may_not_be_written_beside_them(
    stands: list[Written], newest_ms: int | None, wrong: int
) -> None:
    assert len(list(out_of_turn(stands, newest_ms))) == wrong


def test_what_the_old_parts_wrote_while_they_were_alone_they_can_read() -> None:
    stands = [*records(3, 1009), *records(6, 1010)]

    assert len(list(out_of_turn(stands, 9, old_alone_until_ms=3))) == 6
    assert len(list(out_of_turn(stands, 9, old_alone_until_ms=4))) == 3
    assert list(out_of_turn(stands, 9, old_alone_until_ms=7)) == []


def test_workers_apart_are_all_stopped_before_the_first_new_one_starts() -> None:
    steps = plan(stop_workers_first=True, rollback=False)

    assert ("process-1", "process-2") in [step.slots for step in steps]
    assert [step.version for step in steps].count("old") == 1


def test_topics_come_before_any_part_and_tables_with_the_sinks_after_the_last_way_back() -> None:
    steps = plan(stop_workers_first=False, rollback=True)
    order = [step.setup or step.slots[0].partition("-")[0] for step in steps if step.setup or step.slots]
    tables = [step.setup for step in steps].index("tables")

    assert list(dict.fromkeys(order)) == ["topics", "process", "ingress", "poll", "tables", "sink"]
    assert "old" not in {step.version for step in steps[tables:]}
    assert steps[tables + 1].slots == SINKS[:1]


async def test_a_backend_that_is_taken_out_keeps_its_connections_and_gets_no_new_ones() -> None:
    async def named(port: int, name: bytes) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1):
                writer.write(name)
                await writer.drain()
            writer.close()

        return await asyncio.start_server(answer, "127.0.0.1", port)

    async def ask(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
        stream[1].write(b"?")
        return await stream[0].readexactly(1)

    first, second, front = free_port(), free_port(), free_port()
    async with await named(first, b"1"), await named(second, b"2"), Balancer(front) as balancer:
        balancer.put_in(first)
        balancer.put_in(second)
        streams = [await asyncio.open_connection("127.0.0.1", front) for _ in range(2)]
        answers = [await ask(stream) for stream in streams]
        balancer.take_out(first)
        newer = [await asyncio.open_connection("127.0.0.1", front) for _ in range(2)]

        assert sorted(answers) == [b"1", b"2"]
        assert [await ask(stream) for stream in streams] == answers
        assert [await ask(stream) for stream in newer] == [b"2", b"2"]
        for _, writer in (*streams, *newer):
            writer.close()
