"""The overflow rules of queues at work: a contact that comes to a queue, or waits in it, asks which rule holds.

Nothing polls: one who waits asks again when the clock can change the answer, when the last agent of the queue leaves, or
when the queue is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.acd.distributor import Distributor
from easycall.acd.overflow import OF_STAFF, Facts, judge
from easycall.acd.presence import Presence
from easycall.defer import background
from easycall.events import AgentAssigned, AgentChanged, Event, QueueEdited
from easycall.live import LiveContact
from easycall.model import Outcome, OverflowRule, OverflowTo, OverflowWhen, Queue, Stage
from easycall.ports import BridgeFailed, Journal
from easycall.talk import Course, Farewell, RunFlow, TakeMessage, Wait
from easycall.talk.alone import answer_letters

__all__ = ["OUTCOMES", "OVERFLOW_LIMIT", "Overflow", "course_of", "out_of_music", "say_farewell"]

log = Logger()

OUTCOMES: Mapping[OverflowWhen, Outcome] = {OverflowWhen.CLOSED: Outcome.CLOSED, OverflowWhen.FULL: Outcome.FULL}
"""What has become of a contact whom no agent takes after such a rule; ``overflowed`` after any other."""

OVERFLOW_LIMIT = 20
"""How often a contact may be sent on before it is ended.

Queues that send to each other are refused with the configuration; a belt for flows between them that send back.
"""


class Overflow:
    """See the module."""

    def __init__(
        self,
        distributor: Distributor,
        clock: IReactorTime,
        journal: Journal,
        expected: Callable[[str], float | None] | None = None,
    ) -> None:
        """``expected``: how long one who joins a queue now will wait, in seconds; where it is None, nobody can tell."""
        self._distributor = distributor
        self._clock = clock
        self._expected = expected
        self._presence = Presence()
        self._watching: dict[str, set[Deferred[None]]] = {}
        self._lost: set[str] = set()
        self._telling: IDelayedCall | None = None
        self._stop_listening = journal.subscribe(self._told)

    def judge(self, queue: Queue, since: float, *, entering: bool = False) -> OverflowRule | float:
        """The rule that holds now for a contact that waits since then, or until when none does unless an agent leaves."""
        facts = Facts(
            entering=entering,
            since=since,
            waiting=len(self._distributor.waiting(queue.id)) if entering and queue.max_waiting else 0,
            logged_in=self._presence.logged_in.get(queue.id, 0),
            eligible=self._presence.eligible.get(queue.id, 0),
            expected=self._expected(queue.id) if entering and self._expected is not None else None,
        )
        return judge(queue, facts, self._clock.seconds())

    def may_change(self, queue: Queue, at: float) -> Deferred[None]:
        """Fires when :meth:`judge` is to be asked again: ``at`` that time, when the last agent leaves, or the queue is
        changed.  Cancel it."""
        changed: Deferred[None] = Deferred()
        timer = self._clock.callLater(max(0.0, at - self._clock.seconds()), changed.callback, None)
        watching = self._watching.setdefault(queue.id, set())
        watching.add(changed)

        def over(result: object) -> object:
            watching.discard(changed)
            if timer.active():
                timer.cancel()
            return result

        return changed.addBoth(over)

    def stop(self) -> None:
        """Listen no more."""
        self._stop_listening()
        if self._telling is not None and self._telling.active():
            self._telling.cancel()

    def _told(self, sequence: int, event: Event) -> None:
        if isinstance(event, QueueEdited):
            may = {event.queue}
        elif isinstance(event, AgentChanged | AgentAssigned):
            may = {queue for queue in self._presence.take(event) if self._looks_at_staff(queue)}
        else:
            return
        if may:
            self._lost |= may
            if self._telling is None or not self._telling.active():
                # Later: whoever changed the agent is not done.
                self._telling = self._clock.callLater(0, self._tell)

    def _looks_at_staff(self, queue: str) -> bool:
        known = self._distributor.queues.get(queue)
        return known is not None and bool(OF_STAFF & {rule.when for rule in known.rules})

    def _tell(self) -> None:
        lost, self._lost = self._lost, set()
        for queue in lost:
            for changed in tuple(self._watching.get(queue, ())):
                if not changed.called:
                    changed.callback(None)


def course_of(rule: OverflowRule, enqueued: float, since: float) -> Course:
    """Where a contact goes by a rule; ``enqueued`` is its place in line and ``since`` when it began to wait."""
    match rule.to:
        case OverflowTo.QUEUE:
            return Wait(rule.target, enqueued, since=since, overflowed=True)
        case OverflowTo.VOICEMAIL:
            return TakeMessage(rule.target)
        case OverflowTo.FLOW:
            return RunFlow(rule.target)
        case OverflowTo.HANG_UP:
            return Farewell(rule.say)


async def out_of_music(live: LiveContact) -> None:
    """Let the customer who waited hear at once what comes next, and not when a command that waits under music is over.

    Without the link to Asterisk nobody can be fetched: then it is heard up to 20 s later.  Raises HungUp.
    """
    if live.switch.up:
        try:
            await live.switch.fetch(live.customer)
        except BridgeFailed as why:
            log.warn("contact {contact} hears music a little longer: {why}", contact=live.contact.id, why=why)


async def say_farewell(live: LiveContact, say: str) -> Course:
    """The last a customer hears.  Raises HungUp."""
    live.at(Stage.IVR)
    sounds = live.script.spoken(say, live.contact.data.get("language", ""))

    async def say_it() -> None:
        await live.customer.music(None)
        await live.customer.play(sounds)

    if sounds:
        async with background(answer_letters(live)):
            await live.at_home(say_it)
    return None
