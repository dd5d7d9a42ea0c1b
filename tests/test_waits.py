"""Waiting: what is learnt of it from the journal, and what a waiting caller is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easycall.acd.expectation import BEYOND, RANGES
from easycall.events import Answered, ContactEnded, Event, Offered, Queued, WaitExpected
from easycall.ivr import library
from easycall.ivr.announcement import LAST_POSITION, Announcements
from easycall.ivr.nodes import FlowError
from easycall.model import AgentState, EndedBy, OfferOutcome, Queue
from easycall.policy import Channel

from .contact_world import World, check, refuses
from .fakes_ports import FakeChannel


def told(leg: FakeChannel) -> list[str]:
    """What was said to a caller."""
    return [sound for what in leg.heard if what[0] == "play" for sound in what[1:]]


def learns(world: World, services: int = 12, seconds: float = 100.0) -> None:
    """The queue sees so many calls, one after another, each with an agent for so long."""
    for number in range(services):
        seen = len(world.notes.of(Answered))
        caller = world.caller(leg=f"before{number}")
        world.until(lambda seen=seen: len(world.notes.of(Answered)) > seen)
        world.clock.callLater(seconds - 5, caller.dies)  # and 5 s of wrap-up
        world.run()


def passes(world: World, seconds: float) -> None:
    """So much time passes."""
    for _ in range(round(seconds / 0.5)):
        world.clock.advance(0.5)


def count(world: World, kind: type[Event], number: int) -> Callable[[], bool]:
    return lambda: len(world.notes.of(kind)) == number


class TestWhatIsLearnt:
    def test_handling_takes_what_it_took(self) -> None:
        world = World({"ana": ("sales",)})
        learns(world, 12)
        served = world.waits.lessons.queues["sales"].served
        assert served.exposed == 0
        assert served.events == pytest.approx(12, rel=0.1)
        assert served.exposure / served.events == pytest.approx(102, rel=0.01), "ringing is part of it"

    def test_an_offer_that_comes_to_nothing_is_no_service(self) -> None:
        world = World({"ana": ("sales",), "bo": ("sales",)})
        world.usual = refuses(OfferOutcome.NO_ANSWER, after=20.0)
        caller = world.caller()
        world.until(count(world, Offered, 2))
        caller.dies()
        world.run()
        served = world.waits.lessons.queues["sales"].served
        assert served.events == 0
        assert served.exposure > 19

    def test_the_estimate_is_held_against_the_answer(self) -> None:
        world = World({"ana": ("sales",)})
        learns(world)
        busy = world.caller(leg="busy")
        world.until(count(world, Answered, 13))
        world.clock.callLater(50, busy.dies)
        waiting = [world.caller(leg=f"w{number}") for number in range(3)]
        world.until(count(world, Queued, 16))
        forecast = world.waits.of_contact(world.notes.of(Queued)[-1].contact)
        assert forecast is not None
        assert forecast.known
        assert 200 < (forecast.seconds or 0) < 400
        world.until(count(world, Answered, 14))
        assert world.waits.lessons.queues["sales"].score.waited == pytest.approx(57, abs=3)
        for leg in waiting:
            leg.dies()
        world.run()
        check(world)
        assert world.waits.of_queue("sales").compared == 3, "the two who gave up, too"
        lessons = world.waits.lessons
        assert lessons._queue_of == lessons._offered == lessons._works == {}

    def test_who_finds_a_free_agent_does_not_wait(self) -> None:
        world = World({"ana": ("sales",)})
        learns(world, 1)
        assert world.waits.of_queue("sales").compared == 0
        assert world.waits.of_queue("sales").seconds == pytest.approx(0, abs=2)

    def test_a_contact_that_is_ended_from_here_did_not_give_up(self) -> None:
        world = World()
        world.caller()
        world.until(count(world, Queued, 1))
        passes(world, 10)
        world.contacts.hang_up(world.contact.id)
        world.run()
        assert world.notes.of(ContactEnded)[0].ended_by is EndedBy.API
        assert world.waits.lessons.queues["sales"].left.events == 0

    def test_of_a_callback_nothing_is_expected_or_learnt_but_how_long_it_keeps_an_agent(self) -> None:
        world = World({"ana": ("sales",)})
        lessons = world.waits.lessons
        facts = {"queue": "sales", "position": 1, "since": -9000.0}
        world.waits.take(0, Queued(at=1.0, contact="k", channel=Channel.CALLBACK, **facts))
        assert lessons.queue_of("k") == "sales", "an agent who has it works for the queue"
        world.waits.take(0, Answered(at=9.0, contact="k", agent="ana", queue="sales", waited=9009.0))
        assert lessons.queues["sales"].last_wait is None
        assert lessons.queues["sales"].left.exposed == 0
        assert not world.notes.of(WaitExpected)

    def test_nobody_serves_the_queue(self) -> None:
        assert World().waits.of_queue("sales").seconds is None

    def test_agents_who_go_count_no_more_at_once(self) -> None:
        world = World({"ana": ("sales",), "bo": ("sales",)})
        legs = [world.caller(leg=f"c{number}") for number in range(3)]
        world.until(count(world, Answered, 2))
        [waiting] = world.distributor.waiting("sales")
        before = world.waits.of_contact(waiting.contact)
        world.distributor.staff.set_state("bo", AgentState.NOT_READY)
        after = world.waits.of_contact(waiting.contact)
        assert before is not None
        assert after is not None
        assert after.seconds == pytest.approx(2 * (before.seconds or 0), rel=0.05)
        for leg in legs:
            leg.dies()
        world.run()


class TestWhatIsTold:
    def test_the_place_at_once_and_then_now_and_then(self) -> None:
        world = World(announce_position=True, announce_seconds=60.0)
        first, second = world.caller(leg="c1"), world.caller(leg="c2")
        world.until(count(world, Queued, 2))
        passes(world, 10)
        assert told(first) == ["You are the next in line."]
        assert told(second) == ["You are number 2 in line."]
        first.dies()
        passes(world, 60)
        assert told(second) == ["You are number 2 in line.", "You are the next in line."]
        assert ("music", "default") in second.heard
        second.dies()
        world.run()
        check(world)

    def test_behind_the_busy_prompt_and_without_a_range_that_nobody_knows(self) -> None:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy", announce_position=True, announce_wait=True)
        talking = world.caller(leg="c1")
        world.until(count(world, Answered, 1))
        caller = world.caller(leg="c2")
        passes(world, 10)
        assert told(caller) == ["busy", "You are the next in line."]
        for leg in (talking, caller):
            leg.dies()
        world.run()

    def test_a_range_when_enough_was_seen(self) -> None:
        world = World({"ana": ("sales",)}, announce_wait=True)
        learns(world)
        talking = world.caller(leg="c1")
        world.until(count(world, Answered, 13))
        callers = [world.caller(leg=f"w{number}") for number in range(3)]
        world.until(count(world, Queued, 16))
        passes(world, 10)
        assert told(callers[0]) == ["Your call will be answered in about 2 to 3 minutes."]
        assert told(callers[2]) == ["Your call will be answered in about 4 to 6 minutes."]
        for leg in (talking, *callers):
            leg.dies()
        world.run()
        check(world)

    def test_nothing_of_a_wait_when_nobody_works(self) -> None:
        world = World({"ana": ("sales",)}, announce_wait=True)
        learns(world)
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        caller = world.caller()
        world.until(count(world, Queued, 13))
        passes(world, 100)
        assert told(caller) == []
        assert caller.heard.count(("music", "default")) == 1, "nothing to say does not interrupt the music"
        caller.dies()
        world.run()

    def test_a_connection_does_not_wait_for_the_end_of_it(self) -> None:
        def heard(**queue: Any) -> float:
            world = World({"ana": ("sales",)}, **queue)
            world.distributor.staff.set_state("ana", AgentState.NOT_READY)
            world.switch.sound_seconds = 30.0
            caller = world.caller()
            world.until(count(world, Queued, 1))
            passes(world, 2)
            assert bool(told(caller)) == bool(queue)
            begun = world.clock.seconds()
            world.distributor.staff.set_state("ana", AgentState.READY)
            world.until(count(world, Answered, 1))
            caller.dies()
            world.run()
            check(world)
            return float(world.notes.of(Answered)[0].at - begun)

        assert heard(announce_position=True) == pytest.approx(heard(), abs=0.2)


class TestTheWords:
    def test_every_place_and_range_has_a_sound_in_both_languages(self) -> None:
        spoken = {text for prompt in Announcements().every([*RANGES, BEYOND]) for text in prompt.texts}
        assert {language for language, _ in spoken} == {"en", "zh"}
        assert len(spoken) == 2 * (LAST_POSITION + 1 + len(RANGES) + 1)
        for number in range(1, 50):
            assert set(Announcements().position(number).texts) <= spoken

    def test_they_are_said_like_this(self) -> None:
        said = Announcements(["zh"])
        assert said.position(3).texts == (("zh", "您排在第3位。"),)
        assert Announcements(["en", "de"]).position(21).texts == (("en", "More than 20 callers are in line before you."),)
        assert [Announcements(["en"]).wait(*span).texts[0][1] for span in ((0, 60), (180, 300), BEYOND)] == [
            "Your call will be answered in less than a minute.",
            "Your call will be answered in about 3 to 5 minutes.",
            "It may take more than an hour until your call is answered.",
        ]

    def test_a_queue_that_announces_needs_a_voice_for_it(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("start: q\nnodes:\n  q: {queue: q}\n")
        with pytest.raises(FlowError, match=r"queues\.q: announce: needs a voice for en or zh; those with a voice: de"):
            library.load(tmp_path, {"q": Queue("q", "Q", announce_wait=True)}, ["de"])

    def test_they_are_spoken_only_where_a_queue_announces(self) -> None:
        queues = {"q": Queue("q", "Q")}
        assert list(library.every_prompt({}, queues, {}, Announcements())) == []
        queues["q"] = Queue("q", "Q", announce_position=True)
        assert len(list(library.every_prompt({}, queues, {}, Announcements()))) == LAST_POSITION + 1 + len(RANGES) + 1
