"""Asterisk's side of the wire, as fast as it can be played: it must never be what the others wait for.

Blocking sockets and one ``epoll``, no library: the measured programs run beside it as processes of their own.
"""

from __future__ import annotations

import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from contestants import LINE
from stream import GREETING

__all__ = ["Failed", "Rate", "Server", "actions", "commands", "events", "serving", "sessions"]

SECONDS = 20.0
"""A measurement that takes longer has failed."""
END = b"Event: UserEvent\r\nPrivilege: user,all\r\nUserEvent: end\r\n\r\n"
COMMANDS_A_SESSION = 5

_ENVIRONMENT = "\n".join(
    (
        *("agi_network: yes", "agi_network_script: leg", "agi_request: agi://127.0.0.1/leg"),
        *("agi_channel: PJSIP/world-00000004", "agi_language: en", "agi_type: PJSIP", "agi_uniqueid: 1795456342.4"),
        *("agi_version: 22.10.1", "agi_callerid: 5551234", "agi_calleridname: unknown", "agi_callingpres: 67"),
        *("agi_callingani2: 0", "agi_callington: 0", "agi_callingtns: 0", "agi_dnid: 95588", "agi_rdnis: unknown"),
        *("agi_context: easycall", "agi_extension: 95588", "agi_priority: 4", "agi_enhanced: 0.0", "agi_accountcode: "),
        *("agi_threadid: 139818658526912", "agi_arg_1: {commands}", "agi_arg_2: caller", "", ""),
    )
)
_ACTION_ID = re.compile(rb"ActionID: ([^\r]*)")
_ANSWER = b"Response: Success\r\nActionID: %b\r\nVariable: EC_CONTACT\r\nValue: 1\r\n\r\n"
_REPLY = b"200 result=1 (01JDABCDEFGHJKMNPQRSTVWXYZ)\n"


class Failed(Exception):
    """A measured program did not do what it should."""


@frozen
class Rate:
    """How fast a program was."""

    clock: float
    """So many a second."""
    processor: float
    """So many a second of the processor time that the program itself took."""


@frozen
class Server:
    """A measured program that listens."""

    port: int
    pid: int


class _Watch:
    """Takes the time of a program from now on."""

    def __init__(self, pid: int) -> None:
        self._clock = (~pid << 3) | 2  # the processor time of another process, see clock_getcpuclockid(3)
        self._begin = time.perf_counter(), time.clock_gettime(self._clock)

    def rate(self, number: int) -> Rate:
        """The rate of so many things that were done."""
        clock, processor = self._begin
        return Rate(number / (time.perf_counter() - clock), number / (time.clock_gettime(self._clock) - processor))


@contextmanager
def _program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run contestants.py."""
    command = [sys.executable, str(Path(__file__).with_name("contestants.py")), *arguments]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True) as process,
    ):
        try:
            yield process
        except Failed as failure:
            process.kill()
            complaints.seek(0)
            last = complaints.read().strip().rpartition("\n")[2]
            raise Failed(f"{' '.join(arguments[:2])}: {failure} {last}") from None
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    """The next line the program prints."""
    if process.stdout is None or not select.select([process.stdout], [], [], SECONDS)[0]:
        raise Failed(f"nothing said for {SECONDS:g} s")
    line = process.stdout.readline().strip()
    if not line or line.startswith("failed"):
        raise Failed(line or "it ended")
    return line


# AMI


@contextmanager
def _connected(what: str, library: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """Run contestants.py, and take the connection it makes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        _program(what, library, str(listening.getsockname()[1]), *words) as process,
    ):
        if not select.select([listening, process.stdout], [], [], SECONDS)[0] or process.poll() is not None:
            raise Failed("it did not connect")
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield process, connection


def events(library: str, wanted: Sequence[str], stream: Sequence[bytes]) -> Rate:
    """Send the stream over loopback as fast as it is taken; events.  Raises Failed."""
    data = b"".join(stream) + END
    expected = sum(event[7 : event.index(b"\r\n")].decode() in wanted for event in stream)
    with _connected("events", library, *wanted) as (process, connection):
        connection.sendall(GREETING)
        if library == "starpy":  # it does nothing before it has logged in
            connection.sendall(_ANSWER % _ACTION_ID.findall(connection.recv(4096))[0])
        time.sleep(0.1)  # until it is ready for more than the greeting
        watch = _Watch(process.pid)
        connection.sendall(data)
        done = _line(process)
        rate = watch.rate(len(stream))
        if library != "line_only" and done != f"done {expected}":
            raise Failed(f"{done}, {expected} were wanted")
        return rate


def actions(library: str, number: int) -> Rate:
    """Answer each action, or echo each line; actions.  Raises Failed."""
    with _connected("actions", library, str(number)) as (process, connection):
        if "echo" not in library:
            connection.sendall(GREETING)
        time.sleep(0.1)
        watch = _Watch(process.pid)
        print("go", file=process.stdin, flush=True)
        (_echo if "echo" in library else _answer)(connection, number)
        _line(process)
        return watch.rate(number)


def _echo(connection: socket.socket, number: int) -> None:
    left = number * len(LINE + b"\r\n")
    while left > 0:
        data = connection.recv(262_144)
        if not data:
            raise Failed("the line echo hung up")
        left -= len(data)
        connection.sendall(data)


def _answer(connection: socket.socket, number: int) -> None:
    rest = b""
    while number > 0:
        data = connection.recv(262_144)
        if not data:
            raise Failed("it hung up")
        actions, _, rest = (rest + data).rpartition(b"\r\n\r\n")
        answers = [_ANSWER % key for key in _ACTION_ID.findall(actions)]
        number -= len(answers)
        connection.sendall(b"".join(answers))


# FastAGI


@contextmanager
def serving(library: str) -> Iterator[Server]:
    """A FastAGI server, for as long as the ``with``."""
    with _program("agi", library) as process:
        yield Server(int(_line(process)), process.pid)


def commands(server: Server, clients: int, each: int) -> Rate:
    """Legs that are connected already answer so many commands each and are closed; commands.  Raises Failed."""
    environment = _ENVIRONMENT.format(commands=each).encode()
    poll = select.epoll()
    legs: dict[int, tuple[socket.socket, list[int]]] = {}
    try:
        for _ in range(clients):
            leg = socket.create_connection(("127.0.0.1", server.port), SECONDS)
            leg.sendall(environment)
            if leg.recv(4096)[-1:] != b"\n":  # its first command: it is ready, and its answer starts the race
                raise Failed("no command came")
            legs[leg.fileno()] = leg, [each]
            poll.register(leg.fileno(), select.EPOLLIN)
        left = clients
        watch = _Watch(server.pid)
        for leg, _ in legs.values():
            leg.sendall(_REPLY)
        while left:
            ready = poll.poll(SECONDS)
            if not ready:
                raise Failed("no command came")
            for number, _ in ready:
                leg, counter = legs[number]
                counter[0] -= 1
                if leg.recv(4096)[-1:] == (b"\n" if counter[0] else b""):
                    if counter[0]:
                        leg.sendall(_REPLY)
                    else:
                        poll.unregister(number)
                        left -= 1
                else:
                    raise Failed("half a command, or a leg was closed")
        return watch.rate(clients * each)
    finally:
        poll.close()
        for leg, _ in legs.values():
            leg.close()


def sessions(server: Server, clients: int, total: int) -> Rate:
    """So many clients connect, answer five commands and are closed, one leg after another; sessions.  Raises Failed."""
    environment = _ENVIRONMENT.format(commands=COMMANDS_A_SESSION).encode()
    poll = select.epoll()
    legs: dict[int, socket.socket] = {}
    begun = ended = 0

    def connect() -> None:
        nonlocal begun
        begun += 1
        leg = socket.create_connection(("127.0.0.1", server.port), SECONDS)
        leg.sendall(environment)
        legs[leg.fileno()] = leg
        poll.register(leg.fileno(), select.EPOLLIN)

    watch = _Watch(server.pid)
    try:
        for _ in range(min(clients, total)):
            connect()
        while ended < total:
            ready = poll.poll(SECONDS)
            if not ready:
                raise Failed("no command came")
            for number, _ in ready:
                leg = legs[number]
                try:
                    data = leg.recv(4096)
                except ConnectionResetError:
                    raise Failed("a leg was refused") from None
                if data:
                    leg.sendall(_REPLY)
                else:
                    poll.unregister(number)
                    legs.pop(number).close()
                    ended += 1
                    if begun < total:
                        connect()
        return watch.rate(total)
    finally:
        poll.close()
        for leg in legs.values():
            leg.close()
