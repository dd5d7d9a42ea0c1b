"""The process that holds a lab's two Asterisks, so that neither outlives it.

It is started by :mod:`easycall.lab.lab`, reads one :class:`~easycall.lab.layout.Order` on its standard input, and tells
there how it goes, one JSON object a line: ``{"say": text}``, at last ``{"ready": true}`` or ``{"failed": text}``.
Each Asterisk is killed by the kernel when the keeper dies, and the keeper ends when

* it gets SIGTERM (``easycall lab down``), or
* one of the Asterisks ends, or
* its standard input closes before the line ``stay``: its starter died, or a tied lab's owner did.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import msgspec

from easycall.lab.instance import Instance, write_shared
from easycall.lab.layout import LabError, Order, Ports, State, lock, taken
from easycall.lab.root import Installation, find

__all__ = ["main"]

BOOTED = b"Asterisk Ready."
REACHABLE = b"Endpoint world is now Reachable"
"""What the PBX's console shows when the world has answered its OPTIONS: before that it does not ring phones there."""
READY_WITHIN = 60.0
"""Seconds: a busy machine may need ten times the usual second."""
TAIL = 16384
"""Bytes of it kept in memory, to look for signs and last words."""
CONSOLE_LIMIT = 4_000_000
"""Bytes of console output kept of each Asterisk."""


def tell(**message: object) -> None:
    """One message to the starter; when it has died, its standard input tells us so."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


class Running:
    """One Asterisk process, and what it prints."""

    def __init__(self, instance: Instance) -> None:
        self.name = instance.name
        self.shown: set[bytes] = set()
        self.log = instance.folder / "console.log"
        self._console = self.log.open("wb")
        self._kept = 0
        self._tail = b""
        self.process = subprocess.Popen(
            instance.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None  # noqa: S101 -- for the type checker
        self.output: IO[bytes] = self.process.stdout

    def read(self) -> bool:
        """Take what it printed; False when it has ended."""
        text = os.read(self.output.fileno(), TAIL // 2)
        if self._kept < CONSOLE_LIMIT:
            self._kept += len(text)
            self._console.write(text)
            self._console.flush()
        self._tail = (self._tail + text)[-TAIL:]
        self.shown |= {sign for sign in (BOOTED, REACHABLE) if sign in self._tail}
        return bool(text)

    def last_words(self) -> str:
        """The last line it printed."""
        return (self._tail.decode(errors="replace").strip().splitlines() or ["no output"])[-1]

    def pid(self) -> int:
        """The process of Asterisk itself, as the host numbers it."""
        pid = self.process.pid
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid = int(children[0])
        return pid

    def kill(self) -> None:
        """End it at once (there is nothing to save), the innermost process first so that its parents collect it."""
        with contextlib.suppress(OSError):
            os.kill(self.pid(), signal.SIGKILL)
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Keeper:
    """Both Asterisks, and the reasons to end them."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._running: list[Running] = []
        self._events = selectors.DefaultSelector()
        self._stop, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self._events.register(self._stop, selectors.EVENT_READ, "a signal")
        self._events.register(sys.stdin.fileno(), selectors.EVENT_READ, "starter")

    def run(self, installation: Installation) -> None:
        """Start both, report, and hold them until a reason to end comes.  Raises LabError when they do not start."""
        words = {"easycall": secrets.token_urlsafe(24), "lab": secrets.token_urlsafe(24)}
        folder = self._order.folder
        write_shared(folder)
        try:
            for name in ("world", "a"):  # the world is there when the PBX looks for it
                instance = Instance(name, folder, installation)
                instance.configure(self._order, words)
                self._start(instance)
            pids = {"keeper": os.getpid(), **{running.name: running.pid() for running in self._running}}
            State(self._order.name, folder, installation.root, self._order.base, words, pids).write()
            tell(ready=True)
            while self._turn(None):
                pass
        finally:
            for running in self._running:
                running.kill()

    def _start(self, instance: Instance) -> None:
        """Start one Asterisk and wait until it can make calls.  Raises LabError."""
        began = time.monotonic()
        running = Running(instance)
        self._running.append(running)
        self._events.register(running.output, selectors.EVENT_READ, running)
        self._wait_for(running, BOOTED)
        if instance.name == "a":  # by itself it looks at a moment of its own choice within two seconds
            subprocess.run(instance.remote("-rx", "pjsip qualify world"), stdout=subprocess.DEVNULL, timeout=10, check=False)
            self._wait_for(running, REACHABLE)
        tell(say=f"Asterisk {running.name} is ready after {time.monotonic() - began:.1f} s")

    def _wait_for(self, running: Running, sign: bytes) -> None:
        limit = time.monotonic() + READY_WITHIN
        while sign not in running.shown:
            left = limit - time.monotonic()
            if left <= 0 or not self._turn(left):
                raise LabError(f"Asterisk {running.name} did not start ({running.last_words()}): see {running.log}")

    def _turn(self, seconds: float | None) -> bool:
        """Wait for something to happen; False when it is a reason to end."""
        for key, _ in self._events.select(seconds):
            if isinstance(key.data, Running):
                if not key.data.read():
                    return False
            elif key.data == "starter":
                if sys.stdin.readline() != "stay\n":
                    return False
                self._events.unregister(sys.stdin.fileno())
            else:
                return False
        return True


def main() -> None:
    """Keep one lab until its end."""
    order = msgspec.json.decode(sys.stdin.readline(), type=Order, dec_hook=lambda kind, value: kind(value))
    try:
        _keep(order)
    except LabError as error:
        tell(failed=str(error))
    except (OSError, subprocess.SubprocessError) as error:
        tell(failed=f"the lab could not be started: {error}")


def _keep(order: Order) -> None:
    held = _locked(order)
    with held:
        in_the_way = taken(Ports(order.base))
        if in_the_way:
            raise LabError(f"{in_the_way}: choose another block of ports with --ports")
        installation = find(order.var)
        if installation is None:
            raise LabError("Asterisk has gone: run easycall lab install")
        try:
            Keeper(order).run(installation)
        finally:
            (order.folder / "lab.json").unlink(missing_ok=True)


def _locked(order: Order) -> IO[str]:
    for _ in range(10):
        held = lock(order.folder)
        if held is not None:
            return held
        time.sleep(0.05)  # someone may just be looking whether the lab is up
    raise LabError(f"the lab {order.name} is being started or is up already")


if __name__ == "__main__":
    main()
