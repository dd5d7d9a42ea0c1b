"""Who has answered, a person or a machine: ``EXEC AMD`` on a leg at home.

A guess by the sound of the first seconds: a person says a word and waits, a machine talks on.  It is bounded so that nobody
waits in silence for longer than two seconds.
"""

from __future__ import annotations

from easycall.asterisk.fastagi import CommandFailed, Session

__all__ = ["detect"]

INITIAL_SILENCE, GREETING, SILENCE_AFTER, TOTAL = "1800", "1200", "500", "1900"
"""Milliseconds: of silence until nobody seems to be there, of talk that only a machine does, of silence that a person makes
after a greeting, and of all of it."""
LIMIT_SECONDS = 3.0
MACHINE_CAUSES = ("LONGGREETING", "MAXWORDS", "MAXWORDLENGTH")
"""What makes a machine; one that says nothing may be a person."""


async def detect(session: Session) -> str:
    """``machine``, ``person`` or ``""``: it could not be told, or Asterisk has no app_amd.  Raises SessionOver."""
    try:
        await session.exec("AMD", INITIAL_SILENCE, GREETING, SILENCE_AFTER, TOTAL, seconds=LIMIT_SECONDS)
    except CommandFailed:
        return ""
    status, cause = await session.get_variable("AMDSTATUS"), await session.get_variable("AMDCAUSE") or ""
    if status == "HUMAN":
        return "person"
    return "machine" if status == "MACHINE" and cause.partition("-")[0] in MACHINE_CAUSES else ""
