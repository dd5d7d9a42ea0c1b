"""``easycall``: the command's root, where the subcommands are joined."""

from __future__ import annotations

import click

from easycall.cli.acd import acd
from easycall.cli.callback import callback
from easycall.cli.contact import contact
from easycall.cli.customer import customer, erase
from easycall.cli.db import db
from easycall.cli.demo import demo
from easycall.cli.doctor import doctor
from easycall.cli.lab import lab
from easycall.cli.sim import sim
from easycall.cli.why import why

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="easycall")
def cli() -> None:
    """The tools around the easycall daemon (which is started with `twistd easycall`)."""


cli.add_command(acd)
cli.add_command(callback)
cli.add_command(contact)
cli.add_command(customer)
cli.add_command(db)
cli.add_command(demo)
cli.add_command(doctor)
cli.add_command(erase)
cli.add_command(lab)
cli.add_command(sim)
cli.add_command(why)
