"""The stage of the scenarios: a daemon on a PBX, with everybody around it.

The PBX, the callers and the phones are a lab's, real or simulated; the daemon runs in the test's own reactor, joined by
``tap.join`` as twistd would, and is spoken with over HTTP and the live feed, as its users do.  AMI and FastAGI pass through
proxies, ``centre.ami`` and ``centre.agi``.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from easycall.acd.staff import REFUSED_SECONDS
from easycall.asterisk.ami import Action, Message
from easycall.asterisk.channel import Place
from easycall.asterisk.link import ActionRefused
from easycall.asterisk.manager import Account, Manager
from easycall.client import Client, Live
from easycall.config import load
from easycall.defer import Bell, limited
from easycall.ivr import library
from easycall.lab.evidence import STATUS_VARIABLES, Evidence, channels, held
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import assert_invariants, lasting, violations
from easycall.lab.layout import State
from easycall.lab.site import PHONES, Site
from easycall.tap import Joined, join

from ..proxy import Proxy
from .ground import Worlds
from .people import SOON, Agent, Called, Caller, Outsider
from .story import Story

CLOSED_SECONDS = 5.0
"""In which the disk has taken what is being synced."""
LASTING_SECONDS = 1.0
"""A difference between Asterisk and the daemon that is there for so long is no message on its way."""
STRAIGHT = "95599"
"""The number whose callers go straight into the queue "support"."""


class CallCentre:
    """A daemon on the lab's PBX, with everybody around it."""

    def __init__(self, state: State, worlds: Worlds, folder: Path, reactor: Any) -> None:
        self.state = state
        self.folder = folder
        self.reactor = reactor
        self.story = Story(reactor)
        self.world = worlds(tell=self._happened)
        self.callers: list[Caller] = []
        self.agents: dict[str, Agent] = {}
        self.outsiders: list[Outsider] = []
        self.corrected = False
        """True in a scenario in which reconciliation has something to mend."""
        self.overtaken: list[str] = []
        """Choices of an agent that were unfair to somebody who waits, in words."""
        self.running: Joined
        self.client: Client
        self.feed: Live
        self._feeds: list[Live] = []
        self._fairness: Fairness | None = None
        """Of all daemons of the scenario, one after another."""
        self._looking = Bell()
        self._pbx = self._inspector()

    # The daemon

    async def open(self, **site: Any) -> None:
        """Start the world and the daemon; what fails leaves nothing behind for the scenarios that follow."""
        try:
            await self._open(**site)
        except BaseException:
            await self.abandon()
            raise

    async def _open(self, **site: Any) -> None:
        await self.world.start()
        await self._pbx.start()
        await limited(self._looking.wait(), SOON, self.reactor)
        usual = {
            **await self._wires(),
            "flows": Path(__file__).parent / "flows",
            "busy_prompt": "All are busy.",
            "numbers": {STRAIGHT: "straight"},
            "ring_seconds": 3,
            "wrap_up_seconds": 1,
        }
        self.site = Site.write(self.state, self.folder, **{**usual, **site})
        self.client = Client(self.site.port, self.site.token, self.reactor)
        await self.start_daemon()

    async def _wires(self) -> dict[str, int]:
        """What the daemon and the PBX speak through; the ports the daemon is told for it."""
        ports = self.state.ports
        self.ami = await Proxy(self.reactor, ports.a_ami).start()
        self.agi = Proxy(self.reactor, ports.nobody_sip)
        self.agi.port = ports.agi
        return {"ami": self.ami.port, "agi": ports.nobody_sip}

    async def start_daemon(self) -> None:
        config = load(self.site.file, {})
        flows = library.flows_of(config)
        self.fatal: list[str] = []
        self.running = join(config, flows, self.reactor, self.fatal.append)
        ahead = {queue.id: queue.routing.offset for queue in config.queues.values()}
        fairness = self._fairness = self._fairness or Fairness(REFUSED_SECONDS, ahead=ahead)
        self.running.journal.subscribe(lambda sequence, event: self._judge(fairness.take(event)))
        self.running.daemon.startService()
        assert self.running.daemon.started is not None
        await self.running.daemon.started
        assert not self.fatal
        await self.agi.start()
        await self.until(self.ready, SOON, "the daemon is ready")
        await self.listen()

    async def listen(self) -> None:
        """Follow the live feed of the daemon that runs; what was heard of one before stays in ``feed.heard``."""
        before = list(self.feed.heard) if self._feeds else []
        self.feed = await self.client.live()
        self._feeds = [self.feed]
        self.feed.heard = deque([*before, *self.feed.heard], maxlen=self.feed.heard.maxlen)

    async def restart_daemon(self) -> None:
        """Stop it in order, and start it again; calls go on meanwhile, and whoever is in no bridge is home again then."""
        self.story.tell("daemon", "restarts")
        await self.stop_daemon()
        await self.start_daemon()
        await self.until(self._all_are_somewhere, SOON, "every leg is in a bridge, rings, or is at home")

    async def _all_are_somewhere(self) -> bool:
        legs = [leg for pbx in self.running.pbxs for leg in pbx.switch.legs]
        return all(leg.bridge or leg.place in (Place.HOME, Place.DIALLED) for leg in legs)

    def _judge(self, unfair: str) -> None:
        if unfair:
            self.overtaken.append(unfair)

    async def ready(self) -> bool:
        return all(pbx.switch.up for pbx in self.running.pbxs)

    async def stop_daemon(self) -> None:
        await self.feed.close()
        await self.agi.refuse()
        await self.running.daemon.stopService()

    # Who is there

    def agent(self, name: str, number: str = "") -> Agent:
        """An agent of the configuration, at the phone of the world that is the agent's own, or another."""
        return self.agents.setdefault(name, Agent(self, name, number or PHONES[name]))

    def caller(self, name: str = "") -> Caller:
        """A caller who has not dialled yet."""
        number = len(self.callers)
        caller = Caller(self, name or f"caller {number}", f"+49301{number:05}")
        self.callers.append(caller)
        return caller

    def outsider(self, name: str, phone: str = "2350") -> Outsider:
        """Somebody outside, at a telephone of the world; nobody is there when it is not answered."""
        outsider = Outsider(self, name, phone)
        self.outsiders.append(outsider)
        return outsider

    def called(self, name: str, phone: str) -> Called:
        """The same, a customer."""
        called = Called(self, name, phone)
        self.outsiders.append(called)
        return called

    # Waiting

    async def until(self, condition: Callable[[], Any], seconds: float, expected: str) -> None:
        """Look again and again, every 20 ms, until ``condition`` (awaited) holds; AssertionError after ``seconds``."""
        limit = self.reactor.seconds() + seconds
        while not await condition():
            if self.reactor.seconds() > limit:
                raise AssertionError(f"not within {seconds:g} s: {expected}")
            await deferLater(self.reactor, 0.02)

    # The story

    def _happened(self, who: str, what: str) -> None:
        """Something of a leg: let the story say whose it is."""
        names = {f"caller {caller.number}": caller.name for caller in self.callers}
        names |= {f"phone {agent.number}": agent.name for agent in self.agents.values()}
        names |= {f"phone {outsider.phone.number}": outsider.name for outsider in self.outsiders}
        self.story.tell(names.get(who, who), what)

    def so_far(self) -> str:
        """The story so far, for a failure."""
        events = (event for feed in self._feeds for event in feed.heard)
        return self.story.so_far(events, {"AMI": self.ami, "AGI": self.agi})

    # What Asterisk itself says, by an account of its own

    def _inspector(self) -> Manager:
        from twisted.internet.endpoints import TCP4ClientEndpoint

        async def connected() -> None:
            self._looking.ring()

        endpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.state.ports.a_ami)
        account = Account("lab", self.state.secrets["lab"])
        return Manager(
            "inspector", endpoint, account, self.reactor, events={}, connected=connected, lost=lambda reason: None
        )

    async def channels(self) -> list[dict[str, str]]:
        """The channels of the PBX."""
        items = await self._pbx.collect(Action.of("CoreShowChannels"))
        return [dict(item.headers()) for item in items if item.name == "CoreShowChannel"]

    async def listed(self, action: Action) -> list[Message]:
        """What the PBX lists for an action that easycall knows nothing of."""
        return list(await self._pbx.collect(action))

    async def on_pbx(self, action: Action) -> Any:
        """An action on the PBX that easycall knows nothing of."""
        return await self._pbx.send(action)

    async def ask_pbx(self, action: Action) -> str:
        """The same; why it was refused, or ``""``."""
        try:
            await self.on_pbx(action)
        except ActionRefused as refusal:
            return refusal.message
        return ""

    # The end

    async def close(self) -> None:
        """All invariants hold; everybody hangs up; then nothing is left and every contact has one record that adds up."""
        try:
            await self.invariants_hold()
            for caller in self.callers:
                if caller.had_a_call:
                    caller.hangs_up()
            await self._nothing_is_left()
            await self._records_add_up()
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """Leave without looking."""
        if hasattr(self, "feed"):
            await self.stop_daemon()
        elif hasattr(self, "running"):
            await self.running.daemon.stopService()
        for proxy in [getattr(self, name) for name in ("agi", "ami") if hasattr(self, name)]:
            await proxy.stop()
        await self.world.stop()
        await self._pbx.stop()

    async def invariants_hold(self) -> None:
        """I1 to I3 and I9 of :mod:`easycall.lab.invariants`: a difference that lasts is one."""
        found = violations(await self._seen())
        limit = self.reactor.seconds() + LASTING_SECONDS
        while found and self.reactor.seconds() < limit:
            await after(self.reactor, 0.05)
            found = lasting(found, violations(await self._seen()))
        assert not found, found

    async def _seen(self) -> Evidence:
        """What the PBX shows and what the daemon holds at this moment."""
        box = self.running.pbxs[0].box.name
        answer = await self._pbx.collect(Action.of("Status", Variables=",".join(STATUS_VARIABLES)))
        on_the_line = {caller.number for caller in self.callers if caller.had_a_call and caller.leg.is_up}
        legs = {live.leg for live in self.running.contacts.live.values() if live.caller in on_the_line}
        return Evidence(
            channels=channels(box, answer),
            held=held(self.running),
            callers=frozenset(legs),
            overtaken=tuple(self.overtaken),
        )

    async def _nothing_is_left(self) -> None:
        async def empty() -> bool:
            if self.running.contacts.live or any(pbx.switch.legs or pbx.fastagi.sessions for pbx in self.running.pbxs):
                return False
            return not await self.channels()

        await self.until(empty, SOON, f"no channel, leg, session or contact is left ({await self.channels()})")
        corrections = [message for message in self.feed.heard if message["kind"] == "pbx.corrected"]
        assert self.corrected or not corrections, corrections

    async def _records_add_up(self) -> None:
        arrived = {message["contact"] for message in self.feed.heard if message["kind"] == "contact.arrived"}
        snapshot = next(message for message in self.feed.heard if message["kind"] == "snapshot")
        arrived |= {contact["id"] for contact in snapshot["contacts"]}  # what was there before the feed
        listed: list[str] = []

        async def stored() -> bool:
            answer = await self.client.get("/api/v1/contacts?state=ended&limit=200")
            listed[:] = [record["id"] for record in answer["contacts"]]
            return arrived <= set(listed)

        await self.until(stored, SOON, "every contact has its record")
        assert len(listed) == len(set(listed))
        ended = [message["contact"] for message in self.feed.heard if message["kind"] == "contact.ended"]
        assert sorted(ended) == sorted(arrived), "not every contact ended once"
        records = [await self.running.journal.record_of(contact) for contact in ended]
        assert_invariants(Evidence(ended=tuple(ended), records=tuple(found[0] for found in records if found)))
        for contact in arrived:
            assert_adds_up(await self.client.get(f"/api/v1/contacts/{contact}"))


def assert_adds_up(record: Mapping[str, Any]) -> None:
    """The segments touch each other and fill the contact's time exactly."""
    at = record["arrived"]
    for one in record["segments"]:
        assert one["started"] == at, record
        assert one["ended"] >= one["started"], record
        at = one["ended"]
    assert at == record["ended"], record


def open_files() -> Counter[str]:
    """What this process has open, by name; numbered things (sockets, pipes) without their number."""
    names: Counter[str] = Counter()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed the folder
            names[os.readlink(f"/proc/self/fd/{descriptor}").partition(":[")[0]] += 1
    del names["/dev/null"]  # Twisted keeps one in reserve from the first port it listens on
    return names


def after(reactor: Any, seconds: float) -> Deferred[None]:
    """A pause that a scenario is about (an offset of a race), not a wait for something."""
    return deferLater(reactor, seconds)


async def nothing_is_open(before: Counter[str]) -> None:
    """But what was open before; a file that is just being synced in a thread is closed soon."""
    limit = reactor.seconds() + CLOSED_SECONDS  # type: ignore[attr-defined]
    while (left := open_files() - before) and reactor.seconds() < limit:  # type: ignore[attr-defined]
        await after(reactor, 0.05)
    assert not left, "left open"
