"""Who was lost in the last moments of a process and has no callback is found by the next one."""

from __future__ import annotations

import pytest

from easycall.callback.broken_off import in_the_end
from easycall.events import Answered, CallbackAsked, ContactArrived, ContactEnded, Event, Queued, VoicemailLeft
from easycall.model import CallbackSource, EndedBy, Outcome

NOW = 100_000.0
DORA = "+49302350"


def arrives(at: float, contact: str, number: str = DORA) -> Event:
    return ContactArrived(at=at, contact=contact, pbx="lab", leg=contact, caller=number, caller_name="", dialled="95588")


def queued(at: float, contact: str) -> Event:
    return Queued(at=at, contact=contact, queue="sales", position=1, since=at)


def breaks_off(at: float, contact: str) -> list[Event]:
    left = ContactEnded(at=at + 30, contact=contact, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER)
    return [arrives(at, contact), queued(at, contact), left]


def asked(at: float, contact: str) -> Event:
    what = {"callback": "B", "queue": "sales", "number": DORA, "session": contact, "source": CallbackSource.ABANDONED}
    return CallbackAsked(at=at, contact=contact, due=at, expires=at + 60, **what)


def found(*events: Event) -> list[str]:
    return [lost.contact for lost in in_the_end(events).lost]


@pytest.mark.requirement("B3")
@pytest.mark.fault("F37")
def test_who_was_lost_and_has_no_callback_is_found() -> None:
    assert found(*breaks_off(NOW - 60, "A")) == ["A"]


def test_of_whom_there_is_a_callback_is_not() -> None:
    assert found(*breaks_off(NOW - 60, "A"), asked(NOW - 29, "A")) == []


def test_who_called_again_and_was_served_is_not() -> None:
    talks = [arrives(NOW - 20, "B"), queued(NOW - 20, "B"), Answered(at=NOW - 10, contact="B", queue="sales", waited=10)]
    assert found(*breaks_off(NOW - 60, "A"), *talks) == []


def test_who_was_lost_before_the_last_moments_is_not() -> None:
    assert found(*breaks_off(NOW - 200, "A"), *breaks_off(NOW - 60, "B")) == ["B"]


def test_who_left_a_message_is_not() -> None:
    arrived, waits, ends = breaks_off(NOW - 60, "A")
    left = VoicemailLeft(at=NOW - 31, contact="A", box="sales", message="M", seconds=3.0)
    assert found(arrived, waits, left, ends) == []
