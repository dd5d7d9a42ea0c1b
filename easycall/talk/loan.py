"""The customer is lent to an IVR flow and comes back to the same agent, who hears music meanwhile.

The agent hears nothing of it, and of a flow that is a function or asks for something secret nothing is recorded: what the
customer keys is between the customer and the flow.  A function gives a result, which the agent gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from easycall.defer import Bell, cancelled, limited, start
from easycall.events import DataAttached, Lent, LoanEnded
from easycall.fax import callers
from easycall.ivr.function import Unfit
from easycall.ivr.runner import Resumed, Returned, run
from easycall.live import attach
from easycall.mailbox import Letter
from easycall.model import EndedBy, Stage
from easycall.model import Loan as Ended
from easycall.ports import BridgeFailed, HungUp
from easycall.recording import CannotPause
from easycall.verbs import Cancel, Lend, NotNow, Retrieve, Verb

if TYPE_CHECKING:
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["Loan", "lend", "lent_before"]

log = Logger()

INTERRUPTED = "interrupted"
"""How a loan ended that the process which carried it did not outlive."""


async def lend(talk: Talk, verb: Lend) -> Loan:
    """Send the customer into a flow.  Raises NotNow, and the customer is where the customer was."""
    live = talk.live
    talk.known_flow(verb.flow)
    function = live.script.function(verb.flow)
    if function is None and verb.parameters:
        raise NotNow(f"the flow {verb.flow!r} is no function and takes no parameters")
    privacy = AsyncExitStack()
    try:
        if function is not None:
            function.arguments(verb.parameters)
        await privacy.enter_async_context(live.audience.hushed())
        if live.script.named(verb.flow).confidential:
            await privacy.enter_async_context(live.unheard())
        await live.switch.fetch(live.customer, talk.side.leg)
    except BaseException as why:
        await privacy.aclose()
        if isinstance(why, Unfit | CannotPause):
            raise NotNow(str(why)) from None
        raise
    if live.contact.stage is Stage.TALKING:
        talk.side.assignment.holds()
    return Loan(talk, verb.flow, verb.parameters, privacy)


async def lent_before(talk: Talk, flow: str, resumed: Resumed) -> StageOfTalk:
    """The customer was lent to a flow when the process before us ended.

    The customer goes on there, unless the flow is confidential: what the customer keyed is lost, and nobody knows what was
    done with it.  Then the loan is over, and the customer comes back to the agent.
    """
    live, agent = talk.live, talk.side.agent
    if not talk.side.leg.gone and live.script.knows(flow) and not live.script.named(flow).confidential:
        privacy = AsyncExitStack()
        await privacy.enter_async_context(live.audience.hushed())
        return Loan(talk, flow, {}, privacy, resumed).lent
    live.contact.loan = Ended(flow, INTERRUPTED, {})
    there = not talk.side.leg.gone
    live.tell(LoanEnded, agent, flow=flow, how=INTERRUPTED, back=there, answers=dict(live.contact.answers), result={})
    return talk.regained


class Loan:
    """One loan.  Making it sends the customer, who is at home, into the flow.

    ``privacy`` is what holds as long as the loan, and is closed when it is over.
    """

    def __init__(
        self,
        talk: Talk,
        flow: str,
        parameters: Mapping[str, str],
        privacy: AsyncExitStack,
        resumed: Resumed | None = None,
    ) -> None:
        """``resumed``: the customer was in the flow when the process before us ended."""
        self._talk = talk
        self._live = talk.live
        self._agent = talk.side.agent
        self._flow = flow
        self._parameters = parameters
        self._privacy = privacy
        self._how = ""
        """How the walk ended; empty while it goes on."""
        self._result: Mapping[str, str] = {}
        self._told = False
        self._walked = Bell()
        self._resumed = resumed
        if resumed is None:
            self._live.tell(Lent, self._agent, flow=flow)
        self._walking: Deferred[None] | None = start(self._walk())
        # Told when the coroutine is left: from inside it, who hears of it could not cancel it.
        self._walking.addErrback(lambda failure: failure.trap(CancelledError)).addCallback(lambda _: self._walked.ring())

    async def close(self) -> None:
        """The talk is over: nothing of the loan goes on.  A second time does nothing."""
        await self._stop()
        self._tell_end("left" if self._live.customer.gone else "cancelled", back=False)
        await self._privacy.aclose()

    async def _stop(self) -> None:
        """The flow is not walked any further."""
        walking, self._walking = self._walking, None
        if walking is not None:
            await cancelled(walking)

    async def _walk(self) -> None:
        """The customer walks the flow; that it failed is no reason to lose the customer."""
        live = self._live
        flow, script = live.script.named(self._flow), live.script
        try:
            work = start(
                run(
                    flow,
                    live.customer,
                    live.record,
                    live.now,
                    live.contact,
                    script.sounds,
                    evolve(script.means, receive_fax=partial(callers.receive, live)),
                    self._parameters,
                    self._resumed,
                )
            )
            left = await (limited(work, flow.function.limit, live.clock) if flow.function else work)
            self._result = left.result if isinstance(left, Returned) else {}
            self._how = "done"
        except TimeoutError:
            self._how = "timeout"
        except CancelledError:
            raise
        except HungUp:
            return  # the customer's end is told to everybody
        except Exception:
            self._how = "failed"
            log.failure("a flow that contact {contact} was lent to failed", contact=live.contact.id)

    # Stages

    async def lent(self) -> StageOfTalk | None:
        """The customer walks the flow; an agent who leaves meanwhile does not break it off."""
        talk = self._talk
        talk.at(Stage.LENT)
        async with talk.music(talk.side.leg):
            news = await self._live.news(self._walked.wait(), talk.side.leg.when_gone())
        if isinstance(news, Letter):
            return await talk.answer(news, self.lent, {Cancel: self._take_back, Retrieve: self._take_back})
        if news == 1:
            talk.part(EndedBy.AGENT)
            return self.alone
        return await self._come_back()

    async def alone(self) -> StageOfTalk | None:
        """The agent is gone; the customer walks the flow to its end, and is first in line then."""
        talk = self._talk
        talk.at(Stage.LENT)
        news = await self._live.news(self._walked.wait())
        if isinstance(news, Letter):
            return await talk.answer(news, self.alone, {})
        await self.close()
        return talk.left_alone

    async def _take_back(self, verb: Verb) -> StageOfTalk:
        return await self._come_back()

    async def _come_back(self) -> StageOfTalk:
        talk, live = self._talk, self._live
        await self._stop()
        try:
            await live.switch.fetch(live.customer, talk.side.leg)
            talk.conversation = await live.switch.bridge(live.customer, talk.side.leg)
        except (HungUp, BridgeFailed):
            await self.close()
            raise
        self._tell_end("cancelled", back=True)
        talk.side.assignment.retrieves()
        await self._privacy.aclose()
        return talk.talking

    # The end

    def _tell_end(self, otherwise: str, *, back: bool) -> None:
        """Tell how it ended, once; ``otherwise``: how, if the flow was not walked to its end.

        A result is attached to the contact, so that whoever has it next knows.
        """
        if self._told:
            return
        self._told = True
        live, contact = self._live, self._live.contact
        how, result = self._how or otherwise, dict(self._result)
        contact.loan = Ended(self._flow, how, result)
        if result:
            data = {f"{self._flow}.{name}": value for name, value in result.items()}
            attach(contact.data, data)
            live.tell(DataAttached, self._agent, data=data)
        facts = {"answers": dict(contact.answers), "result": result}
        live.tell(LoanEnded, self._agent, flow=self._flow, how=how, back=back, **facts)
