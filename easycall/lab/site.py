"""A site for a lab: the configuration of a daemon that serves the lab's PBX, as a file a person can read and change."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from easycall.lab.layout import State, shipped
from easycall.lab.voice import CONVERT, SPEAK

__all__ = ["PHONES", "Desk", "Site"]


@frozen
class Desk:
    """An agent's place of work."""

    phone: str
    """The number in the lab's world."""
    queues: tuple[str, ...]
    supervises: tuple[str, ...] = ()


AGENTS: Mapping[str, Desk] = {
    "ana": Desk("2001", ("sales", "support")),
    "bo": Desk("2002", ("sales",)),
    "chen": Desk("2003", ("support",), supervises=("*",)),
}
PHONES: Mapping[str, str] = {agent: desk.phone for agent, desk in AGENTS.items()}
"""Agent -> phone number in the lab's world."""

NO_PAYMENTS = """\
# The shipped flows name it; nobody is there.
[services.payments]
url = "http://127.0.0.1:9/"
"""

SOURCE = """\
# A daemon for the lab {name!r}; every option is told in etc/easycall.toml.
[node]
name = "lab"
data = "{folder}"

[api]
listen = "tcp:{api}:interface=127.0.0.1"

[[api.tokens]]
name = "lab"
sha256 = "{sha256}"
rights = ["read", "control", "dial", "supervise", "recordings", "admin"]

[asterisk.lab]
ami = "tcp:127.0.0.1:{ami}"
secret = "{secret}"
fastagi = "tcp:{agi}:interface=127.0.0.1"
dial = "{dial}"

[prompts]
directory = "{prompts}"
{voice}

[fax]
lines = {fax_lines}
directory = "{fax}"
station = "+49 30 11"

[fax.detect]
{fax_detect}

[voicemail]
directory = "{voicemail}"

[voicemail.boxes]
sales = "Please leave a message."

[parking]
seconds = {park_seconds:g}

[recordings]
directory = "{recordings}"

[flows]
directory = "{flows}"

[numbers]
{numbers}

[queues.sales]
name = "Sales"
ring_seconds = {ring_seconds:g}
wrap_up_seconds = {wrap_up_seconds:g}
busy_prompt = "{busy_prompt}"
record = "{record}"
{sales}

[queues.support]
name = "Support"
ring_seconds = {ring_seconds:g}
wrap_up_seconds = {wrap_up_seconds:g}
record = "{record}"

[dialing]
allow = ["+49"]
deny = ["+49900"]
country = "49"
ring_seconds = {ring_outside:g}
# Nobody is called in earnest here.
calls_per_customer = 1000
calls_per_number = 1000
calls_per_agent = 1000
calls_per_queue = 1000

[trunks.world]
asterisk = "lab"
dial = "PJSIP/{{number}}@world"
lines = {lines}
caller_ids = ["+49305550100"]

{agents}

{more}
"""


@frozen
class Site:
    """Where a lab's daemon keeps its things, and how to ask it."""

    file: Path
    """Its ``easycall.toml``."""
    port: int
    """Of its API, on loopback."""
    token: str

    @classmethod
    def write(
        cls,
        state: State,
        folder: Path,
        *,
        ami: int = 0,
        agi: int = 0,
        noise: bool = False,
        flows: Path | None = None,
        numbers: Mapping[str, str] | None = None,
        agents: Mapping[str, Desk] = AGENTS,
        dial: str = "PJSIP/{phone}@world",
        busy_prompt: str = "All our agents are busy. Please stay on the line, your call keeps its place.",
        record: str = "on_demand",
        recordings: Path | None = None,
        ring_seconds: float = 15,
        wrap_up_seconds: float = 5,
        lines: int = 10,
        ring_outside: float = 30,
        fax_lines: int = 0,
        fax_detect: Mapping[str, str] | None = None,
        park_seconds: float = 90,
        auto_answer: str = "never",
        sales: str = "",
        more: str = NO_PAYMENTS,
    ) -> Site:
        """Write the configuration into ``folder``, for its owner only: there are secrets in it.

        ``ami``, ``agi``: other ports than the PBX's own and the one it looks for us at, for something between;
        ``noise``: prompts are noise, for a lab without espeak-ng and sox; ``flows``: other flows than those we ship;
        ``numbers``: dialled number -> flow, where it is not ``welcome``; ``agents``: who works there, by id;
        ``fax_lines``, ``fax_detect``: see ``[fax]``; ``lines``, ``ring_outside``: of the trunk into the world, and how long
        a number there is rung; ``sales``: further options of that queue, and ``more``: further sections, as they stand in
        the file.
        """
        token = "ec_" + secrets.token_urlsafe(32)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / "easycall.toml"
        file.touch(mode=0o600)
        file.write_text(
            SOURCE.format(
                name=state.name,
                folder=folder.absolute(),
                api=state.ports.api,
                sha256=hashlib.sha256(token.encode()).hexdigest(),
                ami=ami or state.ports.a_ami,
                secret=state.secrets["easycall"],
                agi=agi or state.ports.agi,
                dial=dial,
                busy_prompt=busy_prompt,
                record=record,
                prompts=state.prompts,
                recordings=recordings or state.recordings,
                voice=_options(speak=SPEAK, convert=CONVERT) if noise else "",
                fax=state.folder / "fax",
                fax_lines=fax_lines,
                fax_detect="\n".join(f'"{number}" = "{box}"' for number, box in (fax_detect or {}).items()),
                flows=flows or shipped() / "flows",
                numbers="\n".join(f'"{number}" = "{flow}"' for number, flow in (numbers or {}).items()),
                agents="\n\n".join(_section(agent, desk, auto_answer) for agent, desk in agents.items()),
                ring_seconds=ring_seconds,
                wrap_up_seconds=wrap_up_seconds,
                lines=lines,
                ring_outside=ring_outside,
                voicemail=state.folder / "voicemail",
                park_seconds=park_seconds,
                sales=sales,
                more=more,
            ),
            encoding="utf-8",
        )
        return cls(file, state.ports.api, token)


def _options(**commands: Sequence[str]) -> str:
    """Commands as options of a section."""
    return "\n".join(f"{name} = {json.dumps(list(words))}" for name, words in commands.items())


def _section(agent: str, desk: Desk, auto_answer: str) -> str:
    """The section of an agent."""
    lists = f"queues = {json.dumps(desk.queues)}\nsupervises = {json.dumps(desk.supervises)}"
    who = f'[agents.{agent}]\nname = "{agent.capitalize()}"\n{lists}\n'
    return f'{who}phone = "{desk.phone}"\nauto_answer = "{auto_answer}"'
