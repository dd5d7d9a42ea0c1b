"""Row F91: the machine's clock is set while there are calls.  The daemon is a process of its own, whose clock jumps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from .callcentre import STRAIGHT, CallCentre, after
from .people import SOON, talking

HERE = Path(__file__).parent.parent.parent
JUMPS = [3600.0, -3600.0, 5.0, -5.0]
JUMPING = f"""\
import signal, time
real, jumps, offset = time.time, {JUMPS}, 0.0
def jump(*_):
    global offset
    offset += jumps[0]
signal.signal(signal.SIGUSR1, lambda *_: (jumps.append(jumps.pop(0)), None)[1])
signal.signal(signal.SIGUSR2, jump)
time.time = lambda: real() + offset
"""
"""As sitecustomize.py, before anything reads the clock: SIGUSR2 sets it by the first jump, SIGUSR1 takes the next one."""
TOLERANCE = 0.2
RING_SECONDS, WRAP_UP_SECONDS = 3.0, 2.0


@define
class Daemon:
    """The daemon as a process."""

    process: subprocess.Popen[bytes]

    def sets_clock(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def takes_next_jump(self) -> None:
        self.process.send_signal(signal.SIGUSR1)


@asynccontextmanager
async def apart(centre: CallCentre, folder: Path) -> AsyncIterator[Daemon]:
    """The daemon of a call centre in a process of its own, on the same PBX."""
    await centre.stop_daemon()
    (folder / "sitecustomize.py").write_text(JUMPING, encoding="utf-8")
    path = os.pathsep.join((str(folder), str(HERE)))
    command = [
        str(Path(sys.executable).with_name("twistd")),
        "--nodaemon",
        "--pidfile=",
        "easycall",
        "-c",
        str(centre.site.file),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a millisecond
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "PYTHONPATH": path}
        )
    try:
        await centre.agi.start()

        async def well() -> bool:
            try:
                return bool((await centre.client.get("/readyz"))["ready"])
            except Exception:
                assert process.poll() is None, (folder / "log").read_text()
                return False

        await centre.until(well, SOON, "the daemon is ready")
        centre.feed = await centre.client.live()
        yield Daemon(process)
        await centre.feed.close()
    finally:
        await centre.agi.refuse()
        process.terminate()
        process.wait(SOON)
        assert "Traceback" not in (folder / "log").read_text()
        await centre.start_daemon()


async def took(centre: CallCentre, kind: str, began: float, **facts: Any) -> float:
    """Wait for it; how many seconds after ``began`` it came, by a clock that nobody sets."""
    await centre.feed.wait(kind, SOON, **facts)
    return time.monotonic() - began


@pytest.mark.fault("F91")
@pytest.mark.only("simulator", "the clock of a real PBX is this machine's, which nobody may set here")
@pytest.mark.seconds(120)
@pytest.mark.site(ring_seconds=RING_SECONDS, wrap_up_seconds=WRAP_UP_SECONDS)
async def test_who_sets_the_clock_changes_no_time_limit_and_no_figure(centre: CallCentre, tmp_path: Path) -> None:
    async with apart(centre, tmp_path) as daemon:
        ana, chen = centre.agent("ana"), centre.agent("chen")
        for _ in JUMPS:
            await ana.works()
            missed = await centre.caller().dials(STRAIGHT)
            contact = await missed.contact()
            await ana.rings()
            rung = time.monotonic()
            daemon.sets_clock()
            seconds = await took(centre, "offer.ended", rung, contact=contact)
            assert seconds == pytest.approx(RING_SECONDS, abs=TOLERANCE), "the ring time"
            waiting = time.monotonic() - rung
            await chen.works()
            await chen.answers()
            await talking(missed, chen)
            answered = await centre.feed.wait("talk.started", SOON, contact=contact)
            assert answered["waited"] == pytest.approx(waiting, abs=3 * TOLERANCE), "the figure of the service level"
            daemon.sets_clock()
            await after(centre.reactor, 0.5)
            missed.hangs_up()
            over = await centre.feed.wait("contact.ended", SOON, contact=contact)
            began = time.monotonic()
            daemon.sets_clock()
            seconds = await took(centre, "agent.changed", began, agent="chen", state="ready", since=over["seq"])
            assert seconds == pytest.approx(WRAP_UP_SECONDS, abs=TOLERANCE), "the wrap-up"
            record = await centre.client.get(f"/api/v1/contacts/{contact}")
            assert all(0 <= one["ended"] - one["started"] < 10 for one in record["segments"]), record
            assert 0 < record["ended"] - record["arrived"] < 20
            assert record["arrived"] == pytest.approx(time.time() - 10, abs=15), "as the clock was when the daemon started"
            daemon.takes_next_jump()
            for agent in ("ana", "chen"):
                await centre.client.post(f"/api/v1/agents/{agent}/logout")
