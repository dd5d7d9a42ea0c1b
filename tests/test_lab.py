"""The lab: two real Asterisks that come up, make calls, and leave nothing behind, whatever is killed."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.lab import lab, root
from easycall.lab.layout import BLOCK, LabError, Order, Ports, State, free_block, shipped, taken
from easycall.lab.tones import MU_LAW, OTHER, SILENCE, TONES, described, sound_of

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
    """Nothing of a lab runs, listens or is mounted.  A process that ends gives its ports back a moment after its name."""
    return (
        not running(wanted)
        and eventually(lambda: taken(Ports(wanted.base)) is None)
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


# Ports


def test_programs_that_look_at_the_same_moment_find_ports_of_their_own() -> None:
    look = "from easycall.lab.layout import free_block; print(free_block(), flush=True); input()"
    with contextlib.ExitStack() as stack:
        looking = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", look], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(10)
        ]
        found = [process.stdout.readline() for process in looking if process.stdout]
        for process in looking:
            process.communicate("\n")
    assert len(set(found)) == 10


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
    assert re.search(r"System uptime: \d+ second", command("console", "a", "core show uptime", wanted=own).stdout)
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
