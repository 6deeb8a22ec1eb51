"""A flood of refusals writes a line a second for each code and vendor, and says how many it stands for."""

from ingress.access.refusal_log import RefusalLog


def test_a_flood_is_a_line_a_second() -> None:
    log = RefusalLog()
    lines = [times for tick in range(10_000) if (times := log.note("ytx", "bad_signature", tick / 1000))]
    assert (len(lines), lines[0], lines[1]) == (10, 1, 1000)
    assert sum(lines) == 9001  # the rest is told by the next line


def test_vendors_and_codes_are_told_apart() -> None:
    log = RefusalLog()
    assert [log.note(vendor, code, 0.0) for vendor in ("ytx", "huawei") for code in ("stale", "forbidden")] == [1] * 4
    assert log.note("ytx", "stale", 0.5) == 0
    assert log.note("ytx", "stale", 1.5) == 2
