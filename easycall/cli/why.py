"""``easycall why``: why a contact waits, or an agent has nothing to do, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from easycall.cli.asking import asked, of_the_api

if TYPE_CHECKING:
    from easycall.client import Client

__all__ = ["why"]

NOT_FOUND = 404


@click.command()
@click.argument("name", metavar="ID")
@of_the_api
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer.")
def why(name: str, port: int, token: str, as_json: bool) -> None:
    """Say why a contact waits, or why an agent gets nothing, and what was decided about either of late.

    ID is a contact's or an agent's.
    """
    answer = asked(port, token, lambda client: _answer(client, name))
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(_lines(answer)))


async def _answer(client: Client, name: str) -> dict[str, Any]:
    """About the contact of that id, or else the agent.  Raises Refused, TimeoutError, ConnectError."""
    from easycall.client import Refused

    for kind in ("contacts", "agents"):
        try:
            found: dict[str, Any] = await client.get(f"/api/v1/{kind}/{quote(name, safe='')}/why")
            return found
        except Refused as refused:
            if refused.status != NOT_FOUND:
                raise
    raise Refused(NOT_FOUND, {"detail": f"there is no contact and no agent {name!r}"})


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    """The answer for a person."""
    yield from _about_agent(answer) if "agent" in answer else _about_contact(answer)
    if not answer["decisions"]:
        yield "No decision about it is remembered."
        return
    yield "Decided, the latest last:"
    for one in answer["decisions"]:
        others = ", ".join(_scored(other) for other in one["runners_up"])
        rest = f" before {others}" if others else ""
        yield f"  {_clock(one['at'])}  {one['contact']} to {one['agent']}, score {one['score']:g}{rest}"
        if one["strategy"]:
            yield f"            {one['strategy']}"


def _about_contact(answer: dict[str, Any]) -> Iterator[str]:
    waits = answer["waits"]
    if waits is None:
        yield f"Contact {answer['contact']} does not wait."
        return
    needs = f", needs {waits['requires']}" if waits["requires"] else ""
    ring = f", ring {waits['ring']}" if waits["ring"] else ""
    priority = f" with priority {waits['priority']:g}" if waits["priority"] else ""
    owner = f", only for {waits['owner']['agent']} until {_clock(waits['owner']['until'])}" if waits["owner"] else ""
    place = f"place {waits['position']}, score {waits['score']:g}{priority}{ring}{needs}{owner}"
    yield f"Contact {answer['contact']} waits in {waits['queue']}: {place}"
    if not waits["agents"]:
        yield f"  nobody serves {' or '.join(waits['queues'])}"
    yield from _table(waits["agents"], waits["more"], "agents")


def _about_agent(answer: dict[str, Any]) -> Iterator[str]:
    reason = f" ({answer['reason']})" if answer["reason"] else ""
    until = f" until {_clock(answer['until'])}" if answer["until"] else ""
    hindrance = f", {answer['hindrance']}" if answer["hindrance"] else ""
    yield f"Agent {answer['agent']} is {answer['state'].replace('_', ' ')}{reason}{until}{hindrance}"
    if not answer["items"]:
        yield "  nothing waits in the queues the agent serves now"
    yield from _table(answer["items"], answer["more"], "that wait")


def _table(told: Sequence[dict[str, Any]], more: int, what: str) -> Iterator[str]:
    """Who or what is looked at, with everything that is in the way."""
    width = max((len(_scored(one)) for one in told), default=0)
    for one in told:
        words = [exclusion["words"] for exclusion in one["why"]]
        yield f"  {_scored(one):<{width}}  {'; '.join(['eligible', *words] if one['eligible'] else words)}"
    if more:
        yield f"  and {more} more {what}"


def _scored(one: dict[str, Any]) -> str:
    return one["id"] if one.get("score") is None else f"{one['id']} ({one['score']:g})"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%H:%M:%S}"
