"""A live contact and what it is carried with: the hand every story of it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from attrs import Factory, field, mutable
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from easycall.acd.distributor import Distributor
from easycall.acd.staff import Staff
from easycall.acd.waits import Waits
from easycall.audience import Audience
from easycall.defer import dropped, first
from easycall.events import Event
from easycall.fax.desk import FaxDesk
from easycall.ivr.script import Script
from easycall.mailbox import Letter, Mailbox
from easycall.model import Contact, Stage
from easycall.outbound.dialling import Dialling
from easycall.ports import Channel, HungUp, Switch, Taken
from easycall.recording import CannotPause, Recorder, Recordings
from easycall.verbs import NotNow

__all__ = ["CAPTURE", "LiveContact", "attach", "keep_music"]

CAPTURE = "secure capture"
"""Why a recording is paused while the customer may key something secret."""

TURN_SECONDS = 20.0
"""How long one wait under music lasts; a dead daemon is noticed by Asterisk at once in any case."""


@mutable(eq=False)
class LiveContact:
    """See the module.  Only the customer's leg and its switch are ever changed: when a customer is dialled."""

    contact: Contact
    switch: Switch
    customer: Channel
    clock: IReactorTime
    record: Callable[[Event], None]
    distributor: Distributor
    script: Script
    dialling: Dialling
    recordings: Recordings | None = None
    """None: nothing can be recorded."""
    fax: FaxDesk | None = None
    """None: there is no fax."""
    waits: Waits | None = None
    """None: nothing is known of waits."""
    mailbox: Mailbox = field(factory=Mailbox)
    audience: Audience = field(factory=Audience)
    """Who listens beside those who talk."""
    recorder: Recorder = field(default=Factory(lambda self: Recorder(self, self.recordings), takes_self=True), init=False)

    @property
    def staff(self) -> Staff:
        """The agents."""
        return self.distributor.staff

    def now(self) -> float:
        """Now."""
        return self.clock.seconds()

    def at(self, stage: Stage, *, ours: bool = True) -> None:
        """The contact is at this stage; ``ours``: somebody of ours is with the customer, where that may be."""
        self.contact.stage = stage
        self.recorder.at(stage if ours else Stage.OUTSIDE)
        self.audience.look()

    def tell(self, event: type[Event], agent: str = "", **facts: Any) -> None:
        """Record something that happened to the contact, now."""
        self.record(event(at=self.clock.seconds(), contact=self.contact.id, agent=agent, **facts))

    async def at_home(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do it on the customer's leg, as often as it takes while the leg comes and goes."""
        while True:
            try:
                return await do()
            except Taken:
                await self.customer.home()

    @asynccontextmanager
    async def unheard(self) -> AsyncIterator[None]:
        """Nobody but a flow hears the customer, no supervisor, and nothing is recorded, for as long as the ``async with``.

        Raises CannotPause.
        """
        try:
            await self.audience.deafen()
        except NotNow as why:
            raise CannotPause(str(why)) from None
        try:
            await self.recorder.pause(CAPTURE)
            try:
                yield
            finally:
                await self.recorder.resume(CAPTURE)
        finally:
            self.audience.hear()

    async def news(self, *events: Deferred[Any]) -> Letter | int:
        """Wait for the next letter, or for one of ``events`` (which are consumed): its index.  An event goes first."""
        for index, event in enumerate(events):
            if event.called:
                for other in events:
                    dropped(other)
                return index
        letters: list[Letter] = []
        taken = self.mailbox.take().addCallback(letters.append)
        try:
            index = await first(taken, *events)
        except BaseException:
            for letter in letters:  # handed over in the very moment in which the call ended
                letter.refused("the call ended meanwhile")
            raise
        return letters[0] if index == 0 else index - 1


async def keep_music(channel: Channel, music: str) -> None:
    """Until cancelled: music under a leg at home.  It ends when the leg is gone."""
    while True:
        try:
            await channel.home()
            await channel.music(music)
            while True:
                await channel.wait_key(TURN_SECONDS)
        except Taken:
            continue
        except HungUp:
            return


def attach(data: dict[str, str], more: Mapping[str, str]) -> None:
    """Change attached data in place; an empty value takes one away."""
    for key, value in more.items():
        if value:
            data[key] = value
        else:
            data.pop(key, None)
