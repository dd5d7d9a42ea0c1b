"""``easycall customer`` and ``easycall erase``: what is known of one customer, told and erased on request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from easycall.cli.asking import asked, of_the_api

if TYPE_CHECKING:
    from easycall.client import Client

__all__ = ["customer", "erase"]

PAGE = 50
WHAT = {
    "contacts": "records of contacts",
    "recordings": "recordings",
    "voicemails": "voice mails",
    "faxes": "faxes",
    "requests": "requests",
    "callbacks": "callbacks",
}


@click.command()
@click.argument("number")
@of_the_api
def customer(number: str, port: int, token: str) -> None:
    """Print everything that is known of the customer with a NUMBER, as JSON.

    The token needs the right admin.
    """
    click.echo(json.dumps(asked(port, token, lambda client: _known(client, number)), indent=2))


@click.command()
@click.argument("number")
@of_the_api
@click.option("--dry-run", is_flag=True, help="Say what there is, and erase nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(number: str, port: int, token: str, dry_run: bool, yes: bool) -> None:
    """Erase everything that is known of the customer with a NUMBER.

    Of each contact an anonymous record stays: its times, queues, agents and outcome.  The do-not-call list stays as it is.
    Broken off, it is run again.  The token needs the right admin.
    """

    async def ask(client: Client) -> dict[str, Any]:
        known = await _known(client, number)
        click.echo(f"{number}: {', '.join(_counts(_found(known)))}")
        if dry_run or not (yes or _confirmed()):
            return {}
        return await _erased(client, number)

    erased = asked(port, token, ask)
    click.echo(f"erased: {', '.join(_counts(erased))}" if erased else "nothing was erased")
    if not erased and not dry_run:
        raise click.exceptions.Exit(1)


def _confirmed() -> bool:
    try:
        return click.confirm("Erase all of it? It cannot be taken back.")
    except click.Abort:  # nobody is there to answer
        click.echo()
        return False


async def _known(client: Client, number: str) -> dict[str, Any]:
    """All pages in one.  Raises Refused, TimeoutError, ConnectError."""
    path = f"/api/v1/customers/{quote(number, safe='')}?limit={PAGE}"
    whole: dict[str, Any] = await client.get(path)
    following = whole.pop("next")
    while following:
        page = await client.get(f"{path}&after={quote(following, safe='')}")
        whole["contacts"] += page["contacts"]
        following = page["next"]
    return whole


async def _erased(client: Client, number: str) -> Counter[str]:
    """Piece by piece, to the end.  Raises Refused, TimeoutError, ConnectError."""
    erased: Counter[str] = Counter()
    done = False
    while not done:
        answer = await client.delete(f"/api/v1/customers/{quote(number, safe='')}")
        done = answer.pop("done")
        erased.update(answer)
    return erased


def _found(known: Mapping[str, Any]) -> dict[str, int]:
    recordings = sum(len(contact["recordings"]) for contact in known["contacts"])
    return {
        "contacts": len(known["contacts"]),
        "recordings": recordings,
        "voicemails": len(known["voicemails"]),
        "faxes": len(known["faxes"]),
        "callbacks": len(known["callbacks"]),
    }


def _counts(counts: Mapping[str, int]) -> Iterator[str]:
    return (f"{counts[what]} {words}" for what, words in WHAT.items() if what in counts)
