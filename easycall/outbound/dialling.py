"""A number gets its route out, line and all, or is refused with the reason; in one turn, with nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.events import CallDialled
from easycall.model import Queue, Trunk
from easycall.outbound.caps import DAY, Call, Caps, Counted
from easycall.outbound.lines import Line, Lines
from easycall.outbound.rules import NotDialled, Rules, Why
from easycall.ports import Channel, StoreUnavailable, Switch

__all__ = ["Dialling", "History", "Route"]


class History(Protocol):
    """What was dialled before the daemon started."""

    async def dialled(self, since: float, most: int) -> Iterable[CallDialled]:
        """The latest numbers dialled after ``since``, ``most`` at most, the oldest first.  Raises StoreUnavailable."""


@frozen(eq=False)
class Route:
    """How one number is dialled.  Its line is taken: release it when the call is over, or comes to nothing."""

    number: str
    trunk: Trunk
    caller_id: str
    """The number shown; empty: none of ours."""
    switch: Switch
    line: Line
    counted: Counted
    """It counts for the caps."""
    seconds: float
    """How long it may ring."""

    def release(self) -> None:
        """The line is free again, and what was not dialled does not count.  A second time does nothing."""
        self.line.release()
        self.counted.release()


class Dialling:
    """The way out of one daemon.  ``await start()`` before the first call."""

    def __init__(
        self, rules: Rules, lines: Lines, do_not_call: Container[str], clock: IReactorTime, history: History | None = None
    ) -> None:
        """``do_not_call`` raises StoreUnavailable while it is unknown; ``history``: None: nothing was dialled before."""
        self.rules = rules
        self.lines = lines
        self._do_not_call = do_not_call
        self._clock = clock
        self._history = history
        self._caps = Caps(rules.settings)
        self._began = clock.seconds()
        self._unread = False
        self._ends: set[IDelayedCall] = set()
        self._switches: Mapping[str, Switch] = {}

    def use(self, switches: Mapping[str, Switch]) -> None:
        """Dial on these Asterisks, by name."""
        self._switches = switches

    async def start(self) -> None:
        """Count what was dialled before the daemon started.  Raises StoreUnavailable, and can be tried again."""
        if self._history is None:
            return
        late, self._unread = self._unread, True
        since = self._clock.seconds() - DAY
        # The site's cap is reached by so many, and no other lets more pass.
        dialled = await self._history.dialled(since, self.rules.settings.calls_per_day)
        for told in dialled:
            if told.at < self._began or not late:  # else this process dialled it, and it is counted
                call = Call(told.number, told.agent, told.queue, told.purpose == "customer")
                self._caps.count(call, told.at).dialled()
        self._unread = False

    async def stop(self) -> None:
        """End no call any more."""
        while self._ends:
            self._ends.pop().cancel()

    def may_be_called(self, typed: str) -> str:
        """The full form of a customer's number as typed, which may be called some time.  Raises NotDialled."""
        number = self.rules.allowed(typed)
        if self._barred(number, customer=True):
            raise NotDialled(Why.DO_NOT_CALL, f"{number} is on the do-not-call list")
        self.rules.trunks_for(number)
        return number

    def route(
        self,
        typed: str,
        *,
        agent: str,
        queue: Queue,
        customer: bool = False,
        caller_id: str = "",
        pbx: str = "",
        seconds: float = 0.0,
    ) -> Route:
        """A route for a number as typed; its line is taken, and it counts for the caps.

        ``agent``: who asks for it; ``customer``: whether it is a customer's; ``caller_id``: the number to be shown, empty:
        the queue's or the trunk's; ``pbx``: the Asterisk it must be on, empty: any; ``seconds``: how long it is to ring, 0:
        as all numbers do.  Raises NotDialled.
        """
        number, now = self.rules.allowed(typed), self._clock.seconds()
        if self._barred(number, customer=customer):
            raise NotDialled(Why.DO_NOT_CALL, f"{number} is on the do-not-call list")
        trunks, call = self.rules.trunks_for(number, caller_id, pbx), Call(number, agent, queue.id, customer)
        self._caps.check(call, now)
        full = []
        for trunk in trunks:
            switch = self._switches.get(trunk.asterisk)
            if switch is None or not switch.up:
                full.append(f"the Asterisk of trunk {trunk.name} cannot be reached")
                continue
            line = self.lines.take(trunk.name)
            if line is not None:
                shown, counted = self.rules.caller_id(trunk, caller_id, queue.caller_id), self._caps.count(call, now)
                rings = seconds or self.rules.settings.ring_seconds
                return Route(number, trunk, shown, switch, line, counted, rings)
            full.append(f"no line of trunk {trunk.name} is free ({self.lines.used(trunk.name)} of {trunk.lines} in use)")
        raise NotDialled(Why.NO_LINE, "; ".join(full))

    def when_line(self, number: str, since: float) -> Deferred[None]:
        """Fires when a line by which the number may go out is given back: whoever waits longest is told.  Cancel it."""
        try:
            trunks = [trunk.name for trunk in self.rules.trunks_for(number)]
        except NotDialled:
            trunks = []
        waiter: Deferred[None] = Deferred(lambda _: stop())
        stop = self.lines.wait(trunks, since, lambda: waiter.callback(None))
        return waiter

    def _barred(self, number: str, *, customer: bool) -> bool:
        """Whether it is on the list.  Customers are not called while that, or how often it was done, is unknown."""
        try:
            if customer and self._unread:
                raise StoreUnavailable("what was dialled before could not be read yet")
            return number in self._do_not_call
        except StoreUnavailable as why:
            if not customer:
                return False
            text = f"customers are not called while the database is away: {why}"
            raise NotDialled(Why.NOT_READ, text) from why

    def box_for(self, number: str) -> str:
        """The Asterisk by which a number in its full form goes out; empty: none, or one of several."""
        try:
            boxes = {trunk.asterisk for trunk in self.rules.trunks_for(number)}
        except NotDialled:
            return ""
        return boxes.pop() if len(boxes) == 1 else ""

    @property
    def longest(self) -> float:
        """How long a call may last, in seconds from its answer."""
        return self.rules.settings.call_seconds

    def limit(self, leg: Channel, cut: Callable[[float], None], answered: float | None = None) -> None:
        """Call ``cut`` with the most seconds a call may last when ``leg`` is still there after them.

        ``answered``: when it was; None: now.
        """
        seconds, now = self.longest, self._clock.seconds()
        end = self._clock.callLater(max(0.0, (now if answered is None else answered) + seconds - now), cut, seconds)
        self._ends.add(end)

        def gone(_: object) -> None:
            if end in self._ends:
                self._ends.remove(end)
                if end.active():
                    end.cancel()

        leg.when_gone().addCallback(gone)
