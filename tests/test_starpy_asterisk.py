"""starpy's interface against a real Asterisk: actions, events, and FastAGI programs with a leg of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, DeferredQueue, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from easycall.lab import lab
from easycall.lab.layout import Order, State, free_block
from easycall.starpy import fastagi
from easycall.starpy.error import AGICommandFailure, AMICommandFailure, Disconnected
from easycall.starpy.fastagi import FastAGIFactory, FastAGIProtocol
from easycall.starpy.manager import AMIFactory, AMIProtocol

from .starpy_peers import until

reactor: Any = global_reactor
VAR = Path(os.environ.get("EASYCALL_LAB", Path(__file__).parent.parent / "var/lab"))


@pytest.fixture(scope="module")
def state() -> Iterator[State]:
    """A lab of these tests' own."""
    with lab.tied(Order(VAR, f"starpy-{os.getpid()}", free_block(), 2), lambda text: None) as up:
        yield up


@pytest_twisted.async_yield_fixture
async def ami(state: State) -> AsyncIterator[AMIProtocol]:
    """Logged in to the lab's PBX, by MD5."""
    factory = AMIFactory("lab", state.secrets["lab"], plaintext_login=False)
    connection = await factory.login("127.0.0.1", state.ports.a_ami)
    yield connection
    await connection.logoff()


@pytest_twisted.ensureDeferred
async def test_real_log_ins(state: State, ami: AMIProtocol) -> None:
    assert ami.amiVersion is not None
    plain = await AMIFactory("lab", state.secrets["lab"]).login("127.0.0.1", state.ports.a_ami)
    assert (await plain.ping())["ping"] == "Pong"
    assert (await plain.logoff())["response"] == "Goodbye"
    for plaintext in (True, False):
        with pytest.raises(AMICommandFailure) as refused:
            await AMIFactory("lab", "wrong", plaintext_login=plaintext).login("127.0.0.1", state.ports.a_ami)
        assert refused.value.args[0]["message"] == "Authentication failed"


@pytest_twisted.ensureDeferred
async def test_real_commands_database_and_configuration(ami: AMIProtocol) -> None:
    lines = await ami.command("core show version")
    assert lines[0].startswith("Asterisk 22")
    with pytest.raises(AMICommandFailure):
        await ami.command("no such command")
    assert await ami.dbGet("starpy", "key") is None
    values = ["plain", "a b, 'c'", "", "käse", "trailing "]
    for value in values:
        await ami.dbPut("starpy", "key", value)
        assert await ami.dbGet("starpy", "key") == value
    await gatherResults([ami.dbPut("starpy", str(number), number) for number in range(20)])
    found = await gatherResults([ami.dbGet("starpy", str(number)) for number in range(20)])
    assert found == [str(number) for number in range(20)]
    await ami.dbDel("starpy", "key")
    with pytest.raises(AMICommandFailure):
        await ami.dbDel("starpy", "key")
    await ami.dbDelTree("starpy")
    assert await ami.dbGet("starpy", "3") is None
    assert "ping" in await ami.listCommands()
    assert "lab" in (await ami.getConfig("manager.conf")).values()
    assert (await ami.mailboxCount("100@default"))["newmessages"] == "0"
    assert (await ami.extensionState("1", "home"))["status"] == "-1"


@pytest_twisted.ensureDeferred
async def test_real_variables(ami: AMIProtocol) -> None:
    for value in ("a b, c", 'x "y"', "trailing"):
        await ami.setVar(None, "STARPY", value)
        assert await ami.getVar(None, "STARPY") == value
    assert await ami.getVar(None, "STARPY_NOT_SET") in ("", None)


@pytest_twisted.ensureDeferred
async def test_real_calls(ami: AMIProtocol) -> None:
    """Originate with variables, status, redirect, hangup, and the events of it all."""
    seen: list[Any] = []
    ami.registerEvent(("Newchannel", "Hangup", "OriginateResponse"), lambda ami, event: seen.append(event))
    values = {"PLAIN": "x", "__COMMA": 'a, "b" \\ (c', "CALLERID(name)": "Böb, Jr", "LATIN": b"J\xf6rg"}
    answer = await ami.originate(
        "Local/s@easycall/n", application="Wait", data="20", timeout=5, variable=values, nowait=True, channelid="starpy-1"
    )
    assert answer["response"] == "Success"
    await until(lambda: any(event["event"] == "OriginateResponse" for event in seen))
    listed = await ami.status()
    assert (listed[0]["response"], listed[-1]["event"]) == ("Success", "StatusComplete")
    [channel] = [event["channel"] for event in listed if event.get("uniqueid") == "starpy-1"]
    assert len(await ami.status(channel)) == 3
    for name, value in values.items():
        expected = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        assert await ami.getVar(channel, name.lstrip("_")) == expected
    await ami.setVar(channel, "LATER", "a b")
    assert await ami.getVar(channel, "LATER") == "a b"
    await ami.absoluteTimeout(channel, 30)
    await ami.redirect(channel, "easycall", "s", 1)
    await until(lambda: any(event["event"] == "Newchannel" for event in seen))
    for leg in [event["uniqueid"] for event in await ami.status() if "uniqueid" in event]:
        await maybeDeferred(ami.hangup, leg).addErrback(lambda reason: reason.trap(AMICommandFailure))
    await until(lambda: any(event["event"] == "Hangup" and event["uniqueid"] == "starpy-1" for event in seen))
    with pytest.raises(AMICommandFailure) as refused:
        await ami.hangup(channel)
    assert refused.value.args[0]["message"] == "No such channel"
    with pytest.raises(AMICommandFailure):
        await ami.originate("Local/nobody@nowhere", application="Wait", data="1", timeout=2)


@pytest_twisted.ensureDeferred
async def test_real_events(ami: AMIProtocol) -> None:
    mine: DeferredQueue[Any] = DeferredQueue()
    ami.registerEvent("UserEvent", lambda ami, event: mine.put(event))
    await ami.userEvent("Mine", Text="a b", Other="c")
    event = await mine.get()
    assert (event["userevent"], event["text"], event["other"]) == ("Mine", "a b", "c")
    await ami.events(False)
    await ami.userEvent("Unheard")
    await ami.events(True)
    waiting = ami.waitEvent(5)
    await ami.userEvent("Heard")
    assert (await mine.get())["userevent"] == "Heard"
    [*_, last] = await waiting
    assert last["event"] == "WaitEventComplete"


@pytest_twisted.ensureDeferred
async def test_real_queues_parking_and_agents(state: State, ami: AMIProtocol) -> None:
    (state.folder / "a/etc/queues.conf").write_text("[general]\n[sales]\n")
    (state.folder / "a/etc/res_parking.conf").write_text("[default]\n")
    (state.folder / "a/etc/agents.conf").write_text("[1001]\n")
    for module in ("app_queue.so", "res_parking.so", "app_agent_pool.so"):
        await ami.action("ModuleLoad", Module=module, LoadType="load")
    assert [event.get("event") for event in await ami.parkedCalls()] == [None, "ParkedCallsComplete"]
    assert [event.get("agent") for event in await ami.agents()] == [None, "1001", None]
    await ami.queueAdd("sales", "Local/1@easycall", 2, False, "Ana")
    await ami.queuePause("sales", "Local/1@easycall", True, "lunch")
    await ami.queuePenalty("Local/1@easycall", 5, "sales")
    await ami.queueLog("sales", "NOTE", "1.1", "Local/1@easycall", "hello")
    answer, *events = await ami.queueStatus("sales")
    assert answer["response"] == "Success"
    assert [event["event"] for event in events] == ["QueueParams", "QueueMember", "QueueStatusComplete"]
    member = events[1]
    assert (member["name"], member["penalty"], member["paused"], member["pausedreason"]) == ("Ana", "5", "1", "lunch")
    await ami.queueRemove("sales", "Local/1@easycall")
    with pytest.raises(AMICommandFailure):
        await ami.queueRemove("sales", "Local/1@easycall")


@pytest_twisted.ensureDeferred
async def test_what_is_gone_with_asterisk_22(ami: AMIProtocol) -> None:
    for ask in (
        lambda: ami.monitor("x", "y", "wav", True),
        lambda: ami.stopMonitor("x"),
        lambda: ami.changeMonitor("x", "y"),
        lambda: ami.pauseMonitor("x"),
        lambda: ami.unpauseMonitor("x"),
        lambda: ami.sipPeers(),
        lambda: ami.sipShowPeers("x"),
        lambda: ami.queues(),
        lambda: ami.parkedCall(),
        lambda: ami.unParkedCall(),
        lambda: ami.setCDRUserField("x", "y"),
    ):
        with pytest.raises(AMICommandFailure) as refused:
            await ask()
        assert "unknown command" in refused.value.args[0]["message"]
    assert (await ami.meetmeMute("1", "1"))["response"] == "Error"


async def visit(state: State, ami: AMIProtocol, program: Callable[[FastAGIProtocol], Any], **call: Any) -> Any:
    """Send a leg of the PBX to a FastAGI program, and give what that comes to."""
    result: Deferred[Any] = Deferred()

    def main(agi: FastAGIProtocol) -> None:
        maybeDeferred(program, agi).addBoth(result.callback)

    port = reactor.listenTCP(state.ports.agi, FastAGIFactory(main), 50, "127.0.0.1")
    call = {"application": "Wait", "data": "20", **call}
    try:
        answer = ami.originate("Local/s@easycall/n", timeout=10, **call, channelid="visit-1", otherchannelid="visit-2")
        answer.addErrback(lambda reason: reason.trap(AMICommandFailure))  # a program that does not answer the call
        return await result
    finally:
        await maybeDeferred(port.stopListening)
        await ami.hangup("visit-1").addErrback(lambda reason: reason.trap(AMICommandFailure))
        await answer
        await ami.dbDelTree("starpy").addErrback(lambda reason: reason.trap(AMICommandFailure))


@pytest_twisted.ensureDeferred
async def test_a_real_leg(state: State, ami: AMIProtocol) -> None:
    @inlineCallbacks
    def program(agi: FastAGIProtocol) -> Any:
        assert agi.variables["agi_uniqueid"] == "visit-2"
        assert (yield agi.answer()) == 0
        assert (yield agi.channelStatus()) == 6
        for value in ("a b  c", 'x "y" \\', "", "käse", "{}|,;"):
            assert (yield agi.setVariable("A", value)) == 1
            assert (yield agi.getVariable("A")) == value
        try:
            yield agi.getVariable("NOT_SET")
        except AGICommandFailure as failure:
            code = failure.args[0]
        assert code == fastagi.FAILURE_CODE
        assert (yield agi.getVariable("CONTEXT")) == "easycall"
        yield agi.noop('x" y')
        yield agi.verbose("it's fine", 1)
        yield agi.databasePut("starpy", "a", "b c")
        assert (yield agi.databaseGet("starpy", "a")) == "b c"
        yield agi.databaseDel("starpy", "a")
        assert (yield agi.execute("Set", "B=1 2")) == "0"
        assert (yield agi.getVariable("B")) == "1 2"
        assert (yield agi.execute("Set", "ARRAY(C,D)=5,6")) == "0"
        assert (yield agi.sendCommand('GET VARIABLE "D"')) == "1 (6)"
        for wrong, expected in ((agi.execute("NoSuchApplication"), -1), (agi.sendCommand("NO SUCH"), 510)):
            try:
                yield wrong
            except AGICommandFailure as failure:
                code = failure.args[0]
            assert code == expected
        yield agi.setContext("easycall")
        yield agi.setExtension("s")
        yield agi.setPriority(1)
        yield agi.setCallerID("100")
        yield agi.setMusic(True)
        yield agi.wait(0.05)
        yield agi.setMusic(False)
        agi.finish()
        return "done"

    result = await visit(state, ami, program)
    assert result == "done", result


@pytest_twisted.ensureDeferred
async def test_sounds_and_keys_of_a_real_leg(state: State, ami: AMIProtocol) -> None:
    async def press(keys: str) -> None:
        """Press keys at the other end of the leg."""
        [channel] = [event["channel"] for event in await ami.status() if event.get("uniqueid") == "visit-1"]
        for key in keys:
            await ami.playDTMF(channel, key)

    @inlineCallbacks
    def program(agi: FastAGIProtocol) -> Any:
        yield agi.answer()
        key, end = yield agi.streamFile("beep")
        assert key == 0
        assert end > 0
        try:
            code = yield agi.streamFile("no/such/file")
        except AGICommandFailure as failure:
            code = failure.args[0]
        assert code == fastagi.FAILURE_CODE
        assert (yield agi.playback("beep")) == 0
        assert (yield agi.sayDigits("1")) == 0
        assert (yield agi.getData("beep", 0.2)) == ("", True)
        reading = agi.getData("beep", 2, 3)
        yield Deferred.fromCoroutine(press("42#"))
        assert (yield reading) == ("42", False)
        waiting = agi.waitForDigit(3)
        yield Deferred.fromCoroutine(press("7"))
        assert (yield waiting) == ord("7")
        choosing = agi.getOption("beep", "12", 3)
        yield Deferred.fromCoroutine(press("2"))
        assert (yield choosing)[0] == "2"
        key, why, end = yield agi.recordFile(str(state.prompts / "recorded"), "wav", "#", 0.3, beep=False)
        assert (key, why) == (0, "timeout")
        agi.finish()
        return "done"

    result = await visit(state, ami, program)
    assert result == "done", result


@pytest_twisted.ensureDeferred
async def test_a_real_caller_hangs_up(state: State, ami: AMIProtocol) -> None:
    @inlineCallbacks
    def program(agi: FastAGIProtocol) -> Any:
        closed: list[Failure] = []
        agi.onClose().addErrback(closed.append)
        yield agi.answer()
        playing = agi.waitForDigit(-1)
        yield ami.hangup("visit-1")
        try:
            yield playing
        except (Disconnected, AGICommandFailure):
            yield deferLater(reactor, 0.05)
        else:
            raise AssertionError("it went on")
        assert closed
        with pytest.raises(Disconnected):
            yield agi.noop()
        return "done"

    result = await visit(state, ami, program)
    assert result == "done", result
