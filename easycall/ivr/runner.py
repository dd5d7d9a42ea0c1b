"""Walks a flow on a call: :mod:`easycall.ivr.flow` decides, the channel plays and reads, the journal hears of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from easycall.events import Event, FlowStep, MenuAnswered
from easycall.ivr.flow import (
    KEYS,
    Ask,
    Done,
    Finish,
    Flow,
    Key,
    Prompt,
    Receive,
    Said,
    Say,
    Silence,
    ToQueue,
    begin,
    chosen,
    step,
)
from easycall.ivr.lint import STEP_LIMIT
from easycall.model import Contact
from easycall.ports import Channel, Taken

__all__ = ["ReceiveFax", "Sounds", "Stuck", "run"]

Sounds = Callable[[Prompt, str], list[str]]
"""What to play for a prompt to a caller of that language (``""``: the site's own)."""

ReceiveFax = Callable[[str], Awaitable[bool]]
"""Receives a fax into a box; False when no page came."""


class Stuck(Exception):
    """The flow took :data:`~easycall.ivr.lint.STEP_LIMIT` steps without the caller choosing anything.

    A flow that lint passed cannot do this; a belt for one that changed under a live call.
    """


async def run(
    flow: Flow,
    channel: Channel,
    tell: Callable[[Event], None],
    now: Callable[[], float],
    contact: Contact,
    sounds: Sounds,
    receive: ReceiveFax | None = None,
) -> ToQueue | Finish:
    """Walk ``flow`` with the caller on ``channel``, an answered leg, and return how it ended.

    What the caller chooses is told and kept in ``contact.answers``, a chosen language in ``contact.data["language"]``.  A
    leg that is taken away in the middle hears the same step again when it is home.  Raises HungUp, and Stuck.
    """
    position, instruction = begin(flow)
    ahead = ""  # a key that cut a prompt short answers the question behind it
    steps = 0
    while True:
        if position.tries == 0:
            tell(FlowStep(at=now(), contact=contact.id, flow=flow.name, node=position.node))
        if isinstance(instruction, ToQueue | Finish):
            return instruction
        if (steps := steps + 1) > STEP_LIMIT:
            raise Stuck(f"flow {flow.name} at node {position.node}")
        said: Said
        if ahead and isinstance(instruction, Ask):
            said, ahead = Key(ahead), ""
        else:
            said = await _carry_out(instruction, position.language, channel, sounds, receive)
            ahead = said.key if isinstance(instruction, Say) and isinstance(said, Key) else ""
        if choice := chosen(flow, position, said):
            steps = 0
            contact.answers[position.node] = choice.name
            if choice.language:
                contact.data["language"] = choice.language
            tell(MenuAnswered(at=now(), contact=contact.id, node=position.node, choice=choice.name))
        position, instruction = step(flow, position, said)


async def _carry_out(
    instruction: Say | Ask | Receive, language: str, channel: Channel, sounds: Sounds, receive: ReceiveFax | None
) -> Said:
    """Do it on the leg, as often as it takes while the leg comes and goes."""
    if isinstance(instruction, Receive):
        return Done() if receive is not None and await receive(instruction.box) else Silence()
    files = [file for prompt in instruction.prompts for file in sounds(prompt, language)]
    while True:
        try:
            if isinstance(instruction, Say):
                key = await channel.play(files, instruction.keys)
                return Key(key) if key else Done()
            key = await channel.play(files, KEYS) or await channel.wait_key(instruction.seconds)
            return Key(key) if key else Silence()
        except Taken:
            await channel.home()
