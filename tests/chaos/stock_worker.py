"""A worker as Faust's own documents write it, with `take`: a wrong way, for the test that must catch it."""

import sys
from pathlib import Path

import faust

BATCH = 100


def main(bootstrap: str, topic: str, group: str, notes: Path, fail_once_at: int) -> None:
    """Notes every value of a batch, and raises once at the batch that holds `fail_once_at`."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=str(notes.with_suffix(".data")),
        web_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.2,
    )
    failed: list[int] = []

    @app.agent(app.topic(topic, value_serializer="raw", internal=False))  # type: ignore[untyped-decorator]  # faust has no usable types
    async def work(stream: faust.Stream) -> None:
        async for batch in stream.take(BATCH, within=0.2):
            numbers = [int(value) for value in batch]
            if fail_once_at in numbers and not failed:
                failed.append(fail_once_at)
                raise RuntimeError("the database is away")
            with notes.open("a") as file:
                file.writelines(f"{number}\n" for number in numbers)

    faust.Worker(app, loglevel="error").execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))
