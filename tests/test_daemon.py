"""The daemon as its operator meets it: a process that twistd runs, on a real Asterisk."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.web.client import ResponseFailed

from easycall.client import Client, Refused
from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.lab import tied
from easycall.lab.layout import Order, State, free_block
from easycall.lab.legs import Leg
from easycall.lab.site import Site

from .postgres import Cluster, running
from .proxy import Proxy

HERE = Path(__file__).parent.parent
VAR = Path(os.environ.get("EASYCALL_LAB", HERE / "var/lab"))
FLOWS = Path(__file__).parent / "scenarios/flows"
STRAIGHT = "95599"
"""The number whose callers go straight into the queue "support"."""

TWISTD = (str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=")
TWIST = (sys.executable, "-m", "twisted")
SOON = 10.0
"""Seconds within which anything happens that nothing delays, on a busy machine too."""
STOP_SECONDS = 5.0
ORDERLY = -signal.SIGTERM
"""How twistd ends after an orderly stop by SIGTERM: by that signal, which systemd and shells take for what it is."""


@pytest.fixture(scope="module")
def lab() -> Iterator[State]:
    """Two real Asterisks.  Callers wait half a minute for a daemon that is away."""
    with tied(Order(VAR, f"daemon-{os.getpid()}", free_block(), patience=30), print) as state:
        yield state


@pytest_twisted.async_yield_fixture
async def world(lab: State) -> AsyncIterator[AsteriskWorld]:
    ours = AsteriskWorld(lab, reactor)
    await ours.start()
    yield ours
    await ours.stop()


@pytest.fixture
def site(lab: State, tmp_path: Path) -> Site:
    """A right configuration."""
    return Site.write(lab, tmp_path / "site", flows=FLOWS, numbers={STRAIGHT: "straight"}, wrap_up_seconds=0)


def also(site: Site, toml: str) -> None:
    """Change a configuration, by a file of conf.d."""
    folder = site.file.parent / "conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "changed.toml").write_text(toml, encoding="utf-8")


# Processes


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE), **changes}


@define
class Twistd:
    """A daemon in a process of its own."""

    site: Site
    folder: Path
    process: subprocess.Popen[bytes]
    client: Client = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.client = Client(self.site.port, self.site.token, reactor)

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return "".join((self.folder / name).read_text() for name in ("out", "err"))

    async def health(self) -> list[str] | None:
        """The reasons why it is not ready; None when nobody answers."""
        try:
            answer = await self.client.get("/readyz")
        except Refused as refusal:
            answer = refusal.problem
        except (ConnectError, ResponseFailed):
            return None
        return list(answer["reasons"])

    async def becomes(self, *reasons: str) -> None:
        """Wait until these are the reasons why it is not ready; no reason: it is."""
        await self._until(lambda: self.health(), list(reasons), SOON)

    async def ends(self) -> int:
        """Wait for its end, and give the exit status."""

        async def over() -> bool:
            return self.process.poll() is not None

        await self._until(over, True, STOP_SECONDS)
        return int(self.process.returncode)

    async def stops(self) -> int:
        """Send SIGTERM and wait."""
        self.process.terminate()
        return await self.ends()

    async def _until(self, look: Callable[[], Any], wanted: object, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while (seen := await look()) != wanted:
            assert time.monotonic() < limit, f"expected {wanted!r}, but it is {seen!r} after {seconds:g} s:\n{self.log}"
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]


@pytest.fixture
def daemon(site: Site, lab: State, tmp_path: Path) -> Iterator[Callable[..., Twistd]]:
    """Starts a daemon.  At the end none is left, and none has told a secret or met a failure."""
    started: list[Twistd] = []

    def start(of: Site = site, runner: tuple[str, ...] = TWISTD) -> Twistd:
        folder = tmp_path / f"daemon-{len(started)}"
        folder.mkdir()
        command = [*runner, "easycall", "-c", str(of.file)]
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=environment()
            )
        started.append(Twistd(of, folder, process))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
    for one in started:
        discreet(one.log, one.site, lab)


async def until(condition: Callable[[], object], otherwise: str) -> None:
    """Look again and again until it is so."""
    limit = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < limit, otherwise
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]


def discreet(text: str, site: Site, lab: State) -> None:
    """Nothing in what a daemon printed is secret or a failure."""
    assert lab.secrets["easycall"] not in text
    assert site.token not in text
    assert "Traceback" not in text, text
    assert "Unhandled" not in text, text


def run(*words: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        words, capture_output=True, text=True, timeout=SOON, cwd=cwd, env=environment(**changes), check=False
    )


def refused(site: Site, lab: State, **changes: str) -> str:
    """Start a daemon that cannot run: the one line it says."""
    ran = run(*TWISTD, "easycall", "-c", str(site.file), cwd=site.file.parent, **changes)
    assert ran.returncode == 1, ran
    discreet(ran.stdout + ran.stderr, site, lab)
    [line] = ran.stderr.splitlines()
    assert line.startswith("easycall cannot run: ")
    assert "Server Shut Down" in ran.stdout, "the log must be whole"
    return line.removeprefix("easycall cannot run: ")


def listening(*ports: int) -> list[int]:
    """Those of the ports at which somebody listens."""
    found = []
    for port in ports:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


@pytest.fixture
def holder() -> Iterator[socket.socket]:
    """Somebody else's socket."""
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield ours


# A life


@pytest.mark.parametrize("runner", [TWISTD, TWIST], ids=["twistd", "twist"])
@pytest_twisted.ensureDeferred
async def test_it_starts_and_stops(daemon: Callable[..., Twistd], lab: State, runner: tuple[str, ...]) -> None:
    process = daemon(runner=runner)
    await process.becomes()
    assert listening(lab.ports.agi, lab.ports.api) == [lab.ports.agi, lab.ports.api]
    assert await process.stops() == ORDERLY
    assert "cannot run" not in process.log
    assert listening(lab.ports.agi, lab.ports.api) == []


@pytest.mark.requirement("A3")
@pytest.mark.seconds(60)
@pytest_twisted.ensureDeferred
async def test_it_keeps_its_data_in_postgresql(daemon: Callable[..., Twistd], site: Site, postgresql: Cluster) -> None:
    at = postgresql.address(postgresql.create("template0"), tcp=True)
    secret = site.file.parent / "store.password"
    secret.write_text(at.password, encoding="utf-8")
    secret.chmod(0o640)
    also(site, f'[store]\nurl = "{at.url}"\npassword_file = "{secret}"')
    number = "+49301234567"
    for start in range(2):
        process = daemon()
        await process.becomes()
        if start == 0:
            await process.client.put(f"/api/v1/do-not-call/{number}", reason="asked us")
        listed = await process.client.get("/api/v1/do-not-call")
        assert number in str(listed)
        assert await process.stops() == ORDERLY
        assert at.password not in process.log
    assert not (site.file.parent / "easycall.db").exists()
    assert ("donotcall.added",) in postgresql.sql("SELECT kind FROM events", at.url.rpartition("/")[2])


@pytest.mark.fault("F80")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(90)
@pytest_twisted.ensureDeferred
async def test_killed_while_postgresql_is_away_it_serves_again(
    daemon: Callable[..., Twistd], site: Site, world: AsteriskWorld
) -> None:
    with running() as cluster:
        name = cluster.create("template0")
        also(site, f'[store]\nurl = "{cluster.address(name).url}"')
        process = daemon()
        await process.becomes()
        cluster.stop("fast")
        process.process.kill()
        await process.ends()
        began, process = time.monotonic(), daemon()

        async def serves() -> bool:
            why = await process.health()
            return why is not None and not any(one.startswith("no link") for one in why)

        await process._until(serves, True, SOON)
        assert time.monotonic() - began < 5.0, "three seconds, and what it takes to load the program"
        await works(process.client, "ana", "2001")
        caller = await world.dial(STRAIGHT)
        ana = await world.phone("2001").rings(SOON)
        await ana.answer()
        await caller.answered(SOON)
        assert any("not read yet: database" in one for one in await process.health() or ())
        with pytest.raises(Refused, match="503"):
            await process.client.post("/api/v1/requests", queue="sales", channel="chat", name="eve")
        caller.hang_up()
        cluster.start()
        await process.becomes()
        assert await process.stops() == ORDERLY
        assert cluster.sql("SELECT count(*) FROM contacts", name) == [(1,)]


async def works(client: Client, agent: str, phone: str) -> None:
    await client.post(f"/api/v1/agents/{agent}/login", phone=phone)
    await client.put(f"/api/v1/agents/{agent}/state", state="ready")


async def talking(one: Leg, other: Leg) -> None:
    """Prove that audio passes both ways: a key pressed on each side arrives at the other."""
    await one.press("4")
    await other.hears_key("4", SOON)
    await other.press("7")
    await one.hears_key("7", SOON)


@pytest.mark.seconds(60)
@pytest_twisted.ensureDeferred
async def test_callers_and_talks_outlive_it(daemon: Callable[..., Twistd], world: AsteriskWorld) -> None:
    first = daemon()
    await first.becomes()
    ana, chen = world.phone("2001"), world.phone("2003")
    await works(first.client, "ana", "2001")
    talker = await world.dial(STRAIGHT, "+4930001")
    at_ana = await ana.rings(SOON)
    await at_ana.answer()
    await talking(talker, at_ana)
    waiter = await world.dial(STRAIGHT, "+4930002")
    await waiter.answered(SOON)
    await waiter.hears(440, SOON)
    assert await stages(first) == {"+4930001": "talking", "+4930002": "waiting"}

    assert await first.stops() == ORDERLY
    await talking(talker, at_ana)
    await waiter.hears(440, SOON)

    second = daemon()
    await second.becomes()
    await works(second.client, "chen", "2003")
    at_chen = await chen.rings(SOON)
    assert at_chen.caller == "+4930002"
    await at_chen.answer()
    await talking(waiter, at_chen)
    await talking(talker, at_ana)
    assert await stages(second) == {"+4930001": "talking", "+4930002": "talking"}

    talker.hang_up()
    await at_ana.ended(SOON)
    await second.client.put("/api/v1/agents/ana/state", state="ready")
    newcomer = await world.dial(STRAIGHT, "+4930003")
    again = await ana.rings(SOON)
    assert again.caller == "+4930003"
    await again.answer()
    await talking(newcomer, again)
    second.process.kill()
    await second.ends()
    await talking(waiter, at_chen)
    await talking(newcomer, again)


async def stages(process: Twistd) -> dict[str, str]:
    """What each live contact is doing, by caller."""
    answer = await process.client.get("/api/v1/contacts")
    return {contact["caller"]: contact["stage"] for contact in answer["contacts"]}


@pytest_twisted.ensureDeferred
async def test_a_phone_that_rings_when_it_stops_rings_on(daemon: Callable[..., Twistd], world: AsteriskWorld) -> None:
    first = daemon()
    await first.becomes()
    ana = world.phone("2001")
    await works(first.client, "ana", "2001")
    caller = await world.dial(STRAIGHT, "+4930001")
    call = await ana.rings(SOON)
    assert await first.stops() == ORDERLY
    await caller.hears(440, SOON)
    second = daemon()
    await second.becomes()
    assert not call.over
    await call.answer()
    await talking(caller, call)


# The link to Asterisk


@pytest_twisted.ensureDeferred
async def test_an_asterisk_that_is_away_is_waited_for(daemon: Callable[..., Twistd], lab: State, tmp_path: Path) -> None:
    ami = await Proxy(reactor, lab.ports.a_ami).start()
    await ami.stop()
    process = daemon(Site.write(lab, tmp_path / "site", flows=FLOWS, ami=ami.port))
    away = "no link to Asterisk 'lab'"
    await process.becomes(away)
    await ami.start()
    try:
        await process.becomes()
    finally:
        await ami.stop()
    await process.becomes(away)
    assert await process.stops() == ORDERLY


@pytest_twisted.ensureDeferred
async def test_it_stops_while_it_waits_for_an_asterisk(daemon: Callable[..., Twistd], lab: State, tmp_path: Path) -> None:
    process = daemon(Site.write(lab, tmp_path / "site", flows=FLOWS, ami=lab.ports.nobody_sip))
    await process.becomes("no link to Asterisk 'lab'")
    assert await process.stops() == ORDERLY
    assert "cannot run" not in process.log


def over_tls(site: Site, lab: State, host: str, login: str) -> None:
    """Let the daemon reach Asterisk by TLS, at a certificate for that host."""
    port, escaped = lab.ports.a_ami_tls, f"tcp\\\\:127.0.0.1\\\\:{lab.ports.a_ami_tls}"
    also(site, f'[asterisk.lab]\nami = "tls:{host}:{port}:trustRoots={lab.trusted}:endpoint={escaped}"\nlogin = "{login}"\n')


@pytest.mark.parametrize("login", ["md5", "plain"])
@pytest_twisted.ensureDeferred
async def test_it_reaches_asterisk_by_tls(daemon: Callable[..., Twistd], site: Site, lab: State, login: str) -> None:
    over_tls(site, lab, "localhost", login)
    process = daemon()
    await process.becomes()
    assert await process.stops() == ORDERLY


@pytest_twisted.ensureDeferred
async def test_another_certificate_is_no_reason_to_end(daemon: Callable[..., Twistd], site: Site, lab: State) -> None:
    over_tls(site, lab, "pbx.example", "plain")
    process = daemon()
    await process.becomes("no link to Asterisk 'lab'")
    await until(lambda: "for another host than the one we connect to; trying again" in process.log, process.log)
    assert await process.stops() == ORDERLY


def test_a_wrong_secret_ends_it(site: Site, lab: State) -> None:
    site.file.write_text(site.file.read_text().replace(lab.secrets["easycall"], "not-the-secret"))
    line = refused(site, lab)
    assert line == "asterisk.lab: Asterisk refused the AMI user 'easycall': Authentication failed"
    assert listening(lab.ports.agi, lab.ports.api) == []


# What it needs and cannot have


@pytest.mark.parametrize(("port", "setting"), [("api", "api.listen"), ("agi", "asterisk.lab.fastagi")])
def test_a_port_that_is_taken_is_named(site: Site, lab: State, holder: socket.socket, port: str, setting: str) -> None:
    number = getattr(lab.ports, port)
    holder.bind(("127.0.0.1", number))
    holder.listen()
    line = refused(site, lab)
    assert line.startswith(f"{setting} = 'tcp:{number}:interface=127.0.0.1': ")
    assert line.endswith("Address already in use.")
    assert listening(lab.ports.agi, lab.ports.api) == [number]


def test_a_data_folder_that_cannot_be_made_is_named(site: Site, lab: State, tmp_path: Path) -> None:
    also(site, f'[node]\ndata = "{tmp_path}/missing/data"')
    assert refused(site, lab) == f"node.data = '{tmp_path}/missing/data': No such file or directory"
    (tmp_path / "missing").touch()
    assert refused(site, lab) == f"node.data = '{tmp_path}/missing/data': Not a directory"


def test_a_data_folder_that_cannot_be_written_is_named(site: Site, lab: State, tmp_path: Path) -> None:
    also(site, f'[node]\ndata = "{tmp_path}"\n[store]\nurl = "sqlite:////proc/easycall.db"')
    line = refused(site, lab)
    assert line.startswith("store.url: database /proc/easycall.db: ")


def test_a_database_of_a_newer_easycall_is_left_alone(site: Site, lab: State) -> None:
    file = site.file.parent / "easycall.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
    database.close()
    line = refused(site, lab)
    assert line.startswith(f"store.url: database {file}: its schema is version 9999")
    assert line.endswith("run the easycall that wrote it, or a newer one")


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_on_the_same_data_is_refused(
    daemon: Callable[..., Twistd], site: Site, lab: State, tmp_path: Path
) -> None:
    process = daemon()
    await process.becomes()
    other = Site.write(lab, tmp_path / "other", flows=FLOWS)
    anywhere = "tcp:0:interface=127.0.0.1"
    also(
        other,
        f'[node]\ndata = "{site.file.parent}"\n[api]\nlisten = "{anywhere}"\n[asterisk.lab]\nfastagi = "{anywhere}"',
    )
    assert refused(other, lab).endswith("easycall.db: another easycall uses it")
    assert await process.health() == []


@pytest.mark.parametrize(
    ("speak", "missing"), [("", "espeak-ng"), ('speak = ["nonexistent", "{voice}"]', "nonexistent")], ids=["path", "speak"]
)
def test_what_speaks_must_be_there(site: Site, lab: State, tmp_path: Path, speak: str, missing: str) -> None:
    also(site, f'[prompts]\ndirectory = "{tmp_path}/prompts"\n{speak}')
    line = refused(site, lab, PATH=str(tmp_path))
    assert line == f"prompts: {missing}: there is no such command here; install it (apt-get install {missing})"


@pytest_twisted.ensureDeferred
async def test_it_stops_while_it_starts(daemon: Callable[..., Twistd], site: Site, lab: State, tmp_path: Path) -> None:
    """It never stands: what speaks does not come to an end."""
    mark = tmp_path / "mark"
    speak = f'speak = ["sh", "-c", "echo $$ >> {mark}; exec sleep 60", "{{voice}}"]'
    also(site, f'[prompts]\ndirectory = "{tmp_path}/prompts"\n{speak}')
    process = daemon()
    await until(lambda: mark.exists() and mark.read_text(), process.log)
    assert await process.stops() == ORDERLY
    assert "cannot run" not in process.log
    speakers = [Path("/proc", number) for number in mark.read_text().split()]
    await until(lambda: not any(speaker.exists() for speaker in speakers), "they speak on")
    assert listening(lab.ports.agi, lab.ports.api) == []


# The configuration


def check(file: Path) -> subprocess.CompletedProcess[str]:
    checked = run(TWISTD[0], "easycall", "--check", str(file), cwd=file.parent)
    assert "Traceback" not in checked.stdout + checked.stderr
    return checked


def test_a_right_configuration_is_all_right(site: Site) -> None:
    checked = check(site.file)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, f"{site.file}: all right\n", "")
    assert {path.name for path in site.file.parent.iterdir()} == {"easycall.toml"}, "nothing was started"


SPOILT = """\
[api]
lisen = "tcp:1"
[queues.sales]
ring_seconds = 500
[agents.ana]
queues = ["sails"]
"""


def test_every_fault_of_configuration_and_flows_is_told_at_once(site: Site, lab: State, tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "welcome.yaml").write_text("start: a\nnodes:\n  a:\n    queue: sails\n")
    (flows / "straight.yaml").write_text("start: z\nnodes:\n  a:\n    hangup:\n")
    also(site, SPOILT + f'[flows]\ndirectory = "{flows}"\n')
    spoilt = site.file.parent / "conf.d/changed.toml"
    checked = check(site.file)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr.splitlines() == [
        f"{spoilt}:2: api.lisen: is unknown; did you mean 'listen'?",
        f"{spoilt}:4: queues.sales.ring_seconds = 500: must be a number of seconds from 1 to 120",
        f"{spoilt}:6: agents.ana.queues: there is no queue 'sails'; there are sales, support",
        "straight.yaml: start: there is no node 'z'",
        "welcome.yaml:3: a: there is no queue 'sails'; there are sales, support",
    ]
    ran = run(*TWISTD, "easycall", "-c", str(site.file), cwd=site.file.parent)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", checked.stderr)
    discreet(ran.stderr, site, lab)


@pytest.mark.parametrize("kind", ["missing", "a folder", "not readable", "not TOML"])
def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "easycall.toml"
    if kind == "a folder":
        file.mkdir()
    elif kind == "not readable":
        file.symlink_to(file)  # root could read any that is there
    elif kind == "not TOML":
        file.write_text("[api\n")
    checked = check(file)
    assert (checked.returncode, checked.stdout) == (1, "")
    [line] = checked.stderr.splitlines()
    assert line.startswith(f"{file}: cannot be read")


# In the background


def daemonized(folder: Path) -> tuple[str, ...]:
    return TWISTD[0], f"--pidfile={folder}/pid", f"--logfile={folder}/log"


@pytest_twisted.ensureDeferred
async def test_it_runs_in_the_background(daemon: Callable[..., Twistd], site: Site, lab: State, tmp_path: Path) -> None:
    parent = daemon(runner=daemonized(tmp_path))
    assert await parent.ends() == 0
    process = int((tmp_path / "pid").read_text())
    try:
        await parent.becomes()
    finally:
        os.kill(process, signal.SIGTERM)
    await gone(tmp_path)
    log = (tmp_path / "log").read_text()
    assert "Server Shut Down" in log
    discreet(log, site, lab)


@pytest_twisted.ensureDeferred
async def test_in_the_background_what_it_cannot_have_is_in_the_log(
    daemon: Callable[..., Twistd], site: Site, lab: State, tmp_path: Path, holder: socket.socket
) -> None:
    holder.bind(("127.0.0.1", lab.ports.api))
    holder.listen()
    parent = daemon(runner=daemonized(tmp_path))
    await parent.ends()  # with 0: twistd's parent does not wait for the start
    await gone(tmp_path)
    log = (tmp_path / "log").read_text()
    assert "easycall cannot run: api.listen = " in log
    discreet(log, site, lab)


async def gone(folder: Path) -> None:
    """Wait until the daemon in the background has ended, and nothing says that it runs."""
    await until(lambda: not (folder / "pid").exists(), "it runs on")


def test_a_wrong_configuration_never_gets_to_the_background(site: Site, tmp_path: Path) -> None:
    also(site, SPOILT)
    ran = run(*daemonized(tmp_path), "easycall", "-c", str(site.file), cwd=tmp_path)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 3
    assert not (tmp_path / "pid").exists()
    assert not (tmp_path / "log").exists()
