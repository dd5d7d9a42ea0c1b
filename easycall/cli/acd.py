"""``easycall acd``: what the distribution of contacts did, and would have done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from easycall.cli.config_file import config_file

if TYPE_CHECKING:
    from easycall.acd.replay.comparison import Account, Rules
    from easycall.acd.replay.day import Day
    from easycall.config import Config

__all__ = ["acd"]

MOMENTS = [f"%Y-%m-%d{clock}{zone}" for clock in ("", "T%H:%M", " %H:%M", "T%H:%M:%S") for zone in ("", "%z")]
MOST_DAYS = 7
LEAD_SECONDS = 86_400.0
"""So long before the first moment is read what agents are then."""
TAIL_SECONDS = (3_600.0, 14_400.0)
"""So long after the last moment is read what agents are then: at least, and at most while anybody of the day is not done."""
PERCENT = 100

Tell = Callable[[str, float], None]
"""What is done, and which share of it."""


@click.group()
def acd() -> None:
    """Who got whom, and who would have."""


@acd.command()
@config_file
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A TOML file with what is different: [queues.ID] and [agents.ID].",
)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="The day, in this machine's time zone.")
@click.option(
    "--from", "begins", type=click.DateTime(MOMENTS), metavar="MOMENT", help="Or from this moment, such as 2026-11-20T08:00,"
)
@click.option("--to", "ends", type=click.DateTime(MOMENTS), metavar="MOMENT", help="up to this one.")
@click.option(
    "--seconds", default=20.0, show_default=True, type=click.FloatRange(0), help="The threshold of the service level."
)
@click.option("--runs", default=1, show_default=True, type=click.IntRange(1, 1000), help="Replay so often, and average.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same patience again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and no progress.")
def replay(
    file: Path,
    policy: Path | None,
    day: datetime | None,
    begins: datetime | None,
    ends: datetime | None,
    seconds: float,
    runs: int,
    seed: int,
    as_json: bool,
) -> None:
    """Let a day of the journal pass again, under the queues of the configuration and of another policy.

    The same contacts come at the same moments and the same agents are there; who gets whom is decided anew, by the code
    that the daemon decides with.  The table shows what really happened beside it.  The database is only read: the daemon
    may run.
    """
    from easycall.acd.replay.comparison import compare, unconfigured

    first, end = _span(day, begins, ends)
    config = _configuration(file)
    rules = _rules(config, policy)
    with _progress(quiet=as_json) as tell:
        known = _read(config, first.timestamp(), end.timestamp(), tell)
        accounts = compare(
            known,
            rules,
            lambda run: Random(f"{seed} {run}").random,  # noqa: S311 - patience, no secrets
            threshold=seconds,
            runs=runs,
            tell=lambda share: tell("replaying", share),
        )
    notes = unconfigured(known, rules[0], config.agents)
    heading = {
        "from": first.isoformat(),
        "to": end.isoformat(),
        "seconds": seconds,
        "runs": runs,
        "seed": seed,
        "stays": sum(not stay.carried for stay in known.stays),
        "notes": notes,
    }
    if as_json:
        click.echo(json.dumps({**heading, **_plain(accounts, seconds)}, indent=2))
    else:
        from easycall.cli.comparison import show

        show(accounts, heading)


def _span(day: datetime | None, begins: datetime | None, ends: datetime | None) -> tuple[datetime, datetime]:
    """From when to when.  Raises UsageError."""
    if (day is None) == (begins is None and ends is None):
        raise click.UsageError("say which time: either --day 2026-11-20, or --from and --to")
    if day is not None:
        begins, ends = day, day + timedelta(days=1)
    if begins is None or ends is None:
        raise click.UsageError("--from and --to belong together: give both")
    first, end = begins.astimezone(), ends.astimezone()
    if not first < end:
        raise click.UsageError(f"--to {ends} must be later than --from {begins}")
    if end - first > timedelta(days=MOST_DAYS, hours=1):
        raise click.UsageError(f"that is more than {MOST_DAYS} days: replay them a day or a week at a time")
    return first, end


def _configuration(file: Path) -> Config:
    from easycall.config import ConfigError, load

    try:
        return load(file, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _rules(config: Config, policy: Path | None) -> list[Rules]:
    """Those of the configuration, and of the other policy if there is one.  Raises ClickException."""
    from easycall.acd.replay.comparison import AS_CONFIGURED, Rules
    from easycall.acd.replay.desk import Changed
    from easycall.config import ConfigError
    from easycall.config.variant import read_variant

    configured = Rules(AS_CONFIGURED, {queue.id: queue.routing for queue in config.queues.values()})
    if policy is None:
        return [configured]
    try:
        variant = read_variant(policy, config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    changed = {agent: Changed(**given) for agent, given in variant.agents.items()}
    return [configured, Rules(policy.name, {**configured.queues, **variant.queues}, changed)]


def _read(config: Config, first: float, end: float, tell: Tell) -> Day:
    """The day as the journal tells it.  Raises ClickException."""
    from easycall.acd.replay.recount import READ, Recount
    from easycall.acd.staff import REFUSED_SECONDS
    from easycall.policy import Channel
    from easycall.ports import StoreUnavailable
    from easycall.store.past import Past

    skills = {agent.id: agent.skills for agent in config.agents.values()}
    beside = {agent: config.capacity(agent).beside.get(Channel.CALL, frozenset()) for agent in config.agents}
    recount = Recount(first, end, skills, REFUSED_SECONDS, beside=beside)
    try:
        with Past.of(config.store_url, config.store_password) as past:
            for event in past.assigned_before(first - LEAD_SECONDS):
                recount.take(event)
            begins = first - LEAD_SECONDS
            for event in past.events(begins, end, READ):
                recount.take(event)
                tell("reading", (event.at - begins) / (end - begins))
            for event in past.events(end, end + TAIL_SECONDS[1], READ):
                if recount.settled and event.at > end + TAIL_SECONDS[0]:
                    break
                recount.take(event)
            extent = past.extent()
    except StoreUnavailable as why:
        raise click.ClickException(str(why)) from why
    day = recount.day()
    if all(stay.carried for stay in day.stays):
        raise click.ClickException(_nothing(first, end, extent))
    return day


def _nothing(first: float, end: float, extent: tuple[float, float] | None) -> str:
    known = f"it has events from {_clock(extent[0])} to {_clock(extent[1])}" if extent else "it has no events at all"
    return f"no contact came to a queue from {_clock(first)} to {_clock(end)}; {known}: see --day, --from and --to"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"


def _plain(accounts: Sequence[Account], seconds: float) -> dict[str, Any]:
    """For a program."""
    from attrs import asdict

    from easycall.acd.replay.figures import FORMULAS, TOTAL

    def told(account: Account) -> Mapping[str, Any]:
        queues = {queue: asdict(figures) for queue, figures in account.queues.items()}
        agents = {agent: asdict(figures) for agent, figures in account.agents.items()}
        return {"name": account.name, "total": queues.pop(TOTAL), "queues": queues, "agents": agents}

    formulas = {name: formula.format(seconds=seconds) for name, formula in FORMULAS.items()}
    return {"formulas": formulas, "accounts": list(map(told, accounts))}


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Tell]:
    """A line on standard error that goes away; nothing for a program or into a file."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda doing, share: None
        return
    with Progress(
        TextColumn("{task.description:<9}"), BarColumn(20), TaskProgressColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("reading", total=1.0)
        shown = ("", -1)

        def tell(doing: str, share: float) -> None:
            nonlocal shown
            if shown != (doing, int(PERCENT * share)):
                shown = doing, int(PERCENT * share)
                bar.update(task, description=doing, completed=share)

        yield tell
