"""What a scenario stands on: a lab that is up, real or simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from twisted.internet import reactor

from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.layout import State
from easycall.lab.simulated import SimulatedLab
from easycall.lab.world import World

__all__ = ["PATIENCE", "Worlds", "up"]

PATIENCE = 2
"""Seconds a caller waits for a daemon that is away."""

Worlds = Callable[..., World]
"""Makes a world of the lab: ``worlds(phones=True, tell=unheard)``."""


@asynccontextmanager
async def up(pbx: State | Path, patience: int = PATIENCE) -> AsyncIterator[tuple[State, Worlds]]:
    """A real lab that is up already, or a simulated one in that folder, whose callers have so much patience."""
    if isinstance(pbx, State):
        yield pbx, lambda **how: AsteriskWorld(pbx, reactor, **how)
        return
    simulated = SimulatedLab(pbx, reactor, patience=patience)
    await simulated.start()
    try:
        yield simulated.state, simulated.world
    finally:
        await simulated.stop()
