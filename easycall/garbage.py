"""How the garbage collector behaves in a process with a lot of long-lived objects."""

from __future__ import annotations

import gc

__all__ = ["settle"]

THRESHOLDS = (100_000, 50, 1000)
"""Allocations between collections of the young; how many of these to one of the middle-aged, and of those to one of all.

CPython's (700, 10, 10) look through everything again and again: 30 to 75 ms each time with 100,000 items waiting.  Nothing
is lost: what is dropped is freed by reference counts, and our long-lived objects make no cycles; the collector is for the
odd traceback.
"""


def settle() -> None:
    """Call it when everything that stays has been made: it is never looked at again.

    A second time when more has been loaded: a database driver and its migrations are so much that the first look at them,
    in the middle of calls, takes 50 to 150 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
