"""Many callers and agents at once, at the worst moments, on fake legs and on a small Asterisk."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from easycall.acd.agent import NotNow
from easycall.acd.staff import REFUSED_SECONDS
from easycall.asterisk.switch import AsteriskSwitch
from easycall.defer import start
from easycall.events import ContactEnded, Corrected, Event, Offered, OfferEnded
from easycall.model import AgentState, OfferOutcome

from .clocks import next_turn
from .contact_world import World, check, is_the_worlds, words
from .toy_asterisk import ToyAsterisk


class Day:
    """A seeded stretch of a day: callers and agents who do what people do, at the worst moments."""

    SEEDS = 2000

    def __init__(self, seed: int) -> None:
        self.random = rnd = random.Random(seed)  # noqa: S311 - a test
        staff = {name: rnd.choice([("sales",), ("support",), ("sales", "support")]) for name in ("ana", "bo", "chen")}
        self.world = world = World(
            dict(list(staff.items())[: rnd.randint(1, 3)]),
            wrap_up_seconds=rnd.choice([0.0, 0.5, 3.0]),
            ring_seconds=4.0,
            busy_prompt=rnd.choice(["", "sound:busy"]),
        )
        self.refused: dict[tuple[str, str], float] = {}
        world.notes.listeners.append(self._fair)
        troubles = [self._state, self._state, self._api, *self.set_up(world)]
        for number in range(rnd.randint(1, 5)):
            world.clock.callLater(self._moment(), self._caller, number)
        for _ in range(rnd.randint(0, 6)):
            world.clock.callLater(self._moment(), rnd.choice(troubles))

    def set_up(self, world: World) -> list[Callable[[], None]]:
        """Everything on fake legs; what may go wrong with them."""
        rnd = self.random
        world.switch.latency = lambda: rnd.choice([0.0, 0.001, 0.01, 0.3])
        world.usual = lambda world, leg: self.phone(leg)
        return [self._link, self._bridge]

    def dial(self, leg: str, dialled: str) -> Any:
        return self.world.caller(dialled, leg, keys=["1"])

    def _moment(self, last: float = 12.0) -> float:
        """Moments that often fall together."""
        return self.random.choice([self.random.uniform(0, last), float(self.random.randint(0, int(last)))])

    def _caller(self, number: int) -> None:
        rnd = self.random
        caller = self.dial(f"c{number}", rnd.choice(["sales", "support", "sales", "95588"]))
        if rnd.random() < 0.7:
            self.world.clock.callLater(self._moment(15.0), caller.dies)
        self.world.clock.callLater(300, caller.dies)

    def phone(self, leg: Any) -> None:
        """What a phone does that is rung."""
        rnd, clock = self.random, self.world.clock
        ringing = self._moment(2.0)
        clock.callLater(ringing, leg.rings)
        end = ringing + self._moment(4.0)
        match rnd.choice(["answers", "answers", "answers", "declines", "silent", "away", "lost", "answers and dies"]):
            case "answers":
                clock.callLater(end, leg.comes_home)
                clock.callLater(end + self._moment(10.0) + 0.1, leg.dies)
            case "declines":
                clock.callLater(end, leg.refuses, OfferOutcome.DECLINED)
            case "away":
                clock.callLater(0.0, leg.refuses, OfferOutcome.UNREACHABLE)
            case "lost":
                clock.callLater(end, leg.dies)
            case "answers and dies":
                clock.callLater(end, leg.comes_home)
                clock.callLater(end + rnd.choice([0.0, 0.001, 0.3]), leg.dies)
            case _:
                clock.callLater(4.0, leg.refuses, OfferOutcome.NO_ANSWER)

    def _state(self) -> None:
        """reliability F61, F64: an agent changes state in the moment of being chosen."""
        agent = self.random.choice(list(self.world.distributor.staff.agents))
        staff = self.world.distributor.staff
        do: Any = self.random.choice(
            [
                lambda: staff.set_state(agent, AgentState.READY),
                lambda: staff.set_state(agent, AgentState.READY),
                lambda: staff.set_state(agent, AgentState.NOT_READY, "break"),
                lambda: staff.log_out(agent),
                lambda: staff.log_in(agent),
            ]
        )
        with contextlib.suppress(NotNow):
            do()

    def _api(self) -> None:
        live = list(self.world.contacts.live)
        if live:
            self.world.contacts.hang_up(self.random.choice(live))

    def _link(self) -> None:
        world, down = self.world, self.random.choice([0.0, 0.5, 2.0])
        if not world.switch.up:
            return
        world.switch.goes_down()
        world.distributor.freeze("main")
        world.clock.callLater(down, world.switch.comes_up)
        world.clock.callLater(down, world.distributor.thaw, "main")

    def _bridge(self) -> None:
        self.world.switch.refuse_bridges += 1

    def _fair(self, one: Event) -> None:
        """I9: whoever is offered has waited longest of those this agent could have had."""
        if isinstance(one, OfferEnded) and one.outcome is not OfferOutcome.ANSWERED:
            self.refused[one.contact, one.agent] = one.at + REFUSED_SECONDS.get(one.outcome, 30.0)
        if not isinstance(one, Offered):
            return
        desk = self.world.distributor
        reserved = {agent.contact for agent in desk.staff.agents.values()}
        chosen = next(item for item in desk.waiting(one.queue) if item.contact == one.contact)
        for queue in desk.staff.agents[one.agent].queues:
            for item in desk.waiting(queue):
                if item.contact not in reserved and self.refused.get((item.contact, one.agent), 0.0) <= one.at:
                    assert (chosen.enqueued, chosen.contact) < (item.enqueued, item.contact), "somebody waited longer"

    def live(self) -> None:
        """Live through it to the end, when nobody must be left."""
        self.world.run(20_000)
        check(self.world)


class DayOnAsterisk(Day):
    """The same with real call control, on a small Asterisk of which only the audio is missing."""

    SEEDS = 300
    troubles = 0.0
    """The share of events that are lost or doubled."""

    def set_up(self, world: World) -> list[Callable[[], None]]:
        rnd = self.random
        latencies = rnd.choice([[0.0], [0.001], [0.0, 0.001, 0.01], [0.0, 0.001, 0.01, 0.05]])
        self.toy = ToyAsterisk(world.clock, lambda: rnd.choice(latencies), self.phone)
        self.toy.copies = lambda: rnd.choice([0, 2, 3]) if rnd.random() < self.troubles else 1
        world.distributor.freeze("main")
        self.switch = self.toy.switch = AsteriskSwitch(
            "main",
            dial="PJSIP/{phone}",
            context="easycall",
            clock=world.clock,
            journal=world.notes,
            arrived=world.contacts.arrive,
            went_up=world.distributor.thaw,
            went_down=world.distributor.freeze,
            phone_is=world.distributor.staff.phone_is,
        )
        self.switch.use(self.toy)  # type: ignore[arg-type]
        self.toy.back()
        return [self._session_lost]

    def dial(self, leg: str, dialled: str) -> Any:
        return self.toy.dial(leg, dialled)

    def _session_lost(self) -> None:
        """A leg's session ends for no reason: it comes home again."""
        sessions = [leg.session for leg in self.toy.legs.values() if leg.session]
        if sessions:
            self.random.choice(sessions).ends()

    def live(self) -> None:
        self.last_for(400)
        assert self.toy.legs == {}, "a leg is left in Asterisk"
        assert list(self.switch.legs) == [], "a leg is left with us"
        assert self.troubles or not self.world.notes.of(Corrected), "nothing was wrong"
        self.switch.let_go()
        super().live()

    def last_for(self, seconds: float) -> None:
        over = self.world.clock.callLater(seconds, list)
        while over.active():
            next_turn(self.world.clock)


class DayWithCuts(DayOnAsterisk):
    """And the link is cut now and then."""

    troubles = 1e-9

    def set_up(self, world: World) -> list[Callable[[], None]]:
        return [*super().set_up(world), self._cut, self._cut, self._cut]

    def _cut(self) -> None:
        self.toy.cut(self.random.choice([0.3, 1.0, 3.0]))


class DayWithLosses(DayWithCuts):
    """And events are lost and doubled."""

    troubles = 0.05


class DayThatIsStopped(DayWithCuts):
    """And the daemon stops in the middle of it: nothing is told any more, nobody is hung up, no timer stays."""

    def live(self) -> None:
        world, toy, rnd = self.world, self.toy, self.random
        self.last_for(rnd.uniform(0, 15))
        world.distributor.stop()
        self.switch.let_go()
        endings = list(toy.endings)
        self.last_for(rnd.choice([0.0, 0.01]))
        toy.stop()
        self.last_for(rnd.choice([0.0, 0.01]))
        stopped: list[Any] = []
        start(world.contacts.stop()).addBoth(stopped.append)
        self.last_for(0.2)
        told = len(world.notes.events)
        assert (stopped, world.contacts.live) == ([None], {})
        assert not [call for call in world.clock.getDelayedCalls() if not is_the_worlds(call.func)]
        self.last_for(30)
        assert world.notes.events[told:] == []
        assert toy.endings == endings, "somebody was hung up"


@pytest.mark.parametrize("kind", [Day, DayOnAsterisk, DayWithCuts, DayWithLosses, DayThatIsStopped])
def test_many_callers_and_agents_at_once(kind: type[Day]) -> None:
    """I2, I4, I9 over seeded interleavings of offers, answers, refusals, leaving and changing state."""
    seen: Counter[str] = Counter()
    for seed in range(kind.SEEDS):
        day = kind(seed)
        try:
            day.live()
        except Exception as error:
            raise AssertionError(f"{kind.__name__}, seed {seed}: {words(day.world.told)}") from error
        seen.update(one.outcome.value for one in day.world.notes.of(OfferEnded))
        seen.update(one.outcome.value for one in day.world.notes.of(ContactEnded))
    assert set(seen) >= {
        *(
            one.value
            for one in OfferOutcome
            if one not in (OfferOutcome.CANCELLED, OfferOutcome.BUSY, OfferOutcome.ELSEWHERE)
        ),
        "abandoned_in_ivr",
        "abandoned",
    }, seen
    assert min(seen.values()) >= 5, seen
