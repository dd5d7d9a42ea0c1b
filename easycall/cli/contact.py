"""``easycall contact``: one contact's trace, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from easycall.cli.asking import asked, of_the_api

if TYPE_CHECKING:
    from easycall.client import Client

__all__ = ["contact"]


@click.command()
@click.argument("name", metavar="ID")
@of_the_api
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer.")
def contact(name: str, port: int, token: str, as_json: bool) -> None:
    """Say what happened to a contact, live or ended: what it is, what its time was spent with, and every step."""

    async def ask(client: Client) -> dict[str, Any]:
        found: dict[str, Any] = await client.get(f"/api/v1/contacts/{quote(name, safe='')}")
        return found

    answer = asked(port, token, ask)
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(_lines(answer)))


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    """The answer for a person."""
    began = f"{datetime.fromtimestamp(answer['arrived'], UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    yield f"Contact {answer['id']}, {answer['channel']} {answer['direction']}, began {began}"
    who = f"{answer['caller']} {answer['caller_name']}".strip() or "a withheld number"
    if answer["erased"]:
        who = "somebody whose data was erased on request"
    yield f"  from {who} to {answer['dialled'] or 'nobody'}{_end(answer)}"
    if answer["callback"]:
        yield f"  an attempt of callback {answer['callback']}"
    if answer["session"]:
        yield f"  of the matter that began with contact {answer['session']}"
    if answer["data"]:
        yield "  data: " + ", ".join(f"{key} = {value}" for key, value in sorted(answer["data"].items()))
    yield "Its time:"
    for part in answer["segments"]:
        seconds = f"{part['ended'] - part['started']:8.3f} s" if part["ended"] is not None else "   going on"
        what = " ".join(filter(None, (part["queue"], part["agent"], part["outcome"])))
        yield f"  {seconds}  {part['kind']:<8}  {what}".rstrip()
    for one in answer["wrap_ups"]:
        seconds = f"{one['ended'] - one['started']:8.3f} s" if one["ended"] is not None else "   going on"
        yield f"  {seconds}  wrap-up   {one['queue']} {one['agent']}".rstrip()
    yield from _beside(answer)
    yield "Its steps:"
    for step in answer["journey"]:
        yield f"  {step['after']:8.3f} s  {step['text']}"


def _beside(answer: dict[str, Any]) -> Iterator[str]:
    """What belongs to it beside its time."""
    for one in answer["dials"]:
        cause = f" (cause {one['cause']})" if one["cause"] else ""
        yield f"  dialled: {one['number']} on {one['trunk']} as {one['purpose']}: {one['outcome'] or 'rings'}{cause}"
    for one in answer["transactions"]:
        amount = f" {one['amount']} {one['currency']}".rstrip()
        reference = f" ({one['reference']})" if one["reference"] else ""
        yield f"  transaction: {one['name']}{amount}{reference}: {one['outcome']}"
    for one in answer["recordings"]:
        gaps = ", ".join(sorted({gap["why"] for gap in one["gaps"]}))
        yield f"  recording: {one['id']}{f', with gaps: {gaps}' if gaps else ''}"


def _end(answer: dict[str, Any]) -> str:
    """How it ended, if it has."""
    if answer["ended"] is None:
        return ", is live"
    ended_by = f" by {answer['ended_by']}" if answer["ended_by"] else ""
    seconds = answer["ended"] - answer["arrived"]
    estimated = " (estimated: nobody saw its end)" if answer["end_estimated"] else ""
    disposition = f", disposition {answer['disposition']}" if answer["disposition"] else ""
    return f", {answer['outcome'] or 'without outcome'} after {seconds:.1f} s{ended_by}{estimated}{disposition}"
