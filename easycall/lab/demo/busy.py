"""A busy contact centre without Asterisk: the daemon on a simulated one, people with habits, and a board to watch.

All of it runs in this process, the daemon as ``twistd`` would run it: with its API, its database and real connections.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen
from rich.console import Console
from rich.live import Live
from rich.text import Text
from twisted.internet.task import LoopingCall, deferLater, react

from easycall.config import load
from easycall.defer import Bell, background, limited
from easycall.ivr import library
from easycall.lab.day.arrivals import arrivals
from easycall.lab.day.callers import Caller, draw
from easycall.lab.day.clerks import Clerk, Clerks
from easycall.lab.day.plan import Habits, Shift
from easycall.lab.demo.board import Board, View
from easycall.lab.demo.screen import line, picture
from easycall.lab.layout import LabError
from easycall.lab.simulated import SimulatedLab
from easycall.lab.site import Desk, Site
from easycall.tap import join

__all__ = ["Show", "watch"]

READY_SECONDS = 20.0
"""How long the daemon may take."""
LOOK_SECONDS = 0.05
"""Between two looks whether it is ready."""
REFRESH_SECONDS, LINE_SECONDS = 0.5, 1.0
"""How often the board is shown, in a terminal and elsewhere."""
NUMBER = "95588"
"""What callers dial."""
HABITS = Habits(think=2.5, talk=22.0, talk_spread=0.5, patience=40.0, answer=2.0, returns=12.0, breaks=0)
"""Talks are short, so that there is something to see."""
ALL_DAY = Shift(((-0.1, 24.0),), 1.0)
"""Everybody is there when the doors open."""
SALES, BOTH, SUPPORT = ("sales",), ("sales", "support"), ("support",)
AGENTS: Mapping[str, Desk] = {
    name: Desk(f"20{number:02}", queues)
    for number, (name, queues) in enumerate(
        [
            *(("ana", SALES), ("bo", SALES), ("chen", SUPPORT), ("dana", BOTH), ("emil", SALES), ("fatima", BOTH)),
            *(("goran", SUPPORT), ("hana", SALES), ("ines", BOTH), ("jonas", SALES), ("kofi", SUPPORT), ("lena", BOTH)),
        ],
        1,
    )
}
CALLS_A_DAY = 33_000
"""One every 2.6 s: about what twelve agents can just do."""
EVENLY = [1.0] * 24
AT_THE_DOOR = 8
"""Callers who have waited for the opening."""
BETWEEN_SECONDS = 0.25
"""Between two of those."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@frozen
class Show:
    """What is wanted."""

    seconds: float | None
    """How long; None: until a signal."""
    seed: int
    """Of the callers' and agents' habits."""


def watch(show: Show, console: Console) -> None:
    """Run the contact centre and show its board until the time is over or a signal comes.  Raises LabError."""
    with tempfile.TemporaryDirectory(prefix="easycall-demo-") as folder:
        wrong: list[str] = []

        async def run(reactor: Any) -> None:
            try:
                await _Busy(show, Path(folder), reactor, console).run()
            except (LabError, TimeoutError) as error:
                wrong.append(str(error))

        with suppress(SystemExit):  # react ends like a program; there is a folder to remove first
            react(run)
        if wrong:
            raise LabError(wrong[0])


class _Busy:
    """One contact centre, from its opening to its end."""

    def __init__(self, show: Show, folder: Path, reactor: Any, console: Console) -> None:
        self._show = show
        self._reactor = reactor
        self._console = console
        self._random = Random(f"callers {show.seed}")  # noqa: S311 - habits, not secrets
        self._calls = 0
        self._over = Bell()
        self._why = ""
        self._lab = SimulatedLab(folder, reactor, outside=lambda dialled: self._staff.phone(dialled))
        self._site = Site.write(
            self._lab.state, folder / "site", noise=True, agents=AGENTS, dial="PJSIP/{phone}", wrap_up_seconds=6
        )
        config = load(self._site.file, {})
        flows = library.flows_of(config)
        self._joined = join(config, flows, reactor, self._end)
        self._staff = self._hire()
        self._board: Board

    def _hire(self) -> Clerks:
        random = Random(f"staff {self._show.seed}")  # noqa: S311
        staff = self._joined.distributor.staff
        clerks = {
            agent.id: Clerk(agent.id, agent.own_phone, ALL_DAY, HABITS, random, self._reactor, staff)
            for agent in staff.agents.values()
        }
        return Clerks(clerks, self._reactor, random)

    def _end(self, why: str = "") -> None:
        """Let it be over; ``why`` is empty when that was wanted.  Only the first reason counts."""
        if not self._over.rung:
            self._why = why
            self._over.ring()

    async def run(self) -> None:
        """Open, let live, close.  Raises LabError."""
        await deferLater(self._reactor, 0)  # until it runs: by then its own signal handlers are set
        for number in SIGNALS:
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._end))
        await self._lab.start()
        self._joined.daemon.startService()
        try:
            await self._until_ready()
            self._open()
            async with background(self._callers_come()):
                await self._show_board()
        finally:
            await self._joined.daemon.stopService()
            await self._lab.stop()
        if self._why:
            raise LabError(self._why)

    async def _until_ready(self) -> None:
        limit = self._reactor.seconds() + READY_SECONDS
        while not self._over.rung and not all(pbx.switch.up for pbx in self._joined.pbxs):
            if self._reactor.seconds() > limit:
                raise LabError(f"the daemon was not ready within {READY_SECONDS:g} s")
            await deferLater(self._reactor, LOOK_SECONDS)

    def _open(self) -> None:
        """The agents come."""
        self._board = Board(self._reactor.seconds())
        self._joined.journal.subscribe(self._board.take)
        self._joined.journal.subscribe(self._staff.hear)
        self._staff.day_begins()

    async def _callers_come(self) -> None:
        """Some wait at the door, the others come over the day."""
        for _ in range(AT_THE_DOOR):
            self._call()
            await deferLater(self._reactor, BETWEEN_SECONDS)
        opened = self._reactor.seconds()
        for moment in arrivals(CALLS_A_DAY, self._random, EVENLY):
            await deferLater(self._reactor, max(0.0, opened + moment - self._reactor.seconds()))
            self._call()

    def _call(self) -> None:
        self._calls += 1
        temper = draw(self._calls, HABITS, self._random)
        caller = Caller(temper, self._reactor, lambda caller: None)
        self._lab.asterisk.call_in(NUMBER, temper.number, temper.name, caller)

    # The board

    async def _show_board(self) -> None:
        """Until the time is over, or a signal."""
        notes = [
            f"T='Authorization: Bearer {self._site.token}'",
            f'curl -H "$T" http://127.0.0.1:{self._site.port}/api/v1/queues',
            "Ctrl-C ends it.",
        ]
        terminal = self._console.is_terminal
        with Live(console=self._console, auto_refresh=False) if terminal else nullcontext() as live:
            if live is None:
                self._print(*notes)
            watching = LoopingCall(self._look, live, notes)
            watching.clock = self._reactor
            running = watching.start(REFRESH_SECONDS if terminal else LINE_SECONDS)
            try:
                await self._until_over()
            finally:
                watching.stop()
                await running

    async def _until_over(self) -> None:
        if self._show.seconds is None:
            await self._over.wait()
            return
        with suppress(TimeoutError):
            await limited(self._over.wait(), self._show.seconds, self._reactor)

    def _look(self, live: Live | None, notes: Sequence[str]) -> None:
        if live is None:
            self._print(line(self._view()))
        else:
            live.update(picture(self._view(), notes), refresh=True)

    def _view(self) -> View:
        desk = self._joined.distributor
        lines = {queue: desk.waiting(queue.id) for queue in desk.queues.values()}
        return self._board.view(self._reactor.seconds(), lines, desk.staff.agents.values())

    def _print(self, *lines: str) -> None:
        for one in lines:
            self._console.print(Text(one), soft_wrap=True)  # a pasted line must stay one line
