"""Keys that are sent to the customer's line, an IVR on the other side of a call out, say.  Which is told nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easycall.defer import first, start
from easycall.events import DigitsSent
from easycall.model import Stage
from easycall.ports import ActionFailed
from easycall.verbs import NotNow, SendDigits

if TYPE_CHECKING:
    from easycall.talk.talk import Talk

__all__ = ["play_digits", "send_digits"]


async def send_digits(talk: Talk, verb: SendDigits) -> None:
    """Send keys to the line of a customer who is joined with the agent: the two are apart meanwhile.

    (Among the sound of two whom Asterisk joins natively, keys of its own get lost.)
    """
    live, agent = talk.live, talk.side
    await live.switch.fetch(live.customer, agent.leg)
    agent.assignment.holds()
    live.at(Stage.HELD)
    refusal: NotNow | None = None
    try:
        await first(start(play_digits(talk, verb)), agent.leg.when_gone())
    except NotNow as why:
        refusal = why
    talk.conversation = await live.switch.bridge(live.customer, agent.leg)
    agent.assignment.retrieves()
    if refusal is not None:
        raise refusal


async def play_digits(talk: Talk, verb: SendDigits) -> None:
    """Send keys to the customer's line as it is.  Raises NotNow."""
    try:
        await talk.live.switch.send_digits(talk.live.customer, verb.digits)
    except ActionFailed as why:
        raise NotNow(f"the keys could not be sent: {why}") from None
    talk.live.tell(DigitsSent, talk.side.agent, number=len(verb.digits))
