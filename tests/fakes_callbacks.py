"""Callbacks in small, and the API with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from easycall.callback.lifecycle import Later, Why
from easycall.callback.shelf import Filter
from easycall.callback.wish import Change, Wish
from easycall.model import Agent, Callback, CallbackSource, CallbackState
from easycall.ports import StoreUnavailable

from .fakes_api import Running, running

NUMBER = "+49301234567"
IN_LINE = CallbackState.IN_LINE


class Promises:
    """Callbacks that are only noted, and never made."""

    def __init__(self) -> None:
        self.live: dict[str, Callback] = {}
        self.past: dict[str, Callback] = {}
        self.wishes: list[Wish] = []
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: Exception | None = None
        self.gate: Deferred[None] | None = None

    def add(self, key: str, **facts: Any) -> Callback:
        usual = {"queue": "cards", "number": NUMBER, "source": CallbackSource.ABANDONED}
        callback = Callback(id=key, created=1.0, due=2.0, expires=9e9, **{**usual, **facts})
        (self.live if callback.open else self.past)[key] = callback
        return callback

    async def ask(self, wish: Wish) -> tuple[Callback, bool]:
        if self.gate is not None:
            await self.gate
        if self.refusal is not None:
            raise self.refusal
        self.wishes.append(wish)
        for callback in self.live.values():
            if (callback.queue, callback.number) == (wish.queue, NUMBER):
                return callback, False
        facts = {"source": wish.source, "agent": wish.agent, "name": wish.name, "created_by": wish.by}
        return self.add(f"k{len(self.live) + 1}", queue=wish.queue, **facts), True

    async def edit(self, name: str, change: Change, by: str) -> Callback:
        self._ask("edit", name, change, by)
        return self.live[name]

    async def cancel(self, name: str, by: str) -> Callback:
        self._ask("cancel", name, by)
        return evolve(self.live.pop(name), state=CallbackState.CANCELLED, ended=5.0)

    async def call_now(self, name: str, by: str) -> Callback:
        self._ask("now", name, by)
        return evolve(self.live[name], state=IN_LINE)

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.refusal is not None:
            raise self.refusal

    def why(self, name: str) -> tuple[Later | None, str]:
        callback = self.live[name]
        if callback.state is IN_LINE:
            return None, "it is in line"
        return Later(Why.QUIET_HOURS, 77.0), "quiet hours"

    async def find(self, wanted: Filter, limit: int) -> Sequence[Callback]:
        self.asked.append(("find", wanted, limit))
        return sorted((*self.live.values(), *self.past.values()), key=lambda one: one.id, reverse=True)[:limit]

    async def one(self, name: str) -> Callback | None:
        if isinstance(self.refusal, StoreUnavailable):
            raise self.refusal
        return self.live.get(name) or self.past.get(name)


class Office(Running):
    """The API with these callbacks; sue supervises cards."""

    callbacks: Promises


@asynccontextmanager
async def office() -> AsyncIterator[Office]:
    """Start it, and leave nothing of it."""
    callbacks = Promises()
    async with running(callbacks=callbacks) as started:
        site: Office = started  # type: ignore[assignment] # it has them from now on
        site.callbacks = callbacks
        site.desk.agents["sue"] = Agent("sue", "Sue", (), supervises=("cards",))
        yield site
