"""A sample counts for the innermost frame that belongs to a part, and shares are of all samples."""

import pytest

from tests.bench.against.where_time_goes import OTHER, part_of, shares

NORMALISE = "step (/tree/processors/stages/normalise_stage.py:60);normalise (/tree/processors/normalise.py:90)"


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        pytest.param(
            f"{NORMALISE};parse (/env/phonenumbers/phonenumberutil.py:1)", "telephone numbers", id="a library"
        ),
        pytest.param(f"{NORMALISE};<lambda> (<string>:3)", "normalise: the rest", id="a frame without a file of ours"),
        pytest.param(f"{NORMALISE};seal (/tree/schemas/identity.py:9)", "identity and digest", id="our own innermost"),
        pytest.param("run (<string>:1)", OTHER, id="nobody's"),
    ],
)
def test_the_innermost_known_frame_counts(stack: str, part: str) -> None:
    assert part_of(stack) == part


def test_shares_are_of_all_samples_and_small_ones_are_together() -> None:
    raw = [f"{NORMALISE} 90", "seal (/tree/schemas/identity.py:9) 109", "f (/tree/faust/app.py:1) 1", ""]

    assert shares(raw) == {
        "identity and digest": pytest.approx(0.545),
        "normalise: the rest": pytest.approx(0.45),
        OTHER: pytest.approx(0.005),
    }


def test_no_sample_is_no_share() -> None:
    assert shares([]) == {}
