"""The world around the PBX, driven by a program: callers that dial in, agents' phones that ring.

::

    world = AsteriskWorld(state, reactor)
    await world.start()
    ana = world.phone("2001")
    bob = await world.dial("95588", "+4930123456")
    await bob.answered(5)
    await bob.press("1")
    call = await ana.rings(5)
    await call.answer()
    await call.press("5")
    await bob.hears_key("5", 2)
    bob.hang_up()
    await call.ended(2)
    await world.stop()

A real one is :class:`easycall.lab.asterisk.AsteriskWorld`, a simulated one :class:`easycall.lab.simulated.SimulatedWorld`.
Only one program at a time can play the phones of a lab; phones it has not asked for do what their number says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from easycall.defer import start
from easycall.lab.legs import Caller, Leg, Phone

__all__ = ["Tell", "World", "unheard"]

STOP_SECONDS = 3.0

Tell = Callable[[str, str], None]
"""Called with who and what, for everything that happens to a caller or a call."""


def unheard(who: str, what: str) -> None:
    """Nobody wants to be told."""


class World(ABC):
    """A lab's world.  Make one, start it, stop it."""

    def __init__(self, clock: IReactorTime, tell: Tell) -> None:
        self.clock = clock
        self.tell = tell
        self._legs: dict[Leg, None] = {}  # in the order of their beginning
        self._phones: dict[str, Phone] = {}

    @abstractmethod
    async def start(self) -> None:
        """Be ready to dial and to be rung.  Raises LabError when the world is not there, or another program plays it."""

    async def stop(self) -> None:
        """Hang everybody up and leave."""
        legs = list(self._legs)
        for leg in legs:
            leg.hang_up()
        await DeferredList([start(leg.ended(STOP_SECONDS)) for leg in legs], consumeErrors=True)
        await self._leave()

    @abstractmethod
    async def _leave(self) -> None:
        """Nothing of ours is left, once everybody has hung up or was given the time for it."""

    # What a program asks for

    @abstractmethod
    async def dial(self, number: str, caller: str = "+4930123456", *, name: str = "", tone: int | None = None) -> Caller:
        """Let a caller dial a number of the PBX; gives the caller at once, still listening to the ringing.

        ``tone`` is what the caller "says" once answered, in Hz; None: silence.
        """

    def phone(self, number: str) -> Phone:
        """The phone of that number (2000 to 2399), ours to play from now on."""
        return self._phones.setdefault(number, Phone(self, number))

    @abstractmethod
    async def plug_in(self) -> None:
        """The phone ``unplugged`` answers to the PBX from now on; it cannot be talked with all the same."""

    @abstractmethod
    async def pull_plug(self) -> None:
        """It does so no more."""

    @abstractmethod
    def frozen(self) -> AbstractAsyncContextManager[None]:
        """Within the ``async with`` the world sends nothing, no BYE either: the PBX gives up the phone 2003 after 3 s."""

    # What the legs need

    def pause(self, seconds: float) -> Deferred[None]:
        """Fires after so many seconds."""
        return deferLater(self.clock, seconds)

    def forget(self, leg: Leg) -> None:
        """A leg has ended."""
        self._legs.pop(leg, None)
