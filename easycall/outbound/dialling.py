"""A number gets its route out, line and all, or is refused with the reason; in one turn, with nothing in between."""

from __future__ import annotations

from collections.abc import Container, Mapping

from attrs import frozen

from easycall.model import Queue, Trunk
from easycall.outbound.lines import Line, Lines
from easycall.outbound.rules import NotDialled, Rules, Why
from easycall.ports import Switch

__all__ = ["Dialling", "Route"]


@frozen(eq=False)
class Route:
    """How one number is dialled.  The line is taken: release it when the call is over, or comes to nothing."""

    number: str
    trunk: Trunk
    caller_id: str
    """The number shown; empty: none of ours."""
    switch: Switch
    line: Line
    seconds: float
    """How long it may ring."""


class Dialling:
    """The way out of one daemon."""

    def __init__(self, rules: Rules, lines: Lines, do_not_call: Container[str]) -> None:
        self.rules = rules
        self.lines = lines
        self._do_not_call = do_not_call
        self._switches: Mapping[str, Switch] = {}

    def use(self, switches: Mapping[str, Switch]) -> None:
        """Dial on these Asterisks, by name."""
        self._switches = switches

    def route(self, typed: str, *, caller_id: str = "", queue: Queue, pbx: str = "") -> Route:
        """A route for a number as typed; its line is taken.

        ``caller_id``: the number to be shown, empty: the queue's or the trunk's; ``pbx``: the Asterisk it must be on, empty:
        any.  Raises NotDialled.
        """
        number = self.rules.allowed(typed)
        if number in self._do_not_call:
            raise NotDialled(Why.DO_NOT_CALL, f"{number} is on the do-not-call list")
        full = []
        for trunk in self.rules.trunks_for(number, caller_id, pbx):
            switch = self._switches.get(trunk.asterisk)
            if switch is None or not switch.up:
                full.append(f"the Asterisk of trunk {trunk.name} cannot be reached")
                continue
            line = self.lines.take(trunk.name)
            if line is not None:
                shown = self.rules.caller_id(trunk, caller_id, queue.caller_id)
                return Route(number, trunk, shown, switch, line, self.rules.settings.ring_seconds)
            full.append(f"no line of trunk {trunk.name} is free ({self.lines.used(trunk.name)} of {trunk.lines} in use)")
        raise NotDialled(Why.NO_LINE, "; ".join(full))
