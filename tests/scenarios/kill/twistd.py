"""``twistd easycall`` as a child process, which ends with the tests however they end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from easycall.lab.root import DIES_WITH_ITS_PARENT

__all__ = ["ORDERLY", "TWISTD", "Twistd"]

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "--nodaemon", "--pidfile=")
ORDERLY = -signal.SIGTERM
"""How twistd ends after an orderly stop by SIGTERM."""


class Twistd:
    """One daemon, from its start to its end."""

    def __init__(self, file: Path, log: Path, **environ: str) -> None:
        """``file``: its configuration; ``log``: where everything goes that it prints, behind what is there."""
        shown = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ}
        setpriv = shutil.which(DIES_WITH_ITS_PARENT[0])
        assert setpriv is not None, "there is no setpriv on this machine: install util-linux"
        command = [setpriv, *DIES_WITH_ITS_PARENT[1:], *TWISTD, "easycall", "-c", str(file)]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=file.parent, env=shown
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    @property
    def held_up(self) -> float:
        """Seconds for which it could have run and the machine's processors were busy with others."""
        _, waited, _ = Path(f"/proc/{self.pid}/schedstat").read_text().split()
        return int(waited) * 1e-9

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end(self) -> None:
        """Whatever it does: it is gone afterwards."""
        self._process.kill()
        self._process.wait()
