"""Power failure at any byte of any commit: every body that `append` returned for is read again, and no other.

The disk keeps of a file what was flushed and any part of what came after. A commit returns after the log's flush; so at
a crash within the next commit the log is the new one up to any byte and the old one from there (SQLite writes over a
log that was checkpointed), and at a crash within the checkpoint the log is whole and the file has any mixture of old
and new pages.
"""

import random
from pathlib import Path

import pytest

from ingress.spool.folder import open_store
from ingress.spool.store import Body, SpoolStore
from tests.support.scale import SCALE

STEPS = 70
CUTS = 4
PAGE = 4096
SECTOR = 512
Files = tuple[bytes, bytes]


def files(folder: Path) -> Files:
    """The file and its log."""
    return (folder / "spool.db").read_bytes(), (folder / "spool.db-wal").read_bytes()


def restored(folder: Path, found: Files) -> SpoolStore:
    folder.mkdir()
    (folder / "spool.db").write_bytes(found[0])
    (folder / "spool.db-wal").write_bytes(found[1])
    opened = open_store(folder, now_ms=lambda: 1)
    assert opened.aside is None, "a crash is no damage"
    return opened.store


def torn_log(rng: random.Random, old: Files, new: Files) -> Files:
    """The log written up to some byte of what the commit wrote; a sector there may be noise."""
    was, now = old[1].ljust(len(new[1]), b"\0"), new[1]
    first = next((n for n in range(0, len(now), PAGE) if was[n : n + PAGE] != now[n : n + PAGE]), len(now))
    end = next((n for n in range(len(now), first, -PAGE) if was[n - PAGE : n] != now[n - PAGE : n]), first)
    cut = rng.choice([first, end, rng.randint(first, end), rng.randint(first, end)])
    noise = rng.randbytes(min(SECTOR, end - cut)) if rng.random() < 0.3 and first + PAGE < cut else b""
    return old[0], now[:cut] + noise + old[1][cut + len(noise) :]


def torn_checkpoint(rng: random.Random, old: Files, new: Files) -> Files:
    pages = range(max(len(old[0]), len(new[0])) // PAGE)
    mixed = b"".join(
        (rng.choice([old[0], new[0]])[n * PAGE : (n + 1) * PAGE] or new[0][n * PAGE : (n + 1) * PAGE]) for n in pages
    )
    return mixed, new[1]


@pytest.mark.parametrize("seed", range(2 * min(SCALE, 2)))
def test_after_the_power_failed_every_acknowledged_body_is_there(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder = tmp_path / "spool"
    folder.mkdir()
    store = open_store(folder, now_ms=lambda: 1).store
    acknowledged: dict[int, bytes] = {}
    resets = looked = 0
    before = files(folder)
    for step in range(STEPS):
        sure = dict(acknowledged)
        values = [rng.randbytes(rng.choice([10, 500, 60_000])) for _ in range(rng.randint(1, 12))]
        gone: list[int] = []
        if acknowledged and rng.random() < 0.4:
            gone = rng.sample(sorted(acknowledged), rng.randint(1, len(acknowledged)))
            store.delete(gone)
            for number in gone:
                del acknowledged[number]
            values = []
        else:
            bodies = [Body(topic="t", key=b"k", value=value) for value in values]
            acknowledged.update(zip(store.append(bodies, now_ms=step), values, strict=True))
        after = files(folder)
        resets += before[1][:32] != after[1][:32]
        for _ in range(CUTS):
            torn = torn_log if before[0] == after[0] or rng.random() < 0.7 else torn_checkpoint
            looked += 1
            again = restored(tmp_path / f"crash-{looked}", torn(rng, before, after))
            found = {entry.id: entry.body.value for entry in again.read(0, limit=100_000, limit_bytes=1 << 40)}
            again.close()
            kept = sure if torn is torn_log else acknowledged
            assert {number: found.get(number) for number in kept if number not in gone} == {
                number: value for number, value in kept.items() if number not in gone
            }
            assert set(found) <= set(sure) | set(acknowledged)
        before = after
    store.close()
    assert resets, "the log was never started anew: the hardest case was not tried"
