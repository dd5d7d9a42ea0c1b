"""The routing of queues changed while the daemon runs: checked as the file, stored before it holds, for who waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.acd.distributor import Distributor
from easycall.acd.offers import Offer
from easycall.acd.queue_edits import QueueEdits
from easycall.acd.staff import Staff
from easycall.config import Config, ConfigError, load
from easycall.config.routing import EDITABLE, edited, routing_of
from easycall.events import QueueEdited
from easycall.model import Agent, AgentState, QueueEdit
from easycall.policy import AgentOrder, Channel, Ring
from easycall.ports import Database, StoreUnavailable
from easycall.store.queue_edits import QueueEditShelf
from tests.acd import Notes, item
from tests.fakes_api import ANA, BO, NOTHING, OTHER, SUE, TOKEN, Running, pause, running
from tests.test_config import ENVIRON, folder, read

__all__ = ["folder"]

pytestmark = pytest.mark.requirement("D1")

SITE = """
[asterisk.main]
[queues.cards]
name = "Cards"
skills = "billing >= 2"
max_waiting = 5
[[queues.cards.rings]]
after = 20
lower = { billing = 1 }
[[queues.cards.overflow]]
when = "full"
to = "hang_up"
[queues.loans]
name = "Loans"
[agents.ana]
name = "Ana"
queues = ["cards"]
skills = { billing = 1 }
[agents.bo]
name = "Bo"
queues = ["cards"]
[agents.sue]
name = "Sue"
supervises = ["cards"]
"""


WORDS = st.sampled_from(["vip", "fixed", "ana"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(0, 9) | st.text(max_size=5) | WORDS,
    lambda more: (
        st.lists(more, max_size=2) | st.dictionaries(st.sampled_from(["after", "drop", "lower", "y"]), more, max_size=2)
    ),
)


@pytest.fixture
def config(folder: Path) -> Config:
    return read(folder, SITE)


class TestWords:
    """What stands in a configuration, from a queue and back."""

    def test_the_words_of_a_queue(self, config: Config) -> None:
        assert routing_of(config.queues["cards"]) == {
            "skills": "billing >= 2",
            "prefers": "",
            "order": "longest_idle",
            "first_agents": [],
            "priority_seconds": 0.0,
            "max_talks": 0,
            "rings": [{"after": 20.0, "lower": {"billing": 1}}],
            "ring_seconds": 20.0,
            "max_waiting": 5,
            "max_wait_seconds": 14400.0,
        }
        assert tuple(routing_of(edited(config, "loans", {"order": "ring_all"}))) == EDITABLE

    def test_how_many_are_rung_at_once_goes_with_its_order(self, config: Config) -> None:
        three = edited(config, "loans", {"order": "ring_all", "ring_all_agents": 3})
        there = evolve(config, queues={**config.queues, "loans": three})
        assert edited(there, "loans", {"skills": "vip"}).routing.most_rung == 3
        assert edited(there, "loans", {"order": "longest_idle"}).routing.at_once == 1
        with pytest.raises(ConfigError, match="ring_all_agents"):
            edited(there, "loans", {"order": "longest_idle", "ring_all_agents": 3})

    def test_nothing_changed_is_the_same_queue(self, config: Config) -> None:
        for queue in config.queues.values():
            assert edited(config, queue.id, {}) == queue

    def test_everything_changed(self, config: Config) -> None:
        changes = {
            "skills": "lang:zh or vip",
            "order": "fixed",
            "first_agents": ["bo", "ana"],
            "priority_seconds": 30,
            "max_talks": 3,
            "rings": [{"after": 5, "drop": ["vip"], "queues": ["loans"]}],
            "ring_seconds": 9,
            "max_waiting": 7,
            "max_wait_seconds": 600,
        }
        queue = edited(config, "cards", changes)
        policy = queue.routing
        assert (policy.agent_order, policy.fixed_order) == (AgentOrder.FIXED, ("bo", "ana"))
        assert (policy.offset, policy.cap) == (30, 3)
        assert policy.rings == (Ring(5.0, ("vip",), {}, ("loans",)),)
        assert (queue.ring_seconds, queue.max_waiting, queue.max_wait_seconds) == (9, 7, 600)
        assert (queue.name, queue.overflow) == ("Cards", config.queues["cards"].overflow)
        assert routing_of(queue) == {**routing_of(config.queues["cards"]), **changes}

    @pytest.mark.parametrize(
        ("changes", "key", "allowed"),
        [
            ({"skills": "billing >="}, "skills", "level from 1 to 100"),
            ({"skills": 7}, "skills", "must be 0 to 500 printable characters"),
            ({"order": "fixed"}, "first_agents", "goes with order"),
            ({"order": "random"}, "order", "must be one of longest_idle"),
            ({"order": "fixed", "first_agents": ["zed"]}, "first_agents", "there is no agent 'zed'; there are ana, bo, sue"),
            ({"rings": [{"after": 9}, {"after": 9}]}, "rings", "each must come later than the one before"),
            ({"rings": [{"after": 9, "queues": ["moon"]}]}, "rings[1].queues", "there is no queue 'moon'"),
            ({"rings": [{}]}, "rings[1].after", "is missing"),
            ({"rings": [{"after": 9, "dropp": ["vip"]}]}, "rings[1].dropp", "did you mean 'drop'?"),
            ({"rings": "soon"}, "rings", "must be a list of tables"),
            ({"max_talks": -1}, "max_talks", "must be a whole number of talks from 0 to 10000"),
            ({"max_waiting": 0}, "overflow", "a rule 'full' never holds without"),
            ({"ring_seconds": True}, "ring_seconds", "must be a number of seconds from 1 to 120"),
            ({"music": "jazz"}, "music", "is unknown"),
        ],
    )
    def test_what_is_wrong_is_told_as_of_the_file(self, config: Config, changes: Any, key: str, allowed: str) -> None:
        with pytest.raises(ConfigError) as caught:
            edited(config, "cards", changes)
        [fault] = caught.value.faults
        assert fault.key == f"queues.cards.{key}"
        assert allowed in fault.allowed

    @given(st.dictionaries(st.sampled_from([*EDITABLE, "name", "x"]), VALUES))
    def test_whatever_comes_is_a_queue_or_a_list_of_faults(self, changes: Any) -> None:
        config = LOADED[0]
        with suppress(ConfigError):
            queue = edited(config, "cards", changes)
            assert edited(config, "cards", routing_of(queue)) == queue


LOADED: list[Config] = []


@pytest.fixture(autouse=True, scope="module")
def _loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("site")
    (place / "flows").mkdir()
    (place / "flows" / "welcome.yaml").touch()
    (place / "easycall.toml").write_text(SITE)
    LOADED[:] = [load(place / "easycall.toml", ENVIRON)]


class Paper:
    """A shelf that stores when the test lets it."""

    def __init__(self, *edits: QueueEdit) -> None:
        self.edits = {edit.queue: edit for edit in edits}
        self.waiting: list[Deferred[None]] = []
        self.waits = True

    async def all(self) -> list[QueueEdit]:
        return list(self.edits.values())

    async def put(self, edit: QueueEdit) -> None:
        await self._its_turn()
        self.edits[edit.queue] = edit

    async def remove(self, queue: str) -> None:
        await self._its_turn()
        self.edits.pop(queue, None)

    async def _its_turn(self) -> None:
        if self.waits:
            self.waiting.append(Deferred())
            await self.waiting[-1]


class Floor:
    """Ana (billing 1) and bo (nothing) serve cards, which needs billing >= 2."""

    def __init__(self, config: Config, *edits: QueueEdit) -> None:
        self.clock, self.notes, self.paper = Clock(), Notes(), Paper(*edits)
        queues = dict(config.queues)
        agents = [
            Agent(one.id, one.name, one.queues, one.queues, "2001", skills=one.skills, supervises=one.supervises)
            for one in config.agents.values()
        ]
        self.staff = Staff(agents, queues, self.clock, self.notes)
        self.distributor = Distributor(queues, self.staff, self.clock, self.notes)
        self.edits = QueueEdits(config, self.distributor, self.paper, self.clock, self.notes)
        self.offers: list[Offer] = []

    def works(self, *names: str) -> None:
        for name in names:
            self.staff.log_in(name)
            self.staff.set_state(name, AgentState.READY)

    def comes(self, contact: str, **more: Any) -> None:
        self.distributor.enter(item(contact, 0.0, "cards", **more)).offer().addCallback(self.offers.append)

    def changes(self, **changes: Any) -> list[Any]:
        done: list[Any] = []
        Deferred.fromCoroutine(self.edits.change("cards", changes, "desk")).addBoth(done.append)
        return done

    @property
    def told(self) -> list[QueueEdited]:
        return [event for event in self.notes.events if isinstance(event, QueueEdited)]


class TestChanges:
    def test_it_holds_when_it_is_stored_for_who_waits_already(self, config: Config) -> None:
        floor = Floor(config)
        floor.works("ana", "bo")
        floor.comes("c1")
        done = floor.changes(skills="billing")
        assert (done, floor.offers, floor.told) == ([], [], [])
        floor.paper.waiting[0].callback(None)
        assert done == [None]
        assert [offer.agent for offer in floor.offers] == ["ana"]
        [event] = floor.told
        assert (event.queue, event.changed, event.by) == ("cards", {"skills": "billing"}, "desk")
        assert floor.staff.queues["cards"].routing.requires.text == "billing"

    def test_what_is_not_stored_does_not_hold(self, config: Config) -> None:
        floor = Floor(config)
        floor.works("ana")
        floor.comes("c1")
        done = floor.changes(skills="billing")
        floor.paper.waiting[0].errback(StoreUnavailable("away"))
        assert done[0].check(StoreUnavailable)
        assert (floor.offers, floor.told, floor.edits.of("cards").edit) == ([], [], None)
        assert floor.distributor.queues["cards"] == config.queues["cards"]

    def test_what_is_wrong_is_not_stored(self, config: Config) -> None:
        floor = Floor(config)
        assert floor.changes(skills="billing >=")[0].check(ConfigError)
        assert (floor.paper.waiting, floor.told) == ([], [])

    def test_two_at_once_both_hold_though_nobody_waits_for_the_first(self, config: Config) -> None:
        floor = Floor(config)
        first = Deferred.fromCoroutine(floor.edits.change("cards", {"skills": ""}, "desk"))
        first.addErrback(lambda failure: None)
        second = floor.changes(ring_seconds=7)
        first.cancel()
        floor.paper.waiting[0].callback(None)
        floor.paper.waiting[1].callback(None)
        assert second == [None]
        assert floor.paper.edits["cards"].changed == {"skills": "", "ring_seconds": 7}
        queue = floor.distributor.queues["cards"]
        assert (queue.routing.requires.text, queue.ring_seconds) == ("", 7)

    def test_an_option_is_that_of_the_configuration_again_and_then_all_are(self, config: Config) -> None:
        floor = Floor(config)
        floor.paper.waits = False
        assert floor.changes(skills="", ring_seconds=7) == [None]
        assert floor.changes(skills=None) == [None]
        assert floor.edits.of("cards").now == {**floor.edits.of("cards").configured, "ring_seconds": 7}
        done: list[Any] = []
        Deferred.fromCoroutine(floor.edits.reset("cards", "desk")).addBoth(done.append)
        assert (done, floor.paper.edits, floor.edits.of("cards").edit) == ([None], {}, None)
        assert floor.distributor.queues["cards"] == config.queues["cards"]
        assert [event.changed for event in floor.told] == [{"skills": "", "ring_seconds": 7}, {"ring_seconds": 7}, {}]

    def test_an_unknown_queue(self, config: Config) -> None:
        failed: list[Any] = []
        Deferred.fromCoroutine(Floor(config).edits.change("moon", {"skills": ""}, "desk")).addErrback(failed.append)
        assert failed[0].check(KeyError)

    def test_while_a_contact_is_reserved(self, config: Config) -> None:
        floor = Floor(config)
        floor.paper.waits = False
        floor.works("ana")
        floor.changes(skills="billing")
        floor.comes("c1")
        floor.comes("c2", offset=100.0, channel=Channel.CALL)
        assert floor.changes(skills="billing >= 3", max_talks=1) == [None]
        [offer] = floor.offers
        offer.talks("cards")
        assert [one.contact for one in floor.distributor.waiting("cards")] == ["c2"]

    def test_the_order_of_agents_and_the_priority(self, config: Config) -> None:
        floor = Floor(config)
        floor.paper.waits = False
        floor.works("ana", "bo")
        assert floor.changes(skills="", order="fixed", first_agents=["bo"], priority_seconds=60) == [None]
        floor.comes("c1")
        assert [offer.agent for offer in floor.offers] == ["bo"]
        assert floor.distributor.decided(1, contact="c1")[0].score == 60.0


class TestRestart:
    @pytest_twisted.ensureDeferred
    async def test_what_was_changed_is_back(self, config: Config, store: Database) -> None:
        shelf = QueueEditShelf(store)
        for changes in ({"skills": "vip", "rings": []}, {"max_talks": 2}):
            floor = Floor(config)
            edits = QueueEdits(config, floor.distributor, shelf, floor.clock, floor.notes)
            await edits.start()
            await edits.change("cards", changes, "desk")
        floor = Floor(config)
        edits = QueueEdits(config, floor.distributor, shelf, floor.clock, floor.notes)
        await edits.start()
        assert floor.distributor.queues["cards"].routing.requires.text == "vip"
        assert edits.of("cards").edit == QueueEdit("cards", {"skills": "vip", "rings": [], "max_talks": 2}, 0.0, "desk")
        await edits.reset("cards", "desk")
        assert await shelf.all() == []

    def test_what_fits_no_more_is_passed_over_and_told(self, config: Config) -> None:
        told: list[str] = []

        def observe(event: LogEvent) -> None:
            told.append(str(formatEvent(event)))

        wrong = QueueEdit("cards", {"order": "fixed", "first_agents": ["zed"]})
        floor = Floor(config, wrong, QueueEdit("moon", {"skills": ""}), QueueEdit("loans", {"skills": "vip"}))
        globalLogPublisher.addObserver(observe)
        done: list[Any] = []
        Deferred.fromCoroutine(floor.edits.start()).addBoth(done.append)
        globalLogPublisher.removeObserver(observe)
        assert done == [None]
        assert floor.distributor.queues["cards"] == config.queues["cards"]
        assert floor.distributor.queues["loans"].routing.requires.text == "vip"
        [line] = told
        assert "queues.cards.first_agents: there is no agent 'zed'" in line
        assert "DELETE /api/v1/queues/cards/routing" in line


class Office:
    """The API with the real edits behind it; sue supervises cards."""

    def __init__(self, site: Running, floor: Floor) -> None:
        self.site, self.floor = site, floor

    async def ask(self, verb: str, queue: str = "cards", token: str = TOKEN, **body: Any) -> tuple[int, Any]:
        status, answer, _ = await self.site.ask(verb, f"/api/v1/queues/{queue}/routing", token, json=body)
        return status, answer


@pytest_twisted.async_yield_fixture
async def office(config: Config) -> AsyncIterator[Office]:
    floor = Floor(config)
    floor.paper.waits = False
    async with running(staff=floor.staff, distributor=floor.distributor, edits=floor.edits) as site:
        yield Office(site, floor)


class TestApi:
    @pytest_twisted.ensureDeferred
    async def test_it_is_shown_changed_and_taken_back(self, office: Office) -> None:
        configured = routing_of(office.floor.distributor.queues["cards"])
        status, answer = await office.ask("PATCH", skills="billing", ring_seconds=7)
        expected = {
            "queue": "cards",
            **configured,
            "skills": "billing",
            "ring_seconds": 7.0,
            "changed": {"skills": "billing", "ring_seconds": 7},
            "changed_at": 0.0,
            "changed_by": "crm",
            "configured": configured,
        }
        assert (status, answer) == (200, expected)
        assert (await office.ask("GET"))[1] == expected
        assert (await office.ask("PATCH", skills=None))[1]["skills"] == "billing >= 2"
        status, answer = await office.ask("DELETE")
        assert (status, answer["changed"], answer["changed_by"], answer["ring_seconds"]) == (200, {}, None, 20.0)

    @pytest_twisted.ensureDeferred
    async def test_what_is_wrong(self, office: Office) -> None:
        status, answer = await office.ask("PATCH", skills="billing >=", ring_seconds=0)
        assert (status, answer["field"]) == (422, "ring_seconds")
        assert "ring_seconds = 0: must be a number of seconds from 1 to 120" in answer["detail"]
        status, answer = await office.ask("PATCH", skills="billing >=")
        assert (status, answer["field"]) == (422, "skills")
        assert "level from 1 to 100" in answer["detail"]
        assert (await office.ask("PATCH", name="x"))[0] == 422
        status, answer = await office.ask("PATCH")
        assert (status, answer["detail"]) == (422, "nothing is to be changed: name an option")
        for verb in ("GET", "PATCH", "DELETE"):
            assert (await office.ask(verb, "moon"))[0] == 404
        assert office.floor.told == []

    @pytest_twisted.ensureDeferred
    async def test_who_may(self, office: Office) -> None:
        for verb in ("PATCH", "DELETE"):
            body = {"skills": ""} if verb == "PATCH" else {}
            status, answer = await office.ask(verb, token=BO, **body)
            assert (status, answer["detail"]) == (403, "the token 'bos' lacks the right 'supervise' or 'admin'")
            assert (await office.ask(verb, token=NOTHING, **body))[0] == 403
            assert (await office.ask(verb, token=SUE, **body))[0] == 200
            status, answer = await office.ask(verb, "loans", SUE, **body)
            assert (status, answer["detail"]) == (403, "sue may not supervise queue loans: see agents.sue.supervises")
            assert (await office.ask(verb, "loans", OTHER, **body))[0] == 200
            assert (await office.ask(verb, token=ANA, **body))[0] == 200, "her token has the right admin"
        assert (await office.ask("GET", token=BO))[0] == 200
        assert (await office.ask("GET", token=NOTHING))[0] == 403

    @pytest_twisted.ensureDeferred
    async def test_the_store_is_away(self, office: Office) -> None:
        office.floor.paper.waits = True
        asking = Deferred.fromCoroutine(office.ask("PATCH", skills=""))
        while not office.floor.paper.waiting:
            await pause()
        office.floor.paper.waiting[0].errback(StoreUnavailable("away"))
        status, _ = await asking
        assert status == 503
        assert office.floor.distributor.queues["cards"].routing.requires.text == "billing >= 2"


def test_the_queue_of_the_configuration_is_not_touched(config: Config) -> None:
    before = evolve(config.queues["cards"])
    edited(config, "cards", {"skills": ""})
    assert config.queues["cards"] == before
