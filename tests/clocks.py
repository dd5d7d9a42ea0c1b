"""Clocks of tests: virtual time that begins at a time of day and goes on to whatever happens next."""

from __future__ import annotations

from twisted.internet.task import Clock

NOON = 1_800_000_000.0
"""Where the clocks of the tests begin: a time of day as the daemon has it."""


def clock_at(seconds: float = NOON) -> Clock:
    clock = Clock()
    clock.rightNow = seconds
    return clock


def next_turn(clock: Clock) -> None:
    """Let time pass until the next thing happens."""
    due = min(call.getTime() for call in clock.getDelayedCalls())
    clock.advance(max(0.0, due - clock.seconds()))
