"""The program's reactor: starpy's interface has no place to hand one in."""

from __future__ import annotations

from typing import Any

__all__ = ["running_reactor"]


def running_reactor() -> Any:
    """The reactor that is installed.  Asked for when it is needed, so that a program may import first and install then."""
    from twisted.internet import reactor

    return reactor
