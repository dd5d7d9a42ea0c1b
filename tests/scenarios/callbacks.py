"""The site of the scenarios of callbacks, and the words for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from .callcentre import CallCentre
from .people import SOON, Called, Caller

__all__ = ["NUMBERS", "QUICK", "SILENCE_SECONDS", "Customer", "attempts", "becomes", "dialled", "quick", "the_callback"]

QUICK = """\
[queues.sales.callback]
of = [{of}]
after_seconds = 0.5
min_wait_seconds = 0
delays = {{busy = 1, no_answer = 1, failed = 1, abandoned = 1, unreachable = 1, congestion = 1, declined = 1, machine = 1}}
asked_per_day = 1000
attempts_per_day = 4
attempts = 4
"""
"""Hours would be too long for a test."""
NUMBERS = {"95588": "callback"}
SILENCE_SECONDS = 2.0
"""No customer who has answered waits longer for a sound (F71)."""


def quick(and_: str = "", *, of: str = "abandoned", queue: str = "", **more: Any) -> pytest.MarkDecorator:
    """A site that calls back at once; ``and_``: more options of ``queues.sales.callback``, ``queue``: of the queue."""
    rules = QUICK.format(of=", ".join(f'"{source}"' for source in of.split()))
    return pytest.mark.site(numbers=NUMBERS, sales=f"{queue}\n{rules}{and_}", **more)


class Customer:
    """Somebody who calls from a telephone at which they can be called back."""

    def __init__(self, centre: CallCentre, name: str, phone: str = "2350") -> None:
        self.centre = centre
        self.at_phone: Called = centre.called(name, phone)
        self.caller: Caller = centre.caller(name)
        self.caller.number = self.at_phone.number
        self._dialled = 0

    async def breaks_off(self) -> None:
        """Call, wait in line, and hang up before anybody answers."""
        await self.caller.dials()
        await self.caller.waits_in("sales")
        self.caller.hangs_up()
        await self.centre.feed.wait("callback.asked", SOON, number=self.at_phone.number)

    async def is_called_back(self, seconds: float = SOON) -> str:
        """Wait until the telephone rings; the contact of the attempt."""
        await self.at_phone.rings(seconds)
        which = {"number": self.at_phone.number, "purpose": "customer"}
        dialled = await self.centre.feed.wait("call.dialled", SOON, since=self._dialled + 1, **which)
        self._dialled = dialled["seq"]
        self.at_phone.called_as = str(dialled["contact"])
        return self.at_phone.called_as

    async def answers(self) -> None:
        """The telephone rings, and is answered."""
        self.at_phone.tell("answers")
        await self.at_phone.leg.answer(self.at_phone.voice)

    def declines(self) -> None:
        """The telephone rings, and the customer is busy."""
        self.at_phone.tell("declines")
        self.at_phone.leg.decline()


async def the_callback(centre: CallCentre, number: str) -> Mapping[str, Any]:
    """The latest one of a number, as the API shows it."""
    [one, *_] = (await centre.client.get(f"/api/v1/callbacks?number={quote(number)}"))["callbacks"]
    found: Mapping[str, Any] = await centre.client.get(f"/api/v1/callbacks/{one['id']}")
    return found


async def becomes(centre: CallCentre, number: str, state: str, seconds: float = SOON) -> Mapping[str, Any]:
    """Wait until the latest callback of a number is in that state."""

    async def there() -> bool:
        return bool((await the_callback(centre, number))["state"] == state)

    await centre.until(there, seconds, f"the callback of {number} is {state}")
    return await the_callback(centre, number)


def attempts(callback: Mapping[str, Any]) -> list[tuple[str, int | None]]:
    """How each attempt went: the outcome, and the network's cause."""
    return [(one["outcome"], one["cause"]) for one in callback["attempts"]]


async def dialled(centre: CallCentre, number: str) -> int:
    """How often a number was dialled."""
    return sum(one["kind"] == "call.dialled" and one["number"] == number for one in centre.feed.heard)
