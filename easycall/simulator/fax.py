"""Fax machines at the far ends of lines, and SendFAX and ReceiveFAX, which copy real files to and from them."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, mutable
from twisted.internet.defer import Deferred

from easycall.simulator.channel import Channel, Interrupted

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk

__all__ = ["Faxing", "Machine", "page_count", "receive_fax", "send_fax"]

START_SECONDS = 60.0
"""So long Asterisk waits for the other machine (T0 of T.30)."""
MAX_PAGES = 1000

DROPPED = "The call dropped prematurely"
SILENT = "Timed out waiting for initial communication"


@mutable(eq=False)
class Machine:
    """A fax machine that was started at the far end of a line."""

    file: Path
    """What it sends, or where it puts what it receives."""
    sends: bool
    station: str = ""
    done: Callable[[int], None] = lambda pages: None
    """Called with the pages that went over, when it is done."""


@mutable(eq=False)
class Faxing:
    """A fax that is under way, for those who ask for the sessions."""

    operation: str
    file: str
    page: int = field(default=0)


def page_count(file: Path) -> int:
    """The pages of a TIFF file; 0 when it is none."""
    data = file.read_bytes() if file.is_file() else b""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    pages = 0
    if order is not None:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        while 8 <= at <= len(data) - 2 and pages < MAX_PAGES:
            pages += 1
            (entries,) = struct.unpack_from(f"{order}H", data, at)
            at += 2 + 12 * entries
            (at,) = struct.unpack_from(f"{order}I", data, at) if at + 4 <= len(data) else (0,)
    return pages


async def send_fax(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    """SendFAX(file)."""
    await _fax(asterisk, channel, "send", data)


async def receive_fax(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    """ReceiveFAX(file)."""
    await _fax(asterisk, channel, "receive", data)


async def _fax(asterisk: SimulatedAsterisk, channel: Channel, operation: str, data: str) -> None:
    file, _, options = data.partition(",")
    if operation == "send" and not page_count(Path(file)):
        _over(channel, "FAILED", "FILE_ERROR", "error reading file", 0, "")
        return
    station = channel.variables.get("FAXOPT(localstationid)", "")
    for status in ("Allocating Resources", "FAX Transmission In Progress") if "s" in options else ():
        facts = [("Operation", operation), ("Status", status), ("LocalStationID", station), ("FileName", file)]
        asterisk.core.tell("call", "FAXStatus", channel, facts)
    faxing = asterisk.faxes[channel.id] = Faxing(operation, file)
    remote = ""
    try:
        machine = await _machine(channel, sends=operation == "receive")
        if machine is None:
            _over(channel, "FAILED", SILENT, SILENT, 0, "")
        else:
            remote = machine.station
            pages = await _pages(asterisk, channel, machine, faxing, Path(file))
            _over(channel, "SUCCESS", "", "OK", pages, remote)
            machine.done(pages)
    except Interrupted:
        _over(channel, "FAILED", DROPPED, DROPPED, max(0, faxing.page - 1), remote)
        raise
    finally:
        del asterisk.faxes[channel.id]
        pages_sent = channel.variables.get("FAXPAGES", "0")
        facts = [("LocalStationID", station), ("RemoteStationID", remote), ("PagesTransferred", pages_sent)]
        more = [("Resolution", "8031x7700"), ("TransferRate", "14400"), ("FileName", file)]
        asterisk.core.tell("call", "SendFAX" if operation == "send" else "ReceiveFAX", channel, [*facts, *more])


async def _machine(channel: Channel, *, sends: bool) -> Machine | None:
    """The machine at the far end, once it is started; None when it is not in time, or is not for this."""
    if channel.machine is None:
        started: Deferred[None] = Deferred()
        channel.machine_waiters.append(started)
        timer = channel.core.later(START_SECONDS, started.callback, None)
        try:
            await channel.wait(started)
        finally:
            if started in channel.machine_waiters:
                channel.machine_waiters.remove(started)
            if timer.active():
                timer.cancel()
    machine, channel.machine = channel.machine, None
    return machine if machine is not None and machine.sends is sends else None


async def _pages(asterisk: SimulatedAsterisk, channel: Channel, machine: Machine, faxing: Faxing, file: Path) -> int:
    """Let them go over, one by one."""
    source, target = (machine.file, file) if machine.sends else (file, machine.file)
    pages = page_count(source)
    await channel.sleep(asterisk.settings.fax_seconds)
    for page in range(1, pages + 1):
        faxing.page = page
        await channel.sleep(asterisk.settings.page_seconds)
    shutil.copyfile(source, target)
    return pages


def _over(channel: Channel, status: str, error: str, text: str, pages: int, station: str) -> None:
    channel.variables.pop("FAXERROR", None)
    if error:
        channel.variables["FAXERROR"] = error
    channel.variables |= {
        "FAXSTATUS": status,
        "FAXSTATUSSTRING": text,
        "FAXPAGES": str(pages),
        "FAXBITRATE": "14400",
        "REMOTESTATIONID": station,
    }
