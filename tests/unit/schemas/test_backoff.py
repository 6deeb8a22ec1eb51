from schemas.backoff import Backoff


def test_waits_double_up_to_the_cap_and_are_shortened_by_half_at_most() -> None:
    backoff = Backoff(first_s=0.5, cap_s=30.0)
    assert [backoff.delay_s(n) for n in (0, 1, 2, 6, 10**6)] == [0.5, 1.0, 2.0, 30.0, 30.0]
    assert backoff.delay_s(6, 0.999) >= 15.0
