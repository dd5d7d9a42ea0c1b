"""Who hears a live contact beside those who talk: supervisors.  And how nobody does while the customer says what is secret.

Whatever sends the customer where nobody may listen (a loan to a flow, keys that are secret) does so between
:meth:`Audience.deafen` and :meth:`Audience.hear`; what is to happen there does not begin before the first returned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from easycall.ports import Channel
from easycall.verbs import NotNow

__all__ = ["Audience", "Listener"]


class Listener(Protocol):
    """One who listens."""

    @property
    def id(self) -> str:
        """Of the supervision."""

    def look(self) -> None:
        """Something changed: who has the contact, its stage, whether it may be heard.  What follows comes later."""

    async def silence(self) -> None:
        """Wait until nothing of the contact is heard; :attr:`Audience.deaf` says already that nothing may be.

        Raises NotNow when that cannot be had in time.
        """

    def contact_over(self) -> None:
        """The contact ends now."""

    def surrender(self) -> tuple[str, Channel]:
        """Give agent and leg away, for good: who takes them over is responsible for both, and calls :meth:`ended`.

        Raises NotNow when the supervisor's phone is not answered.
        """

    def ended(self, how: str) -> None:
        """Tell that the supervision is over, and how (:class:`easycall.events.SupervisionEnded`)."""


class Audience:
    """The listeners of one contact, and the legs there are to listen to beside the customer's."""

    def __init__(self) -> None:
        self.over = False
        """True once the contact has ended."""
        self._legs: dict[str, Channel] = {}
        self._listeners: list[Listener] = []
        self._secrets = 0

    @property
    def deaf(self) -> bool:
        """True while nobody may listen."""
        return self._secrets > 0

    @property
    def legs(self) -> Mapping[str, Channel]:
        """Of the agents who have answered: agent -> leg."""
        return self._legs

    # Those who talk

    def seat(self, agent: str, leg: Channel) -> None:
        """An agent has answered."""
        self._legs[agent] = leg
        self.look()

    def unseat(self, agent: str) -> None:
        """An agent has nothing more to do with the contact."""
        if self._legs.pop(agent, None) is not None:
            self.look()

    def look(self) -> None:
        """Something changed."""
        for listener in tuple(self._listeners):
            listener.look()

    # Those who listen

    def join(self, listener: Listener) -> None:
        """It listens, or will: from now it is waited for by :meth:`deafen`.  A second time does nothing."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """It hears nothing any more.  A second time does nothing."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def listener(self, supervision: str) -> Listener:
        """The listener of that supervision.  Raises NotNow when it does not listen to this contact."""
        for one in self._listeners:
            if one.id == supervision:
                return one
        raise NotNow("the supervisor does not supervise this contact any more")

    async def deafen(self) -> None:
        """Nobody hears the contact when this returns, until :meth:`hear` was called as often.

        Raises NotNow when a supervisor cannot be taken away in time; then nothing was changed.
        """
        self._secrets += 1
        self.look()
        try:
            for listener in tuple(self._listeners):
                await listener.silence()
        except BaseException:
            self.hear()
            raise

    def hear(self) -> None:
        """The contact may be heard again."""
        self._secrets -= 1
        self.look()

    @asynccontextmanager
    async def hushed(self) -> AsyncIterator[None]:
        """Nobody hears the contact for as long as the ``async with``.  Raises NotNow."""
        await self.deafen()
        try:
            yield
        finally:
            self.hear()

    def close(self) -> None:
        """The contact ends now."""
        self.over = True
        for listener in tuple(self._listeners):
            listener.contact_over()
