"""Records the transcripts from a real Asterisk, in a lab of its own: ``python -m tests.transcripts.record``.

``ami-NAME.txt`` is all Asterisk said on one AMI connection, ``agi-NAME-N.txt`` on the N-th FastAGI connection of that
story on which a command was answered.  What belongs to the machine or the moment is replaced.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater, react

from easycall.asterisk.ami import Action
from easycall.asterisk.fastagi import Session, SessionOver
from easycall.asterisk.manager import AmiError
from easycall.defer import start
from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.lab import tied
from easycall.lab.layout import Order, State, free_block
from easycall.lab.legs import Caller, PhoneCall

from ..proxy import Proxy
from ..wire.stage import SOON, Legs, Link, Pbx, until

HERE = Path(__file__).parent
LABS = HERE.parent.parent / "var" / "lab"


class Recording:
    """One story: who is in it, and what Asterisk says meanwhile."""

    def __init__(self, name: str, state: State, reactor: Any) -> None:
        self.name = name
        self.state = state
        self.reactor = reactor
        self.pbx = Pbx(state, reactor)
        self.world = AsteriskWorld(state, reactor)
        self.agi = Proxy(reactor, state.ports.nobody_sip)
        self.agi.port = state.ports.agi
        self.ami: Link
        self.legs: Legs

    async def open(self, account: str) -> None:
        await self.pbx.open()
        await self.world.start()
        await self.agi.start()
        self.legs = await self.pbx.legs(port=self.state.ports.nobody_sip)
        self.ami = await self.pbx.link(account=account)

    async def close(self) -> None:
        """Everybody leaves; what was said is written down."""
        await self.world.stop()
        for session in list(self.legs.factory.sessions):
            session.close()
        await self.pbx.empty()
        await self.pause(0.2)
        await self.ami.manager.stop()
        said = [connection.to_client.heard for connection in self.ami.proxy.accepted if connection.to_client.heard]
        self.write(f"ami-{self.name}", bytes(said[-1]))
        sessions = [bytes(connection.to_server.heard) for connection in self.agi.accepted]
        for number, session in enumerate((one for one in sessions if b"\n200 " in one), 1):
            self.write(f"agi-{self.name}-{number}", session)
        await self.agi.stop()
        await self.pbx.close()

    def write(self, name: str, said: bytes) -> None:
        said = said.replace(str(self.state.folder).encode(), b"/lab")
        said = re.sub(rb"\b" + re.escape(os.uname().nodename.encode()) + rb"\b", b"pbx", said)
        said = re.sub(rb"Challenge: \d+", b"Challenge: 123456789", said)
        said = re.sub(rb"ActionID: [0-9a-f]{8}-", b"ActionID: a1b2c3d4-", said)
        said = re.sub(rb"agi_threadid: \d+", b"agi_threadid: 140000000000000", said)
        said = re.sub(rb"(127\.0\.0\.1:)\d+", rb"\g<1>5060", said)
        if said:
            (HERE / f"{name}.txt").write_bytes(said)

    async def pause(self, seconds: float) -> None:
        await deferLater(self.reactor, seconds)

    async def send(self, name: str, **headers: Any) -> None:
        await self.ami.manager.send(Action.of(name, **headers))

    async def dial(self) -> tuple[Caller, Session]:
        """A caller who has come home."""
        caller = await self.world.dial("95588", "+4930123456", name="Jörg")
        return caller, await self.legs.comes()

    async def ring(self, number: str, leg: str) -> tuple[PhoneCall, Session]:
        """An agent who has answered and come home."""
        phone = self.world.phone(number)
        how = {"Context": "easycall", "Exten": "s", "Priority": "1", "Timeout": "10000", "Async": "true"}
        originate = Action.of(
            "Originate",
            Channel=f"PJSIP/{number}@world",
            ChannelId=leg,
            CallerID='"Ana" <2001>',
            Variable="EC_ROLE=agent",
            **how,
        )
        await self.ami.manager.send(originate, action_id=leg)
        call = await phone.rings(SOON)
        await call.answer(tone=None)
        return call, await self.legs.comes()


async def menu(story: Recording) -> None:
    """A caller is greeted, keys digits, presses a key too early and one too late, and hangs up while music plays."""
    caller, session = await story.dial()
    await session.answer()
    await session.set_variable("EC_CONTACT", "01HZZZZZZZZZZZZZZZZZZZZZZZ")
    await session.stream_file("vm-theperson")
    keys = start(session.get_data("silence/1", 2000, 4))
    await caller.answered(SOON)
    await caller.press("12#")
    assert await keys == ("12", False)
    assert await session.get_data("silence/1", 100, 4) == ("", True)
    wait = start(session.wait_for_digit(5000))
    await caller.press("1")
    assert await wait == "1"
    await session.get_variable("EC_CONTACT")
    await session.get_full_variable("${CALLERID(all)}")
    await session.set_music(True)
    waiting = start(session.wait_for_digit(20000))
    await story.pause(0.1)
    caller.hang_up()
    with suppress(SessionOver):
        await waiting


async def bridge(story: Recording) -> None:
    """A caller waits with music, an agent answers, both are bridged, the agent leaves, the caller comes home."""
    caller, session = await story.dial()
    await session.answer()
    await session.set_music(True)
    start(session.wait_for_digit(20000)).addErrback(lambda failure: None)
    call, agent = await story.ring("2001", "ec-1-agent-1")
    start(agent.wait_for_digit(20000)).addErrback(lambda failure: None)
    await story.send("Bridge", Channel1=session.variables["agi_uniqueid"], Channel2="ec-1-agent-1", Tone="no")
    await story.pause(0.3)
    call.hang_up()
    back = await story.legs.comes()
    await back.set_variable("EC_DONE", "end")
    back.close()
    await caller.ended(SOON)


async def transfer(story: Recording) -> None:
    """Two talk and are redirected home at once; the caller is bridged with a second agent, then with the first again."""
    caller, session = await story.dial()
    await session.answer()
    _, first = await story.ring("2001", "ec-2-agent-1")
    one = session.variables["agi_uniqueid"]
    await story.send("Bridge", Channel1=one, Channel2="ec-2-agent-1", Tone="no")
    await until(story.reactor, lambda: session.over and first.over, SOON, "both are taken")
    home = {"Context": "easycall", "Exten": "s", "Priority": "1"}
    extra = {"ExtraContext": "easycall", "ExtraExten": "s", "ExtraPriority": "1"}
    await story.pause(0.1)
    channels = await story.pbx.channels()
    names = [channels[leg].get("Channel") for leg in (one, "ec-2-agent-1")]
    await story.send("Redirect", Channel=names[0], ExtraChannel=names[1], **home, **extra)
    sessions = [await story.legs.comes(), await story.legs.comes()]
    _, second = await story.ring("2002", "ec-2-agent-2")
    await story.send("Bridge", Channel1=one, Channel2="ec-2-agent-2", Tone="no")
    await story.pause(0.1)
    await story.send("Bridge", Channel1=one, Channel2="ec-2-agent-1", Tone="no")  # the second comes home
    again = await story.legs.comes()
    assert again.variables["agi_uniqueid"] == "ec-2-agent-2"
    again.close()
    await until(story.reactor, lambda: second.over and all(each.over for each in sessions), SOON, "all are taken")
    caller.hang_up()
    await story.pause(0.1)


async def conference(story: Recording) -> None:
    """Three meet in a conference, one is muted, one leaves it for home, the others hang up."""
    await story.pbx.command("dialplan add extension s,1,ConfBridge(900) into conference replace")
    caller, session = await story.dial()
    await session.answer()
    calls = [await story.ring(number, f"ec-3-agent-{number}") for number in ("2001", "2002")]
    legs = [session.variables["agi_uniqueid"], "ec-3-agent-2001", "ec-3-agent-2002"]
    for leg in legs:
        await story.send("Redirect", Channel=leg, Context="conference", Exten="s", Priority="1")
    await story.pause(0.3)
    channels = await story.pbx.channels()
    await story.ami.manager.collect(Action.of("ConfbridgeList", Conference="900"))
    await story.ami.manager.collect(Action.of("ConfbridgeListRooms"))
    await story.send("ConfbridgeMute", Conference="900", Channel=channels[legs[1]].get("Channel"))
    await story.send("Redirect", Channel=legs[2], Context="easycall", Exten="s", Priority="1")
    assert (await story.legs.comes()).variables["agi_uniqueid"] == legs[2]
    caller.hang_up()
    calls[0][0].hang_up()
    await story.pause(0.2)


def white_page() -> bytes:
    """A TIFF of one empty page of a fax, T.6: each line of it is one bit."""
    width, height = 1728, 1100
    after = 8 + 2 + 14 * 12 + 4  # header, 14 tags and the end of their list
    strip = bytes([0xFF] * (height // 8 + 1)) + bytes.fromhex("001001")
    tags = [
        *((256, 4, width), (257, 4, height), (258, 3, 1), (259, 3, 4), (262, 3, 0), (266, 3, 1)),
        *((273, 4, after + 16), (277, 3, 1), (278, 4, height), (279, 4, len(strip))),
        *((282, 5, after), (283, 5, after + 8), (293, 4, 0), (296, 3, 2)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    rationals = struct.pack("<IIII", 204, 1, 98, 1)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + rationals + strip


async def fax(story: Recording) -> None:
    """The PBX sends a page on a leg of the caller's, who receives it."""
    page = story.state.folder / "prompts" / "page.tiff"
    page.write_bytes(white_page())
    caller, session = await story.dial()
    await session.answer()
    for step in ("1,ReceiveFAX(/tmp/received.tiff)", "2,Wait(60)"):
        await story.world.send(Action.of("Command", Command=f"dialplan add extension s,{step} into fax replace"))
    await caller.answered(SOON)
    await story.world.send(Action.of("Redirect", Channel=caller.id, Context="fax", Exten="s", Priority="1"))
    sending = start(session.exec("SendFAX", str(page), "s", seconds=60))
    sending.addErrback(lambda failure: None)
    await story.pause(1)
    with suppress(AmiError):
        await story.ami.manager.collect(Action.of("FAXSessions"))
    await sending
    assert await session.get_variable("FAXSTATUS") == "SUCCESS"
    caller.hang_up()


async def lists(story: Recording) -> None:
    """What comes as a list, empty ones and refused ones among them."""
    caller, session = await story.dial()
    await session.answer()
    await session.set_variable("EC_CONTACT", "01HZZZZZZZZZZZZZZZZZZZZZZZ")
    _, agent = await story.ring("2001", "ec-4-agent-1")
    await story.send("Bridge", Channel1=session.variables["agi_uniqueid"], Channel2="ec-4-agent-1", Tone="no")
    await story.pause(0.1)
    assert agent.over
    manager = story.ami.manager
    bridges = await manager.collect(Action.of("BridgeList"))
    wanted = [
        Action.of("Status", Variables="EC_CONTACT,EC_ROLE,NOT_SET"), Action.of("CoreShowChannels"),
        Action.of("BridgeInfo", BridgeUniqueid=bridges[0].get("BridgeUniqueid")), Action.of("PJSIPShowEndpoints"),
        Action.of("PJSIPShowContacts"), Action.of("DeviceStateList"), Action.of("ConfbridgeListRooms"),
        Action.of("QueueStatus"), Action.of("ParkedCalls"), Action.of("FAXSessions"),
    ]  # fmt: skip
    for action in wanted:
        with suppress(AmiError):
            await manager.collect(action)
    for action in (Action.of("Command", Command="core show channels concise"), Action("CoreStatus"), Action("Ping")):
        await manager.send(action)
    caller.hang_up()
    await story.pause(0.2)


async def restart(story: Recording) -> None:
    """Asterisk starts anew; we log in before it has booted."""
    caller, _ = await story.dial()
    await story.pause(0.1)
    caller.hang_up()
    before = len(story.ami.ups)
    with suppress(AmiError):
        await story.pbx.send("Command", Command="core restart now")
    await story.ami.up(before + 1, 30)
    await story.pause(1)


STORIES: tuple[tuple[Callable[[Recording], Awaitable[None]], str], ...] = (
    (menu, "easycall"),
    (bridge, "easycall"),
    (transfer, "easycall"),
    (conference, "easycall"),
    (fax, "easycall"),
    (lists, "lab"),
    (restart, "easycall"),
)


async def record(reactor: Any, state: State) -> None:
    for story, account in STORIES:
        print(story.__name__)  # noqa: T201
        recording = Recording(story.__name__, state, reactor)
        await recording.open(account)
        try:
            await story(recording)
        finally:
            await recording.close()


if __name__ == "__main__":
    with tied(Order(LABS, f"record-{os.getpid()}", free_block(), patience=2), print) as lab:
        try:
            react(lambda reactor: start(record(reactor, lab)))
        except SystemExit as end:  # always: of a lab that ends so nothing is removed
            code = end.code
    sys.exit(code)
