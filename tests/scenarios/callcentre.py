"""The stage of the scenarios: a call centre's day in words.

::

    ana = await centre.agent("ana").works()
    carl = await centre.dials("95588")
    await carl.presses("1")
    call = await ana.rings()
    await call.answers()
    await talking(carl, call)

The PBX, the callers and the phones are real (the lab); the daemon runs in the test's own reactor, joined by ``tap.join`` as
twistd would, and is spoken with over HTTP and the live feed, as its users do.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from easycall.asterisk.ami import Action
from easycall.asterisk.manager import Account, Manager
from easycall.client import Client, Live
from easycall.config import load
from easycall.defer import Bell, limited
from easycall.ivr import library
from easycall.lab.layout import State
from easycall.lab.legs import Caller, PhoneCall
from easycall.lab.site import PHONES, Site
from easycall.lab.world import World
from easycall.tap import Joined, join

from ..proxy import Proxy

STRAIGHT = "95599"
"""The number whose callers go straight into the queue "support"."""

SOON = 5.0
"""Seconds within which anything must happen that nothing delays."""


class Agent:
    """An agent at work: logs in over the API, takes calls at a phone of the world."""

    def __init__(self, centre: CallCentre, name: str, number: str) -> None:
        self.centre = centre
        self.name = name
        self.number = number
        self.phone = centre.world.phone(number)

    async def works(self, *queues: str) -> Agent:
        """Log in and become ready."""
        await self.logs_in(*queues)
        await self.becomes("ready")
        return self

    async def logs_in(self, *queues: str) -> None:
        wish: dict[str, Any] = {"phone": self.number}
        if queues:
            wish["queues"] = list(queues)
        await self.centre.client.post(f"/api/v1/agents/{self.name}/login", **wish)

    async def becomes(self, state: str, reason: str = "") -> None:
        await self.centre.client.put(f"/api/v1/agents/{self.name}/state", state=state, reason=reason)

    async def is_(self, state: str, seconds: float = SOON, reason: str = "") -> None:
        """Wait until the agent is in that state."""

        async def there() -> bool:
            agent = await self.centre.client.get(f"/api/v1/agents/{self.name}")
            return bool(agent["state"] == state and agent["reason"] == reason)

        await self.centre.until(there, seconds, f"{self.name} is {state} ({reason})")

    async def rings(self, seconds: float = SOON) -> PhoneCall:
        """Wait until the phone rings."""
        return await self.phone.rings(seconds)

    async def sees_pop(self, caller: CallerOnLine, seconds: float = SOON) -> Mapping[str, Any]:
        """Wait for the screen pop of a caller's contact."""
        return await self.centre.feed.wait("screen.pop", seconds, agent=self.name, contact=await caller.contact())


class CallerOnLine:
    """A caller, and the contact easycall made of the call."""

    def __init__(self, centre: CallCentre, number: str, leg: Caller) -> None:
        self.centre = centre
        self.number = number
        self.leg = leg

    async def contact(self, seconds: float = SOON) -> str:
        """The id of the contact."""
        arrived = await self.centre.feed.wait("contact.arrived", seconds, caller=self.number)
        return str(arrived["contact"])

    async def presses(self, key: str) -> None:
        await self.leg.answered(SOON)
        await self.leg.press(key)

    async def waits_in(self, queue: str, seconds: float = SOON) -> None:
        """Wait until the caller stands in a queue."""
        await self.centre.feed.wait("queue.entered", seconds, contact=await self.contact(), queue=queue)

    async def chooses(self, key: str, queue: str) -> None:
        """Press a key of the menu as soon as it works, and wait in the queue behind it."""
        await self.reaches("menu")
        await self.presses(key)
        await self.waits_in(queue)

    async def reaches(self, node: str, seconds: float = SOON) -> None:
        """Wait until the caller is at a node of the flow."""
        await self.centre.feed.wait("ivr.step", seconds, contact=await self.contact(), node=node)

    async def hears_music(self) -> None:
        """The music of the PBX is a tone of 440 Hz."""
        await self.leg.answered(SOON)
        await self.leg.hears(440, 10)

    async def hears_speech(self, seconds: float = SOON) -> None:
        await self.leg.answered(SOON)
        await self.leg.hears_speech(seconds)

    def hangs_up(self) -> None:
        self.leg.hang_up()

    async def record(self, seconds: float = SOON) -> Mapping[str, Any]:
        """The record, once the contact has ended."""
        contact = await self.contact()
        await self.centre.feed.wait("contact.ended", seconds, contact=contact)
        return await self.centre.client.get(f"/api/v1/contacts/{contact}")


async def talking(caller: CallerOnLine, call: PhoneCall) -> None:
    """Prove that audio passes both ways: a key pressed on each side arrives at the other."""
    await call.press("7")
    await caller.leg.hears_key("7", SOON)
    await caller.leg.press("4")
    await call.hears_key("4", SOON)


def segments(record: Mapping[str, Any]) -> list[str]:
    """The kinds of a record's segments, with the agent and outcome of offers: ``offer(ana, no_answer)``."""
    return [
        f"offer({one['agent']}, {one['outcome']})" if one["kind"] == "offer" else one["kind"] for one in record["segments"]
    ]


class CallCentre:
    """A daemon on the lab's PBX, with everybody around it."""

    def __init__(self, state: State, folder: Path, reactor: Any) -> None:
        self.state = state
        self.folder = folder
        self.reactor = reactor
        self.world = World(state, reactor)
        self.callers: list[CallerOnLine] = []
        self.agents: dict[str, Agent] = {}
        self.corrected = False
        """True in a scenario in which reconciliation has something to mend."""
        self.running: Joined
        self.client: Client
        self.feed: Live
        self._looking = Bell()
        self._pbx = self._inspector()

    # The daemon

    async def open(self, **site: Any) -> None:
        """Start the world and the daemon."""
        await self.world.start()
        await self._pbx.start()
        await limited(self._looking.wait(), SOON, self.reactor)
        self.ami = await Proxy(self.reactor, self.state.ports.a_ami).start()
        usual = {
            "ami": self.ami.port,
            "flows": Path(__file__).parent / "flows",
            "busy_prompt": "All are busy.",
            "numbers": {STRAIGHT: "straight"},
            "ring_seconds": 3,
            "wrap_up_seconds": 1,
        }
        self.site = Site.write(self.state, self.folder, **{**usual, **site})
        self.client = Client(self.site.port, self.site.token, self.reactor)
        await self.start_daemon()

    async def start_daemon(self) -> None:
        config = load(self.site.file, {})
        flows = library.load(config.flows_directory, config.queues, config.prompts.voices)
        self.fatal: list[str] = []
        self.running = join(config, flows, self.reactor, self.fatal.append)
        self.running.daemon.startService()
        assert self.running.daemon.started is not None
        await self.running.daemon.started
        assert not self.fatal
        await self.until(self.ready, SOON, "the daemon is ready")
        self.feed = await self.client.live()

    async def ready(self) -> bool:
        return all(pbx.switch.up for pbx in self.running.pbxs)

    async def stop_daemon(self) -> None:
        await self.feed.close()
        await self.running.daemon.stopService()

    # Who is there

    def agent(self, name: str, number: str = "") -> Agent:
        """An agent of the configuration, at the phone of the world that is the agent's own, or another."""
        return self.agents.setdefault(name, Agent(self, name, number or PHONES[name]))

    async def dials(self, number: str = "95588", **how: Any) -> CallerOnLine:
        """A caller dials in, with a calling number nobody else has."""
        caller = f"+49301{len(self.callers):05}"
        line = CallerOnLine(self, caller, await self.world.dial(number, caller, **how))
        self.callers.append(line)
        return line

    # Waiting

    async def until(self, condition: Callable[[], Any], seconds: float, expected: str) -> None:
        """Look again and again, every 20 ms, until ``condition`` (awaited) holds; AssertionError after ``seconds``."""
        limit = self.reactor.seconds() + seconds
        while not await condition():
            if self.reactor.seconds() > limit:
                raise AssertionError(f"not within {seconds:g} s: {expected}\n{self.story()}")
            await deferLater(self.reactor, 0.02)

    def story(self) -> str:
        """What happened so far, for a failure."""
        events = "\n".join(f"  {message}" for message in list(self.feed.heard)[-40:] if message["kind"] != "snapshot")
        legs = "\n".join(f"  {caller.leg!r}" for caller in self.callers)
        return f"live feed:\n{events}\ncallers:\n{legs}"

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

    async def on_pbx(self, action: Action) -> Any:
        """An action on the PBX that easycall knows nothing of."""
        return await self._pbx.send(action)

    # The end

    async def close(self) -> None:
        """Everybody hangs up; then nothing is left anywhere and every contact has one record that adds up."""
        for caller in self.callers:
            caller.hangs_up()
        try:
            await self._nothing_is_left()
            await self._records_add_up()
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """Leave without looking."""
        await self.stop_daemon()
        await self.ami.stop()
        await self.world.stop()
        await self._pbx.stop()

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
        listed: list[str] = []

        async def stored() -> bool:
            answer = await self.client.get("/api/v1/contacts?state=ended&limit=200")
            listed[:] = [record["id"] for record in answer["contacts"]]
            return arrived <= set(listed)

        await self.until(stored, SOON, "every contact has its record")
        assert len(listed) == len(set(listed))
        ended = [message["contact"] for message in self.feed.heard if message["kind"] == "contact.ended"]
        assert sorted(ended) == sorted(arrived), "not every contact ended once"
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
