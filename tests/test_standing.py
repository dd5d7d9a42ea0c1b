"""What stands open: the same from all events and from the few that are carried, and what Staff itself holds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from easycall.acd.agent import BUSY
from easycall.acd.staff import Staff
from easycall.acd.wrapup import WrapUpRules
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    FlowStep,
    PbxUp,
)
from easycall.model import Agent, AgentState, EndedBy, OfferOutcome, Outcome, PhoneState
from easycall.policy import Channel
from easycall.stats.standing import AgentStands, Numbered, Standing
from easycall.verbs import NotNow
from tests.acd import QUEUES, Notes
from tests.test_record import STORY, C

CONTACTS = st.sampled_from(["a", "b", "c", "d"])
WORK = st.dictionaries(CONTACTS, st.just(Channel.CHAT), max_size=2)
CHANGES = st.builds(
    lambda state, contact, agent, work: AgentChanged(
        at=0, state=state, contact=contact if state in (*BUSY, AgentState.WRAP_UP) else "", agent=agent, work=work
    ),
    st.sampled_from(AgentState),
    CONTACTS,
    st.sampled_from(["ana", "bo"]),
    WORK,
)
OTHERS = st.one_of(
    CONTACTS.map(lambda one: ContactArrived(at=0, contact=one, pbx="", leg="", caller="", caller_name="", dialled="")),
    CONTACTS.map(lambda one: ContactEnded(at=0, contact=one, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER)),
    CONTACTS.map(lambda one: FlowStep(at=0, contact=one, flow="f", node="n")),
    CONTACTS.map(lambda one: Answered(at=0, contact=one, queue="q", waited=0)),
    st.just(PbxUp(at=0, pbx="main")),
    st.just(AgentAssigned(at=0, agent="ana", queues=(), serves=())),
)


def numbered(events: list[Event]) -> list[Numbered]:
    return [(seq, evolve(event, at=float(seq))) for seq, event in enumerate(events, 1)]


STORIES = st.lists(CHANGES | OTHERS, max_size=60).map(numbered)


def lives(*steps: tuple[AgentState, str]) -> list[Numbered]:
    """One agent: states, and the contacts without a call in each."""
    return numbered(
        [AgentChanged(at=0, agent="ana", state=state, work=dict.fromkeys(work, Channel.CHAT)) for state, work in steps]
    )


def said(standing: Standing) -> Any:
    agents = {agent: (one.latest, one.since, one.idle_since, one.assigned) for agent, one in standing.agents.items()}
    return list(standing.stories.items()), agents, standing.at


@given(STORIES, st.data())
def test_what_is_carried_says_the_same_now_and_after_whatever_follows(events: list[Numbered], data: st.DataObject) -> None:
    splits = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=3)))
    carried: list[Numbered] = []
    done = 0
    for split in [*splits, len(events)]:
        carried = list(Standing.of([*carried, *events[done:split]], 5).carried())
        done = split
        assert said(Standing.of(carried, 5)) == said(Standing.of(events[:split], 5))


NOT_READY, READY, RESERVED = AgentState.NOT_READY, AgentState.READY, AgentState.RESERVED
BACK = lives((NOT_READY, ""), (NOT_READY, "a"), (RESERVED, "a"), (READY, "a"), (RESERVED, "a"))
"""Was ready only between two contacts: not idle since then."""
AGAIN = lives((READY, "a"), (READY, ""), (READY, "a"), (READY, "a"))
"""Was given the same contact twice: idle since the second time."""


@given(STORIES)
@example(BACK)
@example(AGAIN)
def test_the_order_and_repetition_of_what_is_carried_do_not_matter(events: list[Numbered]) -> None:
    carried = list(Standing.of(events).carried())
    assert said(Standing.of([*reversed(carried), *carried])) == said(Standing.of(events))


@given(STORIES, STORIES)
def test_what_is_told_while_it_is_carried_does_not_disturb(events: list[Numbered], more: list[Numbered]) -> None:
    standing = Standing.of(events)
    before, carried = said(standing.copy()), standing.carried()
    for seq, event in more:
        standing.take(seq + len(events), event)
    assert said(Standing.of(carried)) == before


@given(STORIES)
def test_an_agent_is_carried_by_few_events(events: list[Numbered]) -> None:
    assert all(len(set(dict(one.trail))) <= 7 for one in Standing.of(events).agents.values())


def test_a_contact_stands_open_until_it_ends() -> None:
    story = list(enumerate(STORY, 1))
    assert Standing.of(story[:-1]).stories == {C: story[:-1]}
    assert Standing.of(story).stories == {}
    assert Standing.of(story).at == STORY[-1].at
    assert Standing.of([]).at == 0


# As Staff holds it

STEPS = ["in", "out", "ready", "not_ready", "reserve", "own", "ring", "talk", "hold", "retrieve", "part", "refuse", "lose"]
STEPS += ["supervise", "supervised", "take over", "work", "no work", "phone away", "phone back", "desktop", "assign"]


class Floor:
    """Two agents to whom things happen, those that cannot be left out."""

    def __init__(self) -> None:
        self.clock, self.notes = Clock(), Notes()
        agents = [Agent(one, one, ("sales",), ("sales",), f"20{one}") for one in ("ana", "bo")]
        self.staff = Staff(agents, QUEUES, self.clock, self.notes)
        self.held: dict[str, Any] = {}

    def happens(self, agent: str, what: str) -> None:
        with suppress(NotNow, KeyError):
            self._do(agent, what)
        self.clock.advance(1.0)

    def _do(self, agent: str, what: str) -> None:
        staff = self.staff
        match what:
            case "in":
                staff.log_in(agent)
            case "out":
                staff.log_out(agent)
            case "ready" | "not_ready":
                staff.set_state(agent, AgentState(what))
            case "reserve" | "own":
                self.held[agent] = staff.reserve(agent, "c", 1, own_wish=what == "own")
            case "ring":
                self.held[agent].rings()
            case "talk":
                self.held[agent].talks("sales")
            case "hold":
                self.held[agent].holds()
            case "retrieve":
                self.held[agent].retrieves()
            case "part":
                self.held[agent].parted(WrapUpRules(seconds=3.0))
            case "refuse" | "lose":
                self.held[agent].ended(OfferOutcome.DECLINED if what == "refuse" else OfferOutcome.UNREACHABLE)
            case "supervise":
                staff.supervise(agent)
            case "supervised":
                staff.supervised(agent)
            case "take over":
                self.held[agent] = staff.takes_over(agent, "c", 1)
            case "work":
                staff.desk_work.begin(agent, f"w{self.clock.seconds()}", Channel.CHAT)
            case "no work":
                staff.desk_work.end(agent, next(iter(staff.agents[agent].work), ""))
            case "phone away" | "phone back":
                staff.phone_is("main", f"20{agent}", PhoneState.IDLE if what == "phone back" else PhoneState.UNREACHABLE)
            case "desktop":
                if staff.agents[agent].desktop_lost or not staff.agents[agent].desktop:
                    staff.desktop_came(agent)
                else:
                    staff.desktop_lost(agent)
            case "assign":
                staff.assign(agent, ("sales",), (), {"x": 1}, "")


LIVES = st.lists(st.tuples(st.sampled_from(["ana", "bo"]), st.sampled_from(STEPS)), max_size=80)


@given(LIVES)
def test_it_says_of_agents_what_staff_holds(life: list[tuple[str, str]]) -> None:
    floor = Floor()
    floor.clock.advance(1000.0)
    for agent, what in [("ana", "in"), ("ana", "ready"), *life]:
        floor.happens(agent, what)
    events: list[Numbered] = list(enumerate(floor.notes.events, 1))
    standing = Standing.of(Standing.of(events).carried())
    for agent in floor.staff.agents.values():
        stands = standing.agents.get(agent.id, AgentStands())
        assert (stands.state, stands.since, stands.idle_since) == (agent.state, agent.since, agent.idle_since)
    floor.staff.stop()
