"""Strategies at work: who is asked which of the idle agents gets a contact, within a time, and left alone when it fails.

A strategy (:class:`easycall.ports.Strategy`) is asked while the agent whom the queue chose is reserved, so it can lose
nothing: whatever goes wrong with it, that agent is rung.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.acd.item import Item
from easycall.acd.seating import Seat
from easycall.acd.waiting_room import WaitingRoom
from easycall.config import StrategySettings
from easycall.defer import first, start
from easycall.events import StrategyAsked
from easycall.model import Contact, StrategyOutcome
from easycall.policy import Candidate, Case
from easycall.ports import Journal, ServiceFailed, StrategyOutside
from easycall.service import CannotStart

__all__ = ["Chooser", "Strategies", "Verdict", "case_of"]

log = Logger()

LOG_SECONDS = 60.0
"""A strategy that fails is logged so often."""
ERROR_LENGTH = 200


@frozen
class Verdict:
    """What a strategy said."""

    agent: str
    """The agent it named; empty: the queue's own choice holds."""
    outcome: StrategyOutcome
    error: str = ""
    """Of one that failed: how."""

    def words(self, strategy: str, chosen: str) -> str:
        """For people; ``chosen``: whom the queue itself chose."""
        said = {
            StrategyOutcome.AGREED: "agrees",
            StrategyOutcome.FOLLOWED: f"{self.agent} instead of {chosen}",
            StrategyOutcome.NOT_FREE: f"wanted {self.agent}, who is not free any more, own choice",
            StrategyOutcome.WRONG: "named no agent of the case, own choice",
            StrategyOutcome.TIMED_OUT: "timed out, own choice",
            StrategyOutcome.FAILED: f"failed ({self.error}), own choice",
            StrategyOutcome.RESTING: "rests after failures, own choice",
        }
        return f"strategy {strategy}: {said[self.outcome]}"


class Chooser:
    """One strategy of the configuration."""

    def __init__(self, settings: StrategySettings, clock: IReactorTime) -> None:
        self.name = settings.name
        self.candidates = settings.candidates
        self._settings = settings
        self._clock = clock
        self._failed = 0
        """How often in a row."""
        self._rests_until = 0.0
        self._logged = -LOG_SECONDS
        self._unlogged = 0
        """How often it failed since it was logged."""

    async def choose(self, case: Case) -> Verdict:
        """What it says of a case, within its time.  Cancelled, it asks no more."""
        if self._clock.seconds() < self._rests_until:
            return Verdict("", StrategyOutcome.RESTING)
        answers: list[object] = []
        asked = start(self._ask(case)).addCallback(answers.append)
        try:
            late = await first(asked, deferLater(self._clock, self._settings.seconds))
        except CancelledError:
            raise
        except ServiceFailed as why:
            return self._fails(StrategyOutcome.FAILED, str(why))
        except Exception as error:  # of somebody else's code; its text may quote what it was told
            return self._fails(StrategyOutcome.FAILED, type(error).__name__, unforeseen=True)
        return self._fails(StrategyOutcome.TIMED_OUT) if late else self._judged(answers[0], case)

    async def _ask(self, case: Case) -> object:
        try:
            answer = self._settings.strategy.choose(case)
            return await answer if isawaitable(answer) else answer
        except CancelledError:
            return None  # our doing, or its own: it names nobody

    def _judged(self, answer: object, case: Case) -> Verdict:
        if answer is None or answer == case.chosen.id:
            self._failed = 0
            return Verdict("", StrategyOutcome.AGREED)
        if not isinstance(answer, str) or answer not in {other.id for other in case.others}:
            return self._fails(StrategyOutcome.WRONG)
        self._failed = 0
        return Verdict(answer, StrategyOutcome.FOLLOWED)

    def _fails(self, outcome: StrategyOutcome, error: str = "", *, unforeseen: bool = False) -> Verdict:
        """It goes without it; said once a minute, and left alone when it fails too often."""
        now = self._clock.seconds()
        verdict = Verdict("", outcome, error[:ERROR_LENGTH])
        self._failed += 1
        self._unlogged += 1
        if self._failed >= self._settings.failures:
            self._rests_until = now + self._settings.rest_seconds
        if now - self._logged >= LOG_SECONDS:
            tell = log.failure if unforeseen else log.warn
            words = verdict.words(self.name, "")
            tell("{words}; failures since this was told last: {count}", words=words, count=self._unlogged)
            self._logged, self._unlogged = now, 0
        return verdict


class Strategies:
    """All strategies of the configuration."""

    def __init__(self, settings: Mapping[str, StrategySettings], clock: IReactorTime, journal: Journal) -> None:
        self._settings = settings
        self._choosers = {name: Chooser(one, clock) for name, one in settings.items()}
        self._clock = clock
        self._journal = journal
        self._about: Callable[[str], Contact | None] = lambda contact: None

    def when_asked_about(self, about: Callable[[str], Contact | None]) -> None:
        """Ask this what is known of a contact."""
        self._about = about

    async def start(self, reactor: Any) -> None:
        """Before the first case; ``reactor`` connects.  Raises CannotStart."""
        for one in self._settings.values():
            if isinstance(one.strategy, StrategyOutside):
                try:
                    one.strategy.start(reactor, self._clock)
                except Exception as error:  # of somebody else's code
                    why = f"strategies.{one.name}.use: it did not start: {type(error).__name__}: {error}"
                    raise CannotStart(why) from error

    async def stop(self) -> None:
        """After the last case."""
        for one in self._settings.values():
            if isinstance(one.strategy, StrategyOutside):
                try:
                    await one.strategy.stop()
                except Exception:  # of somebody else's code: the others are to be stopped, too
                    log.failure("strategy {name} did not stop properly", name=one.name)

    def ask(self, name: str, room: WaitingRoom, contact: str, give: Callable[[str], str]) -> Deferred[None] | None:
        """Ask a strategy who gets a contact that is reserved; None when there is only one who could have it.

        ``give``: reserves it for the agent named (empty: leaves it as it is), and tells for whom it is reserved then (empty:
        for nobody any more).
        """
        chooser = self._choosers[name]
        case = case_of(room, contact, self._about(contact), chooser.candidates, self._clock.seconds())
        return None if case is None else start(self._ask(chooser, room, case, give))

    async def _ask(self, chooser: Chooser, room: WaitingRoom, case: Case, give: Callable[[str], str]) -> None:
        began = self._clock.seconds()
        room.note(case.contact, f"strategy {chooser.name}: is asked")
        verdict = await chooser.choose(case)
        agent = give(verdict.agent)
        if not agent:
            return
        if verdict.agent not in ("", agent):
            verdict = evolve(verdict, outcome=StrategyOutcome.NOT_FREE)
        room.note(case.contact, verdict.words(chooser.name, case.chosen.id))
        now = self._clock.seconds()
        self._journal.record(
            StrategyAsked(
                at=now,
                contact=case.contact,
                agent=agent,
                queue=case.queue,
                strategy=chooser.name,
                outcome=verdict.outcome,
                first=case.chosen.id,
                seconds=round(now - began, 3),
                error=verdict.error,
            )
        )


def case_of(room: WaitingRoom, contact: str, about: Contact | None, limit: int, now: float) -> Case | None:
    """The case of a contact that is reserved for an agent; None when nobody else could have it.  Raises KeyError.

    ``about``: what is known of the contact, if anything is; ``limit``: so many other agents at most.
    """
    others = room.alternatives(contact, limit)
    item = room.items[contact]
    if not others or item.agent is None:
        return None
    row = item.row.key
    case = Case(
        contact=contact,
        queue=row.queue,
        channel=row.channel,
        waited=max(0.0, now - item.enqueued),
        position=room.position(contact),
        score=item.score(now),
        requires=row.requires.text,
        chosen=_candidate(room.seats[item.agent], now, item),
        others=tuple(_candidate(room.seats[agent], now) for agent in others),
    )
    if about is None:
        return case
    answers, data = dict(about.answers), dict(about.data)
    return evolve(case, caller=about.customer, dialled=about.dialled, answers=answers, data=data)


def _candidate(seat: Seat, now: float, item: Item | None = None) -> Candidate:
    """An agent; ``item``: what is reserved for this one, who was idle until then."""
    profile = seat.team.profile
    since = seat.idle_since if item is None or item.before is None else item.before[1]
    return Candidate(seat.id, dict(profile.skills), tuple(sorted(profile.queues)), max(0.0, now - since), seat.occupancy)
