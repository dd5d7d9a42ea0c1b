"""The customer's fax machine sends or receives, then the customer is back at the same agent, who hears music meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from easycall.defer import Bell, cancelled, start
from easycall.events import FaxEnded, FaxStarted
from easycall.fax.desk import FaxDesk, Job, Line
from easycall.mailbox import Letter
from easycall.model import EndedBy, FaxOutcome, Stage
from easycall.verbs import Cancel, Fax, NotNow, Retrieve, Verb

if TYPE_CHECKING:
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["Faxing", "FaxingBefore", "begin"]

log = Logger()

UNKNOWN = "easycall ended meanwhile: nobody knows what came of it"
"""The error of a fax that the process which carried it did not outlive."""


async def begin(talk: Talk, verb: Fax) -> Faxing:
    """Bring both home and begin.  Raises NotNow, when nothing has changed, and HungUp and BridgeFailed."""
    live = talk.live
    desk = live.fax
    if desk is None:
        raise NotNow("no fax line is free")
    document = desk.document(verb.document) if verb.document else None
    line = desk.take_line(live.switch.name)
    try:
        await live.switch.fetch(live.customer, talk.side.leg)
        if live.contact.stage is Stage.TALKING:
            talk.side.assignment.holds()
        job = Job(contact=live.contact, record=live.record, now=live.now, document=document, agent=talk.side.agent)
        return Faxing(talk, desk, line, job)
    except BaseException:
        line.free()
        raise


class FaxingBefore:
    """A fax that was under way when the process before us ended: the machines go on, and nobody hears what comes of it."""

    def __init__(self, talk: Talk, began: FaxStarted) -> None:
        self._talk = talk
        self._began = began

    async def faxing(self) -> StageOfTalk | None:
        """Until the machines are done."""
        talk, live = self._talk, self._talk.live
        talk.at(Stage.FAX)
        async with talk.music(talk.side.leg):
            news = await live.news(start(live.customer.home()), talk.side.leg.when_gone())
        if isinstance(news, Letter):
            return await talk.answer(news, self.faxing, {Cancel: self._take_back, Retrieve: self._take_back})
        return await self._over()

    async def _take_back(self, verb: Verb) -> StageOfTalk:
        return await self._over()

    async def _over(self) -> StageOfTalk:
        talk, live, began = self._talk, self._talk.live, self._began
        ended = {"operation": began.operation, "document": began.document, "outcome": FaxOutcome.FAILED}
        live.tell(FaxEnded, talk.side.agent, pages=0, error=UNKNOWN, **ended)
        await live.switch.fetch(live.customer)
        return talk.regained


class Faxing:
    """One fax.  Making it sends the customer, who is at home, to the fax line."""

    def __init__(self, talk: Talk, desk: FaxDesk, line: Line, job: Job) -> None:
        self._talk = talk
        self._live = talk.live
        self._desk = desk
        self._line = line
        self._job = job
        self._over = Bell()
        self._carrying: Deferred[None] | None = start(self._carry())

    async def stop(self) -> None:
        """The fax goes no further."""
        carrying, self._carrying = self._carrying, None
        if carrying is not None:
            await cancelled(carrying)

    async def _carry(self) -> None:
        """That it failed is no reason to lose the customer."""
        live = self._live
        sounds = live.script.sounds(self._desk.start_prompt, live.contact.data.get("language", ""))
        try:
            await self._desk.carry(self._job, live.customer, sounds)
        except CancelledError:
            raise
        except Exception:
            log.failure("a fax of contact {contact} failed", contact=live.contact.id)
        finally:
            self._line.free()
            self._over.ring()

    async def faxing(self) -> StageOfTalk | None:
        """The machines are at it, or the customer looks for the start button."""
        talk = self._talk
        talk.at(Stage.FAX)
        async with talk.music(talk.side.leg):
            news = await self._live.news(self._over.wait(), talk.side.leg.when_gone())
        if isinstance(news, Letter):
            return await talk.answer(news, self.faxing, {Cancel: self._take_back, Retrieve: self._take_back})
        if news == 1:
            talk.part(EndedBy.AGENT)
            self._live.contact.agent = ""
            return self.alone
        return await self._come_back()

    async def alone(self) -> StageOfTalk | None:
        """The agent is gone: the fax goes on to its end, then the customer is first in line."""
        news = await self._live.news(self._over.wait())
        if isinstance(news, Letter):
            return await self._talk.answer(news, self.alone, {})
        return self._talk.left_alone

    async def _take_back(self, verb: Verb) -> StageOfTalk:
        return await self._come_back()

    async def _come_back(self) -> StageOfTalk:
        talk, live = self._talk, self._live
        await self.stop()
        await live.switch.fetch(live.customer, talk.side.leg)
        talk.conversation = await live.switch.bridge(live.customer, talk.side.leg)
        talk.side.assignment.retrieves()
        return talk.talking
