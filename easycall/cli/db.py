"""``easycall db``: the database of a site, while its daemon is stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from easycall.cli.config_file import config_file

if TYPE_CHECKING:
    from easycall.store.carrying import Carried
    from easycall.store.moving import Moved, Tell
    from easycall.store.upkeep import Place

__all__ = ["db"]


@click.group()
@config_file
@click.pass_context
def db(context: click.Context, file: Path) -> None:
    """Look after the database, and move it from SQLite to PostgreSQL or back.

    Run it as the user of the daemon.  Stop the daemon before anything but check and export.
    """
    context.obj = file


@db.command()
@click.pass_obj
def check(file: Path) -> None:
    """Say whether the database is of this easycall's version, and an SQLite file undamaged.  Status 1: it is not."""
    place = _place(file)
    with _in_words():
        version = place.check()
    click.echo(f"database {place}: version {version}, as this easycall wants it")


@db.command()
@click.pass_obj
def upgrade(file: Path) -> None:
    """Bring the database to this easycall's version, as the daemon does when it starts.

    An SQLite file is copied beside itself before.
    """
    place = _place(file)
    with _in_words():
        moved = place.upgrade()
        after = place.check()
    _tell_copy(moved.copy)
    was = f", was {moved.before or 'empty'}" if after != moved.before else " already"
    click.echo(f"database {place}: version {after}{was}")
    _tell_carried(moved.carried)


@db.command()
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def downgrade(file: Path, version: str, yes: bool) -> None:
    """Bring the database to an older VERSION, for an older easycall.

    What the older version has no place for is lost.  An SQLite file is copied beside itself before; of a PostgreSQL database
    make a copy with pg_dump.
    """
    place = _place(file)
    if not yes:
        click.confirm(f"database {place}: what version {version} has no place for is lost.  Go on?", abort=True)
    with _in_words():
        moved = place.downgrade(version)
    _tell_copy(moved.copy)
    click.echo(f"database {place}: version {version}, was {moved.before or 'empty'}")
    _tell_carried(moved.carried)


@db.command()
@click.pass_obj
def rebuild(file: Path) -> None:
    """Make a damaged SQLite file anew, of what can be read of it and of the journal's files.

    The damaged file is kept beside it.  What is lost is said.
    """
    from easycall.store.rebuilding import rebuild as rebuild_file

    place = _place(file)
    if place.file is None or place.journal is None:
        raise click.ClickException(f"database {place}: that is for SQLite; of PostgreSQL restore a copy")
    with _in_words():
        done = rebuild_file(place.file, place.journal, place.known_by)
        place.check()
    for table, rows in done.rows.items():
        click.echo(f"{rows:>12,} {table}")
    for lost in done.lost:
        click.echo(f"lost: {lost}")
    _tell_carried(done.carried)
    if done.recorded:
        click.echo(f"{done.recorded:,} records that were missing were made of their contacts' events")
    if done.listed:
        click.echo(f"{done.listed:,} numbers are on the do-not-call list again, as the journal tells of them")
    click.echo(f"database {place}: rebuilt{', with losses' if done.lost else ''}; the damaged file is {done.kept}")


@db.command("export")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def export(file: Path, target: Path) -> None:
    """Write everything in the database into FILE (gzip): to move it, or as a backup.

    What a running daemon writes meanwhile is not in it.
    """
    from easycall.store.moving import export_to

    place = _place(file)
    with _in_words(), _progress() as tell:
        moved = export_to(target, place, tell)
    _tell_moved(moved, f"from database {place} into {target}")


@db.command("import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def import_(file: Path, source: Path) -> None:
    """Fill an empty database from FILE, which easycall db export wrote: all of it, or nothing."""
    from easycall.store.moving import import_from

    place = _place(file)
    with _in_words(), _progress() as tell:
        moved = import_from(source, place, tell)
    _tell_moved(moved, f"from {source} into database {place}")
    _tell_carried(moved.carried)


def _place(file: Path) -> Place:
    """The database of a configuration.  Raises ClickException."""
    from easycall.acd.numbers import known_number
    from easycall.config import ConfigError, load
    from easycall.store.upkeep import Place

    try:
        config = load(file, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    known_by = partial(known_number, settings=config.dialing)
    return Place(config.store_url, config.store_password, config.data / "journal", known_by)


@contextmanager
def _in_words() -> Iterator[None]:
    from easycall.ports import StoreUnavailable
    from easycall.store.moving import NotMoved

    try:
        yield
    except (StoreUnavailable, NotMoved) as why:
        raise click.ClickException(str(why)) from why


def _tell_carried(carried: Carried) -> None:
    if carried.events:
        click.echo(f"{carried.events:,} events and {carried.records:,} records were carried over from the journal's files")
    if carried.strange:
        click.echo(
            f"{carried.strange:,} events in the journal's files are of a newer easycall: they are in none of its tables"
        )


def _tell_copy(copy: Path | None) -> None:
    if copy is not None:
        click.echo(f"it was copied before: {copy}")


def _tell_moved(moved: Moved, way: str) -> None:
    for table, rows in moved.rows.items():
        click.echo(f"{rows:>12,} {table}")
    click.echo(f"{sum(moved.rows.values()):>12,} rows {way}")


@contextmanager
def _progress() -> Iterator[Tell]:
    """A line on standard error that goes away; nothing into a file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda table, done, total: None
        return
    columns: list[Any] = [TextColumn("{task.description:<16}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda table, done, total: bar.update(task, description=table, completed=done, total=total)
