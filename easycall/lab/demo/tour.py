"""What a demo that stays prints: where everything is, and lines to paste.  Pure text."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from easycall.lab.demo.story import AGENT, NUMBER
from easycall.lab.layout import State
from easycall.lab.site import PHONES, Site

__all__ = ["House", "tour"]

LATE = "bo"
"""The agent the curl lines log in: the story's own is at work already."""


@frozen
class House:
    """What stands, as the tour shows it."""

    state: State
    site: Site
    daemon: int
    """The daemon's process id."""
    logs: Sequence[str]
    contact: str
    """The contact of the story."""
    command: str
    """How the user calls ``easycall``."""
    options: str
    """The options that name this lab to ``easycall lab``."""


def tour(house: House) -> list[tuple[str, list[str]]]:
    """Headings, each with its lines."""
    return [
        ("Where everything is", _places(house)),
        (f"In another terminal, in this folder (the phone of {AGENT} answers by itself, after 2 s)", _commands(house)),
        ("Ask the API: paste these two lines, then any below", _variables(house.site)),
        ("", _commented(_requests(house.contact))),
        ("Hear the live feed: curl shows the bare WebSocket, until it has left a ping unanswered (20 to 40 s)", [FEED]),
    ]


def _places(house: House) -> list[str]:
    ports, site = house.state.ports, house.site
    return [
        f"API        http://127.0.0.1:{site.port}/api/v1/…   and /healthz, /readyz",
        f"live feed  ws://127.0.0.1:{site.port}/api/v1/live",
        f"PBX        SIP 127.0.0.1:{ports.a_sip}   AMI 127.0.0.1:{ports.a_ami}",
        f"world      SIP 127.0.0.1:{ports.world_sip}   AMI 127.0.0.1:{ports.world_ami}   (the callers and the phones)",
        f"daemon     process {house.daemon}, configuration {site.file}",
        f"logs       {', '.join(house.logs)}",
    ]


def _commands(house: House) -> list[str]:
    easycall, options = f"{house.command} lab", house.options
    return _commented(
        [
            (f"{easycall} dial {NUMBER} {options} --press 1 --seconds 20", "a caller"),
            (f"{easycall} console a {options} core show channels", "what the PBX says"),
            (f"{easycall} console a {options}", "its console; exit leaves it"),
        ]
    )


def _variables(site: Site) -> list[str]:
    return [f"U=http://127.0.0.1:{site.port}/api/v1", f"T='Authorization: Bearer {site.token}'"]


def _requests(contact: str) -> list[tuple[str, str]]:
    curl = "curl -sw '\\n' -H \"$T\""
    bo = f"$U/agents/{LATE}"
    return [
        (f"{curl} $U/agents", "the agents"),
        (f"{curl} $U/queues", "the queues, and who waits"),
        (f'{curl} --json \'{{"phone": "{PHONES[LATE]}"}}\' {bo}/login', "another agent logs in"),
        (f'{curl} -X PUT --json \'{{"state": "ready"}}\' {bo}/state', "and is ready"),
        (f"{curl} $U/contacts", "the live contacts: let one dial first"),
        (f'{curl} "$U/contacts?state=ended"', "those that have ended"),
        (f"{curl} $U/contacts/{contact}", "the call above, with its journey"),
        ("C=$(curl -sH \"$T\" $U/contacts | grep -om1 '01[0-9A-Z]\\{24\\}' | head -1)", "the id of a live contact"),
        (f"{curl} -X POST $U/contacts/$C/hangup", "hang it up"),
    ]


def _commented(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Lines for a shell, the comments below each other."""
    width = max(len(line) for line, _ in lines)
    return [f"{line:<{width}}  # {meaning}" for line, meaning in lines]


FEED = (
    'curl -sN -H "$T" -H "Connection: Upgrade" -H "Upgrade: websocket" -H "Sec-WebSocket-Version: 13"'
    ' -H "Sec-WebSocket-Key: ZWFzeWNhbGwgZGVtbyAhIQ==" $U/live --output - | stdbuf -o0 tr -sc "[:print:]" "\\n"'
)
"""Frames have a few bytes before each message, which are no text: they become ends of lines."""
