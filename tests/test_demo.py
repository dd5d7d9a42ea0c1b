"""The demo as a user runs it: the story is told and true, what it prints can be pasted, nothing outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easycall.lab import lab
from easycall.lab.layout import Order

from .test_lab import HERE, VAR, eventually, gone, order, running

EASYCALL = [sys.executable, "-c", "from easycall.cli.main import cli; cli()"]

STORY = """\
› lab      Asterisk world is ready
› lab      Asterisk a is ready
› easycall starts: twistd -n easycall -c
✓ easycall is ready
› ana      logs in with phone 2001, and is not ready yet
✓ lab      lets us play its callers and phones
✓ easycall opens its live feed
0.000 › caller   dials 95588 from +49 30 123456
✓ easycall takes the call: contact 01
✓ caller   hears the greeting
✓ caller   hears the menu
› caller   presses 1
✓ easycall understands: sales
✓ caller   waits in the queue sales, at place 1
✓ caller   hears "All our agents are busy
✓ caller   hears the music: 440 Hz
› ana      becomes ready
✓ easycall offers the caller to ana
✓ ana      is rung at phone 2001, which shows +4930123456
✓ ana      sees the screen pop
           caller   +4930123456 Carl
           dialled  95588
           queue    sales
           answers  main: sales
› ana      answers
✓ easycall joins the two
✓ caller   hears ana's voice: 1000 Hz
✓ ana      hears the caller's voice: 700 Hz
› caller   presses 4
✓ ana      hears the 4
› ana      presses 7
✓ caller   hears the 7
› caller   hangs up
✓ ana      is released
✓ ana      wraps up, 1 s
✓ ana      is ready for the next caller
✓ easycall has written the record: answered, ended by the caller
           ivr
           waiting   sales
           offer     sales ana  answered
           talk      sales ana
           together
✓ easycall has accounted for every moment of it"""


class Demo:
    """One run of ``easycall demo``, in a session of its own as in a terminal of its own."""

    def __init__(self, wanted: Order, output: Path) -> None:
        self.wanted = wanted
        self.process: subprocess.Popen[bytes]
        self._output = output

    def close(self) -> None:
        """End whatever is left after a test that failed."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
        lab.down(self.wanted)
        lab.remove(self.wanted)

    def start(self, *options: str) -> Demo:
        where = ("--var", str(self.wanted.var), "--name", self.wanted.name, "--ports", str(self.wanted.base))
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*EASYCALL, "demo", *where, *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=HERE,
                start_new_session=True,
            )
        return self

    @property
    def told(self) -> str:
        return self._output.read_text()

    def until(self, phrase: str, seconds: float = 30.0) -> None:
        assert eventually(lambda: phrase in self.told or self.process.poll() is not None, seconds), self.told
        assert phrase in self.told, self.told

    def ends(self) -> int:
        """Its exit code, once nothing of it is left."""
        code = self.process.wait(30)
        assert eventually(lambda: gone(self.wanted)), running(self.wanted)
        return code

    def daemon(self) -> int:
        """The daemon's process id, as the kernel knows it."""
        (found,) = [
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if str(self.wanted.folder / "site/easycall.toml") in _command_line(process)
        ]
        return found


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def assert_told(told: str, lines: list[str]) -> None:
    """Each line is there, after the one before."""
    at = 0
    for line in lines:
        found = told.find(line, at)
        assert found >= 0, f"missing, or too early: {line!r}\n{told}"
        at = found + len(line)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    one = Demo(order("demo"), tmp_path / "told")
    yield one
    one.close()


def test_the_whole_story_is_told_and_nothing_stays(demo: Demo) -> None:
    assert demo.start("--once").ends() == 0, demo.told
    assert_told(demo.told, STORY.splitlines())
    assert "✗" not in demo.told
    assert "\x1b" not in demo.told, "colour is for terminals"
    last = re.findall(r"^ +([0-9.]+) ✓", demo.told, re.MULTILINE)[-1]
    assert float(last) < 12, "a short story"
    assert not demo.wanted.folder.exists()


def test_it_stays_up_for_whoever_pastes_its_lines(demo: Demo) -> None:
    demo.start().until("until you press Ctrl-C")
    lines = [line.strip() for line in demo.told.splitlines()]
    variables = "\n".join(line for line in lines if re.match(r"[UT]=", line))

    def pasted(sign: str) -> str:
        (line,) = [line for line in lines if sign in line]
        done = subprocess.run(["sh", "-c", f"{variables}\n{line}"], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout

    assert '"state":"ready"' in pasted("# the agents")
    assert '"state":"not_ready"' in pasted("# another agent logs in")
    assert '"state":"ready"' in pasted("# and is ready")
    assert '"longest_wait":0.0' in pasted("# the queues")
    assert '"text":"talks with ana after' in pasted("# the call above")

    (dial,) = [line for line in lines if "lab dial 95588" in line]
    words = dial.partition(" #")[0].split()[1:]
    words[words.index("--seconds") + 1] = "4"
    call = subprocess.run([*EASYCALL, *words], capture_output=True, text=True, timeout=30, cwd=HERE, check=True)
    assert "hears 1000 Hz" in call.stdout, "a phone nobody plays answers by itself"

    demo.process.send_signal(signal.SIGINT)
    assert demo.ends() == 0
    assert demo.told.endswith("Everybody leaves.\n")
    assert not demo.wanted.folder.exists()


def test_a_missed_step_says_so_and_ends_the_demo(demo: Demo) -> None:
    demo.start("--once").until("waits in the queue")
    os.kill(demo.daemon(), signal.SIGKILL)
    assert demo.ends() == 1
    (missed,) = [line for line in demo.told.splitlines() if "✗" in line]
    assert "caller   hears" in missed
    after = demo.told.partition(missed)[2]
    assert "the daemon has ended: it was killed by signal 9" in after
    assert "logged in to Asterisk" in after, "the daemon's last words"
    assert (demo.wanted.folder / "daemon.log").exists(), "the logs stay"


def test_a_step_that_takes_too_long_is_missed(demo: Demo) -> None:
    demo.start("--once").until("hears the menu")
    daemon = demo.daemon()
    os.kill(daemon, signal.SIGSTOP)
    demo.until("✗")
    os.kill(daemon, signal.SIGCONT)
    assert demo.ends() == 1
    assert "no ivr.answered" in demo.told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGHUP, 1)])
def test_nothing_outlives_a_demo_that_is_broken_off(demo: Demo, number: signal.Signals, code: int) -> None:
    demo.start().until("takes the call")
    demo.process.send_signal(number)
    assert demo.ends() == code


def refused(*options: str) -> str:
    """What a demo says that does not even begin."""
    argv = [*EASYCALL, "demo", *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=HERE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_second_demo_of_the_same_name_leaves_the_first_alone(demo: Demo) -> None:
    with lab.tied(demo.wanted, print):
        assert "choose another --name" in refused("--var", str(VAR), "--name", demo.wanted.name)
        assert lab.status(demo.wanted) is not None


def test_it_takes_no_folder_that_is_not_a_labs(tmp_path: Path) -> None:
    letter = tmp_path / "mine" / "letter"
    letter.parent.mkdir()
    letter.touch()
    assert "is no lab's folder" in refused("--var", str(tmp_path), "--name", "mine")
    assert "lab name '../mine'" in refused("--var", str(tmp_path / "var"), "--name", "../mine")
    assert letter.exists()


def test_nothing_outlives_a_killed_demo_and_its_folder_is_not_in_the_way(demo: Demo) -> None:
    demo.start().until("takes the call")
    demo.process.kill()
    assert demo.ends() == -signal.SIGKILL
    demo.start("--once").until("takes the call")
    demo.process.terminate()
    assert demo.ends() == 1
