"""A clock that is set while the program runs makes no time negative and no deadline pass."""

import time
from datetime import datetime

import pytest

from imagerag.agent import clock


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_changes_no_time_that_passed(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    began, dated = clock.seconds(), clock.now()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert 0 <= clock.seconds() - began < 60
    passed = datetime.fromisoformat(clock.now()) - datetime.fromisoformat(dated)
    assert 0 <= passed.total_seconds() < 60


def test_it_says_what_the_time_is() -> None:
    assert abs(clock.seconds() - time.time()) < 60
    assert datetime.fromisoformat(clock.now()).utcoffset() is not None
