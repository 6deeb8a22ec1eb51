import pytest

from ingress.kafka.send_window import SendWindow
from schemas.errors import Unavailable


def test_beyond_the_limit_a_record_is_refused_and_after_release_taken() -> None:
    flow = SendWindow(limit_bytes=100, window_bytes=100)
    flow.admit(60)
    with pytest.raises(Unavailable) as refused:
        flow.admit(41)
    assert refused.value.code == "buffer_full"
    flow.release(60)
    flow.admit(100)
    assert flow.waiting_bytes == 100


def test_there_is_room_handed_up_to_the_window_and_again_when_some_is_taken_back() -> None:
    flow = SendWindow(limit_bytes=1000, window_bytes=100)
    flow.hand_over(60)
    assert flow.has_room(40)
    assert not flow.has_room(41)
    flow.take_back(60)
    assert flow.has_room(41)


def test_a_record_larger_than_the_window_goes_alone() -> None:
    flow = SendWindow(limit_bytes=1000, window_bytes=100)
    assert flow.has_room(500)
    flow.hand_over(500)
    assert not flow.has_room(1)
    flow.take_back(500)
    assert flow.has_room(1)
