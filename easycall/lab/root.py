"""Obtaining an Asterisk: the host's own, or a root folder of Debian's, built on the spot."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

__all__ = ["Installation", "Unobtainable", "find", "obtain"]

Say = Callable[[str], None]

SUITE = "forky"
"""The Debian suite the root folder is made of: the first one with Asterisk 22."""
PACKAGES = "asterisk,asterisk-modules,asterisk-core-sounds-en,espeak-ng,sox,libtiff-tools,ghostscript,ca-certificates"
HOST_FOLDERS = "/usr/sbin:/usr/local/sbin"
"""Where an Asterisk of the host is looked for besides PATH."""
DIES_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL")

ENTER = """
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mkdir -p "$1$2"
mount --bind "$2" "$1$2"
cd "$2"
root=$1
shift 2
exec chroot "$root" "$@"
"""
"""Run in a mount namespace of its own: what is mounted here vanishes with the last process in it."""


class Unobtainable(Exception):
    """No Asterisk, and none can be had.  Its text is one line that ends with the remedy."""


@frozen
class Installation:
    """Where Asterisk is installed: in a root folder, or on the host itself when ``root`` is None."""

    root: Path | None

    def daemon(self, share: Path, *argv: str) -> list[str]:
        """The command that runs ``argv`` beside Asterisk and is killed, with all it started, when its parent dies.

        ``share`` is a folder of the host seen under the same path.
        """
        namespaces = ("--mount", "--pid", "--fork", "--kill-child")
        return [*DIES_WITH_ITS_PARENT, *self._within(share, namespaces, argv)]

    def command(self, share: Path, *argv: str) -> list[str]:
        """The command that runs ``argv`` beside Asterisk, for as long as it takes."""
        return self._within(share, ("--mount",), argv)

    def _within(self, share: Path, namespaces: Sequence[str], argv: Sequence[str]) -> list[str]:
        if self.root is None:
            return list(argv)
        return ["unshare", *namespaces, "sh", "-ec", ENTER, "sh", str(self.root), str(share), *argv]

    def forget(self, share: Path) -> None:
        """Remove the empty folder that was the place of ``share`` in the root folder."""
        if self.root is not None:
            with suppress(OSError):
                Path(f"{self.root}{share}").rmdir()

    def spare_name_lookups(self) -> None:
        """Let the root folder answer the names PJSIP looks up on the call path, which blocks for seconds without DNS."""
        if self.root is None:
            return
        _write(self.root / "etc/hosts", f"127.0.0.1 localhost {socket.gethostname()} A.ROOT-SERVERS.NET\n")
        nsswitch = self.root / "etc/nsswitch.conf"
        lines = nsswitch.read_text().splitlines()
        _write(nsswitch, "".join(("hosts: files" if line.startswith("hosts:") else line) + "\n" for line in lines))


def _write(path: Path, text: str) -> None:
    """Replace a file in one step: another lab may be reading it."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(text)
    new.replace(path)


def find(var: Path) -> Installation | None:
    """The Asterisk that is there already: the host's, else the root folder under ``var``."""
    if shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:{HOST_FOLDERS}"):
        return Installation(None)
    root = (var / "root").resolve()
    return Installation(root) if root.is_dir() else None


def obtain(var: Path, say: Say) -> Installation:
    """Find an Asterisk or build the root folder ``var/root``, telling each step to ``say``.

    Raises Unobtainable.
    """
    found = find(var)
    if found is None:
        _check_host()
        var.mkdir(parents=True, exist_ok=True)
        with _one_builder(var / "root.lock", say):
            found = find(var) or _build(var, say)
    if found.root is not None and os.geteuid() != 0:
        raise Unobtainable("Asterisk is in a root folder here, which only root may enter: run as root, or install asterisk")
    found.spare_name_lookups()
    return found


def _check_host() -> None:
    if shutil.which("apt-get") is None:
        raise Unobtainable("no Asterisk on this machine, and no Debian (apt-get) to take it from: install asterisk")
    if os.geteuid() != 0:
        raise Unobtainable("no Asterisk on this machine, and only root may fetch one: run as root, or install asterisk")


@contextmanager
def _one_builder(lock: Path, say: Say) -> Iterator[None]:
    """Let one process at a time build; the lock goes with the process, however it ends."""
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is fetching Asterisk, waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _build(var: Path, say: Say) -> Installation:
    """Build under another name and rename at the end: a build that was killed never looks complete."""
    _need_mmdebstrap(say)
    mirror = _mirror(say)
    root, unfinished = (var / "root").resolve(), (var / "root.unfinished").resolve()
    _run(["rm", "-rf", "--one-file-system", str(unfinished)], say)
    say(f"fetching Asterisk 22 from {mirror} ({SUITE}): 450 MB in {root}, about half a minute")
    sources = f"deb {mirror} {SUITE} main"
    # The suite's Release file may have expired on a mirror that is not updated every day.
    options = ["--variant=essential", '--aptopt=Acquire::Check-Valid-Until "false"', f"--include={PACKAGES}"]
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    _run([*DIES_WITH_ITS_PARENT, *namespaces, "mmdebstrap", *options, SUITE, str(unfinished), sources], say)
    unfinished.rename(root)
    say("Asterisk is there")
    return Installation(root)


def _need_mmdebstrap(say: Say) -> None:
    if shutil.which("mmdebstrap"):
        return
    say("installing mmdebstrap")
    install = ["apt-get", "install", "-qq", "--no-install-recommends", "mmdebstrap"]
    try:
        _run(install, say)
    except Unobtainable:
        _run(["apt-get", "update", "-qq"], say)
        _run(install, say)


def _mirror(say: Say) -> str:
    """The Debian mirror this host itself is installed from."""
    for attempt in range(2):
        asked = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        mirrors = [line.split(" ", 1)[1] for line in answer.splitlines() if line.startswith("Debian ")]
        if mirrors:
            return mirrors[0]
        if attempt == 0:
            _run(["apt-get", "update", "-qq"], say)
    raise Unobtainable("apt-get knows no Debian mirror here: add one to /etc/apt/sources.list, or install asterisk")


def _run(argv: Sequence[str], say: Say) -> None:
    """Run a command, telling its lines.  Raises Unobtainable when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    last = "no output"
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as running:
        for line in running.stdout or ():
            last = line.strip() or last
            say(f"  {last}")
    if running.returncode != 0:
        name = next((word for word in argv if word in ("apt-get", "mmdebstrap", "rm")), argv[0])
        raise Unobtainable(f"{name} failed ({last}): see that apt-get update works here, or install asterisk")
