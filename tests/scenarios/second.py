"""A second Asterisk with a world of its own, beside that of the other scenarios; it can die and come back."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from easycall.defer import unattended
from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.instance import INSTANCES, Instance
from easycall.lab.lab import remote, tied
from easycall.lab.layout import Order, State, free_block
from easycall.lab.root import Installation
from easycall.lab.simulated import SimulatedLab
from easycall.lab.world import Tell, World

from .ground import PATIENCE

__all__ = ["NAME", "RealBox", "SecondBox", "beside"]

NAME = "other"
"""Its name in the configuration."""
SECTION = """\
[asterisk.{name}]
ami = "tcp:127.0.0.1:{ami}"
secret = "{secret}"
fastagi = "tcp:{agi}:interface=127.0.0.1"
dial = "PJSIP/{{phone}}@world"
"""


class SecondBox(ABC):
    """See the module."""

    world: World

    def __init__(self, state: State, tell: Tell) -> None:
        self.state = state
        self.tell = tell

    def configure(self, site: Path) -> None:
        """Let the daemon of a site serve this one too."""
        folder = site / "conf.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "other.toml").touch(mode=0o600)
        ports, secret = self.state.ports, self.state.secrets["easycall"]
        (folder / "other.toml").write_text(SECTION.format(name=NAME, ami=ports.a_ami, agi=ports.agi, secret=secret))

    @abstractmethod
    async def dies(self, by: signal.Signals = signal.SIGKILL) -> None:
        """By this signal."""

    @abstractmethod
    async def returns(self) -> None:
        """Start it anew."""

    @abstractmethod
    async def world_returns(self) -> None:
        """Drive its world again, once the Asterisk is up."""

    @abstractmethod
    async def loses_dialplan(self) -> None:
        """Somebody takes easycall's contexts out of extensions.conf: ``dialplan reload``."""

    @abstractmethod
    async def has_dialplan(self) -> None:
        """They are there again: ``module reload pbx_config.so``."""

    @abstractmethod
    async def shuts_down(self) -> None:
        """``core stop gracefully``."""

    @abstractmethod
    async def goes_on_after_all(self) -> None:
        """``core abort shutdown``."""

    @property
    @abstractmethod
    def runs(self) -> bool:
        """False once it has ended."""

    async def close(self) -> None:
        """Leave."""
        await self.world.stop()


class SimulatedBox(SecondBox):
    """In this process."""

    def __init__(self, lab: SimulatedLab, tell: Tell) -> None:
        super().__init__(lab.state, tell)
        self._lab = lab
        self._dialplan = lab.asterisk.settings.dialplan
        self.world = lab.world(tell=tell)

    async def dies(self, by: signal.Signals = signal.SIGKILL) -> None:
        await self._lab.asterisk.crash()

    async def returns(self) -> None:
        await self._lab.asterisk.start()

    async def world_returns(self) -> None:
        """It was never away."""

    async def loses_dialplan(self) -> None:
        self._lab.asterisk.read_dialplan("[somebody-elses]\nexten => s,1,Hangup()\n", told=False)

    async def has_dialplan(self) -> None:
        self._lab.asterisk.read_dialplan(self._dialplan, told=True)

    async def shuts_down(self) -> None:
        unattended(self._lab.asterisk.stop_gracefully())

    async def goes_on_after_all(self) -> None:
        self._lab.asterisk.go_on()

    @property
    def runs(self) -> bool:
        return self._lab.asterisk.booted


class RealBox(SecondBox):
    """A lab of its own, whose processes are ours once it has died."""

    def __init__(self, state: State, tell: Tell) -> None:
        super().__init__(state, tell)
        self.world = AsteriskWorld(state, reactor, tell=tell)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._extensions = state.folder / "a/etc/extensions.conf"
        self._dialplan = self._extensions.read_text()

    async def dies(self, by: signal.Signals = signal.SIGKILL) -> None:
        """With the Asterisk the lab's keeper goes, and its world."""
        os.kill(self.state.pids["a"], by)
        await self.world.stop()

    def hangs(self) -> None:
        """It stands still: SIGSTOP."""
        os.kill(self.state.pids["a"], signal.SIGSTOP)

    def goes_on(self) -> None:
        """It does no more."""
        os.kill(self.state.pids["a"], signal.SIGCONT)

    async def returns(self) -> None:
        assert self.state.root is not None
        for name in reversed(INSTANCES):
            self._run(Instance(name, self.state.folder, Installation(self.state.root)).command())

    def _run(self, command: list[str]) -> None:
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
        self._processes.append(process)

    async def world_returns(self) -> None:
        self.world = AsteriskWorld(self.state, reactor, tell=self.tell)
        await self.world.start()

    async def loses_dialplan(self) -> None:
        self._extensions.write_text(self._dialplan.partition("#include")[0])
        await self.console("dialplan reload")

    async def has_dialplan(self) -> None:
        self._extensions.write_text(self._dialplan)
        await self.console("module reload pbx_config.so")

    async def shuts_down(self, how: str = "gracefully") -> None:
        """The command comes back when it has ended."""
        self._run(remote(self.state, "a", "-rx", f"core stop {how}"))

    async def goes_on_after_all(self) -> None:
        await self.console("core abort shutdown")

    @property
    def runs(self) -> bool:
        try:
            return "State:\tZ" not in Path(f"/proc/{self.state.pids['a']}/status").read_text()
        except OSError:
            return False

    async def console(self, command: str) -> None:
        """A command on the console of the PBX."""
        await deferToThread(subprocess.run, remote(self.state, "a", "-rx", command), check=True, capture_output=True)

    async def close(self) -> None:
        await super().close()
        for process in self._processes:
            with suppress(OSError):
                os.kill(_innermost(process.pid), signal.SIGKILL)
            process.wait(5.0)


def _innermost(pid: int) -> int:
    """The process of Asterisk itself."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


@asynccontextmanager
async def beside(pbx: State | Path, labs: Path, tell: Tell) -> AsyncIterator[SecondBox]:
    """A second one of the same kind."""
    if isinstance(pbx, State):
        with tied(Order(labs, f"other-{os.getpid()}", free_block(), PATIENCE), print) as state:
            box: SecondBox = RealBox(state, tell)
            await box.world.start()
            try:
                yield box
            finally:
                await box.close()
        return
    lab = SimulatedLab(pbx, reactor, patience=PATIENCE)
    await lab.start()
    box = SimulatedBox(lab, tell)
    await box.world.start()
    try:
        yield box
    finally:
        await box.close()
        await lab.stop()
