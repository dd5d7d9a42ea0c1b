"""What the process before this one left open: from the journal's file and, where that does not say all, the database."""

from __future__ import annotations

from twisted.logger import Logger

from easycall.ports import StoreUnavailable
from easycall.stats.archive import Archive
from easycall.stats.codec import decode
from easycall.stats.framing import VERSION, Frame
from easycall.stats.log_file import LogFile
from easycall.stats.standing import Numbered, Standing

__all__ = ["left_behind"]

log = Logger()
Left = tuple[Standing, Standing]


async def left_behind(file: LogFile | None, archive: Archive, last: int, now: float, per_contact: int) -> Left:
    """See the module; twice, for one of them goes its own way.  The file is open; ``last``: the highest sequence of all.

    What was carried in the write in which the process died may have higher ones, which will be given again.

    Raises OSError, and StoreUnavailable when there is no file.
    """
    if file is None:
        return _folded(await archive.standing(now), last, per_contact)
    events, whole = await file.recall(_read)
    if not whole or file.written < file.projected:
        try:
            events += await archive.standing(now)
        except StoreUnavailable as why:
            log.error("what stands open is known by the journal's file alone, which does not say all: {why}", why=str(why))
    left: Left = await file.beside(_folded, events, last, per_contact)
    return left


def _folded(events: list[Numbered], last: int, per_contact: int) -> Left:
    left = Standing.of((one for one in events if one[0] <= last), per_contact)
    return left, left.copy()


def _read(one: Frame) -> Numbered | None:
    """The event of a frame.  What cannot be understood is told of when it goes into the database."""
    try:
        return (one.seq, decode(one.kind, one.body)) if one.version <= VERSION else None
    except ValueError:
        return None
