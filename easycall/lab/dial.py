"""``easycall lab dial``: one caller dials in, presses keys, and tells what he meets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred

from easycall.defer import background, start
from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.ear import Ear
from easycall.lab.layout import LabError, State
from easycall.lab.legs import Caller, NotSeen
from easycall.lab.tones import TONES
from easycall.lab.world import World

__all__ = ["dial_in"]

LOOK_SECONDS = 0.1


def dial_in(
    reactor: Any, state: State, number: str, caller: str, keys: str, seconds: float, say: Callable[[str], None]
) -> Deferred[None]:
    """Make the call and hang up after ``seconds``; ends with exit code 1 when it was not answered."""
    began = reactor.seconds()

    def tell(who: str, what: str) -> None:
        say(f"{reactor.seconds() - began:6.2f} s  {who}: {what}")

    async def story() -> None:
        world = AsteriskWorld(state, reactor, phones=False, tell=tell)
        try:
            await world.start()
            leg = await world.dial(number, caller)
            tell(leg.who, f"dials {number}")
            await leg.answered(seconds)
            await _talk(world, leg, keys, seconds - (reactor.seconds() - began))
        except (LabError, NotSeen) as error:
            say(f"Error: {error}")
            raise SystemExit(1) from error
        finally:
            await world.stop()

    return start(story())


async def _talk(world: World, leg: Caller, keys: str, seconds: float) -> None:
    """From the answer to the end."""
    async with background(_press(world, leg, keys)), background(_tell_sounds(world, leg)):
        with suppress(NotSeen):
            await leg.ended(max(0.0, seconds))
    leg.hang_up()


async def _press(world: World, leg: Caller, keys: str) -> None:
    for key in keys:
        await world.pause(1)
        if key != ",":
            world.tell(leg.who, f"presses {key}")
            await leg.press(key)


async def _tell_sounds(world: World, leg: Caller) -> None:
    """Tell what the caller hears, whenever it changes."""
    try:
        before, ear = "", await leg.listen()
    except LabError as error:
        world.tell(leg.who, f"answered, but {error}")
        return
    while True:
        heard = _heard(ear)
        if heard and heard != before:
            world.tell(leg.who, f"hears {heard}")
            before = heard
        await world.pause(LOOK_SECONDS)


def _heard(ear: Ear) -> str:
    for tone in TONES:
        if ear.tone(tone):
            return f"{tone} Hz" + (" (music on hold)" if tone == TONES[0] else "")
    if ear.speech():
        return "speech"
    return "silence" if ear.silence() else ""
