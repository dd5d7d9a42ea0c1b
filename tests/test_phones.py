"""What a phone does besides our own calls: the judgement of device states, and the edge that hears them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.devices import SETTLED_SECONDS, OurLegs, device_pattern, judged
from easycall.asterisk.link import ActionRefused
from easycall.asterisk.phones import Phones
from easycall.model import OfferOutcome, PhoneState
from easycall.ports import NotAnswered

from .clocks import NOON, clock_at
from .fakes_wires import FakePbx, event

ENGAGED = ["INUSE", "BUSY", "ONHOLD", "RINGING", "RINGINUSE"]
DEVICES = [*ENGAGED, "NOT_INUSE", "UNAVAILABLE", "INVALID", "UNKNOWN", "", "SOMETHING NEW"]
moments = st.floats(0, 100)
legs = st.builds(OurLegs, st.booleans(), st.booleans(), st.one_of(st.just(-math.inf), moments))


# The decision


@pytest.mark.parametrize(
    ("device", "state"),
    [
        ("NOT_INUSE", PhoneState.IDLE),
        ("INUSE", PhoneState.IN_USE),
        ("BUSY", PhoneState.IN_USE),
        ("ONHOLD", PhoneState.IN_USE),
        ("RINGINUSE", PhoneState.IN_USE),
        ("RINGING", PhoneState.RINGING),
        ("UNAVAILABLE", PhoneState.UNREACHABLE),
        ("INVALID", PhoneState.UNREACHABLE),
        ("UNKNOWN", PhoneState.UNKNOWN),
        ("", PhoneState.UNKNOWN),
    ],
)
def test_without_a_leg_of_ours_a_device_is_what_it_says_at_once(device: str, state: PhoneState) -> None:
    assert judged(device, 5.0, OurLegs(), 5.0) == (state, None)


@given(st.sampled_from(DEVICES), moments, legs, moments)
def test_a_phone_we_talk_with_is_never_in_a_private_call(device: str, since: float, ours: OurLegs, now: float) -> None:
    state, again = judged(device, since, OurLegs(ours.ringing, True, ours.ended), now)
    assert state in (PhoneState.IDLE, PhoneState.UNREACHABLE, PhoneState.UNKNOWN)
    assert again is None


@given(st.sampled_from(DEVICES), moments, legs, moments)
def test_what_cannot_be_said_yet_can_be_said_soon(device: str, since: float, ours: OurLegs, now: float) -> None:
    state, again = judged(device, since, ours, now)
    assert (state is None) == (again is not None)
    if again is not None:
        assert now < again <= max(since, ours.ended) + SETTLED_SECONDS
        assert judged(device, since, ours, again)[0] in (PhoneState.IN_USE, PhoneState.RINGING)


@given(st.sampled_from(ENGAGED), moments, moments)
def test_a_phone_that_stays_in_use_after_our_leg_has_ended_is_in_a_private_call(
    device: str, since: float, ended: float
) -> None:
    ours = OurLegs(ended=ended)
    assert judged(device, since, ours, ended)[0] is None
    later = judged(device, since, ours, ended + SETTLED_SECONDS)[0]
    assert later is (PhoneState.RINGING if device == "RINGING" else PhoneState.IN_USE)


@given(st.lists(st.floats(0, SETTLED_SECONDS * 0.9), min_size=4, max_size=4), st.data())
def test_our_own_call_is_never_private_however_late_its_news(delays: list[float], data: st.DataObject) -> None:
    """We ring at 1, it is answered at 2, it ends at 3; the device tells each late, and perhaps not everything."""
    told = sorted(
        (at + delay, device)
        for at, device, delay in zip((1.0, 2.0, 3.0), ("RINGING", "INUSE", "NOT_INUSE"), delays, strict=False)
    )
    now = data.draw(st.floats(0.5, 5.0))
    device, since = "NOT_INUSE", 0.0
    for at, state in told:
        if at <= now:
            device, since = state, at
    # our own news of the answer may be late as well, but not by more than the device's
    answered = 2.0 + delays[3]
    ours = OurLegs(ringing=1.0 <= now < answered, answered=answered <= now < 3.0, ended=3.0 if now >= 3.0 else -math.inf)
    assert judged(device, since, ours, now)[0] in (None, PhoneState.IDLE)


@pytest.mark.parametrize(
    ("dial", "device", "phone"),
    [
        ("PJSIP/{phone}", "PJSIP/2001", "2001"),
        ("PJSIP/{phone}", "pjsip/2001", "2001"),
        ("PJSIP/desk-{phone}", "PJSIP/desk-2001", "2001"),
        ("PJSIP/desk-{phone}", "PJSIP/2001", ""),
        ("SIP/{phone}", "PJSIP/2001", ""),
        ("PJSIP/{phone}@world", "PJSIP/world", ""),
        ("PJSIP/2002@{phone}", "PJSIP/world", ""),
        ("PJSIP/carrier/sip:{phone}", "PJSIP/carrier", ""),
    ],
)
def test_only_a_phone_that_is_a_device_has_one(dial: str, device: str, phone: str) -> None:
    assert device_pattern(dial)(device) == phone


# The edge


def change(device: str, state: str) -> Message:
    return event("DeviceStateChange", Device=f"PJSIP/{device}", State=state)


def test_a_private_call_is_told_and_its_end_at_once() -> None:
    pbx = FakePbx()
    pbx.tells(change("2001", "RINGING"), change("2001", "INUSE"), change("2001", "INUSE"), change("2001", "NOT_INUSE"))
    assert pbx.phones == [("2001", PhoneState.RINGING), ("2001", PhoneState.IN_USE), ("2001", PhoneState.IDLE)]


def test_our_call_is_not_private_and_what_stays_after_it_is() -> None:
    pbx = FakePbx()
    pbx.tells(change("2001", "NOT_INUSE"))
    pbx.agent()
    pbx.tells(change("2001", "RINGING"), change("2001", "INUSE"))
    pbx.clock.advance(10)
    assert pbx.phones == [("2001", PhoneState.IDLE)]
    pbx.ends("a1")
    pbx.clock.advance(SETTLED_SECONDS - 0.1)
    assert pbx.phones == [("2001", PhoneState.IDLE)]
    pbx.clock.advance(0.1)
    assert pbx.phones[1:] == [("2001", PhoneState.IN_USE)]


@pytest.mark.fault("F60")
@pytest.mark.parametrize(
    "news", [["RINGINUSE"], ["INUSE", "RINGINUSE"], ["INUSE"], ["RINGING", "RINGINUSE"]], ids=lambda news: "-".join(news)
)
def test_a_phone_that_takes_a_private_call_while_we_ring_it_is_given_up(news: list[str]) -> None:
    pbx = FakePbx()
    leg = pbx.rings()
    results: list[object] = []
    Deferred.fromCoroutine(leg.answered()).addErrback(lambda failure: results.append(failure.value))
    pbx.tells(*(change("2001", state) for state in news))
    pbx.clock.advance(SETTLED_SECONDS)
    [why] = results
    assert isinstance(why, NotAnswered)
    assert why.outcome is OfferOutcome.BUSY
    assert leg.doomed
    assert pbx.phones[-1] == ("2001", PhoneState.IN_USE)


def test_a_phone_that_answers_us_is_not_given_up() -> None:
    pbx = FakePbx()
    pbx.rings()
    pbx.tells(change("2001", "INUSE"))  # before we know of the answer
    pbx.clock.advance(0.1)
    pbx.manager.channels["a1"] = {}
    pbx.home("a1", "", "agent")
    pbx.tells(change("2001", "RINGINUSE"))  # somebody calls the agent meanwhile
    pbx.clock.advance(5)
    assert (PhoneState.IN_USE) not in [state for _, state in pbx.phones]
    leg = pbx.switch.legs.get("a1")
    assert leg is not None
    assert not leg.doomed


def test_when_the_link_is_lost_nothing_is_known() -> None:
    pbx = FakePbx()
    pbx.tells(change("2001", "INUSE"), change("2002", "UNAVAILABLE"))
    pbx.breaks()
    assert pbx.phones[2:] == [("2001", PhoneState.UNKNOWN), ("2002", PhoneState.UNKNOWN)]


def learned(items: list[Message], meanwhile: list[Message]) -> list[tuple[str, PhoneState]]:
    told: list[tuple[str, PhoneState]] = []
    clock = clock_at()
    phones = Phones("main", "PJSIP/{phone}", clock, lambda phone, state: told.append((phone, state)))

    async def collect(action: Action) -> list[Message]:
        assert action.name == "DeviceStateList"
        clock.advance(0.01)
        for one in meanwhile:
            phones.listeners()[one.name](one)
        return [*items, event("DeviceStateListComplete")]

    Deferred.fromCoroutine(phones.learn(collect))
    return told


def test_the_states_are_asked_for_and_news_is_newer_than_the_answer() -> None:
    states = [change("2001", "INUSE"), change("2002", "UNAVAILABLE"), change("2003", "NOT_INUSE")]
    assert learned(states, [change("2001", "NOT_INUSE")]) == [
        ("2001", PhoneState.IDLE),
        ("2002", PhoneState.UNREACHABLE),
        ("2003", PhoneState.IDLE),
    ]


def test_names_that_are_no_phones_are_passed_over() -> None:
    assert learned([change("a b", "INUSE"), change("x" * 60, "INUSE"), event("DeviceStateChange")], []) == []


def test_an_asterisk_that_does_not_tell_leaves_phones_unknown() -> None:
    clock = clock_at(NOON)
    told: list[tuple[str, PhoneState]] = []
    phones = Phones("main", "PJSIP/{phone}", clock, lambda phone, state: told.append((phone, state)))

    async def collect(action: Action) -> list[Message]:
        raise ActionRefused("Invalid/unknown command: DeviceStateList.")

    for _ in range(2):
        Deferred.fromCoroutine(phones.learn(collect))
    assert told == []


def test_through_a_trunk_nothing_is_asked() -> None:
    phones = Phones("main", "PJSIP/{phone}@trunk", clock_at(), lambda phone, state: None)
    assert phones.listeners() == {}

    async def collect(action: Action) -> list[Message]:
        raise AssertionError

    Deferred.fromCoroutine(phones.learn(collect))
