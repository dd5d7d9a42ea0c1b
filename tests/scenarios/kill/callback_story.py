"""One callback from its promise to its end, with a daemon that dies at one write of its journal and is started again.

However it dies: the customer's telephone rings once for an attempt, and customer and agent talk once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self
from urllib.parse import quote

from attrs import define

from easycall.events import Answered, CallbackEnded, CallDialled

from ..callbacks import QUICK
from ..people import Agent, Called
from .crash_story import CrashingCentre, Goal, Story

__all__ = ["AgentFirst", "CustomerFirst"]

RULES = QUICK.format(of="")


@define
class CustomerFirst(Story):
    """The customer is dialled, and the agent is rung for who answers."""

    site: ClassVar[Mapping[str, Any]] = {"sales": f"{RULES}ring_seconds = 60\n"}

    @classmethod
    def of(cls, centre: CrashingCentre) -> Self:
        """The story with its people: nobody calls, and dora is called."""
        story = super().of(centre)
        story.rung["dora"] = []
        story.carl.number = story.dora.number
        return story

    @property
    def dora(self) -> Called:
        """Who is called back."""
        found = [one for one in self.centre.outsiders if isinstance(one, Called)]
        return found[0] if found else self.centre.called("dora", "2350")

    @property
    def at_phones(self) -> Sequence[Agent | Called]:
        """Whose phones ring."""
        return self.ana, self.dora

    def goals(self) -> list[Goal]:
        """From the beginning to the end."""
        return [
            Goal("ana is ready", lambda: self._is(self.ana, "ready"), lambda: self._works(self.ana)),
            Goal("promised", self._is_promised, self._asks_for_it),
            *self.between(),
            Goal("they talk", lambda: self._talk(), self._nothing),
            Goal("it is over", self._is_over, self._hangs_up),
        ]

    def between(self) -> list[Goal]:
        """Until they talk."""
        return [
            Goal("dora's telephone rings", lambda: self._rings(self.dora), self._nothing),
            Goal("dora answers", self._dora_is_there, lambda: self._answers(self.dora)),
            Goal("ana's phone rings", lambda: self._rings(self.ana), self._nothing),
            Goal("ana answers", self._talk, lambda: self._answers(self.ana)),
        ]

    async def _callbacks(self) -> Sequence[Mapping[str, Any]]:
        found = await self.centre.client.get(f"/api/v1/callbacks?number={quote(self.dora.number)}")
        return list(found["callbacks"])

    async def _is_promised(self) -> bool:
        return bool(await self._callbacks())

    async def _asks_for_it(self) -> None:
        self.centre.story.tell("desktop", "asks for a callback")
        await self.centre.client.post("/api/v1/callbacks", queue="sales", number=self.dora.number)

    async def _dora_is_there(self) -> bool:
        call = self.at_phone(self.dora)
        return call is not None and call.is_up

    async def _talk(self) -> bool:
        return await self._has(self.ana, "talking") and await self._dora_is_there()

    async def _is_over(self) -> bool:
        [callback, *others] = await self._callbacks()
        assert not others, f"promised twice: {others}"
        return self.left and callback["state"] == "reached" and not await self.centre.by_caller()

    async def _hangs_up(self) -> None:
        call = self.at_phone(self.dora)
        if not self.left and call is not None:
            self.left = True
            self.dora.tell("hangs up")
            call.hang_up()

    def looks_back(self) -> int:
        """And dora was dialled as often as her telephone rang, once a contact, and talked with ana once."""
        books = self.centre.books()
        dialled = [event.contact for event in books.of(CallDialled, number=self.dora.number)]
        rang = len(self.rung["dora"])
        assert len(set(dialled)) == len(dialled), f"a contact dialled twice: {dialled}"
        assert rang <= len(dialled), f"dora's telephone rang {rang} times for {len(dialled)} attempts"
        ends = [(ended.state, ended.attempts) for ended in books.of(CallbackEnded)]
        assert ends == [("reached", len(dialled))], f"its end was told so: {ends}"
        assert len(books.of(Answered)) == 1
        return super().looks_back()


@define
class AgentFirst(CustomerFirst):
    """The agent is rung, and the customer is dialled when the agent is there."""

    site: ClassVar[Mapping[str, Any]] = {"sales": f'{RULES}ring_seconds = 60\nfirst = "agent"\n'}

    def between(self) -> list[Goal]:
        """Until they talk."""
        return [
            Goal("ana's phone rings", lambda: self._rings(self.ana), self._nothing),
            Goal("ana answers", self._ana_is_there, lambda: self._answers(self.ana)),
            Goal("dora's telephone rings", lambda: self._rings(self.dora), self._nothing),
            Goal("dora answers", self._talk, lambda: self._answers(self.dora)),
        ]

    async def _ana_is_there(self) -> bool:
        call = self.at_phone(self.ana)
        return call is not None and call.is_up
