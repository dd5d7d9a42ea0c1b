"""``easycall callback``: who is to be called back, why not yet, and what an operator does about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click

from easycall.cli.asking import asked, of_the_api

if TYPE_CHECKING:
    from easycall.client import Client

__all__ = ["callback"]

PATH = "/api/v1/callbacks"
MOMENTS = [f"%Y-%m-%d{clock}{zone}" for clock in ("T%H:%M", " %H:%M", "T%H:%M:%S") for zone in ("", "%z")]
ANYBODY = "anybody"

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the API's answer.")
_MOMENT = click.DateTime(MOMENTS)


@click.group()
def callback() -> None:
    """Customers who are to be called back."""


@callback.command("list")
@of_the_api
@_JSON
@click.option("--queue", default="", help="Those of this queue only.")
@click.option("--number", default="", help="Those of this customer only.")
@click.option("--state", default="open", show_default=True, help="open, scheduled, in_line, reached, expired …; all: any.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many.")
@click.option("--before", default="", metavar="ID", help="Those before this one, the last one of a list.")
def list_them(port: int, token: str, as_json: bool, queue: str, number: str, state: str, limit: int, before: str) -> None:
    """List callbacks, the latest first, with why each is not made yet."""
    wanted = {"queue": queue, "number": number, "state": "" if state == "all" else state, "before": before}
    query = urlencode({name: value for name, value in wanted.items() if value} | {"limit": limit})
    answer = asked(port, token, lambda client: client.get(f"{PATH}?{query}"))
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    _show(answer["callbacks"])
    if answer["next"]:
        click.echo(f"There may be more: --before {answer['next']}")


@callback.command()
@click.argument("name", metavar="ID")
@of_the_api
@_JSON
def show(name: str, port: int, token: str, as_json: bool) -> None:
    """Show one with the history of its attempts."""
    _tell(asked(port, token, lambda client: client.get(_path(name))), as_json=as_json)


@callback.command()
@click.argument("queue")
@click.argument("number")
@of_the_api
@_JSON
@click.option("--at", type=_MOMENT, metavar="MOMENT", help="Not before, such as 2026-12-31T14:30, by this machine's clock.")
@click.option("--expires", type=_MOMENT, metavar="MOMENT", help="Not after; unless given, as the queue says.")
@click.option("--agent", default="", help="Whose it is.")
@click.option("--name", default="", help="The customer's name.")
@click.option("--reason", default="", help="What it is about, for the agent.")
@click.option("--zone", default="", help="The customer's time zone, such as Europe/Berlin; else as the number tells.")
@click.option("--skills", default="", help='What it asks for, such as "billing >= 2".')
@click.option("--priority", type=float, default=0.0, help="So many seconds ahead of others.")
def add(
    port: int,
    token: str,
    as_json: bool,
    at: datetime | None,
    expires: datetime | None,
    priority: float,
    **said: str,
) -> None:
    """Have the customer with a NUMBER called back by the agents of a QUEUE."""
    body = {name: value for name, value in said.items() if value} | _times(at, expires)
    if priority:
        body["priority_seconds"] = priority
    _tell(asked(port, token, lambda client: client.post(PATH, **body)), as_json=as_json)


@callback.command()
@click.argument("name", metavar="ID")
@of_the_api
@_JSON
@click.option("--at", type=_MOMENT, metavar="MOMENT", help="Not before, such as 2026-12-31T14:30, by this machine's clock.")
@click.option("--expires", type=_MOMENT, metavar="MOMENT", help="Not after.")
@click.option("--queue", help="Of which queue it is.")
@click.option("--customer", help="The customer's name.")
@click.option("--reason", help="What it is about.")
@click.option("--zone", help="The customer's time zone; empty: as the number tells.")
@click.option("--priority", type=float, help="So many seconds ahead of others.")
def edit(
    name: str,
    port: int,
    token: str,
    as_json: bool,
    at: datetime | None,
    expires: datetime | None,
    customer: str | None,
    priority: float | None,
    **said: str | None,
) -> None:
    """Change an open one."""
    wanted = {**said, "name": customer, "priority_seconds": priority}
    body = {option: value for option, value in wanted.items() if value is not None} | _times(at, expires)
    if not body:
        raise click.UsageError("say what is to be different, as with --at 2026-12-31T14:30")
    _tell(asked(port, token, _patch(name, body)), as_json=as_json)


@callback.command()
@click.argument("name", metavar="ID")
@click.argument("agent")
@of_the_api
@_JSON
def assign(name: str, agent: str, port: int, token: str, as_json: bool) -> None:
    """Make an open one an AGENT's, or anybody's."""
    body = {"agent": "" if agent == ANYBODY else agent}
    _tell(asked(port, token, _patch(name, body)), as_json=as_json)


@callback.command()
@click.argument("name", metavar="ID")
@of_the_api
@_JSON
def now(name: str, port: int, token: str, as_json: bool) -> None:
    """Make an open one due at once; what else it waits for, as quiet hours, holds all the same."""
    _tell(asked(port, token, lambda client: client.post(f"{_path(name)}/now")), as_json=as_json)


@callback.command()
@click.argument("name", metavar="ID")
@of_the_api
@_JSON
def cancel(name: str, port: int, token: str, as_json: bool) -> None:
    """Let nobody make an open one any more."""
    _tell(asked(port, token, lambda client: client.delete(_path(name))), as_json=as_json)


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _patch(name: str, body: Mapping[str, Any]) -> Callable[[Client], Any]:
    return lambda client: client.patch(_path(name), **body)


def _times(at: datetime | None, expires: datetime | None) -> dict[str, Any]:
    """Seconds since the epoch; what has no time zone is by this machine's clock."""
    return {name: time.timestamp() for name, time in (("at", at), ("expires", expires)) if time is not None}


# For a person


def _show(callbacks: Sequence[Mapping[str, Any]]) -> None:
    """A table of callbacks."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not callbacks:
        click.echo("There is none.")
        return
    table = Table()
    for heading in ("id", "queue", "number", "name", "state", "source", "due", "agent", "tried", "why"):
        table.add_column(heading, justify="right" if heading == "tried" else "left", no_wrap=heading in ("id", "number"))
    for one in callbacks:
        words = (one["state"].replace("_", " "), one["source"], _clock(one["due"]), one["agent"] or ANYBODY)
        tried = str(len(one["attempts"]))
        cells = (one["id"], one["queue"], one["number"], one["name"], *words, tried, _reason(one))
        table.add_row(*map(Text, cells))
    Console().print(table)


def _tell(one: Mapping[str, Any], *, as_json: bool) -> None:
    """One callback, for a program or a person."""
    click.echo(json.dumps(one, indent=2) if as_json else "\n".join(_lines(one)))


def _lines(one: Mapping[str, Any]) -> Iterator[str]:
    if "state" not in one:  # somebody else's, of the same queue and number
        yield f"Callback {one['id']} is open already"
        return
    who = f"{one['number']} {one['name']}".strip()
    yield f"Callback {one['id']} of {one['queue']}: {who}, {one['state'].replace('_', ' ')}"
    if reason := _reason(one):
        yield f"  why: {reason}"
    by = f" by {one['created_by']}" if one["created_by"] else ""
    yield f"  {one['source']}{by}, {_clock(one['created'])}; due {_clock(one['due'])}, expires {_clock(one['expires'])}"
    yield f"  for {one['agent'] or ANYBODY}{_asks(one)}"
    if one["reason"]:
        yield f"  about: {one['reason']}"
    if one["waited"]:
        yield f"  waited before: {one['waited']:.0f} s"
    if data := {**one["answers"], **one["data"]}:
        yield "  data: " + ", ".join(f"{key} = {value}" for key, value in sorted(data.items()))
    yield "Its attempts:" if one["attempts"] else "Nobody was dialled yet."
    for number, attempt in enumerate(one["attempts"], 1):
        outcome = (attempt["outcome"] or "going on").replace("_", " ")
        cause = f" (cause {attempt['cause']})" if attempt["cause"] else ""
        agent = f", {attempt['agent']}" if attempt["agent"] else ""
        yield f"  {number}. {_clock(attempt['at'])}  {outcome}{cause}{agent}, contact {attempt['contact']}"


def _asks(one: Mapping[str, Any]) -> str:
    """What it asks for beside its queue."""
    needs = f", needs {one['skills']}" if one["skills"] else ""
    priority = f", priority {one['priority_seconds']:g}" if one["priority_seconds"] else ""
    zone = f", in {one['zone']}" if one["zone"] else ""
    return f"{needs}{priority}{zone}"


def _reason(one: Mapping[str, Any]) -> str:
    """Why it is not made yet, and what came of the last attempt; or why it ended."""
    why = one["why"]
    if why is None:
        return one["because"] or ""
    until = f" until {_clock(why['until'])}" if why["until"] else ""
    last = f"; last: {one['because']}" if one["because"] else ""
    return f"{why['text']}{until}{last}"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"
