"""Call control on one Asterisk: ringing, bridging, events in any order, and what is put right afterwards."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from easycall.asterisk.ami import Message
from easycall.asterisk.audit import AUDIT_SECONDS
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.control import NEWS_SECONDS
from easycall.asterisk.fetch import ARRIVAL_SECONDS
from easycall.asterisk.link import ActionRefused, ActionTimeout, AmiError, LinkDown, TooManyActions
from easycall.asterisk.originate import UNSHOWN_SECONDS
from easycall.asterisk.reconciliation import UNTOLD_SECONDS
from easycall.asterisk.wake import LOOK_SECONDS
from easycall.defer import start
from easycall.events import Corrected, PbxDown, PbxUp
from easycall.model import OfferOutcome, Speaks, Trunk
from easycall.ports import BridgeFailed, HungUp, NotAnswered, Taken

from .fakes import WAITS, FakePbx, FakeSession, event
from .test_channel import Tried, outcome_of

LIVE = {"BridgeID": "b9", "Variable": "EC_ROLE=caller"}
"""Somebody else's call, talking."""


def corrections(pbx: FakePbx) -> list[tuple[str, str]]:
    return [(one.leg, one.what) for one in pbx.notes.of(Corrected)]


def hung_up(pbx: FakePbx) -> list[str]:
    return [headers["Channel"] for headers in pbx.manager.of("Hangup")]


def nothing_left(pbx: FakePbx) -> None:
    """No leg, no timer of a leg: only the audit goes on; the watch over an Asterisk that is away ends with its legs."""
    assert len(pbx.switch.legs) == 0
    pbx.clock.advance(0 if pbx.switch.up else LOOK_SECONDS)
    assert len(pbx.clock.getDelayedCalls()) == int(pbx.switch.up)
    assert not pbx.switch.legs._timers


class TestRinging:
    @pytest.mark.parametrize(
        "phone",
        [
            "",
            "/x",
            "//",
            "100@evil",
            "100&Local/9@default",
            "a,b",
            "${SHELL(id)}",
            "x\r\nAction: Ping",
            "x\n",
            "é",
            "1" * 41,
            "-1",
        ],
    )
    def test_a_phone_that_must_not_be_dialled(self, phone: str) -> None:
        pbx = FakePbx()
        with pytest.raises(ValueError, match="must not be dialled"):
            pbx.rings(phone=phone)
        assert not pbx.manager.of("Originate")
        nothing_left(pbx)

    def test_a_value_that_must_not_be_sent(self) -> None:
        pbx = FakePbx()
        with pytest.raises(ValueError, match="EC_AG"):
            pbx.switch.ring("2001", leg="a1", caller="", caller_name="", seconds=20, values={"EC_AG": "x,PWN=1"})
        assert not pbx.manager.of("Originate")
        nothing_left(pbx)

    def test_what_is_asked_of_asterisk(self) -> None:
        pbx = FakePbx()
        pbx.rings()
        assert pbx.manager.of("Originate") == [
            {
                "Channel": "PJSIP/2001",
                "ChannelId": "a1",
                "Context": "easycall",
                "Exten": "s",
                "Priority": "1",
                "Timeout": "20000",
                "CallerID": '"Carl" <+4930>',
                "Async": "true",
                "Variable": "EC_ROLE=agent",
            }
        ]

    @pytest.mark.requirement("F7")
    def test_a_number_outside(self) -> None:
        pbx = FakePbx()
        out = Trunk("out", "main", "PJSIP/{digits}@carrier", 1)
        how = {"leg": "o1", "caller": "+4930555", "seconds": 30, "longest": 7290, "values": {"EC_ROLE": "caller"}}
        leg = pbx.switch.dial(out, "+49301234567", **how)
        [sent] = pbx.manager.of("Originate")
        assert (sent["Channel"], sent["ChannelId"]) == ("PJSIP/49301234567@carrier", "o1")
        assert (sent["CallerID"], sent["Timeout"]) == ('"+4930555" <+4930555>', "30000")
        pbx.manager.channels["o1"] = {}
        pbx.tells(event("Newchannel", Uniqueid="o1", ChannelStateDesc="Down"))
        why: list[Any] = []
        Deferred.fromCoroutine(leg.answered()).addErrback(lambda failure: why.append(failure.value))
        pbx.tells(event("DialEnd", DestUniqueid="o1", DialStatus="NOANSWER"))
        pbx.ends("o1", "1")
        assert (why[0].outcome, why[0].cause) == (OfferOutcome.UNREACHABLE, 1)
        nothing_left(pbx)

    @pytest.mark.fault("A07")
    @pytest.mark.parametrize("number", ["", "+49301234567&Local/9", "4930", "+49 30 1234567", "+49301234567\r\nX: y"])
    def test_a_number_that_must_not_be_dialled(self, number: str) -> None:
        pbx = FakePbx()
        how = {"leg": "o1", "caller": "", "seconds": 5, "longest": 60, "values": {}}
        with pytest.raises(ValueError, match="must not be dialled"):
            pbx.switch.dial(Trunk("out", "main", "PJSIP/{number}@c", 1), number, **how)
        assert not pbx.manager.of("Originate")
        nothing_left(pbx)

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(max_size=300), st.text(max_size=60))
    def test_no_name_or_number_of_a_caller_breaks_out(self, name: str, number: str) -> None:
        self.caller_id_is_safe(name, number)

    @staticmethod
    def caller_id_is_safe(name: str, number: str) -> None:
        pbx = FakePbx()
        pbx.switch.ring("2001", leg="a1", caller=number, caller_name=name, seconds=20, values={})
        [sent] = pbx.manager.of("Originate")
        assert re.fullmatch(r'"[^"<>\\\x00-\x1f]{0,40}" <[0-9+*#]{0,40}>', sent["CallerID"])

    @pytest.mark.parametrize(
        "name", ['a" <1>\r\nAction: x', "<script>", "a\x00b", "‮abc", "x" * 10_000, "\udcff\ud800", "😀"]
    )
    def test_names_that_were_tried_elsewhere(self, name: str) -> None:
        self.caller_id_is_safe(name, '1"<')

    def test_without_a_link_the_leg_is_lost_at_once(self) -> None:
        pbx = FakePbx()
        pbx.breaks()
        leg = pbx.rings()
        assert leg.gone
        assert outcome_of(leg) is OfferOutcome.LOST
        nothing_left(pbx)

    @pytest.mark.parametrize("failure", [ActionRefused("Extension does not exist."), TooManyActions("500")])
    def test_refused_at_once(self, failure: AmiError) -> None:
        pbx = FakePbx()
        pbx.manager.script("Originate", failure)
        assert outcome_of(pbx.rings()) is OfferOutcome.LOST
        nothing_left(pbx)

    def test_answered_in_every_order(self) -> None:
        """The FastAGI connection is the answer, whatever AMI told by then."""
        events = [
            event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"),
            event("OriginateResponse", ActionID="a1", Response="Success", Uniqueid="a1"),
            event("DialEnd", DestUniqueid="a1", DialStatus="ANSWER"),
        ]
        for place in range(4):
            pbx = FakePbx()
            leg = pbx.rings()
            pbx.tells(*events[:place])
            answered = Tried(leg.answered())
            assert answered.pending
            pbx.home("a1", "", "agent")
            assert answered.result == "done"
            pbx.tells(*events[place:])
            pbx.manager.channels["a1"] = {}
            pbx.clock.pump([1.0] * 40)
            assert (leg.place, hung_up(pbx), corrections(pbx)) == (Place.HOME, [], [])

    def test_unknown_endpoint_only_the_answer_comes(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("OriginateResponse", ActionID="a1", Response="Failure", Reason="0", Uniqueid="<null>"))
        pbx.clock.advance(0.2)
        assert outcome_of(leg) is OfferOutcome.UNREACHABLE
        nothing_left(pbx)

    def test_a_failure_that_overtakes_the_events_of_its_leg(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("OriginateResponse", ActionID="a1", Response="Failure", Reason="0", Uniqueid="<null>"))
        pbx.clock.advance(0.05)
        pbx.tells(
            event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"),
            event("DialEnd", DestUniqueid="a1", DialStatus="BUSY"),
            event("Hangup", Uniqueid="a1", Cause="17"),
        )
        assert outcome_of(leg) is OfferOutcome.DECLINED
        nothing_left(pbx)

    @pytest.mark.fault("F66")
    def test_a_channel_that_was_renamed_is_the_same_leg(self) -> None:
        """A masquerade gives a leg another channel and another name: it is known by its Uniqueid."""
        pbx = FakePbx()
        leg, _ = pbx.agent()
        pbx.home("a1", "", "agent", agi_channel="PJSIP/world-00000007<ZOMBIE>")
        pbx.tells(
            event("BridgeEnter", Uniqueid="a1", Channel="Surrogate/PJSIP/2001-00000001", BridgeUniqueid="b1"),
            event("Hangup", Uniqueid="other", Channel="PJSIP/2001-00000001", Cause="16"),
        )
        assert (leg.gone, leg.bridge) == (False, "b1")
        pbx.tells(event("Hangup", Uniqueid="a1", Channel="PJSIP/nobody-00000002<MASQ>", Cause="16"))
        assert leg.gone

    @pytest.mark.parametrize(
        ("status", "outcome"), [("BUSY", OfferOutcome.DECLINED), ("CANCEL", OfferOutcome.NO_ANSWER), ("", OfferOutcome.LOST)]
    )
    def test_the_dial_status_counts_when_the_cause_says_nothing(self, status: str, outcome: OfferOutcome) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("DialEnd", DestUniqueid="a1", DialStatus=status))
        pbx.ends("a1", "16")
        assert outcome_of(leg) is outcome

    def test_the_response_counts_by_its_action_only(self) -> None:
        """reliability M14: the Uniqueid in it can be another, live call's."""
        pbx = FakePbx()
        caller, session = pbx.caller("c1")
        leg = pbx.rings("a1")
        pbx.tells(event("OriginateResponse", ActionID="a1", Response="Failure", Reason="0", Uniqueid="c1"))
        pbx.tells(event("OriginateResponse", ActionID="c2", Response="Failure", Reason="0", Uniqueid="c1"))
        pbx.tells(event("OriginateResponse", Response="Failure", Reason="0", Uniqueid="c1"))
        pbx.clock.advance(1)
        assert (caller.place, session.closed, leg.gone) == (Place.HOME, False, True)

    def test_not_answered_in_time_it_is_given_up_and_hung_up(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings(seconds=20)
        pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.tells(event("Newchannel", Uniqueid="a1", ChannelStateDesc="Ringing"))
        pbx.clock.advance(20.9)
        assert hung_up(pbx) == []
        pbx.clock.advance(0.2)
        assert outcome_of(leg) is OfferOutcome.NO_ANSWER
        assert hung_up(pbx) == ["a1"]
        pbx.ends("a1", "0")
        nothing_left(pbx)

    def test_cancelled_right_behind_the_originate(self) -> None:
        """reliability M15, F58: Hangup is refused until Asterisk knows the leg, so it is said again and again."""
        pbx = FakePbx()
        pbx.manager.script("Hangup", *[ActionRefused("No such channel")] * 3)
        leg = pbx.rings()
        leg.hang_up()
        for told in (
            event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"),
            event("DialBegin", DestUniqueid="a1"),
            event("OriginateResponse", ActionID="a1", Response="Success", Uniqueid="a1"),
        ):
            before = len(hung_up(pbx))
            pbx.tells(told)
            assert len(hung_up(pbx)) == before + 1, told
        assert not leg.gone
        pbx.ends("a1", "0")
        nothing_left(pbx)

    def test_cancelled_and_answered_at_once_it_is_ended_at_home(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        leg.hang_up()
        session = pbx.home("a1", "", "agent")
        assert session.sent == [("SET VARIABLE", "EC_DONE", "end")]
        assert session.closed

    @pytest.mark.parametrize("failure", [None, ActionTimeout("5 s")])
    @pytest.mark.parametrize("made", [True, False])
    def test_the_link_is_lost_before_the_originate_is_answered(self, failure: AmiError | None, made: bool) -> None:
        """reliability F04: made or not is looked up, the leg is neither lost nor kept for ever."""
        pbx = FakePbx()
        pbx.manager.script("Originate", WAITS)
        leg = pbx.rings()
        if failure:
            pbx.manager.says(failure)
        pbx.breaks()
        if made:
            pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.connects()
        assert leg.gone is not made
        ringing = Tried(leg.when_ringing())
        assert ringing.pending is not made
        if not made:
            assert outcome_of(leg) is OfferOutcome.LOST
            nothing_left(pbx)

    @pytest.mark.parametrize("made", [True, False])
    def test_the_link_is_lost_between_the_answer_and_the_first_event(self, made: bool) -> None:
        """reliability F05."""
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.breaks()
        if made:
            pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.connects()
        assert leg.gone is not made
        if not made:
            assert outcome_of(leg) is OfferOutcome.LOST
            nothing_left(pbx)

    def test_a_leg_of_which_nothing_is_ever_heard_is_not_kept_for_ever(self) -> None:
        """reliability F19, P5: its events were lost, perhaps that it could not be made: its agent is free within seconds."""
        pbx = FakePbx()
        leg = pbx.rings(seconds=20)
        pbx.clock.advance(UNSHOWN_SECONDS)
        assert outcome_of(leg) is OfferOutcome.UNREACHABLE
        nothing_left(pbx)

    def test_a_leg_of_which_nothing_is_heard_and_that_is_there_rings_on(self) -> None:
        """reliability F19."""
        pbx = FakePbx()
        leg = pbx.rings(seconds=20)
        pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing", "Variable": "EC_ROLE=agent"}
        pbx.clock.advance(UNSHOWN_SECONDS)
        assert not leg.gone
        pbx.manager.channels.clear()
        pbx.clock.pump([1.0] * 12)
        assert outcome_of(leg) is OfferOutcome.LOST

    def test_answered_while_the_link_is_down(self) -> None:
        """reliability F06."""
        pbx = FakePbx()
        leg = pbx.rings()
        answered = Tried(leg.answered())
        pbx.breaks()
        pbx.home("a1", "", "agent")
        assert answered.result == "done"
        assert Tried(leg.music("default")).result == "done"


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


class Joining:
    """A caller and an agent at home, and a bridge asked for."""

    def __init__(self, *answers: Any) -> None:
        self.pbx = FakePbx()
        self.caller, self.caller_home = self.pbx.caller("c1")
        self.agent, self.agent_home = self.pbx.agent("a1")
        self.pbx.manager.script("Bridge", *answers)

    def ask(self) -> Tried:
        return Tried(self.pbx.switch.bridge(self.caller, self.agent))

    def bridged(self, *, told: bool = True) -> None:
        """Asterisk carries it out."""
        for leg, session in (("c1", self.caller_home), ("a1", self.agent_home)):
            self.pbx.manager.channels[leg] = {"BridgeID": "b1"}
            session.ends()
            if told:
                self.pbx.tells(event("BridgeEnter", Uniqueid=leg, BridgeUniqueid="b1"))

    @property
    def sent(self) -> int:
        return len(self.pbx.manager.of("Bridge"))


class TestBridging:
    def test_success(self) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        assert at.pbx.manager.of("Bridge") == [{"Channel1": "c1", "Channel2": "a1", "Tone": "no"}]
        at.bridged()
        assert joined.pending
        at.pbx.manager.says()
        over = Tried(joined.result.over())
        assert (at.caller.place, at.agent.place) == (Place.AWAY, Place.AWAY)
        assert Tried(at.caller.wait_key(1)).raised is Taken
        at.pbx.ends("a1")
        assert over.result is at.agent

    def test_legs_are_joined_by_their_names(self) -> None:
        """An id is the beginning of others, and Asterisk would take any of them."""
        pbx = FakePbx()
        pbx.manager.script("Bridge", WAITS)
        one = pbx.caller("17.1")[0]
        other = pbx.caller("17.15")[0]
        pbx.home("17.1", "95588", agi_channel="PJSIP/trunk-00000001")
        pbx.manager.channels["17.15"] = {"Channel": "PJSIP/trunk-0000000f"}
        Tried(pbx.switch.reconciliation.reconcile())
        Tried(pbx.switch.bridge(one, other))
        names = {"Channel1": "PJSIP/trunk-00000001", "Channel2": "PJSIP/trunk-0000000f"}
        assert pbx.manager.of("Bridge") == [{**names, "Tone": "no"}]

    def test_legs_that_are_on_their_way_into_a_bridge_are_fetched_out_of_it(self) -> None:
        """The answer of Bridge comes before the legs leave home: they only seem to be there."""
        at = Joining({})
        assert not at.ask().pending
        assert (at.caller.place, at.caller.idle) == (Place.HOME, False)
        fetched = Tried(at.pbx.switch.fetch(at.caller, at.agent))
        [redirect] = at.pbx.manager.of("Redirect")
        assert (redirect["Channel"], redirect["ExtraChannel"]) == ("c1", "a1")
        at.bridged()
        at.pbx.home("c1", "95588")
        at.pbx.home("a1", "", "agent")
        assert not fetched.pending
        assert (at.caller.idle, at.agent.idle) == (True, True)

    def test_two_who_are_being_joined_leave_together_before_a_third(self) -> None:
        at = Joining({})
        third, _ = at.pbx.caller("c9")
        Tried(third.wait_key(20))
        at.ask()
        Tried(at.pbx.switch.fetch(third, at.caller, at.agent))
        told = [(one["Channel"], one.get("ExtraChannel")) for one in at.pbx.manager.of("Redirect")]
        assert told == [("c1", "a1"), ("c9", None)]

    def test_they_part_before_the_answer_comes(self) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        at.bridged()
        at.pbx.ends("c1")
        at.pbx.home("a1", "", "agent")
        at.pbx.manager.says()
        assert Tried(joined.result.over()).result is at.caller

    @pytest.mark.parametrize("hangup_told", [True, False])
    def test_refused_because_the_caller_is_gone(self, hangup_told: bool) -> None:
        """reliability M18, F57."""
        at = Joining(WAITS)
        joined = at.ask()
        at.caller_home.ends()
        del at.pbx.manager.channels["c1"]
        if hangup_told:
            at.pbx.ends("c1")
        at.pbx.manager.says(ActionRefused("Channel1 does not exist"))
        at.pbx.clock.advance(NEWS_SECONDS)
        assert joined.raised is BridgeFailed
        assert corrections(at.pbx) == ([] if hangup_told else [("c1", "gone")])
        assert at.caller.gone
        assert (at.agent.place, at.agent.taking) == (Place.HOME, False)
        assert Tried(at.agent.music("default")).result == "done"

    def test_refused_because_the_agent_is_gone_and_the_news_is_on_its_way(self) -> None:
        at = Joining(ActionRefused("Channel2 does not exist"))
        del at.pbx.manager.channels["a1"]
        joined = at.ask()
        at.pbx.clock.advance(NEWS_SECONDS / 2)
        assert joined.pending
        at.pbx.ends("a1")
        assert (joined.raised, corrections(at.pbx)) == (BridgeFailed, [])
        assert not [call for call in at.pbx.clock.getDelayedCalls() if "Audit" not in call.func.__qualname__]

    def test_refused_with_both_there_each_is_where_it_was(self) -> None:
        at = Joining(ActionRefused("Unable to add Channel1"))
        joined = at.ask()
        at.pbx.clock.advance(NEWS_SECONDS)
        assert joined.raised is BridgeFailed
        assert (at.caller.place, at.agent.place) == (Place.HOME, Place.HOME)
        at.caller_home.ends()
        assert at.caller.place is Place.BETWEEN, "whoever leaves now was not taken"

    @pytest.mark.parametrize("failure", [ActionRefused("no"), ActionTimeout("5 s")])
    def test_the_one_who_asked_is_cancelled_by_what_is_found(self, failure: AmiError) -> None:
        """The caller's end, found in the story's own call, must cancel the story: Twisted would lose that."""
        at = Joining(failure)
        del at.pbx.manager.channels["c1"]
        at.pbx.manager.script("Status", WAITS)

        async def story() -> None:
            with contextlib.suppress(BridgeFailed):
                await at.pbx.switch.bridge(at.caller, at.agent)
            await Deferred()  # the next offer

        running = start(story())
        at.caller.when_gone().addCallback(lambda _: running.cancel())
        over: list[Any] = []
        running.addBoth(over.append)
        at.pbx.clock.advance(NEWS_SECONDS)
        at.pbx.manager.says()
        assert at.caller.gone
        assert over, "the story of a caller who is gone goes on"

    def test_a_leg_that_is_not_ours_any_more(self) -> None:
        at = Joining()
        at.pbx.ends("a1")
        assert at.ask().raised is BridgeFailed
        assert at.sent == 0

    def test_asked_while_the_link_is_down_it_is_sent_when_the_link_is_back(self) -> None:
        at = Joining()
        at.pbx.breaks()
        joined = at.ask()
        assert (joined.pending, at.sent) == (True, 0)
        at.pbx.connects()
        assert (joined.pending, at.sent) == (False, 1)

    def test_a_leg_is_gone_while_the_link_is_down(self) -> None:
        at = Joining()
        at.pbx.breaks()
        joined = at.ask()
        at.caller_home.ends()
        at.pbx.clock.advance(UNTOLD_SECONDS)
        assert joined.raised is BridgeFailed
        at.pbx.connects()
        assert at.sent == 0

    def test_the_link_is_lost_and_not_told_yet(self) -> None:
        """The manager knows in this turn, the switch in the next: nothing may turn in circles in between."""
        at = Joining()
        at.pbx.manager.linked = False
        joined = at.ask()
        assert joined.pending
        at.pbx.breaks()
        at.pbx.clock.advance(0.3)
        at.pbx.connects()
        at.pbx.clock.advance(0.3)
        assert (joined.pending, at.sent) == (False, 1)

    def test_the_link_is_down_for_one_action_only(self) -> None:
        at = Joining(LinkDown("for a moment"))
        joined = at.ask()
        at.pbx.clock.advance(0.3)
        assert (joined.pending, at.sent) == (False, 1)

    @pytest.mark.parametrize("carried_out", [True, False])
    def test_the_answer_is_lost_with_the_link(self, carried_out: bool) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        if carried_out:
            at.bridged(told=False)
        at.pbx.breaks()
        assert joined.pending
        at.pbx.connects()
        assert not joined.pending
        assert at.sent == (1 if carried_out else 2), "looked up, and sent again only when it was not carried out"
        if carried_out:
            over = Tried(joined.result.over())
            at.pbx.ends("c1")
            assert over.result is at.caller

    @pytest.mark.parametrize(("carried_out", "told"), [(True, True), (True, False), (False, False)])
    def test_the_answer_does_not_come_in_time(self, carried_out: bool, told: bool) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        if carried_out:
            at.bridged(told=told)
        at.pbx.manager.says(ActionTimeout("5 s"))
        assert not joined.pending
        assert at.sent == (1 if carried_out else 2)

    def test_a_leg_is_gone_after_the_link_was_lost_with_the_bridge(self) -> None:
        at = Joining(WAITS)
        joined = at.ask()
        at.pbx.breaks()
        del at.pbx.manager.channels["a1"]
        at.pbx.connects()
        assert joined.raised is BridgeFailed
        at.caller_home.ends()
        assert at.caller.place is Place.BETWEEN, "whoever leaves now was not taken"

    def test_bridge_told_late_from_the_last_time_is_not_this_bridge(self) -> None:
        """Both are home again, and only then comes the news that they had been joined."""
        at = Joining()
        at.pbx.tells(*(event("BridgeEnter", Uniqueid=leg, BridgeUniqueid="b0") for leg in ("c1", "a1")))
        at.ask()
        assert at.sent == 1

    def test_the_hang_up_that_asterisk_forgets(self) -> None:
        """A far end that hung up in the moment of the Bridge stays in it, silent, unless we hang it up."""
        at = Joining()
        at.ask()
        at.pbx.tells(event("HangupRequest", Uniqueid="c1"))
        at.bridged()
        at.pbx.clock.advance(0.3)
        assert hung_up(at.pbx) == ["c1"]

    def test_a_hang_up_that_asterisk_does_not_forget(self) -> None:
        at = Joining()
        at.pbx.tells(event("HangupRequest", Uniqueid="c1"), event("HangupRequest", Uniqueid="c1"))
        at.pbx.ends("c1")
        at.pbx.clock.advance(0.3)
        assert hung_up(at.pbx) == []


class TestListening:
    def listening(self, at: Joining, to: str = "a1") -> tuple[AsteriskChannel, FakeSession, Tried]:
        supervisor, home = at.pbx.agent("s1")
        home.answers["EXEC"] = [WAITS]
        return supervisor, home, Tried(supervisor.listen(to, Speaks.ONE))

    def test_exactly_that_leg_until_it_ends(self) -> None:
        at = Joining()
        supervisor, home, listens = self.listening(at)
        assert home.sent[-1] == ("EXEC", "ChanSpy", "a1,uqEw")
        assert supervisor.listens_to == "a1"
        home.says("-1")
        assert (listens.result, supervisor.listens_to, supervisor.place) == ("done", "", Place.HOME)

    @pytest.mark.parametrize("to", ["a1", "c1"])
    def test_who_listens_to_a_leg_that_moves_between_bridges_is_taken_home_first(self, to: str) -> None:
        """ChanSpy is stuck otherwise."""
        at = Joining()
        at.ask()
        at.bridged()
        other, _ = at.pbx.caller("c2")
        _, home, listens = self.listening(at, to)
        joined = Tried(at.pbx.switch.bridge(at.agent, other))
        moves = to == "a1"
        assert (at.sent, [one["Channel"] for one in at.pbx.manager.of("Redirect")]) == ((1, ["s1"]) if moves else (2, []))
        home.ends()
        at.pbx.home("s1", "", "supervisor")
        assert (listens.raised, at.sent) == (Taken, 2)
        at.pbx.tells(*(event("BridgeEnter", Uniqueid=leg, BridgeUniqueid="b2") for leg in ("a1", "c2")))
        assert joined.result is not None

    def test_a_supervisor_who_does_not_come_home_does_not_keep_two_apart(self) -> None:
        at = Joining()
        at.ask()
        at.bridged()
        other, _ = at.pbx.caller("c2")
        self.listening(at)
        Tried(at.pbx.switch.bridge(at.agent, other))
        at.pbx.clock.advance(ARRIVAL_SECONDS)
        at.pbx.clock.advance(ARRIVAL_SECONDS)
        at.pbx.clock.advance(ARRIVAL_SECONDS)
        assert at.sent == 2


class TestLeavingHome:
    def test_hung_up(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.ends("c1")
        assert verb.raised is HungUp
        nothing_left(pbx)

    def test_nothing_tells_and_asterisk_does_not_show_it(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        del pbx.manager.channels["c1"]
        pbx.clock.advance(UNTOLD_SECONDS - 0.1)
        assert verb.pending
        pbx.clock.advance(0.1)
        assert verb.raised is HungUp
        assert corrections(pbx) == [("c1", "gone")]
        nothing_left(pbx)

    def test_nothing_tells_and_asterisk_shows_it_elsewhere(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.clock.advance(UNTOLD_SECONDS)
        assert (verb.raised, caller.place) == (Taken, Place.AWAY)
        assert corrections(pbx) == [("c1", "elsewhere")]

    def test_nothing_tells_and_asterisk_does_not_answer(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.manager.script("Status", ActionTimeout("5 s"))
        pbx.clock.advance(UNTOLD_SECONDS)
        assert verb.pending
        pbx.clock.pump([1.0] * int(AUDIT_SECONDS))
        assert verb.raised is Taken

    def test_without_a_link_it_is_gone_after_a_second(self) -> None:
        """reliability F07."""
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.breaks()
        verb = Tried(caller.wait_key(20))
        session.ends()
        pbx.clock.advance(UNTOLD_SECONDS)
        assert (verb.raised, caller.gone) == (HungUp, True)
        nothing_left(pbx)

    def test_without_a_link_it_is_home_again_within_a_second(self) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.breaks()
        session.ends()
        pbx.clock.advance(0.01)
        pbx.home("c1")
        pbx.clock.advance(5)
        assert caller.place is Place.HOME

    @pytest.mark.parametrize("up", [True, False])
    def test_home_again_and_away_again_begins_a_new_second(self, up: bool) -> None:
        pbx = FakePbx()
        caller, session = pbx.caller()
        if not up:
            pbx.breaks()
        session.ends()
        again = pbx.home("c1")
        pbx.clock.advance(UNTOLD_SECONDS - 0.01)
        again.ends()
        pbx.clock.advance(0.02)
        assert (caller.place, corrections(pbx)) == (Place.BETWEEN, [])
        pbx.clock.advance(UNTOLD_SECONDS)
        assert caller.place is (Place.AWAY if up else Place.GONE)

    def test_an_audit_in_that_moment_is_no_finding(self) -> None:
        """It was hung up, Asterisk still shows it, the event is on its way."""
        pbx = FakePbx()
        caller, session = pbx.caller()
        pbx.clock.advance(AUDIT_SECONDS - 0.01)
        session.ends()
        verb = Tried(caller.wait_key(20))
        pbx.clock.advance(0.02)
        assert len(pbx.manager.of("Status")) == 2
        pbx.ends("c1")
        assert (verb.raised, corrections(pbx)) == (HungUp, [])


class TestReconciling:
    def test_vanished_legs_are_ended(self) -> None:
        """reliability F08, F23."""
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        agent, _ = pbx.agent("a1")
        pbx.breaks()
        pbx.manager.channels = {"a1": {}}
        pbx.connects()
        assert (caller.gone, agent.gone) == (True, False)
        assert corrections(pbx) == [("c1", "gone")]

    def test_a_caller_whom_an_earlier_daemon_left_alone_in_a_conference(self) -> None:
        pbx = FakePbx(up=False)
        left = {"BridgeID": "b9", "Application": "ConfBridge", "Variable": "EC_ROLE=caller"}
        pbx.manager.channels = {"x1": left, "x2": {**left, "Variable": "EC_ROLE=agent"}}
        pbx.connects()
        assert not pbx.manager.of("Redirect")  # they talk
        del pbx.manager.channels["x2"]
        pbx.clock.advance(11)
        [redirect] = pbx.manager.of("Redirect")
        assert redirect["Channel"] == "x1"
        assert ("x1", "caller left alone in a conference") in corrections(pbx)

    @pytest.mark.parametrize(
        ("channel", "stray"),
        [
            ({"Variable": "EC_ROLE=agent"}, "stray agent leg"),
            ({"Variable": "EC_ROLE=agent", "BridgeID": "b1"}, ""),
            ({"Variable": "EC_ROLE=agent", "BridgeID": "b1", "Application": "ConfBridge"}, "stray agent leg"),
            ({"Variable": "EC_ROLE=outside", "BridgeID": "b1", "Application": "ConfBridge"}, "stray outside leg"),
            ({"Variable": "EC_ROLE=outside", "BridgeID": "b1", "Application": "AppDial"}, ""),
            ({"Variable": "EC_ROLE=supervisor"}, "stray supervisor leg"),
            ({"Variable": "EC_ROLE=caller"}, ""),
            ({"Variable": "EC_ROLE=agentx"}, ""),
            ({"Variable": "EC_CONTACT=EC_ROLE=agent"}, ""),
            ({}, ""),
        ],
    )
    def test_strays(self, channel: dict[str, str], stray: str) -> None:
        """Only an agent's leg that nobody talks with, or a supervisor's: it can be nobody's loss."""
        pbx = FakePbx(up=False)
        pbx.manager.channels = {"x1": channel, "x2": LIVE}
        pbx.connects()
        assert hung_up(pbx) == (["x1"] if stray else [])
        assert corrections(pbx) == ([("x1", stray)] if stray else [])
        assert len(pbx.switch.legs) == 0

    def test_a_leg_made_after_status_was_asked_is_not_ended(self) -> None:
        pbx = FakePbx()
        pbx.manager.script("Status", WAITS)
        done = Tried(pbx.switch.reconciliation.reconcile())
        agent, _ = pbx.agent("a1")
        caller, _ = pbx.caller("c1")
        pbx.manager.says()
        assert done.result == "done"
        assert not agent.gone
        assert not caller.gone
        assert corrections(pbx) == []

    def test_a_leg_that_ended_after_status_was_asked_is_no_stray(self) -> None:
        pbx = FakePbx()
        pbx.agent("a1")
        pbx.manager.channels["a1"] = {"Variable": "EC_ROLE=agent"}
        pbx.manager.script("Status", WAITS)
        done = Tried(pbx.switch.reconciliation.reconcile())
        pbx.ends("a1")
        pbx.manager.says()
        assert done.result == "done"
        assert (corrections(pbx), hung_up(pbx)) == ([], [])

    def test_an_audit_between_the_end_of_a_leg_and_the_news_of_it_is_no_finding(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        pbx.clock.advance(AUDIT_SECONDS - 0.01)
        del pbx.manager.channels["c1"]
        pbx.clock.advance(0.02)
        pbx.ends("c1")
        assert (caller.gone, corrections(pbx)) == (True, [])
        nothing_left(pbx)

    def test_an_audit_finds_what_no_event_told(self) -> None:
        """reliability F19."""
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        del pbx.manager.channels["c1"]
        pbx.clock.pump([1.0] * (int(AUDIT_SECONDS) + 1))
        assert (caller.gone, corrections(pbx)) == (True, [("c1", "gone")])
        nothing_left(pbx)

    def test_two_at_once(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        agent, _ = pbx.agent("a1")
        del pbx.manager.channels["c1"]
        pbx.manager.script("Status", WAITS, WAITS)
        both = [Tried(pbx.switch.reconciliation.reconcile()) for _ in range(2)]
        pbx.manager.says()
        pbx.manager.says()
        pbx.clock.advance(1)
        assert [one.result for one in both] == ["done", "done"]
        assert (caller.gone, agent.gone, corrections(pbx)) == (True, False, [("c1", "gone")])

    def test_the_link_is_lost_in_the_middle(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        del pbx.manager.channels["c1"]
        pbx.manager.script("Status", WAITS)
        done = Tried(pbx.switch.reconciliation.reconcile())
        pbx.breaks()
        assert done.result == "done"
        assert (caller.gone, corrections(pbx)) == (False, [])

    def test_a_doomed_leg_is_hung_up_again(self) -> None:
        pbx = FakePbx()
        caller, _ = pbx.caller("c1")
        caller.hang_up()
        pbx.clock.pump([1.0] * int(AUDIT_SECONDS))
        assert hung_up(pbx) == ["c1", "c1"]

    def test_a_leg_hung_up_while_the_link_was_down_is_told_when_it_is_back(self) -> None:
        at = Joining()
        at.ask()
        at.bridged()
        at.pbx.breaks()
        at.caller.hang_up()
        assert hung_up(at.pbx) == []
        at.pbx.connects()
        assert hung_up(at.pbx) == ["c1"]

    def test_a_phone_that_rings_is_seen_to_ring(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        ringing = Tried(leg.when_ringing())
        pbx.breaks()
        pbx.manager.channels["a1"] = {"ChannelStateDesc": "Ringing"}
        pbx.connects()
        assert ringing.result == "done"


class TestTheLink:
    def test_up_and_down_are_told_once(self) -> None:
        pbx = FakePbx()
        assert (pbx.switch.up, pbx.told) == (True, ["up"])
        pbx.breaks("cut")
        pbx.switch.lost("cut again")
        assert (pbx.switch.up, pbx.told) == (False, ["up", "down"])
        pbx.connects()
        assert pbx.told == ["up", "down", "up"]
        assert [type(one) for one in pbx.notes.events] == [PbxUp, PbxDown, PbxUp]
        assert len(pbx.clock.getDelayedCalls()) == 1

    def test_no_business_before_the_picture_is_right(self) -> None:
        """The manager closes a link whose ``connected`` fails, and makes it anew."""
        pbx = FakePbx(up=False)
        pbx.manager.script("Status", ActionTimeout("5 s"))
        assert Tried(pbx.connects()).raised is ActionTimeout
        assert (pbx.switch.up, pbx.told, pbx.notes.events) == (False, [], [])
        assert not pbx.clock.getDelayedCalls()
        pbx.connects()
        assert pbx.switch.up

    def test_legs_that_moved_while_the_picture_was_made(self) -> None:
        pbx = FakePbx(up=False)
        pbx.manager.script("Status", WAITS)
        _caller, session = pbx.caller("c1")
        pbx.connects()
        session.ends()
        pbx.ends("c1")
        pbx.manager.says()
        assert (pbx.switch.up, corrections(pbx)) == (True, [])
        nothing_left(pbx)


class TestLettingGo:
    def test_nothing_is_sent_and_no_timer_stays(self) -> None:
        """reliability P1, F36: the daemon stops, the calls go on."""
        pbx = FakePbx()
        caller, session = pbx.caller("c1")
        agent, agent_session = pbx.agent("a1")
        ringing = pbx.rings("a2")
        waiting = pbx.rings("a3")
        waiting.hang_up()
        leaving, leaving_session = pbx.caller("c2")
        leaving_session.ends()
        pbx.switch.let_go()
        assert not pbx.clock.getDelayedCalls()
        before = len(pbx.manager.actions)
        for leg in (caller, agent, ringing, leaving):
            leg.hang_up()
        pbx.tells(event("Newchannel", Uniqueid="a3", ChannelStateDesc="Down"), event("HangupRequest", Uniqueid="c1"))
        assert len(pbx.manager.actions) == before
        assert (session.closed, session.sent, agent_session.sent) == (False, [], [])
        assert not pbx.clock.getDelayedCalls()

    @pytest.mark.parametrize("leg", ["new", "a1", "a9"])
    def test_who_comes_home_now_is_left_to_the_dialplan(self, leg: str) -> None:
        pbx = FakePbx()
        ringing = pbx.rings("a1")
        pbx.switch.let_go()
        ringing.hang_up()
        session = pbx.home(leg, "", "" if leg == "new" else "agent")
        assert (session.sent, session.closed, pbx.arrivals) == ([], True, [])

    def test_a_link_that_comes_back_now_starts_nothing(self) -> None:
        pbx = FakePbx()
        pbx.breaks()
        pbx.switch.let_go()
        pbx.manager.channels["x1"] = {"Variable": "EC_ROLE=agent"}
        pbx.connects()
        assert (hung_up(pbx), pbx.clock.getDelayedCalls()) == ([], [])


class TestServing:
    def test_an_agents_leg_that_nobody_waits_for_ends(self) -> None:
        pbx = FakePbx()
        session = pbx.home("ec-old-agent-1", "", "agent")
        assert (session.sent, session.closed) == ([("SET VARIABLE", "EC_DONE", "end")], True)
        assert pbx.arrivals == []
        nothing_left(pbx)

    def test_a_caller_who_comes_home_again_is_no_new_caller(self) -> None:
        pbx = FakePbx()
        _, session = pbx.caller("c1")
        session.ends()
        pbx.home("c1")
        assert len(pbx.arrivals) == 1

    def test_a_leg_without_an_id_is_not_served(self) -> None:
        pbx = FakePbx()
        session = FakeSession("")
        with pytest.raises(ValueError, match="agi_uniqueid"):
            pbx.switch.serve(session)  # type: ignore[arg-type]
        assert pbx.arrivals == []
        assert len(pbx.switch.legs) == 0

    def test_not_answered_is_told_with_its_reason(self) -> None:
        pbx = FakePbx()
        leg = pbx.rings()
        pbx.tells(event("Newchannel", Uniqueid="a1", ChannelStateDesc="Down"))
        pbx.ends("a1", "21")
        assert Tried(leg.answered()).raised is NotAnswered
