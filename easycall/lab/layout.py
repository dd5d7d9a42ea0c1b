"""Where a lab keeps its things: its folder, its block of ports, its state."""

from __future__ import annotations

import fcntl
import os
import random
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from attrs import frozen

__all__ = ["BLOCK", "DEFAULT_BASE", "LabError", "Order", "Ports", "State", "free_block", "lock", "shipped", "taken"]

DEFAULT_BASE = 25000
BLOCK = 1000
"""Ports a lab takes, from its base on."""
FIRST_FREE = 11000
"""From where on blocks are looked for that nobody named."""
CLAIM_SECONDS = 60.0
"""How long a block that was found free is left to who found it; its ports are taken by then."""
NAME = re.compile(r"(?!root)[a-z0-9][a-z0-9-]{0,31}")


class LabError(Exception):
    """A lab cannot do what was asked.  Its text is one line for the user."""


@frozen
class Ports:
    """One block of loopback ports.  TCP but for SIP and RTP."""

    base: int

    @property
    def a_sip(self) -> int:
        """SIP of the PBX (UDP)."""
        return self.base

    @property
    def world_sip(self) -> int:
        """SIP of the world (UDP)."""
        return self.base + 1

    @property
    def a_ami(self) -> int:
        """AMI of the PBX."""
        return self.base + 2

    @property
    def world_ami(self) -> int:
        """AMI of the world."""
        return self.base + 3

    @property
    def agi(self) -> int:
        """Where the PBX expects the daemon's FastAGI."""
        return self.base + 4

    @property
    def world_agi(self) -> int:
        """Where the world expects the FastAGI of the program that drives it."""
        return self.base + 5

    @property
    def nobody_sip(self) -> int:
        """Where nobody ever listens: the unplugged phone."""
        return self.base + 6

    @property
    def api(self) -> int:
        """For the daemon's web API; the lab itself does not use it."""
        return self.base + 7

    @property
    def a_ami_tls(self) -> int:
        """AMI of the PBX over TLS."""
        return self.base + 8

    @property
    def a_rtp(self) -> range:
        """RTP and RTCP of the PBX (UDP)."""
        return range(self.base + 100, self.base + 500)

    @property
    def world_rtp(self) -> range:
        """RTP and RTCP of the world (UDP)."""
        return range(self.base + 500, self.base + 900)

    def by_name(self) -> dict[str, int]:
        """The single ports, for a person or a program that reads the state."""
        names = ("a_sip", "world_sip", "a_ami", "world_ami", "agi", "world_agi", "nobody_sip", "api", "a_ami_tls")
        return {name: getattr(self, name) for name in names}


@frozen
class Order:
    """What lab is wanted."""

    var: Path
    """The folder of all labs."""
    name: str = "default"
    base: int = DEFAULT_BASE
    patience: int = 30
    """Seconds a caller waits for a daemon that is away before the dialplan's fallback serves him."""
    tied: bool = False
    """Whether the lab ends with the process that starts it."""

    def check(self) -> None:
        """Refuse names and ports that cannot work.  Raises LabError."""
        if not NAME.fullmatch(self.name):
            raise LabError(f"lab name {self.name!r}: up to 32 of a-z, 0-9 and hyphen, and not root… at its beginning")
        if not 1024 <= self.base <= 65536 - BLOCK or self.base % 2:
            raise LabError(f"ports {self.base}: choose an even number from 1024 to {65536 - BLOCK}, {BLOCK} ports are taken")
        if len(os.fsencode(self.folder)) > 80:  # Asterisk's control socket may have a path of 107 bytes
            raise LabError(f"the path {self.folder} is too long: use a folder with a shorter one (--var)")

    @property
    def folder(self) -> Path:
        """The lab's own folder."""
        return self.var.absolute() / self.name


@frozen
class State:
    """A lab that is up.  Kept in ``lab.json``, readable by its owner only: the secrets are in it."""

    name: str
    folder: Path
    root: Path | None
    """The root folder Asterisk runs in; None: the host's own Asterisk."""
    base: int
    secrets: Mapping[str, str]
    """AMI account -> secret: ``easycall`` on the PBX, ``lab`` (every right) on both."""
    pids: Mapping[str, int]
    """``keeper``, ``a``, ``world`` -> process id on the host."""

    @property
    def ports(self) -> Ports:
        """The lab's ports."""
        return Ports(self.base)

    @property
    def prompts(self) -> Path:
        """Where a daemon may put sounds the PBX shall play: the same path for both."""
        return self.folder / "prompts"

    @property
    def recordings(self) -> Path:
        """Where the PBX writes recordings and a daemon reads them: the same path for both."""
        return self.folder / "recordings"

    @property
    def trusted(self) -> Path:
        """The folder with the CA that vouches for the PBX as ``localhost``: the ``trustRoots`` of AMI over TLS."""
        return self.folder / "tls/trusted"

    def to_json(self) -> bytes:
        """As kept in ``lab.json`` and printed by ``status --json``: the fields, the ports by name, the folders."""
        names = ("name", "folder", "root", "base", "secrets", "pids", "prompts", "recordings", "trusted")
        fields = {name: getattr(self, name) for name in names}
        return msgspec.json.encode({**fields, "ports": self.ports.by_name()}, enc_hook=str)

    @classmethod
    def read(cls, folder: Path) -> State | None:
        """The state kept in a lab's folder; None when there is none."""
        try:
            text = (folder / "lab.json").read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(text, type=cls, dec_hook=lambda kind, value: kind(value))

    def write(self) -> None:
        """Keep the state."""
        new = self.folder / "lab.json.new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.to_json())
        new.replace(self.folder / "lab.json")


def lock(folder: Path) -> IO[str] | None:
    """Take the lab's lock, which its keeper holds for life; None when it is held: the lab is up."""
    file = _lock_file(folder)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else does this with that folder meanwhile."""
    with _lock_file(folder) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_file(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return (folder / "lock").open("w")


def taken(ports: Ports) -> str | None:
    """The first port a lab would listen on that something else has, as text for the user."""
    single = {
        "SIP of a": (ports.a_sip, socket.SOCK_DGRAM),
        "SIP of world": (ports.world_sip, socket.SOCK_DGRAM),
        "AMI of a": (ports.a_ami, socket.SOCK_STREAM),
        "AMI of world": (ports.world_ami, socket.SOCK_STREAM),
        "AMI of a over TLS": (ports.a_ami_tls, socket.SOCK_STREAM),
    }
    for meaning, (port, kind) in single.items():
        if not _free(port, kind):
            return f"port {port} ({'UDP' if kind == socket.SOCK_DGRAM else 'TCP'}, {meaning}) is taken"
    for port in (*ports.a_rtp, *ports.world_rtp):
        if not _free(port, socket.SOCK_DGRAM):
            return f"port {port} (UDP, RTP) is taken"
    return None


def free_block() -> int:
    """The base of a block that is free now, for labs whose ports nobody has to know.

    It is left to this process for CLAIM_SECONDS: of two that look at the same moment, both would find the same one free.
    """
    bases = list(range(FIRST_FREE, 32768 - BLOCK, BLOCK))  # beyond are the ports of outgoing connections
    claims = Path("/tmp") / f"easycall-ports-{os.getuid()}"  # noqa: S108 - the same for all, whatever their TMPDIR
    with _locked(claims):
        # The one this process had before comes first: a process that makes one lab after another leaves others theirs.
        owners = {base: _owner(claims / str(base)) for base in random.sample(bases, len(bases))}
        for base in sorted(owners, key=lambda base: owners[base] != os.getpid()):
            if owners[base] in (0, os.getpid()) and _all_free(Ports(base)):
                (claims / str(base)).write_text(str(os.getpid()))
                return base
    raise LabError(f"no free block of {BLOCK} ports between {FIRST_FREE} and 32768")


def _owner(claim: Path) -> int:
    """The process that found a block free not long ago, and still runs; 0: none."""
    if not claim.exists() or time.time() - claim.stat().st_mtime > CLAIM_SECONDS:
        return 0
    process = int(claim.read_text())
    return process if Path(f"/proc/{process}").exists() else 0


def _all_free(ports: Ports) -> bool:
    """Of the lab and of the programs around it, which come later."""
    others = (ports.agi, ports.world_agi, ports.api)
    return taken(ports) is None and all(_free(port, socket.SOCK_STREAM) for port in others)


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as trial:
        if kind == socket.SOCK_STREAM:  # a closed connection that lingers does not take the port
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def shipped() -> Path:
    """The folder ``etc`` that comes with easycall: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "etc", package.parent / "etc"):
        if (folder / "asterisk/extensions.conf").is_file():
            return folder
    raise LabError(f"easycall is not completely installed: {package / 'etc/asterisk/extensions.conf'} is missing")
