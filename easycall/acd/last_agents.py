"""Which agent talked last with a number: learnt from the journal, and from the database for what was before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.defer import limited, start
from easycall.events import Answered, ContactArrived, ContactEnded, Event
from easycall.model import Direction, LastTalk
from easycall.ports import StoreUnavailable

__all__ = ["ANY_QUEUE", "LOOK_UP_SECONDS", "LastAgents", "TalkHistory"]

log = Logger()

ANY_QUEUE = ""
LOOK_UP_SECONDS = 0.3
"""How long a caller waits for the database; then nobody is the last agent."""
REST_SECONDS = 5.0
"""How long nothing is looked up when the database was too slow or not there."""
AT_ONCE = 20
"""How many look-ups run at once; who comes beyond has no last agent."""


class TalkHistory(Protocol):
    """The talks of ended contacts."""

    async def last_talk(self, number: str, queue: str, since: float) -> LastTalk | None:
        """The latest one with a number after ``since``, of a queue or of any.  Raises StoreUnavailable."""


@define
class _Known:
    """What is known of a number."""

    talks: dict[str, LastTalk] = field(factory=dict)
    """Queue -> its latest talk."""
    looked_up: tuple[str, ...] = ()
    """The queues that the database was asked for."""

    def take(self, talk: LastTalk) -> None:
        before = self.talks.get(talk.queue)
        if before is None or before.at <= talk.at:
            self.talks[talk.queue] = talk

    def latest(self, queue: str, since: float) -> LastTalk | None:
        talks = self.talks.values() if queue == ANY_QUEUE else filter(None, [self.talks.get(queue)])
        return max((talk for talk in talks if talk.at > since), key=lambda talk: talk.at, default=None)


class LastAgents:
    """The last agents of the numbers that called or were called of late."""

    def __init__(
        self, history: TalkHistory | None, number_of: Callable[[str], str], clock: IReactorTime, most: int = 20_000
    ) -> None:
        """``number_of``: by which a caller is known again, of one as shown; ``most``: so many numbers are kept."""
        self._history = history
        self._number_of = number_of
        self._clock = clock
        self._most = most
        self._numbers: dict[str, str] = {}
        """Live contact -> the customer's number."""
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._running = 0
        self._rests_until = 0.0

    def take(self, sequence: int, event: Event) -> None:
        """Learn from an event."""
        match event:
            case ContactArrived():
                shown = event.dialled if event.direction is Direction.OUTBOUND else event.caller
                if number := self._number_of(shown):
                    self._numbers[event.contact] = number
            case Answered():
                if number := self._numbers.get(event.contact, ""):
                    self._of(number).take(LastTalk(event.at, event.agent, event.queue))
            case ContactEnded():
                self._numbers.pop(event.contact, None)

    async def of(self, number: str, queue: str, days: float) -> str:
        """Who talked last with a number in so many days, for a queue or :data:`ANY_QUEUE`; ``""``: nobody, or it takes
        longer than :data:`LOOK_UP_SECONDS` to tell."""
        if not number:
            return ""
        since = self._clock.seconds() - days * 86_400
        known = self._of(number)
        talk = known.latest(queue, since)
        if talk is None and self._history is not None and queue not in known.looked_up:
            await self._look_up(self._history, known, number, queue, since)
            talk = known.latest(queue, since)
        return talk.agent if talk is not None else ""

    def forget(self, number: str) -> None:
        """Nothing is known of a number any more."""
        self._known.pop(number, None)

    async def _look_up(self, history: TalkHistory, known: _Known, number: str, queue: str, since: float) -> None:
        """Ask the database, if that is no burden on it."""
        if self._running >= AT_ONCE or self._clock.seconds() < self._rests_until:
            return
        self._running += 1
        try:
            talk = await limited(start(history.last_talk(number, queue, since)), LOOK_UP_SECONDS, self._clock)
        except (TimeoutError, StoreUnavailable) as why:
            self._rests_until = self._clock.seconds() + REST_SECONDS
            log.warn("the last agent of a caller is not known: {why}", why=why)
        else:
            known.looked_up += (queue,)
            if talk is not None:
                known.take(talk)
        finally:
            self._running -= 1

    def _of(self, number: str) -> _Known:
        known = self._known.get(number)
        if known is None:
            known = self._known[number] = _Known()
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(number)
        return known
