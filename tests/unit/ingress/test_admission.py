"""Room for one more request or body, and for which senders."""

import pytest

from ingress.admission import AdmissionControl
from schemas.errors import Unavailable

QUEUED, BYTES = 20, 1000


@pytest.mark.parametrize(
    ("queued", "received", "outliving", "who_retries", "who_calls_once"),
    [
        pytest.param(0, 0, 0, None, None, id="nothing held"),
        pytest.param(20, 800, 0, None, None, id="as many requests as may, four fifths of the bytes"),
        pytest.param(21, 0, 0, "overload", None, id="one request more waits"),
        pytest.param(9999, 0, 0, "overload", None, id="very many wait"),
        pytest.param(0, 801, 0, "buffer_full", None, id="more bytes came"),
        pytest.param(0, 400, 401, "buffer_full", None, id="of them some that Kafka still has"),
        pytest.param(0, 1000, 1, "buffer_full", "buffer_full", id="all bytes"),
    ],
)
def test_who_can_send_again_is_turned_away_first(
    queued: int, received: int, outliving: int, who_retries: str | None, who_calls_once: str | None
) -> None:
    admission = AdmissionControl(max_queued=QUEUED, max_bytes=BYTES, outliving_bytes=lambda: outliving)
    admission.queued, admission.received_bytes = queued, received
    assert (admission.full(no_retry=False), admission.full(no_retry=True)) == (who_retries, who_calls_once)
    for no_retry, why in ((False, who_retries), (True, who_calls_once)):
        if why is None:
            admission.require_turn(no_retry=no_retry)
        else:
            with pytest.raises(Unavailable) as refused:
                admission.require_turn(no_retry=no_retry)
            assert refused.value.code == why


def test_one_that_does_not_wait_yet_counts_with_those_that_do() -> None:
    admission = AdmissionControl(max_queued=QUEUED, max_bytes=BYTES)
    admission.queued = 20
    assert (admission.full(no_retry=False), admission.full(no_retry=False, more=1)) == (None, "overload")


def test_a_body_on_its_way_is_given_up_for_its_bytes_and_not_for_those_that_wait() -> None:
    admission = AdmissionControl(max_queued=QUEUED, max_bytes=BYTES)
    admission.queued = 1000
    admission.require_bytes(no_retry=False)
    admission.received_bytes = 801
    admission.require_bytes(no_retry=True)
    with pytest.raises(Unavailable):
        admission.require_bytes(no_retry=False)


def test_a_quarter_beyond_its_bytes_only_cutting_helps() -> None:
    admission = AdmissionControl(max_queued=QUEUED, max_bytes=BYTES)
    admission.received_bytes = 1250
    assert not admission.bursting
    admission.received_bytes = 1251
    assert admission.bursting
