"""``easycall demo --pbx=simulator``: a busy contact centre on a machine without Asterisk, without root, without a voice."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from easycall.events import Answered, ContactArrived, ContactEnded, Event, MenuAnswered, OfferEnded, Queued
from easycall.lab.demo.board import LAST, Board
from easycall.lab.demo.screen import line, picture
from easycall.model import Agent, AgentState, EndedBy, OfferOutcome, Outcome, Queue
from easycall.policy import WorkItem

EASYCALL = [sys.executable, "-c", "from easycall.cli.main import cli; cli()"]
HERE = Path(__file__).parent.parent
SECONDS = 20.0
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Takes from root what makes it root."""


# The program


class Program:
    """One run of the demo, in a session of its own; it finds no program but ``cat`` and those it is given by path."""

    def __init__(self, tmp_path: Path) -> None:
        self.temporary = tmp_path / "tmp"
        self.temporary.mkdir()
        self._bin = tmp_path / "bin"
        self._bin.mkdir()
        cat = shutil.which("cat")
        assert cat is not None
        (self._bin / "cat").symlink_to(cat)
        self.process: subprocess.Popen[bytes] | None = None
        self.told = ""
        self._output = -1

    def start(self, *options: str, terminal: bool = False) -> Program:
        without_root = UNPRIVILEGED if os.geteuid() == 0 else []
        setpriv = [shutil.which(without_root[0]) or "", *without_root[1:]] if without_root else []
        ours, theirs = pty.openpty() if terminal else os.pipe()
        environment = {
            "PATH": str(self._bin),
            "TMPDIR": str(self.temporary),
            "TERM": "xterm",
            "COLUMNS": "80",
            "LINES": "24",
        }
        self.process = subprocess.Popen(
            [*setpriv, *EASYCALL, "demo", "--pbx=simulator", *options],
            stdout=theirs,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=HERE,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        os.close(theirs)
        self._output = ours
        return self

    def _read(self, limit: float) -> bool:
        """Read what there is; False at its end."""
        ready, _, _ = select.select([self._output], [], [], max(0.0, limit - time.monotonic()))
        assert ready, self.told
        try:
            data = os.read(self._output, 65536)
        except OSError:  # a terminal whose other end is closed
            return False
        self.told += data.decode()
        return bool(data)

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has told something."""
        limit = time.monotonic() + SECONDS
        while (found := re.search(pattern, self.told, re.MULTILINE)) is None:
            assert self._read(limit), self.told
        return found

    def ends(self) -> int:
        """Its exit code, once it has told everything."""
        limit = time.monotonic() + SECONDS
        while self._read(limit):
            pass
        assert self.process is not None
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            os.close(self._output)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    one = Program(tmp_path)
    yield one
    one.close()


def test_a_line_a_second_until_the_time_is_over(program: Program) -> None:
    assert program.start("--seconds", "8").ends() == 0, program.told
    lines = [one for one in program.told.splitlines() if re.match(r"\d+:\d\d ", one)]
    assert 8 <= len(lines) <= 9
    assert [one.split()[0] for one in lines[:8]] == [f"0:0{second}" for second in range(8)]
    assert re.search(r" [1-9]\d* answered, ", lines[-1]), "people talk"
    assert "\x1b" not in program.told, "a board is for terminals"
    assert not list(program.temporary.iterdir()), "its folder is removed"


def test_its_api_answers_whoever_pastes_its_lines(program: Program) -> None:
    program.start()
    token = program.until(r"^T='Authorization: Bearer (\S+)'")[1]
    url = program.until(r"^curl -H \"\$T\" (http://127.0.0.1:\d+/api/v1/queues)$")[1]
    program.until(r" [1-9]\d* answered, ")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - the demo's own
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        queues = json.load(answer)["queues"]
    assert [queue["id"] for queue in queues] == ["sales", "support"]
    assert program.process is not None
    program.process.send_signal(signal.SIGTERM)
    assert program.ends() == 0, program.told
    assert not list(program.temporary.iterdir())


def test_a_board_in_a_terminal_until_ctrl_c(program: Program) -> None:
    program.start(terminal=True)
    program.until(r"Lena +.*talking|Ana +.*talking")
    assert program.process is not None
    program.process.send_signal(signal.SIGINT)
    assert program.ends() == 0, program.told
    assert "a busy contact centre on a simulated Asterisk" in program.told
    assert "Traceback" not in program.told


@pytest.mark.parametrize("options", [("--pbx=simulator", "--once"), ("--pbx=simulator", "--name", "x"), ("--seconds", "3")])
def test_options_of_the_other_demo_are_refused(options: tuple[str, ...]) -> None:
    done = subprocess.run([*EASYCALL, "demo", *options], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2
    assert "is not for --pbx=" in done.stderr


# The board

SALES = Queue("sales", "Sales")


def waited(contact: str, *, at: float, seconds: float | None) -> list[Event]:
    """A caller who was answered after so many seconds, or left."""
    events: list[Event] = [
        ContactArrived(at=at, contact=contact, pbx="lab", leg="1", caller="+4930", caller_name="Carl", dialled="95588"),
        Queued(at=at, contact=contact, queue="sales", position=1),
    ]
    if seconds is None:
        return [*events, ContactEnded(at=at, contact=contact, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER)]
    answered = OfferEnded(at=at, contact=contact, agent="ana", attempt=1, outcome=OfferOutcome.ANSWERED)
    return [*events, answered, Answered(at=at + seconds, contact=contact, agent="ana", queue="sales", waited=seconds)]


def board(*events: Event) -> Board:
    board = Board(100.0)
    for sequence, event in enumerate(events):
        board.take(sequence, event)
    return board


def test_the_board_counts_what_became_of_those_who_waited() -> None:
    shown = board(
        *waited("a", at=101, seconds=4),
        *waited("b", at=102, seconds=25),
        *waited("c", at=103, seconds=None),
        *waited("d", at=104, seconds=19)[:2],
    )
    waiting = [WorkItem("d", "sales", 104.0, "lab")]
    ana = Agent("ana", "Ana", ("sales",), state=AgentState.TALKING, since=102.0, contact="a")
    view = shown.view(110.0, {SALES: waiting}, [ana])
    [sales] = view.queues
    assert (view.seconds, view.calls) == (10.0, 4)
    assert (sales.name, sales.waiting, sales.longest_wait, sales.answered, sales.abandoned) == ("Sales", 1, 6.0, 2, 1)
    assert (sales.average_wait, sales.service_level) == (14.5, pytest.approx(1 / 3))
    [agent] = view.agents
    assert (agent.name, agent.state, agent.seconds, agent.caller) == ("Ana", AgentState.TALKING, 8.0, "Carl")


def test_the_board_of_a_centre_where_nothing_has_happened() -> None:
    [sales] = board().view(100.0, {SALES: []}, []).queues
    assert (sales.waiting, sales.longest_wait, sales.answered, sales.service_level) == (0, 0.0, 0, 1.0)


def test_the_last_events_are_told_of_the_caller() -> None:
    many = [MenuAnswered(at=101.0 + n, contact="a", node="main", choice=str(n)) for n in range(LAST)]
    told = board(*waited("a", at=101, seconds=None)[:1], *many).view(120.0, {}, []).last
    assert told[0] == (1.0, "Carl: chooses 0 at main")
    assert len(told) == LAST


def text(what: Any) -> list[str]:
    """What a terminal of 80 columns shows."""
    console = Console(width=80, height=24)
    with console.capture() as captured:
        console.print(what)
    return captured.get().splitlines()


def test_the_whole_board_fits_into_a_small_terminal() -> None:
    agents = [Agent(str(n), f"Agent {n}", (), state=AgentState.NOT_READY, reason="unreachable") for n in range(12)]
    many = [event for n in range(5) for event in waited(str(n), at=101, seconds=1)]
    queues = {SALES: [], Queue("support", "Support"): [WorkItem("d", "support", 10.0, "lab")]}
    lines = text(picture(board(*many).view(5000.0, queues, agents), ["one", "two", "three"]))
    assert len(lines) <= 24
    assert all(f"Agent {n} " in "\n".join(lines) for n in range(12))
    assert lines[-3:] == ["one", "two", "three"]


def test_the_board_in_one_line() -> None:
    ana = Agent("ana", "Ana", (), state=AgentState.WRAP_UP)
    view = board(*waited("a", at=101, seconds=4)).view(165.0, {SALES: []}, [ana])
    assert line(view) == (
        "1:05  1 calls, 0 waiting (longest 0 s), 1 answered, 0 abandoned; within 20 s: Sales 100%; agents: 1 wrap up"
    )
