"""A lab's up, down and status: what the command line, the demo and the tests use.

These functions wait (a second or two): call them from a program's beginning or a thread, not on a running reactor.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from easycall.lab.instance import INSTANCES, Instance
from easycall.lab.layout import LabError, Order, State, lock
from easycall.lab.root import Installation, obtain

__all__ = ["down", "names", "remote", "remove", "status", "tied", "up"]

KEEPER_LOG = "keeper.log"
"""In every folder of a lab."""
UP_WITHIN = 90.0
DOWN_WITHIN = 5.0


def up(order: Order, say: Callable[[str], None]) -> State:
    """Start a lab that stays until :func:`down`; one that is up already is left as it is.

    Raises LabError, and Unobtainable when there is no Asterisk.
    """
    order.check()
    present = status(order)
    if present is not None:
        if present.base != order.base:
            raise LabError(f"the lab {order.name} is up already, on ports from {present.base}: easycall lab down first")
        say(f"the lab {order.name} is up already")
        return present
    obtain(order.var, say)
    keeper = _Keeper(order)
    state = keeper.wait_until_ready(say)
    keeper.let_stay()
    return state


@contextlib.contextmanager
def tied(order: Order, say: Callable[[str], None]) -> Iterator[State]:
    """A lab that is up within the ``with``, and ends with this process however that ends.  Raises as :func:`up` does.

    After a ``with`` that ended well its folder is gone too; otherwise the logs stay.
    """
    order.check()
    obtain(order.var, say)
    keeper = _Keeper(order)
    state = keeper.wait_until_ready(say)
    try:
        yield state
    finally:
        keeper.close()
        down(order)
    remove(order)


class _Keeper:
    """The starter's two pipes to the keeper; closing them ends it unless it was told to stay."""

    def __init__(self, order: Order) -> None:
        order.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._order = order
        command_end, commands = os.pipe()
        messages, message_end = os.pipe()
        self._commands = os.fdopen(commands, "wb", buffering=0)
        self._messages = os.fdopen(messages, "rb", buffering=0)
        with os.fdopen(command_end), os.fdopen(message_end), (order.folder / KEEPER_LOG).open("ab") as log:
            # setsid: the keeper is nobody's child, so nobody's signals reach it and nobody has to wait for it.
            subprocess.run(
                # its folder: for those who look at the list of processes
                ["setsid", "--fork", sys.executable, "-m", "easycall.lab.keeper", str(order.folder)],  # noqa: S607
                stdin=command_end,
                stdout=message_end,
                stderr=log,
                check=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # easycall from where we have it
            )
        self._commands.write(msgspec.json.encode(order, enc_hook=str) + b"\n")

    def wait_until_ready(self, say: Callable[[str], None]) -> State:
        """Follow what the keeper tells.  Raises LabError when the lab does not come up, and then nothing of it stays."""
        try:
            for line in self._lines():
                message = json.loads(line)
                if "say" in message:
                    say(message["say"])
                elif "failed" in message:
                    raise LabError(message["failed"])
                elif (state := State.read(self._order.folder)) is not None:
                    return state
            raise LabError(f"the lab's keeper died: see {self._order.folder / KEEPER_LOG}")
        except BaseException:
            self.close()
            raise

    def let_stay(self) -> None:
        """Let the lab stay when we go."""
        self._commands.write(b"stay\n")
        self.close()

    def close(self) -> None:
        """Speak with the keeper no more."""
        self._commands.close()
        self._messages.close()

    def _lines(self) -> Iterator[bytes]:
        """What the keeper prints, until it ends or has taken too long."""
        limit = time.monotonic() + UP_WITHIN
        rest = b""
        while select.select([self._messages], [], [], max(0.0, limit - time.monotonic()))[0]:
            text = self._messages.read(65536)
            if not text:
                return
            *lines, rest = (rest + text).split(b"\n")
            yield from lines


def status(order: Order) -> State | None:
    """The lab's state when it is up, None when it is not."""
    if not (order.folder / "lab.json").exists():
        return None
    held = lock(order.folder)
    if held is None:
        return State.read(order.folder)
    held.close()
    return None


def remove(order: Order) -> None:
    """Delete the folder of a lab that is down, with its logs.  Raises LabError when it is up, or no lab's folder."""
    order.check()
    if order.folder.exists() and not (order.folder / KEEPER_LOG).exists():
        raise LabError(f"{order.folder} is not the folder of a lab")
    if status(order) is not None:
        raise LabError(f"the lab {order.name} is up: easycall lab down first")
    shutil.rmtree(order.folder, ignore_errors=True)
    Installation((order.var / "root").resolve()).forget(order.folder)


def names(var: Path) -> list[str]:
    """The labs under a folder that are up, or were when something killed them."""
    return sorted(state.parent.name for state in var.glob("*/lab.json"))


def down(order: Order) -> bool:
    """End a lab and wait until nothing of it runs; False when it was not up.  Raises LabError when it does not end."""
    state = status(order)
    if state is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pids["keeper"], number)
        if _gone(order, state):
            return True
    raise LabError(f"the lab {order.name} does not end: its keeper is process {state.pids['keeper']}")


def _gone(order: Order, state: State) -> bool:
    """Wait until keeper and Asterisks have ended."""
    limit = time.monotonic() + DOWN_WITHIN
    while time.monotonic() < limit:
        held = lock(order.folder)
        if held is not None:
            held.close()
            if not any(_runs(pid) for pid in state.pids.values()):
                (order.folder / "lab.json").unlink(missing_ok=True)
                return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    """Whether a process is there and not a corpse that nobody has collected yet."""
    try:
        return not re.search(r"\) [ZX] ", Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return False


def remote(state: State, name: str, *options: str) -> list[str]:
    """The command that connects to Asterisk ``a`` or ``world``: ``-rvvv`` for a console, ``-rx`` for one command."""
    if name not in INSTANCES:
        raise LabError(f"there is no Asterisk {name!r} in a lab: {' or '.join(INSTANCES)}")
    return Instance(name, state.folder, Installation(state.root)).remote(*options)
