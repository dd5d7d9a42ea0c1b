"""Strategies: who is asked which agent gets a contact, what becomes of the answer, and every race in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.acd.distributor import Distributor, Offer, Place
from easycall.acd.staff import Staff
from easycall.config import StrategySettings
from easycall.events import AgentChanged, StrategyAsked
from easycall.model import Agent, AgentState, Contact, OfferOutcome, Queue, StrategyOutcome
from easycall.policy import Candidate, Case, Channel, QueuePolicy
from easycall.ports import ServiceFailed
from easycall.service import CannotStart
from easycall.skills import parse
from tests.acd import Notes, item, ready
from tests.strategies import Oracle, from_the_docs, install
from tests.test_config import SMALL, faults, folder, read

__all__ = ["folder"]

pytestmark = pytest.mark.requirement("D1")

QUEUES = {"sales": Queue("sales", "Sales", strategy="crm"), "support": Queue("support", "Support")}


OPENED: list[Centre] = []


@pytest.fixture(autouse=True)
def nothing_is_asked_for_ever() -> Iterator[None]:
    yield
    for centre in OPENED:
        centre.distributor.stop()
    OPENED.clear()


class Centre:
    """Ana is idle longest, then bo, then cy; the strategy of sales answers when the test says so."""

    def __init__(self, *agents: Agent, strategy: Any = None, queues: dict[str, Queue] = QUEUES, **how: Any) -> None:
        self.clock, self.notes = Clock(), Notes()
        self.clock.advance(1000.0)
        self.oracle = Oracle()
        people = agents or tuple(ready(name, number) for number, name in enumerate(("ana", "bo", "cy"), 1))
        self.staff = Staff(people, queues, self.clock, self.notes)
        asked = {"crm": StrategySettings("crm", strategy or self.oracle, **how)}
        self.distributor = Distributor(queues, self.staff, self.clock, self.notes, asked)
        self.offers: dict[str, list[Offer]] = {}
        OPENED.append(self)

    def comes(self, contact: str, queue: str = "sales", **more: Any) -> Place:
        place = self.distributor.enter(item(contact, self.clock.seconds(), queue, **more))
        place.offer().addCallbacks(self.offers.setdefault(contact, []).append, lambda why: why.trap(CancelledError) and None)
        return place

    def agent(self, name: str) -> Agent:
        return self.staff.agents[name]

    def offered(self, contact: str = "c1") -> list[str]:
        return [offer.agent for offer in self.offers.get(contact, [])]

    def asked(self) -> list[StrategyAsked]:
        return [event for event in self.notes.events if isinstance(event, StrategyAsked)]

    def note(self, contact: str = "c1") -> str:
        return self.distributor.decided(1, contact=contact)[0].note


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged."""
    told: list[str] = []

    def observe(event: LogEvent) -> None:
        told.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    yield told
    globalLogPublisher.removeObserver(observe)


class TestAnswers:
    def test_another_agent_gets_the_contact_and_the_first_is_idle_as_before(self) -> None:
        centre = Centre()
        centre.comes("c1")
        assert centre.offered() == []
        assert centre.agent("ana").state is AgentState.RESERVED
        assert centre.note() == "strategy crm: is asked"
        centre.clock.advance(0.2)
        centre.oracle.says("cy")
        [offer] = centre.offers["c1"]
        assert (offer.agent, offer.attempt, centre.agent("cy").contact) == ("cy", 1, "c1")
        assert (centre.agent("ana").state, centre.agent("ana").idle_since) == (AgentState.READY, 1.0)
        [event] = centre.asked()
        assert (event.contact, event.agent, event.first, event.queue) == ("c1", "cy", "ana", "sales")
        assert (event.strategy, event.outcome, event.seconds) == ("crm", StrategyOutcome.FOLLOWED, 0.2)
        assert centre.note() == "strategy crm: cy instead of ana"
        centre.comes("c2")
        centre.oracle.says(None)
        assert centre.offered("c2") == ["ana"]

    @pytest.mark.parametrize("answer", [None, "ana"])
    def test_it_may_leave_it_to_the_queue(self, answer: str | None) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.oracle.says(answer)
        assert centre.offered() == ["ana"]
        assert centre.asked()[0].outcome is StrategyOutcome.AGREED
        assert centre.note() == "strategy crm: agrees"

    @pytest.mark.parametrize("answer", ["dee", "zed", "", 7, ["bo"], True])
    def test_an_answer_that_is_no_agent_of_the_case(self, answer: object) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.oracle.says(answer)
        assert centre.offered() == ["ana"]
        assert centre.asked()[0].outcome is StrategyOutcome.WRONG
        assert centre.note() == "strategy crm: named no agent of the case, own choice"

    def test_too_late_is_the_queues_choice(self) -> None:
        centre = Centre(seconds=0.25)
        centre.comes("c1")
        centre.clock.advance(0.24)
        assert centre.offered() == []
        centre.clock.advance(0.02)
        assert centre.offered() == ["ana"]
        assert centre.note() == "strategy crm: timed out, own choice"
        assert centre.asked()[0].outcome is StrategyOutcome.TIMED_OUT
        assert centre.oracle.promises[0].called, "it is told that nobody waits for it any more"
        assert not centre.clock.getDelayedCalls()

    def test_one_that_takes_no_notice_of_its_time(self) -> None:
        class Deaf:
            async def choose(self, case: Case) -> str:
                for _ in range(2):
                    try:
                        await Deferred()
                    except CancelledError:
                        continue
                return "bo"

        centre = Centre(strategy=Deaf())
        centre.comes("c1")
        centre.clock.advance(0.3)
        assert centre.offered() == ["ana"]

    @pytest.mark.logs_failures
    @pytest.mark.parametrize("how", ["at once", "later", "service", "cancelled"])
    def test_one_that_fails(self, how: str, logged: list[str]) -> None:
        class Broken:
            def choose(self, case: Case) -> Any:
                if how == "at once":
                    raise ZeroDivisionError(case.data["card"])
                failed: Deferred[str] = Deferred()
                centre.clock.callLater(0.1, failed.errback, wrong)
                return failed

        known: dict[str, Exception] = {"service": ServiceFailed("it answers 500"), "cancelled": CancelledError()}
        wrong = known.get(how, KeyError("4111"))
        centre = Centre(strategy=Broken())
        centre.comes("c1")
        centre.clock.advance(0.1)
        assert centre.offered() == ["ana"]
        [event] = centre.asked()
        error = {"at once": "KeyError", "later": "KeyError", "service": "it answers 500", "cancelled": ""}[how]
        assert (event.outcome is StrategyOutcome.FAILED, event.error) == (bool(error), error)
        assert "4111" not in event.error
        if error:
            assert centre.note() == f"strategy crm: failed ({error}), own choice"
            assert [line for line in logged if "strategy crm" in line]

    def test_one_that_answers_at_once(self) -> None:
        class Last:
            def choose(self, case: Case) -> str:
                return case.others[-1].id

        centre = Centre(strategy=Last())
        for number, name in enumerate(("cy", "bo", "ana"), 1):
            centre.comes(f"c{number}")
            assert centre.offered(f"c{number}") == [name]
        assert [event.outcome for event in centre.asked()] == [StrategyOutcome.FOLLOWED, StrategyOutcome.FOLLOWED]

    def test_it_is_not_asked_about_one_agent_alone(self) -> None:
        centre = Centre(ready("ana", 1.0))
        centre.comes("c1")
        assert centre.offered() == ["ana"]
        assert (centre.oracle.cases, centre.asked(), centre.note()) == ([], [], "")

    def test_nor_where_the_queue_has_none(self) -> None:
        centre = Centre(ready("ana", 1.0, "support"), ready("bo", 2.0, "support"))
        centre.comes("c1", "support")
        assert centre.offered() == ["ana"]
        assert centre.oracle.cases == []


class TestCase:
    def test_what_it_is_told(self) -> None:
        queues = {"sales": evolve(QUEUES["sales"], routing=QueuePolicy("sales", parse("billing")))}
        people = [evolve_agent(ready(name, number), billing=level) for number, (name, level) in enumerate(LEVELS, 1)]
        centre = Centre(*people, queues=queues, candidates=2)
        what: Any = {"answers": {"menu": "sales"}, "data": {"tier": "gold"}}
        contact = Contact("c1", "main", "leg", "0301", "Eva", "95588", 900.0, **what)
        centre.distributor.strategies.when_asked_about({"c1": contact}.get)
        centre.distributor.enter(item("c1", 990.0, requires=parse("vip or billing"), offset=5.0))
        [case] = centre.oracle.cases
        assert (case.contact, case.queue, case.channel, case.waited, case.position) == ("c1", "sales", Channel.CALL, 10.0, 1)
        assert (case.caller, case.dialled, case.answers, case.data) == ("0301", "95588", {"menu": "sales"}, {"tier": "gold"})
        assert case.score == 15.0
        assert "billing" in case.requires
        assert case.chosen == Candidate("ana", {"billing": 1}, ("sales",), 999.0, 0.0)
        assert [(one.id, one.skills, one.idle_seconds) for one in case.others] == [
            ("bo", {"billing": 2}, 998.0),
            ("dee", {"billing": 3}, 996.0),
        ]
        case.data["tier"] = "changed"  # type: ignore[index] # by a strategy that does not care
        assert contact.data == {"tier": "gold"}

    def test_a_contact_of_whom_nothing_is_known(self) -> None:
        centre = Centre()
        centre.comes("c1")
        [case] = centre.oracle.cases
        assert (case.caller, case.data, [one.id for one in case.others]) == ("", {}, ["bo", "cy"])


LEVELS = (("ana", 1), ("bo", 2), ("cy", 0), ("dee", 3), ("eve", 4))


def evolve_agent(agent: Agent, billing: int) -> Agent:
    agent.skills = {"billing": billing} if billing else {}
    return agent


class TestRaces:
    """What happens while it is asked."""

    def test_the_reserved_one_is_nobody_elses(self) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.comes("c2")
        assert [case.chosen.id for case in centre.oracle.cases] == ["ana", "bo"]
        centre.oracle.says("bo")
        assert (centre.offered(), centre.asked()[0].outcome) == (["ana"], StrategyOutcome.NOT_FREE)
        assert centre.note() == "strategy crm: wanted bo, who is not free any more, own choice"
        centre.oracle.says("cy")
        assert centre.offered("c2") == ["cy"]
        assert centre.agent("bo").state is AgentState.READY

    def test_the_one_it_names_goes_not_ready(self) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.staff.set_state("bo", AgentState.NOT_READY, "lunch")
        centre.oracle.says("bo")
        assert centre.offered() == ["ana"]
        assert centre.agent("bo").state is AgentState.NOT_READY

    def test_the_one_it_names_logs_out(self) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.staff.log_out("bo")
        centre.oracle.says("bo")
        assert (centre.offered(), centre.agent("bo").state) == (["ana"], AgentState.OFFLINE)

    @pytest.mark.parametrize("answer", ["bo", None])
    def test_the_queues_choice_goes_not_ready(self, answer: str | None) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.staff.set_state("ana", AgentState.NOT_READY, "lunch")
        centre.comes("c2", "support")
        centre.oracle.says(answer)
        assert centre.offered() == [answer or "ana"]
        state = AgentState.NOT_READY if answer else AgentState.RESERVED  # who is reserved takes this one still, as always
        assert centre.agent("ana").state is state
        if not answer:
            centre.offers["c1"][0].ended(OfferOutcome.CALLER_LEFT)
            assert centre.agent("ana").state is AgentState.NOT_READY

    def test_the_queues_choice_logs_out(self) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.staff.log_out("ana")
        centre.oracle.says("bo")
        assert (centre.offered(), centre.agent("ana").state) == (["bo"], AgentState.OFFLINE)
        assert "ana" not in centre.distributor.room.seats

    def test_who_waits_gets_the_first_in_the_same_turn(self) -> None:
        centre = Centre(ready("ana", 1.0, "sales", "support"), ready("bo", 2.0))
        centre.comes("c1")
        centre.comes("c2", "support")
        assert centre.offered("c2") == []
        centre.oracle.says("bo")
        assert (centre.offered("c1"), centre.offered("c2")) == (["bo"], ["ana"])
        states = [(event.agent, event.state) for event in centre.notes.events if isinstance(event, AgentChanged)]
        reserved, ready_ = AgentState.RESERVED, AgentState.READY
        assert states == [("ana", reserved), ("ana", ready_), ("bo", reserved), ("ana", reserved)]

    def test_the_caller_hangs_up(self) -> None:
        centre = Centre()
        place = centre.comes("c1")
        place.leave()
        assert centre.agent("ana").state is AgentState.READY
        assert centre.oracle.promises[0].called
        assert (centre.offered(), centre.asked()) == ([], [])
        assert not centre.clock.getDelayedCalls()
        centre.clock.advance(1.0)
        assert (centre.offered(), centre.distributor.waiting("sales")) == ([], [])

    def test_the_caller_hangs_up_and_it_answers_all_the_same(self) -> None:
        class Deaf:
            async def choose(self, case: Case) -> str:
                try:
                    await Deferred()
                except CancelledError:
                    return "bo"
                raise AssertionError

        centre = Centre(strategy=Deaf())
        centre.comes("c1").leave()
        assert {agent.state for agent in centre.staff.agents.values()} == {AgentState.READY}

    def test_nobody_takes_the_offer_yet(self) -> None:
        centre = Centre()
        place = centre.distributor.enter(item("c1", 1000.0))
        waiting = place.offer()
        waiting.addErrback(lambda why: why.trap(CancelledError) and None)
        waiting.cancel()
        centre.oracle.says("bo")
        assert place.reserved
        offers: list[Offer] = []
        place.offer().addCallback(offers.append)
        assert [offer.agent for offer in offers] == ["bo"]

    def test_the_daemon_stops(self) -> None:
        centre = Centre()
        place = centre.comes("c1")
        told = len(centre.notes.events)
        centre.distributor.stop()
        assert centre.oracle.promises[0].called
        place.offer().addCallback(centre.offers["c1"].append)
        place.leave()
        assert (centre.offered(), centre.notes.events[told:]) == ([], [])
        assert not centre.clock.getDelayedCalls()

    def test_the_link_to_its_asterisk_is_lost(self) -> None:
        centre = Centre()
        centre.comes("c1")
        centre.distributor.freeze("main")
        centre.oracle.says("bo")
        assert centre.offered() == ["bo"], "as one who is rung already: the offer is lost, and the place kept"

    def test_an_offer_that_fails_asks_again(self) -> None:
        centre = Centre()
        place = centre.comes("c1")
        centre.oracle.says("bo")
        centre.offers["c1"][0].ended(OfferOutcome.DECLINED)
        place.offer().addCallback(centre.offers["c1"].append)
        assert [one.id for one in centre.oracle.cases[-1].others] == ["cy"], "bo has declined it"
        centre.oracle.says("cy")
        assert [(offer.agent, offer.attempt) for offer in centre.offers["c1"]] == [("bo", 1), ("cy", 2)]

    def test_whoever_is_told_first_may_throw_everything_over(self) -> None:
        """The agent who is let go is given to another, whose story lets the first caller go, in the same turn."""
        centre = Centre(ready("ana", 1.0, "sales", "support"), ready("bo", 2.0))
        first = centre.comes("c1")
        centre.distributor.enter(item("c2", 1000.0, "support")).offer().addCallback(lambda offer: first.leave())
        centre.oracle.says("bo")
        assert (centre.offered("c1"), centre.agent("bo").state) == ([], AgentState.READY)
        assert centre.agent("ana").contact == "c2"


ACTIONS = ("comes", "says", "says", "nobody", "time", "leaves", "away", "back", "declines", "fails")


class TestWhateverHappens:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), max_size=40))
    def test_nobody_is_lost_and_nobody_reserved_twice(self, story: list[tuple[str, int]]) -> None:
        centre = Centre(*(ready(name, number) for number, name in enumerate("abcd", 1)), failures=1000)
        places: dict[str, Place] = {}
        for number, (action, which) in enumerate(story):
            self._do(centre, places, action, which, f"c{number:02}")
            self._check(centre, places)
        centre.clock.advance(1.0)
        self._check(centre, places)
        for contact, place in places.items():
            if place.reserved:
                assert centre.offers[contact], "everybody was answered, or the time was over"
                centre.offers[contact][-1].ended(OfferOutcome.CALLER_LEFT)
            place.leave()
        assert not [agent for agent in centre.staff.agents.values() if agent.state is AgentState.RESERVED]

    def _do(self, centre: Centre, places: dict[str, Place], action: str, which: int, new: str) -> None:
        agent = "abcd"[which % 4]
        open_ = [promise for promise in centre.oracle.promises if not promise.called]
        held = [contact for contact, place in places.items() if centre.offers[contact] and place.reserved]
        match action:
            case "comes":
                places[new] = centre.comes(new)
            case "says" | "nobody" | "fails" if open_:
                promise = open_[which % len(open_)]
                if action == "fails":
                    promise.errback(ServiceFailed("x"))
                else:
                    promise.callback(agent if action == "says" else None)
            case "time":
                centre.clock.advance(0.1 * which)
            case "leaves" if places:
                contact = sorted(places)[which % len(places)]
                offers = centre.offers[contact]
                if offers and places[contact].reserved:
                    offers[-1].ended(OfferOutcome.CALLER_LEFT)
                places.pop(contact).leave()
            case "away" if centre.agent(agent).state is not AgentState.OFFLINE:
                centre.staff.set_state(agent, AgentState.NOT_READY, "lunch")
            case "back" if centre.agent(agent).state is AgentState.NOT_READY:
                centre.staff.set_state(agent, AgentState.READY)
            case "declines" if held:
                contact = held[which % len(held)]
                offer = centre.offers[contact].pop()
                places[contact].offer().addCallback(centre.offers[contact].append)
                offer.ended(OfferOutcome.DECLINED)

    def _check(self, centre: Centre, places: dict[str, Place]) -> None:
        room = centre.distributor.room
        agents = centre.staff.agents.values()
        holding = [agent.contact for agent in agents if agent.contact]
        assert len(holding) == len(set(holding))
        reserved = {agent.contact: agent.id for agent in agents if agent.state is AgentState.RESERVED}
        assert reserved == {contact: room.agent_of(contact) for contact, place in places.items() if place.reserved}
        for contact, place in places.items():
            if centre.offers[contact] and place.reserved:
                assert centre.offers[contact][-1].agent == room.agent_of(contact)
        ready_ = [agent for agent in agents if agent.state is AgentState.READY]
        waiting = [contact for contact, place in places.items() if not place.reserved]
        for contact in waiting:
            refused = room.items[contact].refused or {}
            assert not [agent for agent in ready_ if agent.id not in refused]


class TestOneThatFailsAgainAndAgain:
    def failing(self, **how: Any) -> Centre:
        return Centre(*(ready(f"a{number:02}", number) for number in range(20)), seconds=0.1, **how)

    def test_it_is_left_alone_for_a_while(self) -> None:
        centre = self.failing(failures=2, rest_seconds=10.0)
        for number in range(2):
            centre.comes(f"c{number}")
            centre.clock.advance(0.1)
        assert len(centre.oracle.cases) == 2
        centre.comes("c2")
        assert centre.offered("c2") == ["a02"], "at once"
        assert centre.note("c2") == "strategy crm: rests after failures, own choice"
        assert [event.outcome for event in centre.asked()][-1] is StrategyOutcome.RESTING
        centre.clock.advance(10.0)
        centre.comes("c3")
        centre.clock.advance(0.1)
        assert len(centre.oracle.cases) == 3
        centre.comes("c4")
        assert centre.offered("c4") == ["a04"], "it failed once more, and rests again"
        centre.clock.advance(10.0)
        centre.comes("c5")
        centre.oracle.says(None)
        centre.comes("c6")
        centre.clock.advance(0.1)
        centre.comes("c7")
        assert len(centre.oracle.cases) == 6, "after an answer it may fail again"

    def test_it_is_logged_once_a_minute_and_counted(self, logged: list[str]) -> None:
        centre = self.failing(failures=1000)
        for number in range(3):
            centre.comes(f"c{number}")
            centre.clock.advance(0.1)
        centre.clock.advance(60.0)
        centre.comes("c3")
        centre.clock.advance(0.1)
        told = [line for line in logged if "strategy crm" in line]
        assert told == [
            "strategy crm: timed out, own choice; failures since this was told last: 1",
            "strategy crm: timed out, own choice; failures since this was told last: 3",
        ]

    def test_naming_one_who_is_gone_is_no_failure(self) -> None:
        centre = self.failing(failures=1)
        centre.comes("c0")
        centre.staff.set_state("a01", AgentState.NOT_READY, "lunch")
        centre.oracle.says("a01")
        centre.comes("c1")
        assert len(centre.oracle.cases) == 2


class Outside(Oracle):
    """Needs the network, and is not well."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[object] = []
        self.fails = False

    def start(self, reactor: object, clock: object) -> None:
        if self.fails:
            raise OSError("no such device")
        self.did.append((reactor, clock))

    async def stop(self) -> None:
        self.did.append("stop")
        if self.fails:
            raise OSError("no such device")


class TestStartAndStop:
    def test_one_that_needs_the_network_has_it_from_the_start_to_the_stop(self) -> None:
        strategy = Outside()
        centre = Centre(strategy=strategy)
        strategies = centre.distributor.strategies
        for work in (strategies.start("reactor"), strategies.stop()):
            assert Deferred.fromCoroutine(work).called
        assert strategy.did == [("reactor", centre.clock), "stop"]

    @pytest.mark.logs_failures
    def test_one_that_does_not_start_is_named_and_one_that_does_not_stop_stops_nothing(self) -> None:
        strategy = Outside()
        strategy.fails = True
        strategies = Centre(strategy=strategy).distributor.strategies
        failed: list[Any] = []
        Deferred.fromCoroutine(strategies.start("reactor")).addErrback(failed.append)
        assert failed[0].check(CannotStart)
        assert str(failed[0].value) == "strategies.crm.use: it did not start: OSError: no such device"
        done: list[object] = []
        Deferred.fromCoroutine(strategies.stop()).addBoth(done.append)
        assert done == [None]


OF_SALES = SMALL.replace('name = "Sales"', 'name = "Sales"\nstrategy = "crm"')


class TestConfiguration:
    def test_the_example_of_the_docs(self, folder: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        install(tmp_path_factory.mktemp("package"), monkeypatch, from_the_docs(), named="Named")
        config = read(folder, OF_SALES + '[strategies.crm]\nuse = "named"\nkey = "wish"\nseconds = 1\ncandidates = 3\n')
        one = config.strategies["crm"]
        assert (one.name, one.seconds, one.candidates, one.failures, one.rest_seconds) == ("crm", 1.0, 3, 5, 30.0)
        assert config.queues["sales"].strategy == "crm"
        centre = Centre(strategy=one.strategy)
        contact = Contact("c1", "main", "leg", "", "", "95588", 900.0, data={"wish": "cy"})
        centre.distributor.strategies.when_asked_about({"c1": contact}.get)
        centre.comes("c1")
        centre.comes("c2")
        assert (centre.offered("c1"), centre.offered("c2")) == (["cy"], ["ana"])

    def test_the_one_over_https_is_there(self, folder: Path) -> None:
        config = read(folder, OF_SALES + '[strategies.crm]\nuse = "https"\nurl = "https://crm.example.com/agents"\n')
        assert type(config.strategies["crm"].strategy).__name__ == "DecisionService"

    @pytest.mark.parametrize(
        ("section", "expected"),
        [
            ("", "queues.sales.strategy: there is no [strategies.crm]; there is none"),
            ("[strategies.erp]\nuse = 'named'", "queues.sales.strategy: there is no [strategies.crm]; there are erp"),
            ("[strategies.crm]", "strategies.crm.use: is missing: must be the name of a strategy"),
            ("[strategies.crm]\nuse = 'nmed'", "strategies.crm.use = 'nmed': there is no strategy 'nmed'; there are "),
            ("[strategies.crm]\nuse = 'named'\nkey = 7", "strategies.crm.key: must be 1 to 40 printable characters"),
            ("[strategies.crm]\nuse = 'named'\nkeys = 'x'", "strategies.crm.keys: is unknown; this strategy knows key"),
            (
                "[strategies.crm]\nuse = 'named'\nseconds = 9",
                "crm.seconds = 9: must be a number of seconds from 0.01 to 5",
            ),
            ("[strategies.crm]\nuse = 'named'\ncandidates = 21", "must be a whole number of agents from 1 to 20"),
            (
                "[strategies.crm]\nuse = 'missing'",
                "Missing cannot be used, mend its package: AttributeError",
            ),
            (
                "[strategies.crm]\nuse = 'deaf'",
                "Deaf is no strategy, mend its package: it has no method choose",
            ),
            ("[strategies.crm]\nuse = 'bad'", "example_strategy:Bad cannot be used, mend its package: ZeroDivisionError"),
            ("[strategies.crm]\nuse = 'https'", "strategies.crm.url: is missing: must be an address https://…"),
            (
                "[strategies.crm]\nuse = 'https'\nurl = 'http://crm.example.com/'",
                "strategies.crm.url: must be an address https://…; http:// only for this machine",
            ),
            (
                "[strategies.crm]\nuse = 'https'\nurl = 'https://crm.example.com/'\nca = 'none.pem'",
                "strategies.crm.ca: must be a file of CA certificates (PEM)",
            ),
            (
                "[strategies.crm]\nuse = 'https'\nurl = 'https://crm.example.com/'\ntoken_file = 'open.token'",
                "strategies.crm.token_file: others may read or write",
            ),
            (
                "[strategies.crm]\nuse = 'https'\nurl = 'https://crm.example.com/'\ntoken = 'planted'",
                "strategies.crm.token: is unknown; this strategy knows ca, token_file, url",
            ),
        ],
    )
    def test_what_is_wrong_is_told(
        self, folder: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch, section: str, expected: str
    ) -> None:
        more = "\n\nclass Deaf:\n    def __init__(self, given): pass\n\n\nclass Bad:\n    def __init__(self, given): 1 / 0\n"
        points = {"named": "Named", "missing": "Missing", "deaf": "Deaf", "bad": "Bad"}
        install(tmp_path_factory.mktemp("package"), monkeypatch, from_the_docs() + more, **points)
        (folder / "none.pem").write_text("nothing")
        (folder / "open.token").write_text("planted")
        (folder / "open.token").chmod(0o644)
        told = faults(folder, OF_SALES + section + "\n")
        assert expected in told
        assert "planted" not in told.replace("open.token", "")
