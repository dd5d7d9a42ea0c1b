"""The whole demo: the house opens, the story is told, the house stays open if wanted, everybody leaves."""

from __future__ import annotations

import os
import shlex
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import LoopingCall, deferLater, react
from twisted.web.client import ResponseFailed

from easycall.client import Client, Refused
from easycall.defer import Bell, start
from easycall.lab import lab as labs
from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.demo.daemon import DaemonProcess
from easycall.lab.demo.narrator import Narrator
from easycall.lab.demo.story import AGENT, Story
from easycall.lab.demo.tour import House, tour
from easycall.lab.layout import LabError, Order, State
from easycall.lab.site import PHONES, Site

__all__ = ["Wish", "perform"]

READY_SECONDS = 40.0
"""How long the daemon may take: at its first start it speaks every prompt once."""
LOOK_SECONDS = 0.1
"""Between two questions whether the daemon is ready."""
WATCH_SECONDS = 2.0
"""Between two looks whether the lab is still there."""
LAST_WORDS = 12
"""Lines of the daemon's log shown when a step was missed."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@frozen
class Wish:
    """What demo is wanted."""

    order: Order
    """Its lab."""
    stays: bool
    """Whether everything stays up after the story, until a signal."""
    command: str
    """How the user calls ``easycall``, for lines to paste."""


def perform(wish: Wish, narrator: Narrator) -> bool:
    """Play the demo; True when every step was seen.  The logs stay when one was not.

    Raises LabError and Unobtainable when there cannot be a lab.
    """
    _check(wish)
    narrator.chapter("A contact centre on this machine")
    with suppress(_Missed), labs.tied(wish.order, narrator.progress) as state:
        show = _Show(wish, state, narrator)
        with suppress(SystemExit):  # react ends like a program; we have a lab to end first
            react(show.run)
        if not show.seen:
            raise _Missed  # through the with, so that it leaves the logs
        return True
    return False


class _Missed(Exception):
    """Not every step was seen; it has been told."""


def _check(wish: Wish) -> None:
    """Say early what would only be found late, and clear away what a demo that was killed has left.  Raises LabError."""
    wish.order.check()
    name, folder = wish.order.name, wish.order.folder
    if labs.status(wish.order) is not None:
        raise LabError(f"the lab {name!r} is up already: choose another --name, or easycall lab down --name {name}")
    if folder.exists() and any(folder.iterdir()) and not (folder / "keeper.log").exists():
        raise LabError(f"{folder} is no lab's folder, and a lab would overwrite it: choose another --name or --var")
    labs.remove(wish.order)
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).close()
    except PermissionError:
        raise LabError("the demo listens to what is on the line, with a raw socket: run it as root") from None


class _Show:
    """One performance, from the daemon's start to its end."""

    def __init__(self, wish: Wish, state: State, narrator: Narrator) -> None:
        self.seen = False
        """Whether every step was seen, and nothing broke afterwards."""
        self._wish = wish
        self._state = state
        self._narrator = narrator
        self._site = Site.write(state, state.folder / "site", wrap_up_seconds=1)
        self._daemon = DaemonProcess(self._site.file, state.folder / "daemon.log")
        self._reactor: Any = None
        self._client: Client
        self._work: Deferred[None] | None = None
        self._over = False
        self._why = ""

    async def run(self, reactor: Any) -> None:
        """Everything, in the running reactor."""
        self._reactor = reactor
        self._client = Client(self._site.port, self._site.token, reactor)
        await deferLater(reactor, 0)  # until it runs: then there are signals and child processes
        for number in SIGNALS:
            signal.signal(number, lambda *_: reactor.callFromThread(self._end, ""))
        self._work = start(self._acts())
        try:
            await self._work
        except (Exception, CancelledError) as why:
            self._tell_why(why)
        finally:
            await self._daemon.stop(reactor)

    def _end(self, why: str) -> None:
        """End the performance where it stands; ``why`` is empty when the user wanted it.  Only the first reason counts."""
        if self._work is not None and not self._work.called and not self._over:
            self._over, self._why = True, why
            self._work.cancel()

    def _tell_why(self, error: BaseException) -> None:
        """Why it did not go on to its end."""
        if self._over and not self._why:
            self._narrator.plain("Everybody leaves.")
            return
        why = self._why or str(error) or repr(error)
        self._narrator.missed(why)
        self.seen = False
        self._narrator.note(f"the daemon's last words, in {_short(self._daemon.log)}:")
        self._narrator.note("\n".join(f"  {line}" for line in self._daemon.last_words(LAST_WORDS)) or "  (none)")

    async def _acts(self) -> None:
        await self._open()
        contact = await self._tell()
        self.seen = True
        if self._wish.stays:
            await self._stay(contact)

    async def _open(self) -> None:
        """The daemon starts, the agent logs in."""
        with self._narrator.act("easycall", f"starts: twistd -n easycall -c {_short(self._site.file)}"):
            self._narrator.note(f"its log: {_short(self._daemon.log)}")
            self._daemon.start(self._reactor)
        over = self._daemon.when_over()
        over.addCallback(lambda _: self._end(f"the daemon has ended: {self._daemon.ended}"))
        with self._narrator.step("easycall", "is ready"):
            await self._until_ready()
        with self._narrator.act(AGENT, f"logs in with phone {PHONES[AGENT]}, and is not ready yet"):
            await self._client.post(f"/api/v1/agents/{AGENT}/login", phone=PHONES[AGENT])

    async def _until_ready(self) -> None:
        limit = self._reactor.seconds() + READY_SECONDS
        reason = ""
        while self._reactor.seconds() < limit and not self._over:  # a request that is cancelled may say it in its own words
            try:
                await self._client.get("/readyz")
                return
            except Refused as why:
                reason = ", ".join(why.problem.get("reasons", [])) or str(why)
            except (ConnectError, ResponseFailed, TimeoutError) as why:
                reason = str(why)
            await deferLater(self._reactor, LOOK_SECONDS)
        raise LabError(f"not within {READY_SECONDS:g} s: {reason}")

    async def _tell(self) -> str:
        """The story, and the id of its contact.  At its end the phones play by themselves again."""
        world = AsteriskWorld(self._state, self._reactor)
        try:
            with self._narrator.step("lab", "lets us play its callers and phones"):
                await world.start()
            with self._narrator.step("easycall", "opens its live feed"):
                feed = await self._client.live()
            try:
                self._narrator.chapter("The first call (seconds since the dial)")
                story = Story(world, self._client, feed, self._narrator)
                await story.tell()
            finally:
                await feed.close()
        finally:
            await world.stop()
        return story.contact

    async def _stay(self, contact: str) -> None:
        """Until a signal, or until something breaks."""
        for heading, lines in tour(self._house(contact)):
            self._narrator.chapter(heading)
            for line in lines:
                self._narrator.plain(f"  {line}")
        self._narrator.chapter("All of this stays until you press Ctrl-C.")
        watch = LoopingCall(self._look)
        watch.clock = self._reactor
        watching = watch.start(WATCH_SECONDS)
        try:
            await Bell().wait()
        finally:
            watch.stop()
            await watching

    def _look(self) -> None:
        if labs.status(self._wish.order) is None:
            self._end(f"the lab has ended: see {_short(self._state.folder)}/*/console.log")

    def _house(self, contact: str) -> House:
        folder, order = _short(self._state.folder), self._wish.order
        logs = [_short(self._daemon.log), f"{folder}/a/console.log", f"{folder}/world/console.log"]
        options = ["--name", order.name] + (["--var", str(order.var)] if order.var != Path("var/lab") else [])
        site = Site(Path(_short(self._site.file)), self._site.port, self._site.token)
        return House(self._state, site, self._daemon.pid, logs, contact, self._wish.command, shlex.join(options))


def _short(path: Path) -> str:
    """A path as the user would write it from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
