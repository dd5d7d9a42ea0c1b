"""Company for a caller who waits: what is said now and then, music between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from attrs import Factory, define, field

from easycall.acd.expectation import rounded_range
from easycall.acd.offers import Place
from easycall.defer import Bell
from easycall.live import LiveContact
from easycall.model import Queue
from easycall.ports import Channel, HungUp, Taken

__all__ = ["Exits", "Saying", "keep_company", "sayings"]

HOLD_TURN_SECONDS = 20.0
"""How long one wait for a key lasts under music; a dead daemon is noticed by Asterisk at once in any case."""

SHORT_TURN_SECONDS = 1.0
"""The same while something is to be said, or a key was pressed, that waits for what becomes of an offer."""


@define
class Saying:
    """Something a waiting caller hears now and then."""

    sounds: Callable[[], Sequence[str]]
    """What to play; nothing, when there is nothing to say this time."""
    every: float
    """Seconds from its end to the next time; 0: it is said once."""
    due: float
    """When it is said next."""


@define
class Exits:
    """The keys by which a waiting caller leaves the line; the first that is pressed counts."""

    keys: str = ""
    pressed: str = field(default="", repr=False)
    used: Bell = Factory(Bell)
    """Rung when the caller leaves by it, and hears nothing any more."""

    def press(self, key: str) -> None:
        """The caller pressed a key; ``""``: none."""
        if key and key in self.keys and not self.pressed:
            self.pressed = key


def sayings(live: LiveContact, queue: Queue, place: Place) -> list[Saying]:
    """What a queue says to the contact that waits at ``place``."""
    said = []
    language = live.contact.data.get("language", "")
    if busy := live.script.busy(queue, language):
        said.append(Saying(lambda: busy, queue.busy_repeat_seconds, live.now()))
    if queue.announces:
        said.append(Saying(lambda: _announcement(live, queue, language), queue.announce_seconds, live.now()))
    return said


def _announcement(live: LiveContact, queue: Queue, language: str) -> list[str]:
    """The place in line and the expected wait of now, as far as they are told and known."""
    sounds = []
    if queue.announce_position:
        sounds += live.script.place(live.distributor.position(live.contact.id), language)
    if queue.announce_wait and live.waits is not None:
        forecast = live.waits.of_contact(live.contact.id)
        if forecast is not None and forecast.known and forecast.seconds is not None:
            sounds += live.script.expected_wait(*rounded_range(forecast.seconds), language)
    return sounds


async def keep_company(
    channel: Channel, music: str, sayings: Sequence[Saying], place: Place, now: Callable[[], float], exits: Exits
) -> bool:
    """Until cancelled: say what is due while nobody is free for the contact at ``place``, and play ``music`` between.

    A connection does not wait for it: bridging takes the leg out of whatever it hears, and it goes on when the leg is home
    again.  It ends when the leg is gone; True: because the caller leaves by a key.  A key that is pressed while an agent is
    reserved counts when that comes to nothing.
    """
    while True:
        try:
            await channel.home()
            await _keep_company(channel, music, sayings, place, now, exits)
            return True
        except Taken:
            continue
        except HungUp:
            return False


async def _keep_company(
    channel: Channel, music: str, sayings: Sequence[Saying], place: Place, now: Callable[[], float], exits: Exits
) -> None:
    """As long as the leg is home and the caller does not leave by a key.  Raises Taken, HungUp."""
    plays = False
    while place.reserved or not exits.pressed:
        due = [] if place.reserved else [saying for saying in sayings if saying.due <= now()]
        if sounds := [sound for saying in due for sound in saying.sounds()]:
            await channel.music(None)
            plays = False
            exits.press(await channel.play(sounds, exits.keys))
        for saying in due:
            saying.due = now() + (saying.every or math.inf)
        if not plays:
            await channel.music(music)
            plays = True
        turn = 0.0 if exits.pressed else min((saying.due for saying in sayings), default=math.inf) - now()
        exits.press(await channel.wait_key(min(max(turn, SHORT_TURN_SECONDS), HOLD_TURN_SECONDS)))
