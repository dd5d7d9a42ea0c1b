"""The customer is lent to an IVR flow and comes back to the same agent, who hears music meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from easycall.defer import Bell, cancelled, start
from easycall.events import Lent, LoanEnded
from easycall.fax import callers
from easycall.ivr.runner import run
from easycall.mailbox import Letter
from easycall.model import Stage
from easycall.ports import HungUp
from easycall.verbs import Cancel, Retrieve, Verb

if TYPE_CHECKING:
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["Loan"]

log = Logger()


class Loan:
    """One loan.  Making it sends the customer, who is at home, into the flow."""

    def __init__(self, talk: Talk, flow: str) -> None:
        self._talk = talk
        self._live = talk.live
        self._flow = flow
        self._walked = Bell()
        self._live.tell(Lent, talk.side.agent, flow=flow)
        self._walking: Deferred[None] | None = start(self._walk())

    async def stop(self) -> None:
        """The flow is not walked any further."""
        walking, self._walking = self._walking, None
        if walking is not None:
            await cancelled(walking)

    async def _walk(self) -> None:
        """The customer walks the flow; that it failed is no reason to lose the customer."""
        live = self._live
        try:
            flow = live.script.named(self._flow)
            receive = partial(callers.receive, live)
            await run(flow, live.customer, live.record, live.now, live.contact, live.script.sounds, receive)
        except CancelledError:
            raise
        except HungUp:
            return  # the customer's end is told to everybody
        except Exception:
            log.failure("a flow that contact {contact} was lent to failed", contact=live.contact.id)
        finally:
            self._walked.ring()

    async def lent(self) -> StageOfTalk | None:
        """The customer walks the flow; an agent who leaves meanwhile does not break it off."""
        talk = self._talk
        talk.at(Stage.LENT)
        async with talk.music(talk.side.leg):
            news = await self._live.news(self._walked.wait(), talk.side.leg.when_gone())
        if isinstance(news, Letter):
            return await talk.answer(news, self.lent, {Cancel: self._take_back, Retrieve: self._take_back})
        if news == 1:
            await self._walked.wait()
            return talk.left_alone
        return await self._come_back("done")

    async def _take_back(self, verb: Verb) -> StageOfTalk:
        return await self._come_back("cancelled")

    async def _come_back(self, how: str) -> StageOfTalk:
        talk, live = self._talk, self._live
        await self.stop()
        await live.switch.fetch(live.customer, talk.side.leg)
        talk.conversation = await live.switch.bridge(live.customer, talk.side.leg)
        live.tell(LoanEnded, talk.side.agent, flow=self._flow, how=how, answers=dict(live.contact.answers))
        talk.side.assignment.retrieves()
        return talk.talking
