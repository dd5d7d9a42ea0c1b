"""The ways to give the customer away; the agent is free at once, and the contact goes on by another course.

Each is told the talk and the verb, and gives the stage that follows.  Raises NotNow, and then nothing was changed: what the
contact needs there (an agent, a line) is reserved before the customer leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from easycall.events import Transferred
from easycall.model import EndedBy, OfferOutcome, Stage
from easycall.talk.course import Course, Reach, ReachOutside, RunFlow, Stay, TakeMessage, Wait
from easycall.verbs import NotNow, Park, ToAgent, ToFlow, ToNumber, ToQueue, ToVoicemail, Verb

if TYPE_CHECKING:
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["WAYS"]


async def _to_agent(talk: Talk, verb: ToAgent) -> StageOfTalk:
    contact = talk.live.contact
    assignment = talk.live.staff.reserve(verb.agent, contact.id, contact.attempts + 1, contact.pbx)
    contact.attempts += 1
    try:
        return await _give_away(talk, "agent", verb.agent, Reach(assignment, talk.queue.id, talk.side.agent))
    except BaseException:
        assignment.ended(OfferOutcome.LOST)
        raise


async def _to_queue(talk: Talk, verb: ToQueue) -> StageOfTalk:
    distributor = talk.live.distributor
    if verb.queue not in distributor.queues:
        raise NotNow(f"there is no queue {verb.queue!r}")
    if not verb.wait and not distributor.someone_free(verb.queue):
        raise NotNow(f"nobody is free in {verb.queue}")
    return await _give_away(talk, "queue", verb.queue, Wait(verb.queue))


async def _to_flow(talk: Talk, verb: ToFlow) -> StageOfTalk:
    talk.known_flow(verb.flow)
    if talk.live.script.function(verb.flow) is not None:
        raise NotNow(f"the flow {verb.flow!r} is a function: lend the customer to it")
    return await _give_away(talk, "flow", verb.flow, RunFlow(verb.flow))


async def _to_number(talk: Talk, verb: ToNumber) -> StageOfTalk:
    live = talk.live
    by, shown = talk.side.agent, verb.caller_id
    route = live.dialling.route(verb.number, agent=by, queue=talk.queue, caller_id=shown, pbx=live.contact.pbx)
    try:
        return await _give_away(talk, "number", route.number, ReachOutside(route, talk.queue.id, talk.side.agent))
    except BaseException:
        route.release()
        raise


async def _to_voicemail(talk: Talk, verb: ToVoicemail) -> StageOfTalk:
    if verb.box not in talk.live.script.boxes:
        raise NotNow(f"there is no voice mail box {verb.box!r}")
    following = await _give_away(talk, "voicemail", verb.box, TakeMessage(verb.box))
    _nobody_has_it(talk, Stage.VOICEMAIL)
    return following


async def _park(talk: Talk, verb: Park) -> StageOfTalk:
    following = await _give_away(talk, "park", "", Stay(talk.queue.id, talk.side.agent))
    _nobody_has_it(talk, Stage.PARKED)
    return following


async def _give_away(talk: Talk, target: str, to: str, course: Course) -> StageOfTalk:
    await talk.live.switch.fetch(talk.live.customer)
    talk.live.tell(Transferred, talk.side.agent, target=target, to=to)
    talk.part(EndedBy.AGENT)
    return talk.goes_on(course)


def _nobody_has_it(talk: Talk, stage: Stage) -> None:
    """Who asked for it is told so with the contact as it is then."""
    talk.live.contact.agent = ""
    talk.live.at(stage)


WAYS: Mapping[type[Verb], Callable[[Talk, Any], Awaitable[StageOfTalk]]] = {
    ToAgent: _to_agent,
    ToQueue: _to_queue,
    ToFlow: _to_flow,
    ToNumber: _to_number,
    ToVoicemail: _to_voicemail,
    Park: _park,
}
