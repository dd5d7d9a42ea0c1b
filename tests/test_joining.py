"""How a contact joins a queue: what it asks for, whose it is, and the place of a call that broke off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from easycall.acd.asking import MOST_PRIORITY, read_priority, wanted
from easycall.acd.last_agents import LOOK_UP_SECONDS, REST_SECONDS, LastAgents
from easycall.acd.numbers import known_number
from easycall.acd.redials import Abandoned, Redials
from easycall.config import DialingSettings
from easycall.defer import start
from easycall.events import (
    Answered,
    AskIgnored,
    ContactArrived,
    ContactEnded,
    Event,
    FlowStep,
    Offered,
    QueueAmended,
    Queued,
    QueueLeft,
    QueueResumed,
)
from easycall.ivr.lint import lint
from easycall.ivr.nodes import Asks, Choice, Flow, FlowError, MenuNode, QueueNode
from easycall.ivr.prompt import parse_prompt
from easycall.ivr.source import parse
from easycall.ivr.values import parse_text
from easycall.model import AgentState, Direction, EndedBy, LastTalk, Outcome, Queue, Stage
from easycall.policy import Asked
from easycall.ports import StoreUnavailable
from easycall.skills import ANYBODY
from easycall.skills import parse as skills
from easycall.stats.record import fold
from easycall.verbs import Amend, AttachData, NotNow, ToQueue

from .clocks import clock_at
from .contact_world import FLOWS, World, check
from .fakes_ports import FakeChannel
from .test_talk import Stage as Scene
from .virtual import opened


def asks(**texts: str) -> Asks:
    return Asks(**{name: parse_text(text) for name, text in texts.items()})


def asking(**texts: str) -> Flow:
    """A flow that asks for something in the queue ``sales``."""
    return Flow("asking", "line", {"line": QueueNode("sales", asks=asks(**texts))})


CHOOSES = Flow(
    "asking",
    "menu",
    {
        "menu": MenuNode((parse_prompt("sound:menu"),), {"1": Choice("chinese", "line", "zh")}, otherwise="line"),
        "line": QueueNode("sales", asks=asks(skills="lang:{language}", priority="120")),
    },
)


def over(world: World) -> None:
    """Everybody who is there is hung up on."""
    for contact in list(world.contacts.live):
        world.contacts.hang_up(contact)
    world.run()
    check(world)


def joins(world: World, dialled: str = "sales", leg: str = "c1", **more: Any) -> FakeChannel:
    """A caller who comes in and is in line."""
    before = len(world.notes.of(Queued))
    channel = world.caller(dialled, leg, **more)
    world.until(lambda: len(world.notes.of(Queued)) > before)
    return channel


class TestAsking:
    @given(st.text(max_size=30), st.text(max_size=12), st.text(max_size=8))
    def test_whatever_a_flow_says_is_understood_or_told(self, expression: str, priority: str, owner: str) -> None:
        found = wanted(Asked(expression, priority, owner), {"ana"})
        faults = dict(found.faults)
        assert found.requires == ANYBODY or "skills" not in faults
        assert ("priority" in faults) <= (found.priority is None)
        assert found.priority is None or abs(found.priority) <= MOST_PRIORITY
        assert found.owner in ("", "ana")
        assert ("owner" in faults) == (owner.strip() not in ("", "ana"))

    def test_it_is_read(self) -> None:
        found = wanted(Asked("billing >= 2 and lang:zh", "-12.5", "ana"), {"ana"})
        assert (found.requires, found.priority, found.owner) == (skills("lang:zh and billing >= 2"), -12.5, "ana")
        assert not found.faults
        assert wanted(Asked(), ()).priority is None

    @pytest.mark.parametrize("text", ["gold", "1e3", "nan", "86401", "12s", "--1"])
    def test_a_priority_is_seconds(self, text: str) -> None:
        with pytest.raises(ValueError, match="must be a number of seconds"):
            read_priority(text)

    NODE = """
start: line
nodes:
  line:
    queue: sales
    skills: {}
    priority: {}
"""

    def test_a_flow_file_says_it(self) -> None:
        flow = parse(self.NODE.format("billing >= 2 and lang:{language}", "120"), "asking")
        assert flow.nodes["line"] == QueueNode("sales", asks=asks(skills="billing >= 2 and lang:{language}", priority="120"))
        assert lint(flow, ("sales",), ()) == []

    @pytest.mark.parametrize(
        ("expression", "priority", "expected"),
        [
            ("billing > 2", "1", "asking.yaml:6: line.skills: column 9: '>' is not understood: write \">=\" and a level"),
            ("billing and lang:{language} {caller}", "1", "asking.yaml:6: line.skills: column"),
            ("billing", "soon", "asking.yaml:7: line.priority: 'soon' must be a number of seconds"),
            ("billing", "{caller} s", "asking.yaml:7: line.priority: "),
        ],
    )
    def test_what_cannot_be_read_is_refused_before_anybody_calls(
        self, expression: str, priority: str, expected: str
    ) -> None:
        with pytest.raises(FlowError) as refused:
            parse(self.NODE.format(expression, f'"{priority}"'), "asking")
        assert expected in str(refused.value)

    def test_lint_knows_the_values(self) -> None:
        flow = parse(self.NODE.format("lang:{tongue}", "1"), "asking")
        assert [fault.message for fault in lint(flow, ("sales",), ())] == [
            "there is no value 'tongue'; known: caller, contact, dialled, language"
        ]

    def test_a_secret_is_no_priority(self) -> None:
        text = """
start: ask
nodes:
  ask: {collect: Your number., name: number, digits: 4, secret: yes, next: line, otherwise: line2}
  line: {queue: sales, priority: "{number}"}
  line2: {queue: sales}
"""
        faults = [fault.message for fault in lint(parse(text, "asking"), ("sales",), ())]
        assert "priority: the value 'number' is secret" in faults


class TestInTheQueue:
    def test_the_skill_of_the_language_chosen_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FLOWS, "asking", CHOOSES)
        world = World({"ana": ("sales",), "bo": ("sales",)})
        world.distributor.staff.assign("bo", ("sales",), ("sales",), {"lang:zh": 1})
        joins(world, "asking", keys=["1"])
        world.until(world.has(Answered))
        [queued] = world.notes.of(Queued)
        assert (queued.skills, queued.offset) == ("lang:zh", 120.0)
        assert [one.agent for one in world.notes.of(Offered)] == ["bo"]
        over(world)

    def test_who_asks_for_more_priority_is_served_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FLOWS, "asking", asking(priority="60"))
        world = World({"ana": ("sales",)})
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        joins(world, "sales", "c1")
        world.clock.advance(59)
        joins(world, "asking", "c2")
        assert world.distributor.position("k001") == 1
        world.distributor.staff.set_state("ana", AgentState.READY)
        world.until(world.has(Answered))
        assert world.notes.of(Answered)[0].contact == "k001"
        over(world)

    def test_a_bad_value_costs_the_wish_and_not_the_caller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FLOWS, "asking", asking(skills="lang:{language}", priority="{caller}", owner="{caller}"))
        world = World({"ana": ("sales",)})
        joins(world, "asking")
        world.until(world.has(Answered))
        ignored = {one.what: one.why for one in world.notes.of(AskIgnored)}
        assert ignored["skills"] == "skill 'lang:': something is missing behind the colon"
        assert ignored.keys() == {"skills", "priority", "owner"}
        assert "'+4930' must be a number of seconds" in ignored["priority"]
        assert ignored["owner"] == "there is no agent '+4930'"
        over(world)

    def test_the_priority_goes_with_the_contact_and_the_skills_do_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        flow = Flow(
            "asking",
            "line",
            {
                "line": QueueNode("sales", {"1": Choice("other", "other")}, asks(skills="billing", priority="60")),
                "other": QueueNode("support"),
            },
        )
        monkeypatch.setitem(FLOWS, "asking", flow)
        world = World({"ana": ("sales",)})
        joins(world, "asking", keys=["1"])
        world.until(world.has(QueueLeft))
        world.until(lambda: len(world.notes.of(Queued)) == 2)
        assert [(one.queue, one.skills, one.offset) for one in world.notes.of(Queued)] == [
            ("sales", "billing", 60.0),
            ("support", "", 60.0),
        ]
        over(world)

    def test_the_owner_alone_has_the_contact_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FLOWS, "asking", asking(owner="bo"))
        world = World({"ana": ("sales",), "bo": ("sales",)}, owner_seconds=12.0)
        world.distributor.staff.set_state("bo", AgentState.NOT_READY)
        joins(world, "asking")
        world.until(world.has(Answered))
        [queued], [offered] = world.notes.of(Queued), world.notes.of(Offered)
        assert (queued.owner, queued.owner_until - queued.at) == ("bo", 12.0)
        assert (offered.agent, offered.at - queued.at) == ("ana", 12.0)
        over(world)

    def test_attached_data_names_the_owner(self) -> None:
        world = World({"ana": ("sales",), "bo": ("sales",)})
        caller = world.caller("95588")
        world.contact.data["owner"] = "bo"
        caller.keys.append("1")
        world.until(world.has(Offered))
        assert world.notes.of(Offered)[0].agent == "bo"
        over(world)

    @pytest.mark.parametrize("queues", [(), ("support",)])
    def test_nobody_waits_for_an_owner_who_does_not_serve_the_queue(
        self, queues: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(FLOWS, "asking", asking(owner="bo"))
        world = World({"ana": ("sales",), "bo": queues})
        if not queues:
            world.distributor.staff.log_out("bo")
        joins(world, "asking")
        assert [one.agent for one in world.notes.of(Offered)] == ["ana"]
        over(world)

    def test_an_owner_who_gives_the_contact_away_is_not_waited_for(self) -> None:
        with opened() as database:
            stage = Scene(database)
            stage.talk("bo")
            assert stage.ask(AttachData({"owner": "ana"})) == {}
            assert stage.ask(ToQueue("sales")) == {}
            assert stage.state("bo") == "ringing"
            stage.pass_(1)
            assert stage.ask(AttachData({"owner": "chen"})) == {}
            stage.ready("chen")
            assert stage.ask(ToQueue("sales")) == {}
            assert stage.state("chen") == "ringing"
            stage.close()


class TestAmend:
    def waiting(self) -> World:
        world = World({"ana": ("sales",)})
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        for leg in ("c1", "c2"):
            joins(world, "sales", leg)
            world.clock.advance(10)
        return world

    def test_another_priority_counts_at_once(self) -> None:
        world = self.waiting()
        done: list[Any] = []
        world.contacts.ask("k001", Amend(30.0, None, "office")).addCallback(done.append)
        assert done
        assert world.distributor.position("k001") == 1
        [told] = world.notes.of(QueueAmended)
        assert (told.contact, told.priority, told.skills, told.by) == ("k001", 30.0, "", "office")
        assert world.contacts.live["k001"].priority == 30.0
        over(world)

    def test_skills_that_are_not_asked_for_any_more_make_a_pair(self) -> None:
        world = self.waiting()
        world.contacts.ask("k000", Amend(None, skills("billing"), "office"))
        world.contacts.ask("k001", Amend(None, skills("billing"), "office"))
        world.distributor.staff.set_state("ana", AgentState.READY)
        assert not world.notes.of(Offered)
        world.contacts.ask("k001", Amend(None, ANYBODY, "office"))
        assert [one.contact for one in world.notes.of(Offered)] == ["k001"]
        over(world)

    def test_while_a_phone_rings_it_counts_for_the_place(self) -> None:
        world = self.waiting()
        world.distributor.staff.set_state("ana", AgentState.READY)
        world.until(lambda: world.contacts.live["k000"].stage is Stage.OFFERED)
        world.contacts.ask("k000", Amend(-60.0, None, "office"))
        assert world.distributor.position("k000") == 2
        over(world)

    def test_a_contact_that_does_not_wait_is_told_so(self) -> None:
        world = World()
        world.caller("95588")
        world.until(world.has(FlowStep))
        refused: list[Any] = []
        world.contacts.ask("k000", Amend(1.0, None, "office")).addErrback(refused.append)
        [why] = refused
        assert why.check(NotNow)
        assert why.getErrorMessage() == "the contact waits in no queue: it is ivr"
        over(world)


def talk(at: float, agent: str, number: str, queue: str = "sales", contact: str = "c") -> list[Any]:
    arrived = ContactArrived(at=at, contact=contact, pbx="main", leg="l", caller=number, caller_name="", dialled="1")
    answered = Answered(at=at, contact=contact, agent=agent, queue=queue, waited=0.0)
    return [arrived, answered, ContactEnded(at=at, contact=contact, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER)]


class History:
    """A database that answers as a test says."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def last_talk(self, number: str, queue: str, since: float) -> LastTalk | None:
        self.asked.append((number, queue))
        found = self.answer()
        return await found if isinstance(found, Deferred) else found


class TestLastAgents:
    def now_of(self, agents: LastAgents, number: str, queue: str = "sales", days: float = 7.0) -> str:
        [found] = self.asked(agents, number, queue, days)
        return found

    def asked(self, agents: LastAgents, number: str, queue: str = "sales", days: float = 7.0) -> list[str]:
        found: list[str] = []
        start(agents.of(number, queue, days)).addCallback(found.append)
        return found

    def test_it_learns_from_the_journal(self) -> None:
        clock = clock_at()
        agents = LastAgents(None, str, clock)
        now = clock.seconds()
        for event in [
            *talk(now, "ana", "+49301"),
            *talk(now + 1, "bo", "+49301", "support"),
            *talk(now + 2, "cy", "+49302"),
        ]:
            agents.take(0, event)
        assert [self.now_of(agents, "+49301", queue) for queue in ("sales", "support", "")] == ["ana", "bo", "bo"]
        assert (self.now_of(agents, "+49302"), self.now_of(agents, "+49303"), self.now_of(agents, "")) == ("cy", "", "")
        clock.advance(7 * 86_400)
        assert self.now_of(agents, "+49301") == ""

    def test_what_was_before_the_start_is_looked_up_once(self) -> None:
        clock = clock_at()
        history = History(lambda: LastTalk(clock.seconds() - 60, "ana", "sales"))
        agents = LastAgents(history, str, clock)
        assert [self.now_of(agents, "+49301") for _ in range(3)] == ["ana"] * 3
        history.answer = lambda: None
        assert [self.now_of(agents, "+49302") for _ in range(3)] == [""] * 3
        assert history.asked == [("+49301", "sales"), ("+49302", "sales")]

    def test_a_caller_waits_a_moment_for_the_database_and_no_longer(self) -> None:
        clock = clock_at()
        history = History(Deferred)
        agents = LastAgents(history, str, clock)
        found = self.asked(agents, "+49301")
        clock.advance(LOOK_UP_SECONDS - 0.01)
        assert not found
        clock.advance(0.02)
        assert found == [""]
        assert self.now_of(agents, "+49302") == ""  # it rests
        assert len(history.asked) == 1
        clock.advance(REST_SECONDS)
        history.answer = lambda: LastTalk(clock.seconds() - 60, "bo", "sales")
        assert self.now_of(agents, "+49301") == "bo"

    def test_a_database_that_is_away_is_no_answer(self) -> None:
        def away() -> None:
            raise StoreUnavailable("away")

        agents = LastAgents(History(away), str, clock_at())
        assert self.now_of(agents, "+49301") == ""

    def test_so_many_numbers_are_kept(self) -> None:
        clock = clock_at()
        agents = LastAgents(None, str, clock, most=2)
        for number in range(3):
            for event in talk(clock.seconds(), "ana", f"+4930{number}"):
                agents.take(0, event)
        assert [self.now_of(agents, f"+4930{number}") for number in (1, 2)] == ["ana", "ana"]
        assert self.now_of(agents, "+49300") == ""

    def test_the_caller_is_the_last_agents_and_then_anybodys(self) -> None:
        world = World({"ana": ("sales",), "bo": ("sales",)}, last_agent_seconds=15.0, wrap_up_seconds=0.0)
        first = joins(world, "sales", "c1")
        world.until(world.has(Answered))
        [answered] = world.notes.of(Answered)
        first.dies()
        world.run()
        world.clock.advance(60)
        last, other = (answered.agent, "bo" if answered.agent == "ana" else "ana")
        world.distributor.staff.set_state(last, AgentState.NOT_READY)
        again = joins(world, "sales", "c2")
        assert world.notes.of(Queued)[-1].owner == last
        begun = world.clock.seconds()
        world.until(lambda: len(world.notes.of(Offered)) == 2)
        offered = world.notes.of(Offered)[-1]
        assert (offered.agent, offered.at - begun) == (other, 15.0)
        again.dies()
        world.run()
        joins(world, "sales", "c3", number="")
        assert world.notes.of(Queued)[-1].owner == ""
        over(world)


class TestNumbers:
    GERMANY = DialingSettings(country="49")

    @pytest.mark.parametrize(
        ("shown", "known"),
        [
            ("+49301234567", "+49301234567"),
            ("0301234567", "+49301234567"),
            ("0049301234567", "+49301234567"),
            ("2001", "2001"),
            ("", ""),
            ("anonymous", ""),
            ("Restricted", ""),
            ("0", ""),
            ("0000000", ""),
            ("11", ""),
        ],
    )
    def test_a_caller_is_known_again_however_the_number_is_shown(self, shown: str, known: str) -> None:
        assert known_number(shown, self.GERMANY) == known

    @given(st.text(max_size=30))
    def test_whatever_is_shown(self, shown: str) -> None:
        known = known_number(shown, self.GERMANY)
        assert not known or known.strip("+0")


REDIALS = {name: Queue(name, name, redial_seconds=30.0) for name in "ab"} | {"never": Queue("never", "never")}


def broken_off(contact: str, number: str, queue: str, began: float, at: float, **more: Any) -> list[Event]:
    """The events of a call that was given up."""
    about = {"outcome": Outcome.ABANDONED, "ended_by": EndedBy.CALLER, **more}
    direction = about.pop("direction", Direction.INBOUND)
    return [
        arrives(contact, began, number, direction),
        Queued(at=began, contact=contact, queue=queue, position=1, since=began),
        ContactEnded(at=at, contact=contact, **about),
    ]


def arrives(contact: str, at: float, number: str, direction: Direction = Direction.INBOUND) -> ContactArrived:
    return ContactArrived(
        at=at, contact=contact, pbx="main", leg=contact, caller=number, caller_name="", dialled="1", direction=direction
    )


def heard(events: list[Event], redials: Redials) -> Redials:
    for number, event in enumerate(events):
        redials.take(number, event)
    return redials


class TestRedials:
    @given(
        st.lists(
            st.tuples(st.booleans(), st.sampled_from(["", "1", "2"]), st.sampled_from("ab"), st.floats(0, 50)), max_size=40
        )
    )
    def test_a_place_is_given_once_and_in_time(self, steps: list[tuple[bool, str, str, float]]) -> None:
        redials, given_up, now = Redials(str, REDIALS), dict[tuple[str, str], Abandoned](), 0.0
        for number, (leaves, caller, queue, passed) in enumerate(steps):
            now += passed
            if leaves:
                heard(broken_off(f"c{number}", caller, queue, now - 1, now), redials)
                if caller:
                    given_up[caller, queue] = Abandoned(f"c{number}", now - 1, now)
            else:
                left = given_up.pop((caller, queue), None)
                place = redials.resume(caller, queue, now)
                assert place == (left if left and now < left.at + 30 else None)
                if place is not None:
                    back = QueueResumed(at=now, contact="x", queue=queue, of=place.contact, since=place.enqueued)
                    redials.take(0, back)
                    assert redials.resume(caller, queue, now) is None

    def test_so_many_are_kept(self) -> None:
        redials = Redials(str, REDIALS, 3)
        for number in range(5):
            heard(broken_off(f"c{number}", str(number), "a", 0.0, 1.0), redials)
        assert len(redials) == 3
        assert redials.resume("1", "a", 1.0) is None
        assert redials.resume("2", "a", 1.0) == Abandoned("c2", 0.0, 1.0)

    @pytest.mark.parametrize(
        "more",
        [
            {"queue": "never"},
            {"outcome": Outcome.ABANDONED_IN_IVR},
            {"outcome": Outcome.ANSWERED},
            {"ended_by": EndedBy.API},
            {"direction": Direction.OUTBOUND},
        ],
    )
    def test_only_a_caller_who_broke_off_has_a_place(self, more: dict[str, Any]) -> None:
        queue = more.pop("queue", "a")
        assert heard(broken_off("c", "1", queue, 0.0, 1.0, **more), Redials(str, REDIALS)).resume("1", queue, 2.0) is None

    def lines_up(self, **queue: Any) -> World:
        """One caller, gone after a minute, and another behind."""
        world = World({"ana": ("sales",)}, **queue)
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        broken = joins(world, "sales", "c1", number="+49301")
        world.clock.advance(30)
        joins(world, "sales", "c2", number="+49302")
        world.clock.advance(30)
        broken.dies()
        world.until(world.has(ContactEnded), 100)
        return world

    @pytest.mark.requirement("D1")
    def test_who_calls_again_has_the_place_of_before_once(self) -> None:
        world = self.lines_up(redial_seconds=120.0)
        world.clock.advance(100)
        joins(world, "sales", "c3", number="+49301")
        [resumed] = world.notes.of(QueueResumed)
        begun = world.notes.of(Queued)[0]
        assert (resumed.contact, resumed.of, resumed.since) == ("k002", "k000", begun.since)
        assert world.distributor.position("k002") == 1
        assert world.notes.of(Queued)[-1].since == begun.since
        [old] = world.notes.of(ContactEnded)
        assert (old.contact, old.outcome) == ("k000", Outcome.ABANDONED)
        joins(world, "sales", "c4", number="+49301")
        assert world.distributor.position("k003") == 3
        record = fold("k002", [one for one in world.notes.events if one.contact == "k002"], world.clock.seconds())
        assert record is not None
        assert record.waited < 1
        over(world)

    @pytest.mark.parametrize(
        ("number", "dialled", "after"),
        [("+49303", "sales", 10.0), ("", "sales", 10.0), ("+49301", "support", 10.0), ("+49301", "sales", 121.0)],
    )
    def test_somebody_else_elsewhere_or_later_has_not(self, number: str, dialled: str, after: float) -> None:
        world = self.lines_up(redial_seconds=120.0)
        world.clock.advance(after)
        joins(world, dialled, "c3", number=number)
        assert not world.notes.of(QueueResumed)
        over(world)

    def test_who_was_hung_up_by_us_has_not(self) -> None:
        world = World({}, redial_seconds=120.0)
        joins(world, "sales", "c1", number="+49301")
        world.contacts.hang_up("k000")
        world.until(world.has(ContactEnded), 100)
        joins(world, "sales", "c2", number="+49301")
        assert not world.notes.of(QueueResumed)
        over(world)
