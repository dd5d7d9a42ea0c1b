"""One Asterisk of a lab: its folder, its configuration, its commands."""

from __future__ import annotations

import math
import os
import re
import shutil
import struct
import wave
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from easycall.lab.certificates import Authority
from easycall.lab.layout import Order, Ports, shipped
from easycall.lab.root import Installation
from easycall.lab.tones import TONES

__all__ = ["INSTANCES", "Instance", "write_shared"]

INSTANCES = ("a", "world")
RATE = 8000
"""Samples a second of telephone sound."""
SPOOLS = ("outgoing", "tmp", "monitor", "fax")
LEFT_TO_DEFAULTS = ("acl", "ccss", "cel", "confbridge", "pjproject", "res_fax", "stasis", "udptl")
"""Configuration files that must exist, if empty, or Asterisk complains."""
TEMPLATES = Path(__file__).parent / "templates"
PLACE = re.compile(r"@\{(\w+)\}")
"""A place in a template, like ``@{port}``; ``${…}`` is the dialplan's own."""


@frozen
class Instance:
    """One Asterisk."""

    name: str
    lab: Path
    """The lab's folder."""
    installation: Installation

    @property
    def folder(self) -> Path:
        """The instance's own folder."""
        return self.lab / self.name

    @property
    def _conf(self) -> str:
        return str(self.folder / "etc/asterisk.conf")

    def command(self) -> list[str]:
        """The command that runs it in the foreground and is killed when its parent dies."""
        return self.installation.daemon(self.lab, "asterisk", "-C", self._conf, "-f", "-n")

    def remote(self, *options: str) -> list[str]:
        """The command that connects to it: ``-rvvv`` for a console, ``-rx`` and a command for that command's answer."""
        return self.installation.command(self.lab, "asterisk", "-C", self._conf, *options)

    def configure(self, order: Order, secrets: Mapping[str, str]) -> None:
        """Write a fresh folder from the templates; what an earlier lab left there is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("etc", "lib", "db", "run", "log", *(f"spool/{spool}" for spool in SPOOLS)):
            (self.folder / name).mkdir(parents=True)
        for name in LEFT_TO_DEFAULTS:
            (self.folder / "etc" / f"{name}.conf").touch()
        values = self._values(order, secrets)
        for template in sorted((*(TEMPLATES / "common").glob("*.conf"), *(TEMPLATES / self.name).glob("*.conf"))):
            target = os.open(self.folder / "etc" / template.name, os.O_WRONLY | os.O_CREAT, 0o600)
            with open(target, "w") as file:
                file.write(PLACE.sub(lambda place: str(values[place[1]]), template.read_text()))

    def _values(self, order: Order, secrets: Mapping[str, str]) -> dict[str, object]:
        """What the templates ask for."""
        ports = Ports(order.base)
        on_a = self.name == "a"
        rtp = ports.a_rtp if on_a else ports.world_rtp
        return {
            "folder": self.folder,
            "shipped": self.lab / "shipped",
            "sounds": self.lab / "sounds",
            "tls": self.lab / "tls",
            "patience": order.patience,
            "secret": secrets["easycall"],
            "lab_secret": secrets["lab"],
            "sip": ports.a_sip if on_a else ports.world_sip,
            "ami": ports.a_ami if on_a else ports.world_ami,
            "ami_tls": ports.a_ami_tls,
            "agi": ports.agi if on_a else ports.world_agi,
            "other_sip": ports.world_sip if on_a else ports.a_sip,
            "nobody_sip": ports.nobody_sip,
            "rtp_first": rtp.start,
            "rtp_last": rtp.stop - 1,
        }


def write_shared(lab: Path) -> None:
    """Write what both instances read: the shipped snippets, unchanged, and the tones; and make the folders for prompts
    and recordings.

    And the certificate of the PBX, and that of the CA behind it in a folder of its own.
    """
    (lab / "prompts").mkdir(exist_ok=True)
    (lab / "recordings").mkdir(exist_ok=True, mode=0o700)
    (lab / "tls/trusted").mkdir(parents=True, exist_ok=True)
    authority = Authority("easycall lab")
    authority.write(lab / "tls/trusted/ca.pem")
    authority.vouch(lab / "tls/asterisk.pem", "localhost")
    (lab / "shipped").mkdir(exist_ok=True)
    for snippet in (shipped() / "asterisk").glob("*.conf"):
        shutil.copyfile(snippet, lab / "shipped" / snippet.name)
    for frequency in TONES:
        folder = lab / "sounds" / str(frequency)
        folder.mkdir(parents=True, exist_ok=True)
        _write_tone(folder / "tone.wav", frequency)


def _write_tone(path: Path, frequency: int, seconds: int = 30) -> None:
    """A sine of a whole number of cycles a second, 20 dB below full scale."""
    second = (math.sin(2 * math.pi * frequency * n / RATE) for n in range(RATE))
    samples = struct.pack(f"<{RATE}h", *(round(3276 * value) for value in second))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples * seconds)
