"""What must hold is found broken where it is broken, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from easycall.asterisk.ami import Message
from easycall.events import AgentChanged, Answered, ContactArrived, ContactEnded, Event, OfferEnded, PbxDown, PbxUp, Queued
from easycall.lab.evidence import Evidence, Held, HeldAgent, HeldContact, HeldLeg, PbxChannel, channels
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import assert_invariants, lasting, violations
from easycall.model import AgentState, EndedBy, OfferOutcome, Outcome, Stage
from easycall.stats.record import Record, Segment, SegmentKind

from .fakes_wires import event

# A centre in which all is well: k1 talks with ana, k2 waits, bo is rung for k3, k4 is in the menu


def channel(name: str, contact: str, role: str = "caller", agent: str = "", **more: Any) -> PbxChannel:
    bridge = more.get("bridge", "")
    usual = {"application": "" if bridge else "AGI", **more}
    return PbxChannel("main", name, contact=contact, role=role, agent=agent, **usual)


def leg(name: str, place: str = "home", bridge: str = "") -> HeldLeg:
    return HeldLeg("main", name, place, bridge)


CHANNELS = (
    channel("1.1", "k1", bridge="b1"),
    channel("ec-k1-agent-1", "k1", "agent", "ana", bridge="b1"),
    channel("1.2", "k2"),
    channel("1.3", "k3"),
    channel("ec-k3-agent-1", "k3", "agent", "bo", up=False, application=""),
    channel("1.4", "", role=""),
    PbxChannel("main", "9.9", bridge="b9"),  # somebody else's
)
HELD = Held(
    contacts=(
        HeldContact("k1", "main", "1.1", Stage.TALKING, "sales", "ana"),
        HeldContact("k2", "main", "1.2", Stage.WAITING, "sales"),
        HeldContact("k3", "main", "1.3", Stage.OFFERED, "sales", "bo"),
        HeldContact("k4", "main", "1.4", Stage.IVR),
    ),
    legs=(
        *(leg("1.1", "away", "b1"), leg("ec-k1-agent-1", "away", "b1")),
        *(leg("1.2"), leg("1.3"), leg("ec-k3-agent-1", "dialled"), leg("1.4")),
    ),
    agents=(
        HeldAgent("ana", AgentState.TALKING, "k1"),
        HeldAgent("bo", AgentState.RINGING, "k3"),
        HeldAgent("chen", AgentState.WRAP_UP, "k0"),
        HeldAgent("dan", AgentState.READY),
    ),
    waiting={"sales": ((5.0, "k2"), (7.0, "k3")), "support": ()},
)
WELL = Evidence(CHANNELS, HELD, callers=frozenset({"1.1", "1.2", "1.3", "1.4"}))


def changed(of: tuple[Any, ...], which: str, **how: Any) -> tuple[Any, ...]:
    """One of them, by id, is otherwise."""
    assert which in {one.id for one in of}
    return tuple(evolve(one, **how) if one.id == which else one for one in of)


def without(of: tuple[Any, ...], which: str) -> tuple[Any, ...]:
    assert which in {one.id for one in of}
    return tuple(one for one in of if one.id != which)


def pbx(*shown: PbxChannel) -> list[str]:
    """What is found when the PBX shows that instead."""
    return violations(evolve(WELL, channels=shown))


def daemon(**what: Any) -> list[str]:
    """What is found when the daemon holds that instead."""
    return violations(evolve(WELL, held=evolve(HELD, **what)))


def test_all_is_well() -> None:
    assert violations(WELL) == []
    assert violations(Evidence()) == []
    assert_invariants(WELL)


def test_i1_a_caller_who_did_not_hang_up_has_a_channel() -> None:
    found = pbx(*without(CHANNELS, "1.2"))
    assert "I1: the caller at 1.2 has not hung up and has no channel" in found
    assert {one[:2] for one in found} == {"I1", "I3"}
    assert "I1: the caller at 1.2 is in no bridge and no application" in pbx(*changed(CHANNELS, "1.2", application=""))
    assert violations(evolve(WELL, channels=changed(CHANNELS, "1.4", up=False), callers=frozenset({"1.4"}))) == []


def test_i2_nobody_is_in_two_conversations() -> None:
    third = channel("1.2", "k2", bridge="b1")
    assert "I2: 1.1 and 1.2 and ec-k1-agent-1 are together in bridge b1" in pbx(*without(CHANNELS, "1.2"), third)
    crossed = changed(CHANNELS, "ec-k1-agent-1", contact="k2")
    assert "I2: 1.1 and ec-k1-agent-1 of different contacts are in bridge b1" in pbx(*crossed)
    twice = channel("ec-k3-agent-1", "k3", "agent", "ana", bridge="b2")
    assert "I2: agent ana talks on ec-k1-agent-1 and ec-k3-agent-1" in pbx(*without(CHANNELS, "ec-k3-agent-1"), twice)
    second = channel("ec-k1-agent-2", "k1", "agent", "dan")
    assert "I2: contact k1 has the agent legs ec-k1-agent-1 and ec-k1-agent-2" in pbx(*CHANNELS, second)
    assert "I2: 2 agents have contact k1" in daemon(agents=changed(HELD.agents, "bo", contact="k1"))


def test_of_a_conference_as_many_agents_are_there_as_are_in_it() -> None:
    second = channel("ec-k1-agent-2", "k1", "agent", "dan")
    talks = changed(HELD.agents, "dan", state=AgentState.TALKING, contact="k1")
    for others in ({"conference": ("dan",)}, {"consulted": "dan"}, {"consulted": "dan", "conference": ("dan",)}):
        held = evolve(HELD, agents=talks, contacts=changed(HELD.contacts, "k1", **others))
        found = violations(evolve(WELL, held=held, channels=(*CHANNELS, second)))
        assert not [one for one in found if one.startswith("I2") or "not with them" in one]
    assert "I2: 2 agents have contact k1" in daemon(agents=talks)
    aside = {"contacts": changed(HELD.contacts, "k2", stage=Stage.ASIDE)}
    assert "I3: contact k2 is in a conference that goes on without its agent, its channel is with nobody" in daemon(**aside)


def test_i3_legs_are_channels() -> None:
    assert daemon(legs=without(HELD.legs, "1.2")) == ["I3: channel 1.2 of contact k2 is no leg of ours"]
    assert daemon(legs=(*HELD.legs, leg("1.5"))) == ["I3: leg 1.5 is home and has no channel"]
    assert daemon(legs=changed(HELD.legs, "1.1", bridge="b2")) == [
        "I3: leg 1.1 is held in bridge b2, its channel is in b1",
    ]
    assert daemon(legs=changed(HELD.legs, "1.1", bridge="", place="home")) == [
        "I3: leg 1.1 is held in bridge none, its channel is in b1",
        "I3: leg 1.1 is held at home, its channel is in no application",
    ]
    assert pbx(*changed(CHANNELS, "1.2", application="MusicOnHold")) == [
        "I3: leg 1.2 is held at home, its channel is in MusicOnHold",
    ]
    assert "I3: channel 1.2 is of contact k2, which is not live" in daemon(contacts=without(HELD.contacts, "k2"))


def test_i3_contacts_and_agents_are_where_the_daemon_has_them() -> None:
    assert daemon(contacts=(*HELD.contacts, HeldContact("k5", "main", "1.5", Stage.WAITING))) == [
        "I3: contact k5 is live and its channel 1.5 is gone",
    ]
    assert daemon(contacts=(*HELD.contacts, HeldContact("k5", "main", "1.5", Stage.ENDED))) == []
    assert daemon(contacts=changed(HELD.contacts, "k1", stage=Stage.WAITING)) == [
        "I3: contact k1 is in waiting, its channel talks with ana",
    ]
    assert daemon(contacts=changed(HELD.contacts, "k2", stage=Stage.TALKING, agent="dan")) == [
        "I3: contact k2 talks with dan, its channel with nobody",
    ]
    assert daemon(agents=changed(HELD.agents, "dan", state=AgentState.RESERVED, contact="k0")) == [
        "I3: agent dan is reserved with contact k0, which is not there or not with them",
    ]
    assert daemon(agents=changed(HELD.agents, "ana", state=AgentState.READY, contact="")) == [
        "I3: agent ana is ready, and talks",
    ]
    assert "I3: agent bo is talking, and no leg of theirs is in a bridge" in daemon(
        agents=changed(HELD.agents, "bo", state=AgentState.TALKING)
    )


RECORD = Record(
    id="k1",
    arrived=10.0,
    ended=20.0,
    segments=(Segment(SegmentKind.IVR, 10.0, 13.0), Segment(SegmentKind.WAITING, 13.0, 20.0)),
)


def told(ended: tuple[str, ...], *records: Record) -> list[str]:
    return violations(Evidence(ended=ended, records=records))


def test_i3_supervisors_listen_and_are_in_no_bridge() -> None:
    spy = channel("ec-s1-supervisor-1", "", "supervisor", "dan", application="ChanSpy")
    agents = changed(HELD.agents, "dan", state=AgentState.SUPERVISING)
    legs = (*HELD.legs, leg(spy.id))
    supervised = evolve(WELL, channels=(*CHANNELS, spy), held=evolve(HELD, agents=agents, legs=legs))
    assert violations(supervised) == []
    assert violations(evolve(supervised, channels=CHANNELS, held=evolve(HELD, agents=agents))) == [
        "I3: agent dan is supervising, with none as a supervisor's leg"
    ]
    assert violations(evolve(supervised, held=evolve(HELD, legs=legs))) == [
        f"I3: agent dan is ready, with {spy.id} as a supervisor's leg"
    ]
    bridged = (*CHANNELS, evolve(spy, bridge="b1"))
    assert f"I2: the supervisor's leg {spy.id} is in bridge b1" in violations(evolve(supervised, channels=bridged))


def test_i4_each_contact_has_one_record_that_adds_up() -> None:
    assert told(("k1",), RECORD) == []
    assert told(("k1",)) == ["I4: contact k1 has 0 records"]
    assert told(("k1",), RECORD, RECORD) == ["I4: contact k1 has 2 records"]
    assert told(("k1", "k1"), RECORD) == ["I4: the end of contact k1 was told 2 times"]
    assert told((), RECORD) == ["I4: contact k1 has a record and no end"]
    assert told(("k1",), evolve(RECORD, ended=None)) == ["I4: the record of contact k1 has no end"]
    assert told(("k1",), evolve(RECORD, ended=20.05)) == []
    assert told(("k1",), evolve(RECORD, ended=20.2)) == ["I4: contact k1 lasted 10.200 s, its segments 10.000 s"]
    gap = evolve(RECORD, segments=(RECORD.segments[0], Segment(SegmentKind.WAITING, 14.0, 21.0)))
    assert told(("k1",), gap) == ["I4: contact k1: its segment waiting does not begin where the one before ends"]


def test_i5_a_callback_is_dialled_once_at_a_time() -> None:
    once = PbxChannel("main", "2.1", contact="back", role="caller")
    twice = evolve(once, id="2.2")
    assert not [one for one in pbx(*CHANNELS, once) if one.startswith("I5")]
    assert "I5: the customer of contact back is on 2.1 and 2.2" in pbx(*CHANNELS, once, twice)


def test_i6_at_rest_nothing_is_left() -> None:
    assert violations(Evidence(left={"channels": 0, "legs": 0})) == []
    assert violations(Evidence(left={"legs": 2, "channels": 1})) == ["I6: 1 channels left", "I6: 2 legs left"]


def test_i7_the_reactor_is_not_long_away() -> None:
    assert violations(Evidence(lags=(0.001,) * 999 + (0.2,))) == ["I7: the reactor was away for 200 ms, p99.9"]
    assert violations(Evidence(lags=(0.001,) * 1999 + (0.2,))) == []
    assert violations(Evidence(lags=(0.001, 0.3))) == ["I7: the reactor was away for 300 ms"]


def test_i8_no_error_is_lost() -> None:
    assert violations(Evidence(failures=("Unhandled error in Deferred",))) == ["I8: Unhandled error in Deferred"]


def test_i9_the_lines_are_in_order() -> None:
    assert daemon(waiting={"sales": ((7.0, "k3"), (5.0, "k2"))}) == ["I9: the line of queue sales is not in order"]
    assert violations(Evidence(overtaken=("k2 gets an agent before k1",))) == ["I9: k2 gets an agent before k1"]


def test_everything_is_said_at_once() -> None:
    wrong = evolve(WELL, failures=("one",), left={"legs": 1})
    with pytest.raises(AssertionError, match=r"^2 violations\nI6: 1 legs left\nI8: one$"):
        assert_invariants(wrong)


def test_only_what_lasts_counts() -> None:
    assert lasting(["I3: a", "I3: b"], ["I3: b", "I3: c"]) == ["I3: b"]


def test_channels_come_from_status() -> None:
    answer = [
        Message(
            b"Event: Status\r\nUniqueid: 1.1\r\nChannelStateDesc: Up\r\nBridgeID: b1\r\nApplication: (null)\r\n"
            b"Variable: EC_CONTACT=k1\r\nVariable: EC_ROLE=agent\r\nVariable: EC_AG=ana",
            "Status",
        ),
        event(
            "Status", Uniqueid="1.2", ChannelStateDesc="Ringing", BridgeID="", Application="AGI", Variable="EC_ROLE=(null)"
        ),
        event("StatusComplete"),
    ]
    assert channels("main", answer) == (
        PbxChannel("main", "1.1", bridge="b1", contact="k1", role="agent", agent="ana"),
        PbxChannel("main", "1.2", up=False, application="AGI"),
    )


# I9 as a fold


class Line:
    """A story of a waiting room."""

    def __init__(self) -> None:
        self.fairness = Fairness({OfferOutcome.LOST: 1.0})
        self.now = 100.0
        self.unfair: list[str] = []

    def take(self, kind: type[Event], **facts: Any) -> None:
        self.now += 1
        if wrong := self.fairness.take(kind(at=self.now, **facts)):
            self.unfair.append(wrong)

    def waits(self, contact: str, queue: str = "sales", on: str = "main") -> None:
        self.take(ContactArrived, contact=contact, pbx=on, leg="1", caller="", caller_name="", dialled="")
        self.take(Queued, contact=contact, queue=queue, position=1)

    def chosen(self, agent: str, contact: str, *queues: str) -> list[str]:
        self.take(AgentChanged, agent=agent, contact=contact, state=AgentState.RESERVED, queues=queues or ("sales",))
        unfair, self.unfair = self.unfair, []
        return unfair

    def offer_ends(self, agent: str, contact: str, outcome: OfferOutcome) -> None:
        self.take(OfferEnded, agent=agent, contact=contact, attempt=1, outcome=outcome)
        self.take(AgentChanged, agent=agent, state=AgentState.READY)

    def leaves(self, contact: str) -> None:
        self.take(ContactEnded, contact=contact, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER)


def test_who_waited_longest_is_chosen() -> None:
    line = Line()
    for contact in ("k1", "k2", "k3"):
        line.waits(contact)
    assert line.chosen("ana", "k2") == ["k2 gets agent ana before k1, who waits since 102.000"]
    assert line.chosen("bo", "k1") == []
    assert line.chosen("chen", "k3") == []
    assert line.fairness.choices == 3


def test_an_agent_of_two_queues_takes_the_longest_of_both() -> None:
    line = Line()
    line.waits("k1", "support")
    line.waits("k2", "sales")
    assert line.chosen("ana", "k2", "sales") == []
    line.waits("k3", "sales")
    assert line.chosen("bo", "k3", "sales", "support") == ["k3 gets agent bo before k1, who waits since 102.000"]


def test_who_was_refused_is_not_overtaken_and_keeps_the_place() -> None:
    line = Line()
    line.waits("k1")
    line.waits("k2")
    assert line.chosen("ana", "k1") == []
    line.offer_ends("ana", "k1", OfferOutcome.DECLINED)
    assert line.chosen("ana", "k2") == []  # k1 was refused by ana just now
    line.offer_ends("ana", "k2", OfferOutcome.LOST)
    assert line.chosen("bo", "k2") == ["k2 gets agent bo before k1, who waits since 102.000"]
    line.offer_ends("bo", "k2", OfferOutcome.DECLINED)
    line.now += 30
    assert line.chosen("bo", "k2") == ["k2 gets agent bo before k1, who waits since 102.000"]


def test_who_has_left_or_cannot_be_offered_is_not_overtaken() -> None:
    line = Line()
    for contact in ("k1", "k2", "k4"):
        line.waits(contact)
    line.waits("k3", on="other")
    line.leaves("k1")
    assert line.chosen("ana", "k2") == []
    line.offer_ends("ana", "k2", OfferOutcome.CALLER_LEFT)
    line.take(PbxDown, pbx="main", reason="")
    assert line.chosen("bo", "k3") == []
    line.offer_ends("bo", "k3", OfferOutcome.LOST)
    line.take(PbxUp, pbx="main")
    assert line.chosen("bo", "k3") == ["k3 gets agent bo before k4, who waits since 106.000"]


def test_an_agent_who_is_told_of_again_is_not_chosen_again() -> None:
    """So it is when an agent who is reserved asks for a break."""
    line = Line()
    line.waits("k1")
    line.waits("k2")
    assert line.chosen("ana", "k1") == []
    assert line.chosen("ana", "k1") == []
    assert line.fairness.choices == 1


def test_who_is_not_there_cannot_be_chosen() -> None:
    assert Line().chosen("ana", "k1") == ["agent ana is reserved for k1, which is not there"]


def test_an_agent_asked_for_by_name_is_no_choice_of_the_line() -> None:
    line = Line()
    line.waits("k1")
    line.waits("k2")
    assert not line.chosen("ana", "k1")
    line.take(Answered, agent="ana", contact="k1", queue="sales", waited=1.0)
    assert not line.chosen("bo", "k1")  # a consultation, while k2 waits
