"""The watchdog, and the whole daemon under a systemd of the test's own."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from attrs import define, field, fields

from easycall.config import Config
from easycall.config.schema import SCHEMA
from easycall.health.watchdog import GRACE, LOOKS
from easycall.lab.site import CONVERT, SPEAK

from .test_metrics import samples, value

HERE = Path(__file__).parent.parent

pytestmark = pytest.mark.requirement("S1")


# The watchdog

DAEMON = """
import re, sys, time
from pathlib import Path
from twisted.internet import reactor
from easycall.clock import SteadyClock
from easycall.defer import start
from easycall.health import Lag, Pulse, Watchdog

def sleeps():
    time.sleep(60)  # here it stands

def keeps_the_lock():
    re.match("(a+)+$", "a" * 60 + "b")  # here it stands

def works():
    reactor.callLater(3.0, leave)

def leave():
    start(pulse.stop())
    start(thread.stop())
    reactor.stop()

thread = Watchdog(float(sys.argv[3]), Path(sys.argv[2]))
pulse = Pulse(SteadyClock(reactor), Lag(), [thread.beat])
start(thread.start())
start(pulse.start())
reactor.callLater(0.5, globals()[sys.argv[1]])
reactor.run()
"""


def stand(how: str, file: Path, limit: float) -> tuple[int, str, float]:
    """Exit status, standard error, seconds."""
    began = time.monotonic()
    program = file.with_name("daemon.py")
    program.write_text(DAEMON)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    words = [sys.executable, str(program), how, str(file), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False, env=environment)
    return done.returncode, done.stderr, time.monotonic() - began


def line(what: str) -> int:
    return next(number for number, text in enumerate(DAEMON.split("\n"), 1) if what in text)


@pytest.mark.alone
def test_a_standing_reactor_is_ended_and_its_place_told(tmp_path: Path) -> None:
    file = tmp_path / "watchdog.log"
    status, told, seconds = stand("sleeps", file, 2.0)
    assert status == -signal.SIGABRT
    assert 2.0 < seconds < 2.0 + 2.0 + 6.0, "and the start of Python, on a busy machine"
    for text in (told, file.read_text()):
        assert text.startswith("easycall's reactor stood still for 2 s, the process ends.")
        assert re.search(rf'daemon.py", line {line("time.sleep(60)")} in sleeps', text)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.alone
def test_code_that_keeps_pythons_lock_is_ended_too(tmp_path: Path) -> None:
    file = tmp_path / "watchdog.log"
    status, _, seconds = stand("keeps_the_lock", file, 2.0)
    assert status == 1
    assert 3.0 < seconds < 3.0 + 2.0 + 6.0
    assert "in keeps_the_lock" in file.read_text()


@pytest.mark.parametrize("limit", [2.0, 0.0])
def test_a_reactor_that_turns_is_left_alone(tmp_path: Path, limit: float) -> None:
    status, told, _ = stand("works", tmp_path / "watchdog.log", limit)
    assert (status, told) == (0, "")
    assert not limit or (tmp_path / "watchdog.log").read_text() == ""


@pytest.mark.parametrize(("given", "taken"), [(0, 0.0), (2, 2.0), (10.5, 10.5), (3600, 3600.0)])
def test_the_limit_of_the_watchdog(given: float, taken: float) -> None:
    assert SCHEMA["node"]["watchdog_seconds"].kind.read(given) == taken


@pytest.mark.parametrize("given", [1, 0.5, -1, 3601, False, True, "10"])
def test_a_limit_that_would_end_a_daemon_that_works_is_refused(given: object) -> None:
    assert not SCHEMA["node"]["watchdog_seconds"].kind.fits(given)


# The whole daemon, beside no Asterisk

HANGS = """
import signal, time

def hangs(*_):
    time.sleep(60)

signal.signal(signal.SIGUSR2, hangs)
"""
TOKEN = "ec_of_prometheus"


@define
class Unit:
    """A daemon as systemd starts it, with no Asterisk to be reached."""

    folder: Path
    api: int
    notify: socket.socket
    process: subprocess.Popen[bytes] = field(init=False)

    def __attrs_post_init__(self) -> None:
        shutil.copytree(HERE / "etc", self.folder / "etc")
        (self.folder / "etc/ami.secret").touch(mode=0o600)
        (self.folder / "etc/ami.secret").write_text("a long random word\n")
        (self.folder / "etc/conf.d").mkdir()
        (self.folder / "etc/conf.d/test.toml").write_text(
            f'[node]\ndata = "{self.folder}/data"\nwatchdog_seconds = 2\n'
            f'[api]\nlisten = "tcp:{self.api}:interface=127.0.0.1"\n'
            f'[[api.tokens]]\nname = "prometheus"\nrights = ["read"]\nsha256 = "{sha256(TOKEN.encode()).hexdigest()}"\n'
            f'[asterisk.main]\nami = "tcp:127.0.0.1:1"\nfastagi = "tcp:{free_port()}:interface=127.0.0.1"\n'
            f"[prompts]\nspeak = {json.dumps(SPEAK)}\nconvert = {json.dumps(CONVERT)}\n"
        )
        (self.folder / "sitecustomize.py").write_text(HANGS)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(HERE), *sys.path]),
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": "1500000",
        }
        code = "from twisted.scripts.twistd import run; run()"
        options = ["--nodaemon", "--pidfile=", "easycall", "-c", str(self.folder / "etc/easycall.toml")]
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *options], stdout=out, stderr=err, cwd=self.folder, env=environment
            )

    def hears(self, wanted: str) -> None:
        """Wait until systemd is told this."""
        told = list[str]()
        while wanted not in told:
            try:
                told += self.notify.recv(4096).decode().split("\n")
            except TimeoutError:
                log = (self.folder / "out").read_text() + (self.folder / "err").read_text()
                raise AssertionError(f"{told} without {wanted}:\n{log}") from None

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        asked = http.client.HTTPConnection("127.0.0.1", self.api, timeout=10)
        with closing(asked):
            asked.request("GET", path, headers=headers)
            answer = asked.getresponse()
            return answer.status, answer.read().decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20.0)
        one = Unit(tmp_path, free_port(), notify)
        yield one
        one.process.kill()
        one.process.wait()


@pytest.mark.alone
def test_a_daemon_under_systemd(unit: Unit) -> None:
    unit.hears("READY=1")
    unit.hears("WATCHDOG=1")
    unit.hears("STATUS=0 contacts; agents: 0 logged in, 0 ready; Asterisk: main DOWN")
    code, text = unit.get("/readyz")
    assert (code, json.loads(text)["reasons"]) == (503, ["no link to Asterisk 'main'"])
    code, text = unit.get("/healthz")
    assert code == 200
    assert 0 <= json.loads(text)["reactor_lag_seconds"]["last"] < 2
    assert unit.get("/metrics")[0] == 401
    found = samples(unit.get("/metrics", Authorization=f"Bearer {TOKEN}")[1])
    assert value(found, "easycall_asterisk_up", asterisk="main") == 0
    assert value(found, "easycall_reactor_lag_seconds_count") > 0
    unit.hears("WATCHDOG=1")
    unit.process.terminate()
    unit.hears("STOPPING=1")
    assert unit.process.wait(10) == -signal.SIGTERM
    assert "Traceback" not in (unit.folder / "out").read_text() + (unit.folder / "err").read_text()


@pytest.mark.fault("F35")
def test_one_that_hangs_is_there_again_within_15_s() -> None:
    """As it is configured if nothing is: the watchdog notices, and systemd starts it anew, also after SIGABRT."""
    unit = dict(re.findall(r"(?m)^(\w+)=(.*)$", (HERE / "etc/easycall.service").read_text(encoding="utf-8")))
    [limit] = [one.default for one in fields(Config) if one.name == "watchdog_seconds"]
    assert unit["Restart"] in ("on-failure", "on-abnormal", "always")
    assert limit + limit / LOOKS + GRACE + float(unit["RestartSec"]) <= 15


@pytest.mark.alone
@pytest.mark.fault("F35")
def test_a_daemon_that_hangs_ends(unit: Unit) -> None:
    unit.hears("READY=1")
    unit.process.send_signal(signal.SIGUSR2)
    assert unit.process.wait(2 + 2 + 6) == -signal.SIGABRT
    for text in ((unit.folder / "err").read_text(), (unit.folder / "data/watchdog.log").read_text()):
        assert "easycall's reactor stood still for 2 s" in text
        assert re.search(r'sitecustomize.py", line 5 in hangs', text)
