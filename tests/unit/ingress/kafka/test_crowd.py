"""Records are expected until as many wait as lately waited at once."""

import pytest

from ingress.kafka.crowd import LATELY_S, Crowd


def joined(steps: str) -> str:
    """Returns "!" for each "+" after which nobody else is expected, and "." for the others; "-" leaves.

    A digit lets so many times `LATELY_S` pass.
    """
    crowd, now_s, found = Crowd(), 100.0, ""
    for step in steps:
        if step == "+":
            found += "!" if crowd.join(now_s) else "."
        elif step == "-":
            crowd.leave()
        else:
            now_s += int(step) * LATELY_S
    return found


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        pytest.param("+-+-+-", "!!!", id="one after the other: nobody lingers"),
        pytest.param("+++---+++", "!!!..!", id="as many as before"),
        pytest.param("+++---++++", "!!!..!!", id="more than before"),
        pytest.param("+++-+-+", "!!!!!", id="each that was answered comes again"),
        pytest.param("+++---1++-+", "!!!...", id="a moment later the most is remembered"),
        pytest.param("+++---1+-1+-+", "!!!.!!", id="and then forgotten"),
        pytest.param("+++---9+-+", "!!!!!", id="after a pause it is forgotten"),
        pytest.param("+++---1++1+++", "!!!..!!!", id="who still waits counts on"),
    ],
)
def test_nobody_else_is_expected_when_as_many_wait_as_did_lately(steps: str, found: str) -> None:
    assert joined(steps) == found
