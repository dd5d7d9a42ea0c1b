"""The lab: two real Asterisks that come up, make calls, and leave nothing behind, whatever is killed."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Protocol, ServerFactory

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.fastagi import FastAgiFactory, Session
from easycall.asterisk.manager import Account, ActionRefused, Manager
from easycall.defer import Bell
from easycall.lab import lab, root
from easycall.lab.layout import BLOCK, LabError, Order, Ports, State, free_block, shipped, taken
from easycall.lab.legs import NotSeen
from easycall.lab.tones import MU_LAW, OTHER, SILENCE, TONES, described, sound_of
from easycall.lab.world import World

HERE = Path(__file__).parent.parent
VAR = Path(os.environ.get("EASYCALL_LAB", HERE / "var/lab"))
PATIENCE = 2


def said(text: str) -> None:
    """Progress nobody looks at."""


def order(suffix: str, *, name: str = "", base: int = 0) -> Order:
    """A lab of this test's own."""
    return Order(VAR, name or f"t{os.getpid()}-{suffix}", base or free_block(), PATIENCE)


def running(wanted: Order) -> list[str]:
    """The processes that have anything to do with a lab, by what the kernel says."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(wanted.folder).encode() in (process / "cmdline").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it becomes so in time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def gone(wanted: Order) -> bool:
    """Whether nothing of a lab runs, listens or is mounted."""
    return (
        not running(wanted)
        and taken(Ports(wanted.base)) is None
        and str(wanted.folder) not in Path("/proc/mounts").read_text()
    )


def command(*words: str, wanted: Order | None = None) -> subprocess.CompletedProcess[str]:
    """``easycall lab …`` as a user runs it."""
    of_lab = ("--var", str(wanted.var), "--name", wanted.name) if wanted else ()
    argv = [sys.executable, "-c", "from easycall.cli.main import cli; cli()", "lab", *words, *of_lab]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=HERE, check=False)


@pytest.fixture
def own() -> Iterator[Order]:
    """A lab of this test's own, not up; down afterwards, and its folder gone."""
    wanted = order("own")
    yield wanted
    lab.down(wanted)
    lab.remove(wanted)


@pytest.fixture(scope="module")
def state() -> Iterator[State]:
    """The lab most tests here share."""
    wanted = order("shared")
    with lab.tied(wanted, said) as up:
        yield up
    assert gone(wanted)
    assert not wanted.folder.exists()


@pytest_twisted.async_yield_fixture
async def world(state: State) -> AsyncIterator[World]:
    """The lab's world, ours to play."""
    ours = World(state, reactor)
    await ours.start()
    yield ours
    await ours.stop()


@pytest_twisted.async_yield_fixture
async def pbx(state: State) -> AsyncIterator[Manager]:
    """The PBX's AMI, with the account the daemon gets."""
    up = Bell()

    async def connected() -> None:
        up.ring()

    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", state.ports.a_ami)
    account = Account("easycall", state.secrets["easycall"])
    manager = Manager("a", endpoint, account, reactor, events={}, connected=connected, lost=said)
    await manager.start()
    await up.wait()
    yield manager
    await manager.stop()


async def channels(pbx: Manager) -> list[Message]:
    """The PBX's channels, with the dialled number as the dialplan keeps it."""
    listed = await pbx.collect(Action.of("Status", Variables="EC_DNIS"))
    return [item for item in listed if item.name == "Status"]


async def rung(pbx: Manager, channel: str, leg: str, *variables: str) -> None:
    """Let the PBX ring a phone, as the daemon does."""
    await pbx.send(
        Action.of(
            "Originate",
            Channel=channel,
            ChannelId=leg,
            Context="easycall",
            Exten="s",
            Priority="1",
            CallerID='"Bob" <+4930123456>',
            Async="true",
            Variable=variables,
        )
    )


async def all_hung_up(pbx: Manager) -> None:
    """Hang up every leg of the PBX until none is left: a Hangup right behind an Originate finds none yet."""
    limit = time.monotonic() + 3
    while legs := await channels(pbx):
        assert time.monotonic() < limit, legs
        for leg in legs:
            with contextlib.suppress(ActionRefused):
                await pbx.send(Action.of("Hangup", Channel=leg.get("Uniqueid")))


# Coming up and going down


def test_a_user_brings_a_lab_up_and_down(own: Order) -> None:
    up = command("up", "--ports", str(own.base), wanted=own)
    assert up.returncode == 0, up.stderr
    assert "Asterisk world is ready" in up.stderr
    assert "Asterisk a is ready" in up.stderr
    told = json.loads(command("status", "--json", wanted=own).stdout)
    assert told["ports"]["a_ami"] == own.base + 2
    assert told["prompts"] == str(own.folder / "prompts")
    assert all(Path(f"/proc/{pid}").exists() for pid in told["pids"].values())
    assert "1 second" in command("console", "a", "core show uptime", wanted=own).stdout.replace("0 second", "1 second")
    again = command("up", "--ports", str(own.base), wanted=own)
    assert (again.returncode, "up already" in again.stderr) == (0, True)
    assert json.loads(command("status", "--json", wanted=own).stdout)["pids"] == told["pids"]
    assert f"the lab {own.name} is down\n" in command("down", wanted=own).stdout
    assert gone(own)
    assert command("status", wanted=own).returncode == 1
    assert command("down", wanted=own).returncode == 0


def test_secrets_are_the_owners_and_new_for_each_lab(state: State, own: Order) -> None:
    with lab.tied(own, said) as other:
        assert not set(other.secrets.values()) & set(state.secrets.values())
        for path in (own.folder / "lab.json", own.folder / "a/etc/manager.conf", own.folder / "world/etc/manager.conf"):
            assert path.stat().st_mode & 0o077 == 0
        assert own.folder.stat().st_mode & 0o077 == 0


def test_labs_run_side_by_side(state: State, own: Order) -> None:
    with lab.tied(own, said) as other:
        assert abs(other.base - state.base) >= BLOCK
        assert not set(other.pids.values()) & set(state.pids.values())
        assert lab.status(own) == other
    assert gone(own)
    assert Path(f"/proc/{state.pids['a']}").exists()


def test_a_port_in_use_is_named(own: Order) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", own.base + 3))
        holder.listen()
        refused = command("up", "--ports", str(own.base), wanted=own)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: port {own.base + 3} (TCP, AMI of world) is taken: choose another block of ports with --ports\n"
    )
    assert eventually(lambda: gone(own))


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"name": "../x"}, "name"), ({"name": "root"}, "name"), ({"base": 70000}, "ports"), ({"base": 25001}, "even")],
)
def test_names_and_ports_that_cannot_work_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(LabError, match=word):
        lab.up(order("bad", **changes), said)


def test_the_pbx_runs_the_shipped_snippets_unchanged(state: State) -> None:
    for name in ("extensions.conf", "manager.conf", "pjsip.conf"):
        assert (state.folder / "shipped" / name).read_bytes() == (shipped() / "asterisk" / name).read_bytes()
        assert f'#include "{state.folder}/shipped/{name}"' in (state.folder / "a/etc" / name).read_text()


# Dying


@pytest.mark.parametrize("victim", ["keeper", "a", "world"])
def test_nothing_stays_when_a_process_is_killed(own: Order, victim: str) -> None:
    up = lab.up(own, said)
    assert len(running(own)) >= 2
    os.kill(up.pids[victim], signal.SIGKILL)
    assert eventually(lambda: gone(own)), running(own)
    assert lab.status(own) is None
    assert lab.up(own, said).pids != up.pids


def test_nothing_stays_when_the_starter_is_killed(own: Order) -> None:
    argv = [sys.executable, "-c", "from easycall.cli.main import cli; cli()", "lab", "up", "--ports", str(own.base)]
    with subprocess.Popen(
        [*argv, "--var", str(own.var), "--name", own.name], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=HERE
    ) as starter:
        assert starter.stderr is not None
        assert b"Asterisk world is ready" in starter.stderr.readline()
        assert running(own)
        starter.kill()
    assert eventually(lambda: gone(own)), running(own)


def test_a_tied_lab_ends_with_its_owner(own: Order) -> None:
    script = (
        "import sys, time; from pathlib import Path; from easycall.lab import lab; from easycall.lab.layout import Order\n"
        "order = Order(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))\n"
        "with lab.tied(order, print): print('up', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", script, str(own.var), own.name, str(own.base)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=HERE) as owner:
        assert owner.stdout is not None
        while owner.stdout.readline() != b"up\n":
            assert owner.poll() is None
        assert running(own)
        owner.kill()
    assert eventually(lambda: gone(own)), running(own)


# Obtaining


def test_what_cannot_be_had_is_said_in_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "HOST_FOLDERS", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(root.Unobtainable, match=r"no Debian .*: install asterisk$"):
        root.obtain(tmp_path, said)
    (tmp_path / "apt-get").touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(root.Unobtainable, match=r"run as root, or install asterisk$"):
        root.obtain(tmp_path, said)


def test_an_unfinished_build_is_not_taken_for_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "HOST_FOLDERS", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "root.unfinished/usr/sbin").mkdir(parents=True)
    assert root.find(tmp_path) is None
    (tmp_path / "root.unfinished").rename(tmp_path / "root")
    assert root.find(tmp_path) == root.Installation(tmp_path / "root")


def test_an_asterisk_of_the_host_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asterisk").touch(mode=0o755)
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    found = root.obtain(tmp_path, said)
    assert found == root.Installation(None)
    assert found.daemon(tmp_path, "asterisk", "-f") == ["setpriv", "--pdeathsig", "KILL", "asterisk", "-f"]


# Calls


@pytest_twisted.ensureDeferred
async def test_without_a_daemon_the_caller_hears_music_and_then_the_fallback(world: World, pbx: Manager) -> None:
    caller = await world.dial("+49 30,95588".replace(" ", ""), "+4930123456")
    await caller.answered(3)
    await caller.hears(440, 2)
    [channel] = await channels(pbx)
    assert channel.get("Variable") == "EC_DNIS=+493095588"
    assert channel.get("CallerIDNum") == "+4930123456"
    await caller.hears_speech(PATIENCE + 3)
    assert await caller.ended(10) == "16"
    assert await channels(pbx) == []


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_closes_every_connection_counts_as_none(world: World, state: State) -> None:
    """It must not make Asterisk connect as fast as it can, nor hold the caller for ever."""

    class Closes(Protocol):
        connections = 0

        def connectionMade(self) -> None:
            Closes.connections += 1
            assert self.transport is not None
            self.transport.loseConnection()

    port = reactor.listenTCP(state.ports.agi, ServerFactory.forProtocol(Closes), interface="127.0.0.1")
    try:
        caller = await world.dial("95588")
        await caller.answered(5)
        await caller.hears_speech(PATIENCE + 4)
        assert 10 < Closes.connections < 20
    finally:
        await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_the_daemon_is_told_the_dialled_number_and_what_the_leg_is_for(
    world: World, pbx: Manager, state: State
) -> None:
    visits: DeferredQueue[Session] = DeferredQueue()
    port = reactor.listenTCP(state.ports.agi, FastAgiFactory(visits.put, reactor), interface="127.0.0.1")
    try:
        caller = await world.dial("95588")
        visit = await visits.get()
        assert visit.arguments[0] == "95588"
        await visit.answer()
        await caller.hears_silence(1)
        await visit.set_variable("EC_ROLE", "caller")
        await pbx.send(
            Action.of("Redirect", Channel=visit.variables["agi_uniqueid"], Context="easycall", Exten="s", Priority="1")
        )
        visit = await visits.get()
        assert visit.arguments == ("95588", "caller")
        await visit.set_variable("EC_DONE", "end")
        visit.close()
        assert await caller.ended(2) == "16"
        phone = world.phone("2001")
        await rung(pbx, "PJSIP/2001@world", "agent-4", "EC_ROLE=agent")
        call = await phone.rings(2)
        await call.answer()
        visit = await visits.get()
        assert (visit.variables["agi_uniqueid"], visit.arguments) == ("agent-4", ("", "agent"))
    finally:
        await maybeDeferred(port.stopListening)
    visit.close()
    assert await call.ended(PATIENCE + 3) == "16"


@pytest_twisted.ensureDeferred
async def test_calls_withdrawn_at_any_moment_end_in_the_world_too(world: World, pbx: Manager) -> None:
    phone = world.phone("2002")
    for offset in range(20):
        await rung(pbx, "PJSIP/2002@world", f"withdrawn-{offset}")
        await world.pause(offset / 1000)
        await all_hung_up(pbx)
    for _ in range(20):
        with contextlib.suppress(NotSeen):
            call = await phone.rings(0)
            await call.ended(2)


@pytest_twisted.ensureDeferred
async def test_caller_and_phone_talk(world: World, pbx: Manager) -> None:
    ana = world.phone("2001")
    bob = await world.dial("95588", tone=700)
    await bob.answered(3)
    await bob.hears(440, 2)
    [at_home] = await channels(pbx)
    await rung(pbx, "PJSIP/2001@world", "agent-1")
    call = await ana.rings(3)
    assert (call.caller, call.caller_name) == ("+4930123456", "Bob")
    await call.answer()
    await call.answered(2)
    await call.hears(440, 2)
    await pbx.send(Action.of("Bridge", Channel1=at_home.get("Uniqueid"), Channel2="agent-1"))
    await bob.hears(1000, 1)
    await call.hears(700, 1)
    await call.press("5#")
    await bob.hears_key("5", 2)
    await bob.hears_key("#", 2)
    await bob.press("1")
    await call.hears_key("1", 2)
    call.hang_up()
    assert await call.ended(2) == "16"
    await bob.hears(440, 2)
    bob.hang_up()
    assert await bob.ended(2) == "16"


@pytest_twisted.ensureDeferred
async def test_phones_decline_ring_on_and_are_given_up(world: World, pbx: Manager) -> None:
    ana, bea = world.phone("2001"), world.phone("2301")
    await rung(pbx, "PJSIP/2001@world", "agent-2")
    declined = await ana.rings(3)
    declined.decline()
    assert await declined.ended(2) == "17"
    await rung(pbx, "PJSIP/2301@world", "agent-3")
    ringing = await bea.rings(3)
    ringing.ignore()
    [leg] = await channels(pbx)
    await pbx.send(Action.of("Hangup", Channel=leg.get("Uniqueid")))
    await ringing.ended(2)
    assert not ringing.is_up
    with pytest.raises(NotSeen, match=r"phone 2001: expected a call within 0.1 s, but it did not ring"):
        await ana.rings(0.1)


@pytest_twisted.ensureDeferred
async def test_phones_nobody_plays_do_what_their_number_says(world: World, pbx: Manager) -> None:
    """Answering after two seconds, busy, ringing for ever, unallocated, unplugged, unknown."""
    phones = ["2101@world", "2201@world", "2301@world", "2901@world", "2101@unplugged", "2101@nowhere"]
    states: dict[str, list[str]] = {phone: [] for phone in phones}
    for phone in phones:
        await rung(pbx, f"PJSIP/{phone}", phone.replace("@", "-"))
    for _ in range(13):
        for channel in await channels(pbx):
            seen = states[channel.get("Uniqueid").replace("-", "@")]
            if (state := channel.get("ChannelStateDesc")) not in (*seen, "Down"):
                seen.append(state)
        await world.pause(0.2)
    assert states == {
        "2101@world": ["Ringing", "Up"],
        "2201@world": [],
        "2301@world": ["Ringing"],
        "2901@world": [],
        "2101@unplugged": [],
        "2101@nowhere": [],
    }
    left = await channels(pbx)
    assert {channel.get("Uniqueid") for channel in left} == {"2101-world", "2301-world"}
    await all_hung_up(pbx)


@pytest_twisted.ensureDeferred
async def test_only_one_program_plays_the_phones(world: World, state: State) -> None:
    with pytest.raises(LabError, match=f"port {state.ports.world_agi} is taken"):
        await World(state, reactor).start()
    caller_only = World(state, reactor, phones=False)
    await caller_only.start()
    await caller_only.stop()


@pytest_twisted.ensureDeferred
async def test_waiting_in_vain_says_what_came_instead(world: World) -> None:
    caller = await world.dial("95588")
    await caller.answered(3)
    await caller.hears(440, 2)
    with pytest.raises(NotSeen, match=r"expected to hear 1000 Hz within 0.3 s, but heard 0.* s of 440 Hz"):
        await caller.hears(1000, 0.3)
    with pytest.raises(NotSeen, match=r"expected the key 1 within 0.1 s, but saw: .*answered at "):
        await caller.hears_key("1", 0.1)
    caller.hang_up()
    await caller.ended(2)
    with pytest.raises(NotSeen, match=r"expected the key 1 .* ended \(16 "):
        await caller.hears_key("1", 5)


def test_dial_tells_a_newcomer_what_the_caller_meets(state: State) -> None:
    wanted = Order(VAR, state.name)
    told = command("dial", "95588", "--press", "1", "--seconds", "3", wanted=wanted)
    assert told.returncode == 0, told.stderr
    for words in ("dials 95588", "answered", "hears 440 Hz (music on hold)", "presses 1", "ended (16"):
        assert words in told.stdout


# Hearing


def mu_law(samples: list[float]) -> bytes:
    """Samples of G.711: for each the code that decodes to the nearest value."""
    return bytes(min(range(256), key=lambda code: abs(MU_LAW[code] - sample)) for sample in samples)


@given(tone=st.sampled_from(TONES), loudness=st.floats(300, 30000), phase=st.floats(0, 6.28))
def test_a_pure_tone_is_known_at_any_loudness(tone: int, loudness: float, phase: float) -> None:
    assert sound_of(mu_law([loudness * math.sin(2 * math.pi * tone * n / 8000 + phase) for n in range(160)])) == tone


@given(st.sampled_from([(350, 440), (697, 1209), (480, 620), (700, 1000)]))
def test_two_tones_at_once_are_none(pair: tuple[int, int]) -> None:
    frame = [4000 * sum(math.sin(2 * math.pi * tone * n / 8000) for tone in pair) for n in range(160)]
    assert sound_of(mu_law(frame)) == OTHER


def test_silence_and_its_description() -> None:
    assert sound_of(b"\xff" * 160) == sound_of(b"\x7f" * 160) == sound_of(b"") == SILENCE
    assert described([0, 0, 440, -1]) == "0.04 s of silence, 0.02 s of 440 Hz, 0.02 s of speech or the like"
