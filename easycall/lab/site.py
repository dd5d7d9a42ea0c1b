"""A site for a lab: the configuration of a daemon that serves the lab's PBX, as a file a person can read and change."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from easycall.lab.layout import State, shipped

__all__ = ["PHONES", "Site"]

PHONES: Mapping[str, str] = {"ana": "2001", "bo": "2002", "chen": "2003"}
"""Agent -> phone number in the lab's world."""

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

[asterisk.lab]
ami = "tcp:127.0.0.1:{ami}"
secret = "{secret}"
fastagi = "tcp:{agi}:interface=127.0.0.1"
dial = "{dial}"

[prompts]
directory = "{prompts}"

[flows]
directory = "{flows}"

[numbers]
{numbers}

[queues.sales]
name = "Sales"
ring_seconds = {ring_seconds:g}
wrap_up_seconds = {wrap_up_seconds:g}
busy_prompt = "{busy_prompt}"

[queues.support]
name = "Support"
ring_seconds = {ring_seconds:g}
wrap_up_seconds = {wrap_up_seconds:g}

[agents.ana]
name = "Ana"
queues = ["sales", "support"]
phone = "2001"

[agents.bo]
name = "Bo"
queues = ["sales"]
phone = "2002"

[agents.chen]
name = "Chen"
queues = ["support"]
phone = "2003"
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
        flows: Path | None = None,
        numbers: Mapping[str, str] | None = None,
        dial: str = "PJSIP/{phone}@world",
        busy_prompt: str = "All our agents are busy. Please stay on the line, your call keeps its place.",
        ring_seconds: float = 15,
        wrap_up_seconds: float = 5,
    ) -> Site:
        """Write the configuration into ``folder``, for its owner only: there are secrets in it.

        ``ami``: another port than the PBX's own, for something between; ``flows``: other flows than those we ship;
        ``numbers``: dialled number -> flow, where it is not ``welcome``.
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
                agi=state.ports.agi,
                dial=dial,
                busy_prompt=busy_prompt,
                prompts=state.prompts,
                flows=flows or shipped() / "flows",
                numbers="\n".join(f'"{number}" = "{flow}"' for number, flow in (numbers or {}).items()),
                ring_seconds=ring_seconds,
                wrap_up_seconds=wrap_up_seconds,
            ),
            encoding="utf-8",
        )
        return cls(file, state.ports.api, token)
