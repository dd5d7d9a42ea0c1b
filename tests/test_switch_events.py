"""The events of a leg in any order and doubled, and events that somebody forged."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easycall.asterisk.ami import Message
from easycall.asterisk.channel import Place
from easycall.model import OfferOutcome

from .fakes_wires import FakePbx, event
from .legs import corrections, hung_up, nothing_left, outcome_of

OUR_LEG = "a1"
STORIES: dict[str, tuple[list[Message | str], OfferOutcome | None]] = {
    "answered": (
        [
            event("Newchannel", Uniqueid=OUR_LEG, ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid=OUR_LEG),
            event("Newstate", Uniqueid=OUR_LEG, ChannelStateDesc="Ringing"),
            event("DialState", DestUniqueid=OUR_LEG, DialStatus="RINGING"),
            event("Newstate", Uniqueid=OUR_LEG, ChannelStateDesc="Up"),
            event("DialEnd", DestUniqueid=OUR_LEG, DialStatus="ANSWER"),
            event("OriginateResponse", ActionID=OUR_LEG, Response="Success", Uniqueid=OUR_LEG),
            "home",
            event("BridgeEnter", Uniqueid=OUR_LEG, BridgeUniqueid="b1"),
            event("HangupRequest", Uniqueid=OUR_LEG),
            event("BridgeLeave", Uniqueid=OUR_LEG, BridgeUniqueid="b1"),
            event("Hangup", Uniqueid=OUR_LEG, Cause="16"),
        ],
        None,
    ),
    "busy": (
        [
            event("Newchannel", Uniqueid=OUR_LEG, ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid=OUR_LEG),
            event("DialEnd", DestUniqueid=OUR_LEG, DialStatus="BUSY"),
            event("Hangup", Uniqueid=OUR_LEG, Cause="17"),
            event("OriginateResponse", ActionID=OUR_LEG, Response="Failure", Reason="5", Uniqueid="<null>"),
        ],
        OfferOutcome.DECLINED,
    ),
    "no answer": (
        [
            event("Newchannel", Uniqueid=OUR_LEG, ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid=OUR_LEG),
            event("Newstate", Uniqueid=OUR_LEG, ChannelStateDesc="Ringing"),
            event("DialEnd", DestUniqueid=OUR_LEG, DialStatus="NOANSWER"),
            event("Hangup", Uniqueid=OUR_LEG, Cause="19"),
            event("OriginateResponse", ActionID=OUR_LEG, Response="Failure", Reason="3", Uniqueid="<null>"),
        ],
        OfferOutcome.NO_ANSWER,
    ),
    "unreachable": (
        [
            event("Newchannel", Uniqueid=OUR_LEG, ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid=OUR_LEG),
            event("DialEnd", DestUniqueid=OUR_LEG, DialStatus="CHANUNAVAIL"),
            event("Hangup", Uniqueid=OUR_LEG, Cause="1"),
            event("OriginateResponse", ActionID=OUR_LEG, Response="Failure", Reason="0", Uniqueid="c9"),
        ],
        OfferOutcome.UNREACHABLE,
    ),
    "cancelled": (
        [
            "cancel",
            event("Newchannel", Uniqueid=OUR_LEG, ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid=OUR_LEG),
            event("Newstate", Uniqueid=OUR_LEG, ChannelStateDesc="Ringing"),
            event("DialEnd", DestUniqueid=OUR_LEG, DialStatus="NOANSWER"),
            event("OriginateResponse", ActionID=OUR_LEG, Response="Failure", Reason="0", Uniqueid="<null>"),
            event("Hangup", Uniqueid=OUR_LEG, Cause="0"),
        ],
        None,
    ),
}


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(STORIES)), data=st.data())
def test_events_in_any_order_and_doubled_end_the_same(kind: str, data: st.DataObject) -> None:
    """reliability F17, F18: no exception, the same outcome, and nothing is left of the leg."""
    events, outcome = STORIES[kind]
    doubled = data.draw(st.lists(st.sampled_from([one for one in events if one != "cancel"]), max_size=4))
    order = data.draw(st.permutations([*events, *doubled]))
    pauses = data.draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.01]), min_size=len(order), max_size=len(order)))
    pbx = FakePbx()
    caller, at_home = pbx.caller("c9")
    leg = pbx.rings(OUR_LEG, seconds=20)
    for one, pause in zip(order, pauses, strict=True):
        if one == "home":
            pbx.home(OUR_LEG, "", "agent")
        elif one == "cancel":
            leg.hang_up()
        else:
            assert isinstance(one, Message)
            pbx.tells(one)
        pbx.clock.advance(pause)
    assert leg.gone
    if outcome is not None:
        assert outcome_of(leg) is outcome
    assert (caller.place, at_home.over, at_home.sent) == (Place.HOME, False, [])
    pbx.ends("c9")
    nothing_left(pbx)
    pbx.clock.pump([1.0] * 30)
    nothing_left(pbx)
    assert corrections(pbx) == []


class TestForgedEvents:
    """reliability A09, A12: what is told of a leg we do not know, or with nothing in it, changes nothing."""

    @pytest.mark.parametrize("name", sorted(FakePbx().switch.listeners()))
    def test_of_an_unknown_leg_or_of_none(self, name: str) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller("c1")
        pbx.rings("a1")
        for headers in (
            {},
            {"Uniqueid": "", "DestUniqueid": "", "ActionID": ""},
            {"Uniqueid": "x", "DestUniqueid": "x", "ActionID": "x", "Response": "Failure", "Cause": "17"},
            {"Linkedid": "c1", "Channel": "c1"},
        ):
            pbx.tells(event(name, **headers))
        pbx.clock.advance(1)
        assert (caller.place, session.closed, len(pbx.switch.legs)) == (Place.HOME, False, 2)
        assert hung_up(pbx) == []

    def test_a_second_header_of_a_name_does_not_count(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        pbx.tells(Message(b"Event: Hangup\r\nUniqueid: other\r\nCause: 16\r\nUniqueid: c1"))
        assert not caller.gone
