"""AMI's events fed to each library from memory, 64 KiB at a time: no sockets, no waiting, only what parsing costs.

Each function takes the stream and gives the events that were delivered and the seconds of processor time it took, which
other programs on the machine disturb less than the time of the clock.
"""

from __future__ import annotations

import collections
import gc
import io
import time
from collections.abc import Callable, Sequence
from typing import Any

from stream import GREETING, KINDS, READ
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineOnlyReceiver

from easycall.asterisk.ami import Message
from easycall.asterisk.link import Link

__all__ = ["CHUNK", "CONTESTANTS", "Feed", "measure"]

CHUNK = 64 * 1024
Feed = Callable[[bytes], None]


def easycall(wanted: Sequence[str], read: str, seen: list[Any]) -> Feed:
    """Our own link, as the daemon uses it."""

    def look(message: Message) -> None:
        seen.append(None)

    def look_at_all(message: Message) -> None:
        seen.append(None)
        message.fields()  # what panoramisk gives: every header, to be looked up in any case

    def look_at_six(message: Message) -> None:
        seen.append(None)
        for header in READ:
            message.get(header)

    listener = {"nothing": look, "all": look_at_all, "six": look_at_six}[read]
    clock = Clock()
    link = Link(clock, dict.fromkeys(wanted, listener))
    link.makeConnection(StringTransport())
    link.dataReceived(GREETING)

    def feed(data: bytes) -> None:
        link.dataReceived(data)
        while clock.calls:  # what the link left for the reactor's next turns
            clock.advance(0)

    return feed


def panoramisk(wanted: Sequence[str], read: str, seen: list[Any]) -> Feed:
    """It parses every event into a dict, whoever wants it."""
    from panoramisk.ami_protocol import AMIProtocol
    from panoramisk.manager import Manager

    def look(manager: Any, message: Any) -> None:
        seen.append(None)

    def look_at_six(manager: Any, message: Any) -> None:
        seen.append(None)
        for header in READ:
            message.get(header, "")

    manager = Manager(loop=None)
    for name in ("*",) if wanted == KINDS else wanted:  # it tries every pattern on every event
        manager.register_event(name, look_at_six if read == "six" else look)
    protocol = AMIProtocol()
    protocol.connection_made(None)
    protocol.factory, protocol.encoding = manager, "utf8"
    protocol.data_received(GREETING + b"\r\n")
    return protocol.data_received  # type: ignore[no-any-return]


def pystrix(wanted: Sequence[str], read: str, seen: list[Any]) -> Feed:
    """Its two threads' work, one after the other: reading lines into messages, and calling back."""
    from pystrix.ami import ami

    class Ended(io.BytesIO):
        """A socket's file: pystrix would read an end of file for ever."""

        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline()
            if not line:
                raise ami.ManagerSocketError("the end")
            return line

    def look(event: Any, manager: Any) -> None:
        seen.append(None)

    def look_at_six(event: Any, manager: Any) -> None:
        seen.append(None)
        for header in READ:
            event.get(header, "")

    manager = ami.Manager()
    manager._alive = False  # its thread ends: nothing of the measurement happens in it
    for name in ("",) if wanted == KINDS else wanted:
        manager.register_callback(name, look_at_six if read == "six" else look)
    socket = ami._SynchronisedSocket.__new__(ami._SynchronisedSocket)
    socket._connected = True
    socket._socket_read_lock = socket._socket_write_lock = ami.threading.Lock()
    manager._connection = socket
    rest = b""

    def feed(data: bytes) -> None:
        nonlocal rest
        whole, end, rest = (rest + data).rpartition(b"\r\n\r\n")
        socket._socket_file = Ended(whole + end)
        reader = ami._MessageReader(manager, 5)
        reader.run()
        while reader.event_queue.qsize():
            manager._event_dispatcher_events(reader, collections.deque())

    return feed


def split(wanted: Sequence[str], read: str, seen: list[Any]) -> Feed:
    """The limit of a parser in Python: messages cut apart, and nothing looked at."""
    rest = b""

    def feed(data: bytes) -> None:
        nonlocal rest
        blocks = (rest + data).split(b"\r\n\r\n")
        rest = blocks.pop()
        for _block in blocks:
            pass

    return feed


def line_only(wanted: Sequence[str], read: str, seen: list[Any]) -> Feed:
    """The limit of what reads line by line: Twisted's LineOnlyReceiver with lines that are thrown away."""

    class Nothing(LineOnlyReceiver):
        def lineReceived(self, line: bytes) -> None:
            pass

    protocol = Nothing()
    protocol.makeConnection(StringTransport())
    return protocol.dataReceived


CONTESTANTS: dict[str, Callable[[Sequence[str], str, list[Any]], Feed]] = {
    "easycall": easycall,
    "panoramisk": panoramisk,
    "pystrix": pystrix,
    "split": split,
    "line_only": line_only,
}
"""Each makes a feed from the wanted kinds, what its listeners read (``nothing``, ``all`` or ``six`` headers), and a list to
which they append something for each event."""


def measure(name: str, wanted: Sequence[str], read: str, events: list[bytes], repeat: int) -> float:
    """Events a second.  Raises RuntimeError when not every wanted event was delivered."""
    data = b"".join(events)
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    seen: list[Any] = []
    feed = CONTESTANTS[name](wanted, read, seen)
    gc.collect()
    begin = time.process_time()
    for _ in range(repeat):
        for chunk in chunks:
            feed(chunk)
    seconds = time.process_time() - begin
    kinds = [event[7 : event.index(b"\r\n")].decode() for event in events]
    expected = 0 if name in ("split", "line_only") else repeat * sum(kind in set(wanted) for kind in kinds)
    if len(seen) != expected:
        raise RuntimeError(f"{name}: {len(seen)} events delivered, {expected} were wanted")
    return repeat * len(events) / seconds
