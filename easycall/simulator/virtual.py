"""Virtual time: a reactor of timers and TCP connections in memory, in which a day passes as fast as it can be computed.

Time stands still while anything is left to do, and then jumps to the next timer.  What falls on one moment is done in the
order in which it was asked for, so a program does the same again whenever it is run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from easycall.simulator.virtual_network import Connector, Network, Port

__all__ = ["NothingToCome", "TimeStandsStill", "VirtualCall", "VirtualReactor"]

log = Logger()

CALLED = -1
CANCELLED = -2

OUTDATED = 1_000
"""So many cancelled timers are kept before it is looked whether they are most of all."""


ONE_MOMENT = 1_000_000
"""So many calls in one moment, each brought about by another, will never end."""


class NothingToCome(Exception):
    """What is waited for cannot happen any more, or did not within the time given."""


class TimeStandsStill(BaseException):
    """Somebody does something again and again without letting time pass.

    Not an Exception: nobody shall go on after it.
    """


@implementer(IDelayedCall)
class VirtualCall:
    """A call to be made at its time."""

    __slots__ = ("_reactor", "_time", "args", "func", "kw", "order")

    def __init__(
        self,
        reactor: VirtualReactor,
        time: float,
        order: int,
        func: Callable[..., Any],
        args: tuple[object, ...],
        kw: dict[str, object],
    ) -> None:
        self._reactor = reactor
        self._time = time
        self.order = order
        """Its place among the calls of one moment, :data:`CALLED` or :data:`CANCELLED`."""
        self.func = func
        self.args = args
        self.kw = kw

    def __repr__(self) -> str:
        return f"<call of {getattr(self.func, '__qualname__', self.func)} at {self._time}>"

    def getTime(self) -> float:
        """When it is made, in seconds since the epoch."""
        return self._time

    def active(self) -> bool:
        """Whether it is still to be made."""
        return self.order >= 0

    def cancel(self) -> None:
        """Do not make it.  Raises AlreadyCalled, AlreadyCancelled."""
        self._check()
        self.order = CANCELLED
        self._reactor.outdated()

    def reset(self, secondsFromNow: float) -> None:
        """Make it so many seconds from now.  Raises AlreadyCalled, AlreadyCancelled."""
        self._check()
        self._move(self._reactor.seconds() + secondsFromNow)

    def delay(self, secondsLater: float) -> None:
        """Make it so many seconds later than it would be.  Raises AlreadyCalled, AlreadyCancelled."""
        self._check()
        self._move(self._time + secondsLater)

    def run(self) -> None:
        """Make it now, unless it was cancelled."""
        if self.order >= 0:
            self.order = CALLED
            self.func(*self.args, **self.kw)

    def _move(self, time: float) -> None:
        self._reactor.take_out(self)
        self._time = time
        self.order = self._reactor.put(self)

    def _check(self) -> None:
        if self.order == CALLED:
            raise AlreadyCalled
        if self.order == CANCELLED:
            raise AlreadyCancelled


@implementer(IReactorTime, IReactorTCP, IReactorFromThreads)
class VirtualReactor:
    """See the module.  A call that fails is logged, as the real reactor does, and the others go on."""

    def __init__(self, now: float = 0.0, latency: Callable[[], float] | None = None) -> None:
        """``now``: the time at the beginning, in seconds since the epoch; ``latency``: how many seconds a piece of a TCP
        stream is on its way, asked for each piece; None: it arrives in a later turn of the same moment."""
        self._now = now
        self._heap: list[tuple[float, int, VirtualCall]] = []  # an entry whose order is not its call's is outdated
        self._outdated = 0
        self._soon: deque[Callable[[], None]] = deque()  # in this moment, behind what is due in the heap
        self._orders = 0
        self._network = Network(self)
        self.latency = latency

    # twisted.internet.interfaces.IReactorTime

    def seconds(self) -> float:
        """Now, in seconds since the epoch."""
        return self._now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> VirtualCall:
        """Call later; see IReactorTime.  Raises ValueError for a delay below 0."""
        if delay < 0:
            raise ValueError(f"a delay of {delay} s")
        time = self._now + delay
        order = self._orders = self._orders + 1
        call = VirtualCall(self, time, order, callable, args, kwargs)
        if time > self._now:
            heappush(self._heap, (time, order, call))
        else:
            self._soon.append(call.run)
        return call

    def getDelayedCalls(self) -> Sequence[VirtualCall]:
        """What will be called, in no order."""
        soon = [getattr(one, "__self__", None) for one in self._soon]
        return [
            *(call for _, order, call in self._heap if call.order == order),
            *(call for call in soon if isinstance(call, VirtualCall) and call.active()),
        ]

    # twisted.internet.interfaces.IReactorTCP

    def listenTCP(self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = "") -> Port:
        """Listen in memory; port 0 is any that is free.  Raises CannotListenError."""
        listening = Port(self._network, port, factory, interface)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float | None = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> Connector:
        """Connect to whoever listens at this reactor; nobody else can be reached, whatever the host."""
        connector = Connector(self._network, host, port, factory, timeout, bindAddress)
        connector.connect()
        return connector

    # Threads

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Call in a later turn of this moment: there is one thread."""
        self.callLater(0, callable, *args, **kwargs)

    def getThreadPool(self) -> ThreadPool:
        """There are no threads in virtual time.  Raises RuntimeError."""
        raise RuntimeError("virtual time has no threads: what needs one must be replaced")

    # For its calls and connections

    def soon(self, do: Callable[[], None]) -> None:
        """Do it in a later turn of this moment."""
        self._soon.append(do)

    def put(self, call: VirtualCall) -> int:
        """Keep a call for its time; its order."""
        order = self._orders = self._orders + 1
        if call.getTime() > self._now:
            heappush(self._heap, (call.getTime(), order, call))
        else:
            self._soon.append(call.run)
        return order

    def take_out(self, call: VirtualCall) -> None:
        """Keep a call for its time no more."""
        if call.getTime() <= self._now:
            with suppress(ValueError):
                self._soon.remove(call.run)
        self.outdated()

    def outdated(self) -> None:
        """One more entry may be outdated; when most are, they are thrown away."""
        self._outdated += 1
        heap = self._heap
        if self._outdated > OUTDATED and self._outdated * 2 > len(heap):
            heap[:] = [entry for entry in heap if entry[2].order == entry[1]]
            heapify(heap)
            self._outdated = 0

    # Letting time pass

    def advance(self, seconds: float) -> None:
        """Let so much time pass, with all that falls into it.  Raises TimeStandsStill."""
        self._pass(self._now + seconds)

    def turn(self) -> bool:
        """Do what is due now and was asked for before; when nothing is, let time jump to the next call and make it.

        False: nothing was left to do.
        """
        heap, soon = self._heap, self._soon
        self._drop_outdated()
        if heap and not soon:
            self._now = max(self._now, heap[0][0])
        elif not soon:
            return False
        many = len(soon)
        while heap and heap[0][0] <= self._now:
            _, order, call = heappop(heap)
            if call.order == order:
                self._do(call.run)
        for _ in range(min(many, len(soon))):
            self._do(soon.popleft())
        return True

    def run_until(self, goal: Callable[[], object] | float, within: float = inf) -> None:
        """Let time pass until ``goal``: a moment, or a condition that is looked at after each turn.

        Raises NothingToCome when the condition does not hold ``within`` so many seconds, or nothing is left to do, and
        TimeStandsStill.
        """
        if not callable(goal):
            self._pass(goal)
            return
        end = self._now + within
        moment, turns = self._now, 0
        while not goal():
            moment, turns = self._now, turns + 1 if moment == self._now else 0
            if turns > ONE_MOMENT:
                raise TimeStandsStill(f"at {moment}: {self._soon}")
            self._drop_outdated()
            if not self._soon and self._heap and self._heap[0][0] > end:
                raise NothingToCome(f"not within {within:g} s")
            if not self.turn():
                raise NothingToCome("nothing is left to do")

    def _pass(self, end: float) -> None:
        """Do everything that is due up to ``end``, which is the time then."""
        heap, soon = self._heap, self._soon
        left = ONE_MOMENT
        while True:
            try:
                while True:
                    if heap and heap[0][0] <= self._now:
                        _, order, call = heappop(heap)
                        if call.order == order:
                            call.order = CALLED
                            call.func(*call.args, **call.kw)
                    elif soon:
                        left -= 1
                        if not left:
                            raise TimeStandsStill(f"at {self._now}: {soon}")
                        soon.popleft()()
                    elif heap and heap[0][0] <= end:
                        self._now, left = heap[0][0], ONE_MOMENT
                    else:
                        self._now = max(self._now, end)
                        return
            except Exception:
                log.failure("a call in virtual time failed")

    def _drop_outdated(self) -> None:
        heap = self._heap
        while heap and heap[0][2].order != heap[0][1]:
            heappop(heap)

    @staticmethod
    def _do(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.failure("a call in virtual time failed")
