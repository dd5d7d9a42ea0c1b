"""The stage of these scenarios: a call centre whose daemon is a process that can be killed and started again.

Nothing inside the daemon is looked at: what it holds is what its API and its live feed show, what it wrote stands in its
database, and what is true of calls is what Asterisk says.
"""

from __future__ import annotations

import signal
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectError, ConnectionLost
from twisted.web.client import ResponseFailed

from easycall.asterisk.ami import Action
from easycall.client import Live, Refused
from easycall.events import ContactArrived
from easycall.lab.evidence import STATUS_VARIABLES, Evidence, Held, HeldAgent, HeldContact, HeldLeg, PbxChannel, channels
from easycall.lab.invariants import violations
from easycall.model import AgentState, Direction, Role, Stage

from ...postgres import Cluster
from ..callcentre import LASTING_SECONDS, CallCentre
from ..databases import keeps_in
from ..ground import PATIENCE
from ..people import SOON, Caller
from .books import Ask, Books
from .twistd import ORDERLY, Twistd

__all__ = ["OTHERS", "KillableCentre"]

AWAY = (ConnectError, ConnectionLost, ResponseFailed, TimeoutError)
"""How the API answers when there is no daemon."""
AWAITS = "MusicOnHold"
"""What the dialplan runs for who is at home while there is no daemon; music of a daemon is beside what runs."""
BOX = "lab"
"""The Asterisk's name in the configuration."""
START_SECONDS = 25.0
"""Within which it is ready on any machine; how fast it is of itself is :attr:`KillableCentre.ready_after`."""
STOP_SECONDS = 8.0
LOG_LINES = 60
ACCESS = "easycall.api.gate"
"""Who tells of each request, which the story does as well."""
OTHERS = (Role.AGENT, Role.SUPERVISOR, Role.OUTSIDE)
"""Whose leg is not the caller's."""


class KillableCentre(CallCentre):
    """See the module."""

    patience = PATIENCE
    """Seconds a caller waits for a daemon that is away."""

    older = ""
    """Where the easycall stands that is started first; empty: it is ours."""

    daemon: Twistd | None = None
    _ask: Ask | None = None
    ready_after = 0.0
    """Seconds from the latest start to being ready, without those for which others had the processors."""
    _feed_is_open = False

    @property
    def log(self) -> Path:
        """Everything the daemons of this scenario printed."""
        return self.folder.parent / "daemon.log"

    async def _wires(self) -> dict[str, int]:
        """The daemon and the PBX speak with each other, and nothing is between."""
        await self._set_patience(self.patience)
        return {}

    async def _set_patience(self, seconds: int) -> None:
        if self.state.pids:  # a real one, which serves other scenarios too; the simulated one is of this scenario alone
            await self.on_pbx(Action.of("Setvar", Variable="EASYCALL_PATIENCE", Value=str(seconds)))

    # The daemon

    async def start_daemon(self, **environ: str) -> None:
        """Start it, wait until it is ready and follow its live feed: what was heard before stays in ``feed.heard``."""
        await self.begin_daemon(**environ)
        await self.becomes_ready()

    async def begin_daemon(self, **environ: str) -> None:
        """Start it and do not wait."""
        assert self.daemon is None or self.daemon.status is not None, "there is one"
        if self.older and self.daemon is None:
            environ = {"PYTHONPATH": self.older, **environ}
        self.story.tell("daemon", f"starts {environ or ''}".rstrip())
        self._began = self.reactor.seconds()
        self.daemon = Twistd(self.site.file, self.log, **environ)

    async def becomes_ready(self, but_for: str = "no reason") -> None:
        """Wait until the daemon that was begun is ready, and follow its live feed.

        ``but_for``: how a reason begins that does not count.
        """

        async def ready() -> bool:
            assert self.daemon is not None
            assert self.daemon.status is None, f"it ended with {self.daemon.status}: {self.last_words()}"
            reasons = await self.reasons()
            return reasons is not None and all(reason.startswith(but_for) for reason in reasons)

        await self.until(ready, START_SECONDS, "the daemon is ready")
        took, held_up = self.reactor.seconds() - self._began, self.daemon.held_up if self.daemon else 0.0
        self.ready_after = took - held_up
        self.story.tell("daemon", f"is ready after {took:.2f} s, {held_up:.2f} s of them held up by others")
        await self.listen()

    async def listen(self) -> None:
        """Follow the live feed of the daemon that runs."""
        await super().listen()
        self._feed_is_open = True

    async def ready(self) -> bool:
        """Whether the daemon says so."""
        return await self.reasons() == []

    async def reasons(self) -> list[str] | None:
        """Why it is not ready; None when nobody answers."""
        with suppress(*AWAY):
            try:
                return list((await self.client.get("/readyz"))["reasons"])
            except Refused as refused:
                return list(refused.problem["reasons"])
        return None

    async def kill(self) -> None:
        """SIGKILL; the process is gone when this returns."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> float:
        """SIGTERM; how long it took to end, in seconds."""
        began = self.reactor.seconds()
        assert await self._end(signal.SIGTERM) == ORDERLY, self.last_words()
        return float(self.reactor.seconds() - began)

    async def _end(self, number: signal.Signals) -> int:
        assert self.daemon is not None
        self.story.tell("daemon", f"gets {number.name}")
        self.daemon.send(number)
        return await self.is_gone()

    async def is_gone(self, seconds: float = STOP_SECONDS) -> int:
        """Wait until the process has ended, and its feed is closed; its status."""
        daemon = self.daemon
        assert daemon is not None

        async def over() -> bool:
            return daemon.status is not None

        await self.until(over, seconds, "the daemon is gone")
        await self._leave_feed()
        assert daemon.status is not None
        return daemon.status

    async def _leave_feed(self) -> None:
        if self._feed_is_open:
            self._feed_is_open = False
            await self.feed.close()

    async def stop_daemon(self) -> None:
        """As an operator does."""
        if self.daemon is not None and self.daemon.status is None:
            await self.terminate()

    def last_words(self, lines: int = LOG_LINES) -> str:
        """The last lines that the daemon printed."""
        with self.log.open(encoding="utf-8", errors="replace") as log:
            return "".join(deque((line for line in log if ACCESS not in line), lines))

    def so_far(self) -> str:
        """The story so far, and what the daemon printed last."""
        events = (event for feed in self._feeds for event in feed.heard)
        return f"{self.story.so_far(events, {})}\nthe daemon's log:\n{self.last_words() if self.log.exists() else ''}"

    # What is seen from outside

    async def picture(self) -> dict[str, Any]:
        """What the daemon shows of everything at one moment: the snapshot of a live feed."""
        look: Live = await self.client.live()
        await look.close()
        return look.heard[0]

    async def lines(self) -> dict[str, list[str]]:
        """Queue -> the contacts that wait in it, the first in line first."""
        queues = (await self.client.get("/api/v1/queues"))["queues"]
        return {queue["id"]: [one["id"] for one in queue["contacts"]] for queue in queues if queue["contacts"]}

    async def by_caller(self) -> dict[str, dict[str, Any]]:
        """Every live contact as the API shows it, by the customer's number."""
        found = (await self.client.get("/api/v1/contacts"))["contacts"]
        shown = {one["caller" if one["direction"] == Direction.INBOUND else "dialled"]: one for one in found}
        assert len(shown) == len(found), f"a customer has two contacts: {found}"
        return shown

    async def agents_now(self) -> dict[str, dict[str, Any]]:
        """Every agent as the API shows it."""
        return {one["id"]: one for one in (await self.client.get("/api/v1/agents"))["agents"]}

    async def on_the_pbx(self) -> tuple[PbxChannel, ...]:
        """What Asterisk says of its channels."""
        answer = await self._pbx.collect(Action.of("Status", Variables=",".join(STATUS_VARIABLES)))
        return channels(BOX, answer)

    def on_the_line(self) -> list[Caller]:
        """The callers who have a call, and have not hung up and were not hung up."""
        return [caller for caller in self.callers if caller.had_a_call and not caller.leg.over]

    async def invariants_hold(self) -> None:
        """And the daemon holds as many legs as there are channels of its contacts."""
        await super().invariants_hold()
        counted: list[int] = []

        async def equal() -> bool:
            counted[:] = await self.legs(), sum(bool(one.contact) for one in await self.on_the_pbx())
            return counted[0] == counted[1]

        await self.until(equal, LASTING_SECONDS, "as many legs as channels")

    async def _seen(self) -> Evidence:
        shown, there = await self.picture(), await self.on_the_pbx()
        numbers = {caller.number for caller in self.on_the_line()}
        legs = {one.contact: one.id for one in there if one.role not in OTHERS}
        served = {one["id"] for one in shown["contacts"] if one["caller"] in numbers}
        return Evidence(
            channels=there,
            held=_held(shown, there, legs),
            callers=frozenset(legs.get(contact, f"the call of contact {contact}") for contact in served),
        )

    # The end

    async def _nothing_is_left(self) -> None:
        async def empty() -> bool:
            return not (await self.by_caller() or await self.legs() or await self.channels())

        await self.until(empty, SOON, f"no channel, leg or contact is left ({await self.channels()})")

    async def settles(self, seconds: float = SOON) -> float:
        """Wait until the daemon's picture is that of the PBX, with everybody who is on the line; how long it took."""
        began = self.reactor.seconds()
        wrong: list[str] = []

        async def agrees() -> bool:
            shown = await self.by_caller()
            away = [f"{caller.name} has no contact" for caller in self.on_the_line() if caller.number not in shown]
            wrong[:] = away or await self._left_alone() or violations(await self._seen())
            return not wrong

        try:
            await self.until(agrees, seconds, "the pictures agree")
        except AssertionError as why:
            raise AssertionError(f"{why}\n" + "\n".join(wrong)) from None
        return float(self.reactor.seconds() - began)

    async def everybody_is_home(self) -> None:
        """Wait until nobody hears the music of the dialplan any more, in which no key counts."""

        async def home() -> bool:
            return not await self._left_alone()

        await self.until(home, SOON, "everybody is home")

    async def _left_alone(self) -> list[str]:
        return [f"{one.id} waits for a daemon" for one in await self.on_the_pbx() if one.application == AWAITS]

    async def legs(self) -> int:
        """How many legs the daemon holds."""
        text = (await self.client.get("/metrics")).decode()
        return int(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("easycall_legs{")))

    def keeps_in(self, cluster: Cluster) -> None:
        """The daemon, which is not started yet, has a database of this server."""
        name = cluster.create("template0")
        keeps_in(self.folder, cluster.address(name, tcp=True))
        self._ask = partial(cluster.sql, name=name)

    def books(self) -> Books:
        """What the daemons have left, when there is none any more."""
        return Books.read(self.folder, self._ask)

    async def _records_add_up(self) -> None:
        await self.stop_daemon()
        books = self.books()
        books.add_up()
        called = [caller.name for caller in self.callers if caller.had_a_call]
        assert len(books.of(ContactArrived, direction=Direction.INBOUND)) == len(called), "not one contact for each caller"

    async def abandon(self) -> None:
        """Leave without looking.  Everybody hangs up before the daemon ends, or they would look for it."""
        await self.world.stop()
        if self.daemon is not None:
            self.daemon.end()
        await self._leave_feed()
        with suppress(Exception):  # it may be what failed
            await self._set_patience(PATIENCE)
        await self._pbx.stop()


def _held(shown: dict[str, Any], there: tuple[PbxChannel, ...], legs: dict[str, str]) -> Held:
    """What a snapshot shows, as evidence.  The legs themselves are no business of a client: they are taken as they are."""
    return Held(
        contacts=tuple(
            HeldContact(
                id=one["id"],
                pbx=one["pbx"],
                leg=legs.get(one["id"], ""),
                stage=Stage(one["stage"]),
                queue=one["queue"] or "",
                agent=one["agent"] or "",
                consulted=one["consulted"] or "",
                conference=tuple(one["conference"]),
                rung=tuple(one["rung"]),
            )
            for one in shown["contacts"]
        ),
        legs=tuple(HeldLeg(one.pbx, one.id, "", one.bridge) for one in there if one.contact),
        agents=tuple(HeldAgent(one["id"], AgentState(one["state"]), one["contact"] or "") for one in shown["agents"]),
        waiting={
            queue["id"]: tuple((item["enqueued"], item["id"]) for item in queue["contacts"]) for queue in shown["queues"]
        },
    )
