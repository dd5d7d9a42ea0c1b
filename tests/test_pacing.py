"""How many customers are dialled before agents are free, and how long customers take to answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.callback import pacing
from easycall.callback.pacing import AnswerTimes, may_dial, predicted_free
from easycall.events import CallAnswered, CallDialled, CallFailed
from easycall.model import DialOutcome

pytestmark = pytest.mark.requirement("B2")

# How many


@pytest.mark.parametrize(
    ("forecast", "within", "most", "free"),
    [
        ([0.0, 0.0, 8.0, 30.0], 10.0, 9, 3),
        ([0.0, 0.0, 8.0, 30.0], 10.0, 2, 2),
        ([10.0, 10.1], 10.0, 9, 1),
        ([11.0], 10.0, 9, 0),
        ([None], 10.0, 9, 0),
        ([3.0, None], 10.0, 9, 1),
        ([0.0], 10.0, 0, 0),
        ([0.0], 10.0, -1, 0),
    ],
)
def test_as_many_agents_are_counted_as_will_be_free_in_time(
    forecast: list[float | None], within: float, most: int, free: int
) -> None:
    assert predicted_free(lambda ahead: [*forecast, None][ahead], within, most) == free


@given(st.lists(st.floats(0.0, 60.0), max_size=12).map(sorted), st.floats(0.0, 60.0), st.integers(0, 12))
def test_it_is_the_greatest_number_that_will_be(forecast: list[float], within: float, most: int) -> None:
    def expected(ahead: int) -> float | None:
        return forecast[ahead] if ahead < len(forecast) else None

    possible = [k for k in range(1, min(most, len(forecast)) + 1) if forecast[k - 1] <= within]
    assert predicted_free(expected, within, most) == max(possible, default=0)


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 12))
def test_no_more_are_dialled_than_agents_will_be_free(callbacks: list[bool], predicted: int) -> None:
    """A line of callers (False) and callbacks (True): however often it is gone through."""
    dialled: set[int] = set()
    for _ in range(2):
        for ahead, callback in enumerate(callbacks):
            if callback and ahead not in dialled and may_dial(ahead, len(dialled), predicted):
                dialled.add(ahead)
    assert dialled == {ahead for ahead, callback in enumerate(callbacks) if callback and ahead < predicted}


def test_whoever_was_dialled_behind_takes_an_agent_too() -> None:
    """One behind was dialled when the line was shorter; then callers came with older claims."""
    assert may_dial(ahead=0, dialled=1, predicted=2)
    assert not may_dial(ahead=0, dialled=2, predicted=2)
    assert not may_dial(ahead=2, dialled=0, predicted=2)


# How long customers take to answer


def dial(times: AnswerTimes, leg: str, took: float | None, queue: str = "sales", purpose: str = "customer") -> None:
    times.take(1, CallDialled(at=100.0, leg=leg, number="+49301", trunk="t", caller_id="", purpose=purpose, queue=queue))
    if took is not None:
        times.take(2, CallAnswered(at=100.0 + took, leg=leg, number="+49301"))


def taught(*took: float) -> AnswerTimes:
    times = AnswerTimes()
    for number, seconds in enumerate(took):
        dial(times, f"leg{number}", seconds)
    return times


@pytest.mark.parametrize(
    ("took", "seconds"),
    [
        ([], 10.0),
        ([5.0] * 4, 10.0),
        ([5.0] * 5, 5.0),
        ([4.0, 5.0, 6.0, 7.0, 3600.0], 6.0),
        ([0.5] * 9, 3.0),
        ([90.0] * 9, 40.0),
        ([-5.0] * 9, 3.0),
        ([30.0] * 50 + [5.0] * 50, 5.0),
        ([30.0] * 50 + [5.0] * 24, 30.0),
        ([30.0] * 50 + [5.0] * 26, 5.0),
    ],
)
def test_the_middle_of_the_latest_counts(took: list[float], seconds: float) -> None:
    assert taught(*took).seconds("sales") == seconds
    assert taught(*took).seconds("support") == 10.0


@given(st.lists(st.floats(-1e6, 1e6), max_size=70))
def test_the_estimate_has_bounds(took: list[float]) -> None:
    assert 3.0 <= taught(*took).seconds("sales") <= 40.0


def test_only_customers_who_answer_teach() -> None:
    times = AnswerTimes()
    for leg in map(str, range(9)):
        dial(times, leg, 5.0, purpose="consult")
        dial(times, leg, None)
        times.take(2, CallFailed(at=125.0, leg=leg, number="+49301", outcome=DialOutcome.NO_ANSWER, cause=19))
        times.take(3, CallAnswered(at=126.0, leg=leg, number="+49301"))
    assert times.seconds("sales") == 10.0


def test_telephones_that_ring_for_ever_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "RINGING", 5)
    times = AnswerTimes()
    for leg in range(10):
        dial(times, f"leg{leg}", None)
    for leg in range(10):
        times.take(2, CallAnswered(at=104.0, leg=f"leg{leg}", number="+49301"))
        assert times.seconds("sales") == (4.0 if leg == 9 else 10.0)


def test_it_goes_on_after_a_restart_where_it_was() -> None:
    times, twin = taught(30.0, 30.0), AnswerTimes().anew()
    for number in range(5):
        dial(twin, f"leg{number}", 5.0)
    dial(twin, "ringing", None)
    times.become(twin)
    times.take(2, CallAnswered(at=107.0, leg="ringing", number="+49301"))
    assert times.seconds("sales") == 5.0
    assert times.since(1e9) < 1e9
