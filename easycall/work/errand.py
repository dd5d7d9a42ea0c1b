"""One contact without a call as one coroutine: a chat, a message, a voice mail or a fax, from its arrival to its last event.

It waits in line as a caller does (:mod:`easycall.work.line`), is offered to an agent's desktop, who accepts or declines it,
and is with that agent until it is closed.  An agent who logs out or loses the desktop does not take it along: it has its old
place in line again.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.acd.wrapup import NO_WRAP_UP
from easycall.events import (
    Answered,
    ContactArrived,
    ContactEnded,
    DataAttached,
    DispositionSet,
    Offered,
    OfferEnded,
    ScreenPop,
    ScreenPopRevoked,
    TalkEnded,
    Transferred,
)
from easycall.live import LiveContact
from easycall.mailbox import Letter
from easycall.model import DispositionRule, EndedBy, OfferOutcome, Outcome, Queue, Stage
from easycall.talk.alone import NOBODY, answer_alone
from easycall.verbs import Answer, AttachData, Close, Leave, NotNow, ToAgent, ToQueue
from easycall.work.line import Given, Line, reserve

__all__ = ["Errand"]

log = Logger()


class Errand:
    """See the module."""

    def __init__(self, line: Line, had: Given | None = None) -> None:
        """``had``: the agent who has had it since before this process began."""
        self.live: LiveContact = line.live
        self.contact = line.live.contact
        self._line = line
        self._had = had
        self._outcome: Outcome | None = None
        """None: no agent has had it."""
        self._last: Letter | None = None
        """A verb that is carried out, and is to be answered when all of it is."""

    def end(self, by: EndedBy) -> None:
        """It is over, wherever it is; the first who ends a contact is the one who ended it."""
        self.contact.ended_by = self.contact.ended_by or by
        self.live.customer.hang_up()

    async def carry(self) -> None:
        """All of it.  Cancelled from outside (the daemon stops) it ends nothing."""
        contact, live = self.contact, self.live
        self._arrives()
        try:
            await self._story()
        except CancelledError:
            raise
        except Exception:
            log.failure("contact {contact} failed", contact=contact.id)
            self._outcome, contact.ended_by = Outcome.FAILED, EndedBy.SYSTEM
        finally:
            self._line.leave()
        live.mailbox.close(NOBODY)
        contact.stage = Stage.ENDED
        live.audience.close()
        outcome = self._outcome or self._line.outcome
        live.tell(ContactEnded, outcome=outcome, ended_by=contact.ended_by or EndedBy.SYSTEM)

    def _arrives(self) -> None:
        contact, live = self.contact, self.live
        live.record(
            ContactArrived(
                at=contact.arrived,
                contact=contact.id,
                pbx="",
                leg="",
                caller=contact.caller,
                caller_name=contact.caller_name,
                dialled="",
                channel=contact.channel,
            )
        )
        if contact.data:
            live.tell(DataAttached, data=dict(contact.data))

    async def _story(self) -> None:
        had, given = self._had, None
        if had is not None:
            self.contact.agent, self.contact.attempts = had.agent, had.attempt
            given = await self._with_agent(had, told=True)
        given = given or await self._line.agent()
        while given is not None:
            following: Given | None = None
            if await self._offered(given):
                self._line.leave()
                following = await self._with_agent(given)
            given = following or await self._line.agent(given.refusal)

    # Offered

    async def _offered(self, given: Given) -> bool:
        """Offer it to one agent's desktop; whether the agent has it now."""
        live, contact, queue = self.live, self.contact, self._line.queue
        contact.agent, contact.attempts = given.agent, given.attempt
        live.at(Stage.OFFERED)
        live.tell(Offered, given.agent, queue=queue.id, attempt=given.attempt)
        self._pop(given, queue)
        outcome = OfferOutcome.CALLER_LEFT
        try:
            outcome = await self._accepted(given, queue)
        finally:
            if outcome is not OfferOutcome.ANSWERED:
                live.tell(ScreenPopRevoked, given.agent, attempt=given.attempt, outcome=outcome)
            live.tell(OfferEnded, given.agent, attempt=given.attempt, outcome=outcome)
            contact.agent = given.agent if outcome is OfferOutcome.ANSWERED else ""
            if outcome is OfferOutcome.ANSWERED:
                given.talks(queue.id)
            else:
                given.ended(outcome)
        return outcome is OfferOutcome.ANSWERED

    def _pop(self, given: Given, queue: Queue) -> None:
        contact = self.contact
        self.live.tell(
            ScreenPop,
            given.agent,
            attempt=given.attempt,
            caller=contact.caller,
            caller_name=contact.caller_name,
            dialled="",
            queue=queue.id,
            waited=max(0.0, self.live.now() - self._line.since),
            data=dict(contact.data),
            channel=contact.channel,
        )

    async def _accepted(self, given: Given, queue: Queue) -> OfferOutcome:
        """Until the agent accepts it, or will not."""
        live, until = self.live, self.live.now() + queue.ring_seconds
        if self.contact.channel in live.staff.agents[given.agent].auto_accept:
            return OfferOutcome.ANSWERED
        while given.stands:
            late: Deferred[None] = deferLater(live.clock, max(0.0, until - live.now()))
            lost = live.staff.desk_work.when_lost(given.agent, self.contact.id)
            news = await live.news(live.customer.when_gone(), lost, late)
            if not isinstance(news, Letter):
                return (OfferOutcome.CALLER_LEFT, OfferOutcome.LOST, OfferOutcome.NO_ANSWER)[news]
            if isinstance(news.verb, Answer):
                self._last = news
                return OfferOutcome.ANSWERED
            if isinstance(news.verb, Leave):
                news.done()
                return OfferOutcome.DECLINED
            answer_alone(live, news)
        return OfferOutcome.LOST

    # With an agent

    async def _with_agent(self, given: Given, *, told: bool = False) -> Given | None:
        """The agent has it (``told``: and has had it).  Whom it goes to; None: it goes back into the line, or is over."""
        live, contact, queue = self.live, self.contact, self._line.queue
        self._outcome = Outcome.ANSWERED
        live.at(Stage.HANDLING)
        if not told:
            live.tell(Answered, given.agent, queue=queue.id, waited=max(0.0, live.now() - self._line.since))
        self._answer_last()
        by = EndedBy.SYSTEM
        try:
            while given.stands:
                lost = live.staff.desk_work.when_lost(given.agent, contact.id)
                news = await live.news(live.customer.when_gone(), lost)
                if isinstance(news, Letter):
                    try:
                        stays, following = self._verb(given, queue, news)
                    except NotNow as why:
                        news.refused(str(why))
                        continue
                    if stays:
                        continue
                    by, self._last = EndedBy.AGENT, news
                    return following
                by = EndedBy.SYSTEM if news else contact.ended_by or EndedBy.CALLER
                return None
            return None
        finally:
            live.tell(TalkEnded, given.agent, ended_by=by)
            given.parted(NO_WRAP_UP)
            contact.agent = ""
            self._answer_last()

    def _answer_last(self) -> None:
        """What was asked last is done."""
        last, self._last = self._last, None
        if last is not None:
            last.done()

    def _verb(self, given: Given, queue: Queue, letter: Letter) -> tuple[bool, Given | None]:
        """What is asked while an agent has it: whether it stays there, and the agent it goes to.  Raises NotNow."""
        live, verb = self.live, letter.verb
        match verb:
            case Close():
                self._dispose(given.agent, queue, verb.disposition)
                self.end(EndedBy.AGENT)
                return False, None
            case ToQueue():
                self._check_queue(verb)
                live.tell(Transferred, given.agent, target="queue", to=verb.queue)
                self._line.goes_to(verb.queue, live.now())
                return False, None
            case ToAgent():
                if verb.agent == given.agent:
                    raise NotNow(f"{given.agent} has it already")
                following = reserve(live, verb.agent)
                live.tell(Transferred, given.agent, target="agent", to=verb.agent)
                return False, following
            case AttachData():
                answer_alone(live, letter)
                return True, None
            case _:
                raise NotNow(f"{type(verb).__name__} is not possible: the contact is a {self.contact.channel}, not a call")

    def _check_queue(self, verb: ToQueue) -> None:
        distributor = self.live.distributor
        if verb.queue not in distributor.queues:
            raise NotNow(f"there is no queue {verb.queue!r}")
        if not verb.wait and not distributor.someone_free(verb.queue, self.contact.channel):
            raise NotNow(f"nobody is free in {verb.queue}")

    def _dispose(self, agent: str, queue: Queue, disposition: str) -> None:
        """What the agent says came of it, as the queue wants it.  Raises NotNow."""
        if not disposition and queue.disposition is not DispositionRule.REQUIRED:
            return
        if disposition not in queue.dispositions:
            known = ", ".join(queue.dispositions) or "none"
            raise NotNow(f"say what came of it: the dispositions of {queue.id} are {known}")
        self.live.tell(DispositionSet, agent, queue=queue.id, disposition=disposition)
