"""A contact's record is a fold over its events, and its segments share out its time exactly."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from easycall.events import (
    AgentChanged,
    Answered,
    AskIgnored,
    CallAnswered,
    CallbackAsked,
    CallbackBegun,
    CallbackChanged,
    CallbackEnded,
    CallbackLate,
    CallbackSettled,
    CallDialled,
    CallFailed,
    ConferenceEnded,
    ConferenceJoined,
    ConferenceLeft,
    ConferenceStarted,
    ConsultEnded,
    ConsultStarted,
    ContactArrived,
    ContactEnded,
    Event,
    FaxEnded,
    FaxReceived,
    FaxStarted,
    FlowStep,
    MenuAnswered,
    Offered,
    OfferEnded,
    OutsideEnded,
    OutsideStarted,
    QueueAmended,
    Queued,
    QueueLeft,
    QueueOverflowed,
    QueueResumed,
    ScreenPop,
    ScreenPopRevoked,
    SessionJoined,
    SupervisionChanged,
    SupervisionEnded,
    SupervisionMoved,
    SupervisionStarted,
    TalkEnded,
    WrapUpEnded,
)
from easycall.model import (
    OPEN,
    AgentState,
    CallbackSource,
    CallbackState,
    DialOutcome,
    Direction,
    EndedBy,
    FaxOutcome,
    OfferOutcome,
    Outcome,
    OverflowWhen,
    Party,
    SupervisionMode,
)
from easycall.policy import Channel
from easycall.stats.journey import journey
from easycall.stats.record import Dial, NodeVisit, OfferMade, Overflowed, Record, SegmentKind, WrappedUp, completed, fold

C = "01C"

STORY: list[Event] = [
    ContactArrived(at=100.0, contact=C, pbx="main", leg="l1", caller="0301", caller_name="Eva", dialled="95588"),
    FlowStep(at=100.1, contact=C, flow="day", node="greet"),
    MenuAnswered(at=104.0, contact=C, node="what", choice="cards"),
    Queued(at=105.0, contact=C, queue="cards", position=1),
    Offered(at=107.0, contact=C, agent="ana", queue="cards", attempt=1),
    OfferEnded(at=127.0, contact=C, agent="ana", attempt=1, outcome=OfferOutcome.NO_ANSWER),
    Offered(at=128.5, contact=C, agent="bo", queue="cards", attempt=2),
    ScreenPop(
        at=128.6,
        contact=C,
        agent="bo",
        attempt=2,
        caller="0301",
        caller_name="Eva",
        dialled="95588",
        queue="cards",
        waited=23.6,
        data={"customer": "7"},
    ),
    OfferEnded(at=133.0, contact=C, agent="bo", attempt=2, outcome=OfferOutcome.ANSWERED),
    Answered(at=133.25, contact=C, agent="bo", queue="cards", waited=28.25),
    TalkEnded(at=193.25, contact=C, agent="bo", ended_by=EndedBy.AGENT),
    ContactEnded(at=193.5, contact=C, outcome=Outcome.ANSWERED, ended_by=EndedBy.AGENT),
]


def told(record: Record) -> list[tuple[str, float, str]]:
    return [(part.kind.value, part.seconds, part.agent) for part in record.segments]


def whole(events: list[Event], now: float | None = None) -> Record:
    record = fold(C, events, now)
    assert record is not None
    return record


def check_partition(record: Record, end: float) -> None:
    parts = record.segments
    assert all(part.ended >= part.started for part in parts)
    assert sum((Fraction(part.ended) - Fraction(part.started) for part in parts), Fraction(0)) == Fraction(end) - Fraction(
        record.arrived
    )
    assert all(one.ended == other.started for one, other in pairwise(parts))
    if parts:
        assert (parts[0].started, parts[-1].ended) == (record.arrived, end)


def test_no_answer_then_the_next_agent() -> None:
    record = whole(STORY)
    assert told(record) == [
        ("ivr", 5.0, ""),
        ("waiting", 2.0, ""),
        ("offer", 20.0, "ana"),
        ("waiting", 1.5, ""),
        ("offer", 4.75, "bo"),
        ("talk", 60.0, "bo"),
        ("closing", 0.25, ""),
    ]
    assert [part.outcome for part in record.segments if part.kind is SegmentKind.OFFER] == [
        OfferOutcome.NO_ANSWER,
        OfferOutcome.ANSWERED,
    ]
    assert (record.caller, record.dialled, record.queue, record.agent) == ("0301", "95588", "cards", "bo")
    assert (record.waited, record.talked) == (28.25, 60.0)
    assert (record.arrived, record.ended, record.live) == (100.0, 193.5, False)
    assert (record.outcome, record.ended_by) == (Outcome.ANSWERED, EndedBy.AGENT)
    assert (record.answers, record.data) == ({"what": "cards"}, {"customer": "7"})
    check_partition(record, 193.5)


OVERFLOWED: list[Event] = [
    STORY[0],
    QueueOverflowed(at=101.0, contact=C, queue="cards", to="queue:loans", rule=OverflowWhen.FULL, waited=0.0),
    Queued(at=101.0, contact=C, queue="loans", position=4),
    QueueOverflowed(at=161.0, contact=C, queue="loans", to="hang_up", rule=OverflowWhen.WAITED, waited=60.0),
    ContactEnded(at=165.0, contact=C, outcome=Outcome.OVERFLOWED, ended_by=EndedBy.FLOW),
]


@pytest.mark.parametrize("events", [OVERFLOWED, [*OVERFLOWED, *OVERFLOWED[:4]]])
def test_the_chain_of_queues_stands_in_the_record(events: list[Event]) -> None:
    record = whole(events)
    assert record.overflows == (
        Overflowed(101.0, "cards", OverflowWhen.FULL, "queue:loans", 0.0),
        Overflowed(161.0, "loans", OverflowWhen.WAITED, "hang_up", 60.0),
    )
    assert (record.queue, record.waited) == ("loans", 60.0)
    assert told(record) == [("ivr", 1.0, ""), ("waiting", 60.0, ""), ("closing", 4.0, "")]
    assert [step.text for step in journey(list(enumerate(OVERFLOWED, 1)))][1:4:2] == [
        "does not stay in cards (full) after 0.0 s of waiting: queue loans",
        "does not stay in loans (waited) after 60.0 s of waiting: hang up",
    ]


def test_left_while_the_phone_rings() -> None:
    record = whole([*STORY[:5], ContactEnded(at=110.0, contact=C, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER)])
    assert record.segments[-1].outcome is OfferOutcome.CALLER_LEFT
    assert record.agent == ""
    assert record.waited == 5.0


def test_live_reaches_to_now() -> None:
    record = whole(STORY[:5], now=111.0)
    assert record.live
    assert record.ended is None
    assert record.segments[-1].outcome is None
    check_partition(record, 111.0)


def test_unfinished_stops_at_its_last_event() -> None:
    record = whole(STORY[:6])
    assert not record.live
    assert record.ended is None
    check_partition(record, 127.0)


def test_back_in_the_flow_after_the_queue() -> None:
    again = FlowStep(at=106.0, contact=C, flow="day", node="overflow")
    assert told(whole([*STORY[:4], again], now=109.0)) == [("ivr", 5.0, ""), ("waiting", 1.0, ""), ("ivr", 3.0, "")]


def test_lost_between_answer_and_bridge_waits_on() -> None:
    lost = OfferEnded(at=110.0, contact=C, agent="ana", attempt=1, outcome=OfferOutcome.LOST)
    assert told(whole([*STORY[:5], lost], now=112.0))[-2:] == [("offer", 3.0, "ana"), ("waiting", 2.0, "")]


def test_nothing_is_known() -> None:
    assert fold(C, []) is None


@given(st.permutations(STORY), st.lists(st.sampled_from(STORY), max_size=6))
def test_order_of_telling_and_doubles_change_nothing(events: list[Event], doubled: list[Event]) -> None:
    assert fold(C, [*events, *doubled]) == whole(STORY)


MOMENTS = st.one_of(st.floats(0.0, 1e6), st.floats(1.7e9, 1.9e9))
OFFERS = st.sampled_from(OfferOutcome)


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    at, agent, attempt = draw(MOMENTS), draw(st.sampled_from(["ana", "bo"])), draw(st.integers(1, 3))
    return draw(
        st.sampled_from(
            [
                ContactArrived(at=at, contact=C, pbx="main", leg="l", caller="1", caller_name="", dialled="2"),
                FlowStep(at=at, contact=C, flow="f", node="n"),
                Queued(at=at, contact=C, queue=draw(st.sampled_from("ab")), position=1),
                QueueOverflowed(at=at, contact=C, queue="a", to="queue:b", rule=OverflowWhen.WAITED, waited=9.0),
                Offered(at=at, contact=C, agent=agent, queue="a", attempt=attempt, at_once=draw(st.integers(1, 2))),
                OfferEnded(at=at, contact=C, agent=agent, attempt=attempt, outcome=draw(OFFERS)),
                Answered(at=at, contact=C, agent=agent, queue="a", waited=0.0),
                TalkEnded(at=at, contact=C, agent=agent, ended_by=EndedBy.CALLER),
                ContactEnded(at=at, contact=C, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER),
            ]
        )
    )


@given(st.lists(any_event(), min_size=1, max_size=25), st.one_of(st.none(), MOMENTS))
def test_segments_always_add_up(events: list[Event], now: float | None) -> None:
    record = whole(events, now)
    end = record.ended
    if end is None:
        end = max([record.arrived, now or 0.0, *(event.at for event in events)])
    check_partition(record, end)
    assert record.waited >= 0
    assert record.talked >= 0


def test_several_who_are_rung_at_once() -> None:
    """One stands for all while they ring; when that one is out of it, another of them does."""
    rung = [
        Offered(at=12.0 + number / 1e6, contact=C, agent=agent, queue="q", attempt=number, at_once=3)
        for number, agent in enumerate(("ana", "bo", "chen"), 1)
    ]
    record = whole(
        [
            ContactArrived(at=10.0, contact=C, pbx="main", leg="l", caller="1", caller_name="", dialled="2"),
            Queued(at=11.0, contact=C, queue="q", position=1),
            *rung,
            OfferEnded(at=15.0, contact=C, agent="ana", attempt=1, outcome=OfferOutcome.DECLINED),
            OfferEnded(at=16.0, contact=C, agent="bo", attempt=2, outcome=OfferOutcome.ELSEWHERE),
            OfferEnded(at=16.0, contact=C, agent="chen", attempt=3, outcome=OfferOutcome.ANSWERED),
            Answered(at=16.0, contact=C, agent="chen", queue="q", waited=5.0),
            ContactEnded(at=20.0, contact=C, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER),
        ]
    )
    check_partition(record, 20.0)
    assert [(one.kind.value, one.agent, round(one.seconds, 3), one.outcome) for one in record.segments] == [
        ("ivr", "", 1.0, None),
        ("waiting", "", 1.0, None),
        ("offer", "ana", 3.0, OfferOutcome.DECLINED),
        ("offer", "bo", 1.0, OfferOutcome.ELSEWHERE),
        ("offer", "chen", 0.0, OfferOutcome.ANSWERED),
        ("talk", "chen", 4.0, None),
    ]


def test_journey_reads_like_a_story() -> None:
    steps = journey(reversed(list(enumerate(STORY, start=41))))
    assert [step.seq for step in steps] == list(range(41, 53))
    assert steps[0].text == "0301 calls 95588 on main"
    assert (steps[5].text, steps[5].after) == ("ana does not answer", 27.0)
    assert steps[-1].text == "ends as answered, by the agent"


WHO = {"contact": C, "agent": "ana", "supervision": "s1", "supervisor": "chen"}
LISTEN = SupervisionMode.LISTEN
SUPERVISED: list[tuple[Event, str]] = [
    (
        SupervisionStarted(at=150.0, **WHO, mode=LISTEN, follows="agent", by="crm"),
        "chen begins to supervise the agent (listen)",
    ),
    (SupervisionMoved(at=150.0, **WHO, mode=LISTEN, hears=True), "chen hears it with ana (listen)"),
    (SupervisionMoved(at=150.0, **{**WHO, "agent": ""}, mode=LISTEN, hears=True), "chen hears it (listen)"),
    (SupervisionMoved(at=150.0, **WHO, mode=LISTEN, hears=False), "chen hears nothing of it any more"),
    (SupervisionChanged(at=150.0, **WHO, mode=SupervisionMode.BARGE, by="crm"), "chen changes to barge"),
    (SupervisionEnded(at=150.0, **WHO, how="taken_over"), "the supervision by chen ends (taken over)"),
]


@pytest.mark.parametrize(("event", "text"), SUPERVISED)
def test_who_supervised_is_a_fact_of_the_contact(event: Event, text: str) -> None:
    [step] = journey([(1, event)])
    assert step.text == text
    assert fold(C, [*STORY, event]) == fold(C, STORY)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            AskIgnored(at=1.0, contact=C, queue="sales", what="priority", why="'gold' must be a number"),
            "waits in sales without the priority its flow asks for: 'gold' must be a number",
        ),
        (
            QueueAmended(at=1.0, contact=C, queue="sales", priority=60.0, skills="billing >= 2", by="crm"),
            "has priority 60, asks for billing >= 2 in sales from now, by crm",
        ),
        (
            QueueResumed(at=1.0, contact=C, queue="sales", of="01B", since=0.5),
            "has the place in sales that contact 01B gave up",
        ),
        (
            SessionJoined(at=1.0, contact=C, session="01B", callback="01X"),
            "was to be called back: goes on with session 01B, callback 01X is over",
        ),
        (
            ScreenPopRevoked(at=1.0, contact=C, agent="bo", attempt=2, outcome=OfferOutcome.ELSEWHERE, by="ana"),
            "the screen of bo drops the pop: ana has answered",
        ),
    ],
)
def test_what_happens_in_the_line_has_words(event: Event, text: str) -> None:
    assert journey([(1, event)])[0].text == text


@pytest.mark.parametrize("event", STORY, ids=lambda event: event.kind)
def test_every_step_has_words_of_its_own(event: Event) -> None:
    assert journey([(1, event)])[0].text != event.kind


def outbound(*events: Event) -> Record:
    arrived = ContactArrived(
        at=0.0,
        contact=C,
        agent="ana",
        pbx="main",
        leg="l",
        caller="+49301",
        caller_name="",
        dialled="+49302",
        direction=Direction.OUTBOUND,
    )
    end = ContactEnded(at=20.0, contact=C, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER)
    record = fold(C, [arrived, *events, end])
    assert record is not None
    check_partition(record, 20.0)
    return record


def dialled(at: float, purpose: str = "customer") -> CallDialled:
    return CallDialled(at=at, contact=C, leg="l", number="+49302", trunk="t", caller_id="", purpose=purpose)


@pytest.mark.requirement("F7")
def test_a_customer_who_is_called_first() -> None:
    record = outbound(
        dialled(0.0),
        Offered(at=5.0, contact=C, agent="ana", queue="q", attempt=1),
        Answered(at=9.0, contact=C, agent="ana", queue="q", waited=4.0),
    )
    assert record.direction is Direction.OUTBOUND
    assert [(one.kind, one.seconds) for one in record.segments] == [
        (SegmentKind.DIAL, 5.0),
        (SegmentKind.OFFER, 4.0),
        (SegmentKind.TALK, 11.0),
    ]


@pytest.mark.requirement("F7")
def test_an_agent_who_is_rung_first() -> None:
    record = outbound(
        Offered(at=0.5, contact=C, agent="ana", queue="q", attempt=1),
        OfferEnded(at=3.0, contact=C, agent="ana", attempt=1, outcome=OfferOutcome.ANSWERED),
        dialled(3.0),
        Answered(at=9.0, contact=C, agent="ana", queue="q", waited=0.0),
        dialled(10.0, "consult"),
    )
    kinds = [(one.kind, one.seconds) for one in record.segments]
    assert kinds == [(SegmentKind.OFFER, 3.0), (SegmentKind.DIAL, 6.0), (SegmentKind.TALK, 11.0)]


def test_given_to_somebody_outside() -> None:
    record = outbound(
        Answered(at=1.0, contact=C, agent="ana", queue="q", waited=0.0),
        TalkEnded(at=5.0, contact=C, agent="ana", ended_by=EndedBy.AGENT),
        dialled(5.0, "transfer"),
        OutsideStarted(at=8.0, contact=C, number="+49303"),
        OutsideEnded(at=20.0, contact=C, number="+49303", ended_by=EndedBy.OUTSIDE),
    )
    assert [one.kind for one in record.segments] == [
        SegmentKind.DIAL,
        SegmentKind.TALK,
        SegmentKind.DIAL,
        SegmentKind.OUTSIDE,
    ]


def test_somebody_outside_who_answers_is_no_customer_who_waits() -> None:
    """The customer waited before; between the answer and the first word outside there is a moment."""
    record = outbound(
        Queued(at=1.0, contact=C, queue="q", position=1),
        Answered(at=2.0, contact=C, agent="ana", queue="q", waited=1.0),
        TalkEnded(at=5.0, contact=C, agent="ana", ended_by=EndedBy.AGENT),
        dialled(5.0, "transfer"),
        CallAnswered(at=7.9, contact=C, leg="l", number="+49302"),
        OutsideStarted(at=8.0, contact=C, number="+49302"),
    )
    kinds = [one.kind for one in record.segments]
    assert kinds[-2:] == [SegmentKind.DIAL, SegmentKind.OUTSIDE], kinds


def conference(*events: Event) -> list[tuple[str, str, float]]:
    """A conference from second 5 on, and what follows until second 20."""
    asked = {"contact": C, "agent": "ana", "to": "bo", "attempt": 2}
    record = outbound(
        Answered(at=1.0, contact=C, agent="ana", queue="q", waited=0.0),
        ConsultStarted(at=3.0, **asked),  # type: ignore[arg-type]
        ConferenceStarted(at=5.0, contact=C, agent="ana", to="bo"),
        *events,
    )
    return [(one.kind.value, one.agent, one.seconds) for one in record.segments[3:] if one.seconds]


def test_a_conference_goes_on_while_one_more_is_asked() -> None:
    more = {"contact": C, "agent": "ana", "to": "chen", "attempt": 3}
    assert conference(
        ConsultStarted(at=7.0, **more),  # type: ignore[arg-type]
        ConsultEnded(at=9.0, outcome=OfferOutcome.NO_ANSWER, **more),  # type: ignore[arg-type]
        ConsultStarted(at=10.0, **more),  # type: ignore[arg-type]
        ConferenceJoined(at=12.0, contact=C, agent="ana", to="chen"),
        ConferenceLeft(at=13.0, contact=C, agent="ana", party=Party.CONSULTED, who="bo"),
        ConferenceEnded(at=15.0, contact=C, agent="ana", left=Party.CONSULTED),
    ) == [("conference", "ana", 10.0), ("talk", "ana", 5.0)]


def test_the_others_leave_a_conference_while_one_more_is_asked() -> None:
    more = {"contact": C, "agent": "ana", "to": "chen", "attempt": 3}
    assert conference(
        ConsultStarted(at=7.0, **more),  # type: ignore[arg-type]
        ConferenceEnded(at=10.0, contact=C, agent="ana", left=Party.CONSULTED, held=True),
        ConsultEnded(at=12.0, outcome=OfferOutcome.NO_ANSWER, **more),  # type: ignore[arg-type]
    ) == [("conference", "ana", 5.0), ("consult", "ana", 2.0), ("hold", "ana", 8.0)]


def test_another_agent_leads_a_conference() -> None:
    assert conference(
        ConferenceLeft(at=8.0, contact=C, agent="ana", party=Party.AGENT, who="ana"),
        Answered(at=8.0, contact=C, agent="bo", queue="q", waited=0.0),
        TalkEnded(at=8.0, contact=C, agent="ana", ended_by=EndedBy.AGENT),
        ConferenceStarted(at=8.0, contact=C, agent="bo", to="chen"),
    ) == [("conference", "ana", 3.0), ("conference", "bo", 12.0)]


def test_of_several_outside_the_last_one_ends_it() -> None:
    assert conference(
        TalkEnded(at=8.0, contact=C, agent="ana", ended_by=EndedBy.AGENT),
        *(OutsideStarted(at=8.0, contact=C, number=number) for number in ("+49303", "+49304")),
        OutsideEnded(at=10.0, contact=C, number="+49303", ended_by=EndedBy.OUTSIDE),
        OutsideStarted(at=10.0, contact=C, number="+49304"),
        OutsideEnded(at=15.0, contact=C, number="+49304", ended_by=EndedBy.OUTSIDE),
    ) == [("conference", "ana", 3.0), ("outside", "", 7.0), ("closing", "", 5.0)]


@pytest.mark.parametrize("outcome", DialOutcome)
def test_why_a_call_failed_has_words(outcome: DialOutcome) -> None:
    failed = CallFailed(at=1.0, contact=C, leg="l", number="+49302", outcome=outcome, cause=17)
    assert journey([(1, failed)])[0].text.startswith("+49302 ")


def test_a_fax_is_a_stretch_of_the_talk() -> None:
    talk = STORY[:-2]
    faxed = [
        FaxStarted(at=140.0, contact=C, agent="bo", operation="send", document="d", pages=2),
        FaxEnded(at=160.0, contact=C, agent="bo", operation="send", document="d", outcome=FaxOutcome.DONE, pages=2),
        FaxReceived(at=160.0, contact=C, agent="bo", fax="f", box="", pages=1),
    ]
    assert told(whole([*talk, *faxed, *STORY[-2:]]))[-4:] == [
        ("talk", 6.75, "bo"),
        ("fax", 20.0, "bo"),
        ("talk", 33.25, "bo"),
        ("closing", 0.25, ""),
    ]
    left = TalkEnded(at=150.0, contact=C, agent="bo", ended_by=EndedBy.AGENT)
    waits = Queued(at=160.0, contact=C, queue="cards", position=1)
    alone = whole([*talk, faxed[0], left, faxed[1], waits, STORY[-1]])
    assert told(alone)[-4:] == [("talk", 6.75, "bo"), ("fax", 10.0, "bo"), ("fax", 10.0, ""), ("waiting", 33.5, "")]


def test_a_fax_in_a_flow() -> None:
    faxed = [
        FaxStarted(at=101.0, contact=C, operation="receive"),
        FaxEnded(at=103.0, contact=C, operation="receive", outcome=FaxOutcome.DONE, pages=1),
    ]
    assert told(whole([*STORY[:2], *faxed, *STORY[2:]]))[:3] == [("ivr", 1.0, ""), ("fax", 2.0, ""), ("ivr", 2.0, "")]


# What belongs to a contact beside the segments of its time


def test_nodes_offers_and_wrap_ups() -> None:
    after = [
        AgentChanged(at=193.25, contact=C, agent="bo", state=AgentState.WRAP_UP),
        AgentChanged(at=199.0, contact=C, agent="bo", state=AgentState.WRAP_UP, disposition="sold"),
    ]
    menu = FlowStep(at=102.0, contact=C, flow="day", node="menu")
    ends = WrapUpEnded(at=213.25, contact=C, agent="bo", queue="cards", started=193.25)
    record = whole([*STORY, menu, *after, ends])
    assert record.nodes == (NodeVisit("day", "greet", 100.1, 102.0), NodeVisit("day", "menu", 102.0, 105.0))
    assert record.offers == (
        OfferMade("ana", "cards", 1, 107.0, 127.0, OfferOutcome.NO_ANSWER),
        OfferMade("bo", "cards", 2, 128.5, 133.0, OfferOutcome.ANSWERED),
    )
    assert record.wrap_ups == (WrappedUp("bo", "cards", 193.25, 213.25),)
    assert whole([*STORY, *after]).wrap_ups == (WrappedUp("bo", "", 193.25, None),), "it goes on"
    check_partition(record, 193.5)


def test_of_agents_rung_at_once_each_has_an_offer() -> None:
    rung = [
        Offered(at=107.0, contact=C, agent=agent, queue="cards", attempt=attempt, at_once=3)
        for attempt, agent in enumerate(("ana", "bo", "cy"), 1)
    ]
    events = [
        *STORY[:4],
        *rung,
        OfferEnded(at=110.0, contact=C, agent="ana", attempt=1, outcome=OfferOutcome.DECLINED),
        OfferEnded(at=112.0, contact=C, agent="bo", attempt=2, outcome=OfferOutcome.ANSWERED),
        OfferEnded(at=112.0, contact=C, agent="cy", attempt=3, outcome=OfferOutcome.ELSEWHERE),
        Answered(at=112.5, contact=C, agent="bo", queue="cards", waited=7.5),
        TalkEnded(at=120.0, contact=C, agent="bo", ended_by=EndedBy.CALLER),
        ContactEnded(at=120.0, contact=C, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER),
    ]
    record = whole(events)
    assert [(one.agent, one.started, one.ended, one.outcome and one.outcome.value) for one in record.offers] == [
        ("ana", 107.0, 110.0, "declined"),
        ("bo", 107.0, 112.0, "answered"),
        ("cy", 107.0, 112.0, "answered_elsewhere"),
    ]
    check_partition(record, 120.0)


def test_a_node_ends_where_the_customer_leaves_the_flow() -> None:
    """Into a queue and back by a key, and when the caller hangs up."""
    events = [
        STORY[0],
        FlowStep(at=100.5, contact=C, flow="day", node="line"),
        Queued(at=100.5, contact=C, queue="cards", position=1),
        QueueLeft(at=110.0, contact=C, queue="cards", waited=9.5),
        FlowStep(at=110.0, contact=C, flow="day", node="other"),
        ContactEnded(at=115.0, contact=C, outcome=Outcome.ABANDONED_IN_IVR, ended_by=EndedBy.CALLER),
    ]
    assert whole(events).nodes == (NodeVisit("day", "line", 100.5, 100.5), NodeVisit("day", "other", 110.0, 115.0))


@given(st.permutations(STORY), st.lists(st.sampled_from(STORY), max_size=5))
def test_what_belongs_to_it_does_not_depend_on_order_or_doubles(events: list[Event], doubled: list[Event]) -> None:
    record, right = whole([*events, *doubled]), whole(STORY)
    assert (record.nodes, record.offers, record.wrap_ups) == (right.nodes, right.offers, right.wrap_ups)
    end = record.ended
    assert end is not None
    for node in record.nodes:
        assert record.arrived <= node.started <= node.ended <= end
    for offer in record.offers:
        assert offer.outcome is not None
        assert offer.ended is not None
        assert offer.started <= offer.ended <= end


def called_back(*events: Event) -> Record:
    """A caller is called back at second 10; what happens until second 60."""
    outwards = {"pbx": "main", "leg": "l", "caller": "+4930", "caller_name": "", "dialled": "+49301"}
    came = ContactArrived(
        at=0.0, contact=C, direction=Direction.OUTBOUND, channel=Channel.CALLBACK, session="01A", callback="01K", **outwards
    )
    waits = Queued(at=0.0, contact=C, queue="cards", position=1, since=-300.0, channel=Channel.CALLBACK)
    dialled = {"leg": "l", "number": "+49301", "trunk": "out", "caller_id": "", "purpose": "customer", "queue": "cards"}
    ended = ContactEnded(at=60.0, contact=C, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER)
    record = fold(C, [came, waits, CallDialled(at=10.0, contact=C, **dialled), *events, ended])
    assert record is not None
    assert sum(Fraction(part.ended) - Fraction(part.started) for part in record.segments) == 60
    return record


def test_a_callback_whose_customer_is_not_reached_has_the_dial_with_its_cause() -> None:
    failed = CallFailed(at=35.0, contact=C, leg="l", number="+49301", outcome=DialOutcome.NO_ANSWER, cause=19)
    record = called_back(failed)
    assert [(part.kind.value, part.seconds) for part in record.segments] == [("waiting", 10.0), ("dial", 50.0)]
    assert record.dials == (Dial("+49301", "out", "customer", 10.0, 35.0, DialOutcome.NO_ANSWER, 19),)
    assert (record.session, record.callback, record.channel) == ("01A", "01K", Channel.CALLBACK)
    assert called_back().dials == (Dial("+49301", "out", "customer", 10.0, 60.0, DialOutcome.CANCELLED),)


def test_who_is_called_back_before_an_agent_is_free_waits_in_line_from_the_answer() -> None:
    answers = CallAnswered(at=20.0, contact=C, leg="l", number="+49301")
    offered = Offered(at=24.0, contact=C, agent="ana", queue="cards", attempt=1)
    talks = Answered(at=26.0, contact=C, agent="ana", queue="cards", waited=326.0)
    record = called_back(answers, offered, talks)
    assert [(part.kind.value, part.seconds) for part in record.segments] == [
        ("waiting", 10.0),
        ("dial", 10.0),
        ("waiting", 4.0),
        ("offer", 2.0),
        ("talk", 34.0),
    ]
    assert (record.waited, record.dials[0].outcome) == (16.0, DialOutcome.ANSWERED)


def test_who_is_called_back_for_an_agent_who_waits_does_not_wait() -> None:
    offered = Offered(at=5.0, contact=C, agent="ana", queue="cards", attempt=1)
    rung = OfferEnded(at=8.0, contact=C, agent="ana", attempt=1, outcome=OfferOutcome.ANSWERED)
    answers = CallAnswered(at=20.0, contact=C, leg="l", number="+49301")
    talks = Answered(at=20.5, contact=C, agent="ana", queue="cards", waited=320.5)
    record = called_back(offered, rung, answers, talks)
    assert told(record) == [("waiting", 5.0, ""), ("offer", 5.0, "ana"), ("dial", 10.5, "ana"), ("talk", 39.5, "ana")]


def test_a_stored_record_is_completed_by_its_events() -> None:
    whole_story = called_back(CallAnswered(at=20.0, contact=C, leg="l", number="+49301"))
    arrived = ContactArrived(
        at=0.0, contact=C, pbx="", leg="l", caller="", caller_name="", dialled="", session="01A", callback="01K"
    )
    number = {"leg": "l", "number": "+49301"}
    dialled = CallDialled(at=10.0, contact=C, trunk="out", caller_id="", purpose="customer", **number)
    stored = evolve(whole_story, session="", callback="", dials=())
    assert completed(stored, [arrived, dialled, CallAnswered(at=20.0, contact=C, **number)]) == whole_story
    assert completed(stored, []) == stored


ASKED = CallbackAsked(
    at=0.0, contact=C, callback="01K", queue="cards", number="+49301", source=CallbackSource.ASKED, session=C, due=60.0,
    expires=9e4, since=1.0, reason="card", agent="ana",
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            ASKED,
            "is to be called back by ana for cards from 1970-01-01 00:01:00 UTC (callback 01K): the caller asks for it, "
            "and keeps the place, about card",
        ),
        (
            evolve(ASKED, since=0.0, reason="", agent="", source=CallbackSource.REQUESTED, by="crm"),
            "is to be called back for cards from 1970-01-01 00:01:00 UTC (callback 01K): somebody requests it, asked by crm",
        ),
        (
            CallbackBegun(at=0.0, contact=C, callback="01K", queue="cards", attempt=2, agent="ana"),
            "attempt 2 of callback 01K begins, for ana alone at first",
        ),
        (
            CallbackSettled(at=0.0, callback="01K", queue="q", outcome=Outcome.NO_ANSWER, dialled=True, due=60.0, cause=19),
            "callback 01K is tried again at 1970-01-01 00:01:00 UTC: no answer (cause 19)",
        ),
        (
            CallbackSettled(at=0.0, callback="01K", queue="q", outcome=Outcome.CANCELLED, dialled=False, due=60.0),
            "callback 01K is tried again at 1970-01-01 00:01:00 UTC: it was not dialled",
        ),
        (
            CallbackChanged(at=0.0, callback="01K", queue="cards", due=60.0, expires=9e4, agent="bo", by="desk"),
            "callback 01K is due at 1970-01-01 00:01:00 UTC by bo for cards now, by desk",
        ),
        (
            CallbackLate(at=0.0, callback="01K", queue="cards", due=60.0),
            "callback 01K is late: it was due at 1970-01-01 00:01:00 UTC, and is everybody's now",
        ),
        (
            CallbackEnded(
                at=0.0, callback="01K", queue="q", source=CallbackSource.ASKED, state=CallbackState.EXHAUSTED, attempts=4,
                created=0.0, why="4 attempts, the last one: busy",
            ),
            "callback 01K is over, there are no more attempts: 4 attempts, the last one: busy",
        ),
        (
            Queued(at=90.0, contact=C, queue="cards", position=1, since=30.0, channel=Channel.CALLBACK),
            "is in the line of cards at place 1, as one who waits for 60 s",
        ),
    ],
)  # fmt: skip
def test_the_steps_of_a_callback_have_words(event: Event, text: str) -> None:
    assert journey([(1, event)])[0].text == text


def test_every_source_and_end_of_a_callback_has_words() -> None:
    ended = CallbackEnded(
        at=0.0, callback="k", queue="q", source=CallbackSource.ASKED, state=CallbackState.MET, attempts=0, created=0.0
    )
    ends = [evolve(ended, state=state) for state in CallbackState if state not in OPEN]
    told_of = journey([*enumerate([*(evolve(ASKED, source=source) for source in CallbackSource), *ends])])
    assert len({step.text for step in told_of}) == len(told_of)
