"""A customer who asked to be called waits in line as a caller does, and is dialled when an agent is there.

The agent is rung first; who does not answer costs the customer nothing, who keeps the place.  Whether the number may be
dialled is judged when it is: the do-not-call list and the caps of that moment count.
"""

from __future__ import annotations

from twisted.logger import Logger

from easycall.acd.staff import Assignment
from easycall.live import LiveContact
from easycall.model import EndedBy, OfferOutcome, Outcome, Queue
from easycall.outbound.call import First, NotReached, OutboundCall
from easycall.outbound.dialling import Route
from easycall.outbound.rules import NotDialled, Why
from easycall.talk import Course
from easycall.work.line import Given, Line

__all__ = ["CallMe"]

log = Logger()

RETRY_SECONDS = 15.0
"""How long after no line was free another agent is looked for."""


class CallMe:
    """How the customer is reached who asked for it: see :meth:`easycall.visit.Visit.carry`."""

    def __init__(self, line: Line) -> None:
        self._live: LiveContact = line.live
        self._line = line

    async def reach(self) -> Course:
        """Until the customer is there; what becomes of the contact then.  Raises NotReached."""
        try:
            given = await self._line.agent()
            while given is not None:
                course = await self._try(given)
                if course is not None:
                    return course
                given = await self._line.agent(given.refusal)
        finally:
            self._line.leave()
        raise NotReached(self._line.outcome, self._live.contact.ended_by or EndedBy.SYSTEM)

    async def _try(self, given: Given) -> Course | None:
        """With one agent; None when the customer was not dialled and goes on waiting.  Raises NotReached."""
        live, contact, queue = self._live, self._live.contact, self._line.queue
        if not isinstance(given, Assignment):
            raise TypeError(f"{given} holds no agent's phone")
        contact.agent, contact.attempts, contact.queue = given.agent, given.attempt, queue.id
        try:
            route = self._route(given, queue)
        except NotDialled as why:
            given.ended(OfferOutcome.CANCELLED)
            contact.agent = ""
            log.warn("contact {contact} is not dialled: {why}", contact=contact.id, why=str(why))
            if why.why is not Why.NO_LINE:
                raise NotReached(Outcome.NOT_DIALLED, EndedBy.SYSTEM) from None
            await self._line.pause(RETRY_SECONDS)
            return None
        live.switch, contact.pbx, contact.caller = route.switch, route.switch.name, route.caller_id
        try:
            return await OutboundCall(live, route, queue, First.AGENT, given).reach()
        except NotReached as why:
            if why.outcome is not Outcome.NO_AGENT:
                raise
            contact.agent = ""
            return None

    def _route(self, given: Assignment, queue: Queue) -> Route:
        return self._live.dialling.route(self._live.contact.dialled, agent=given.agent, queue=queue, customer=True)
