"""The command line of ``twistd easycall``: the configuration and its flows are read, or every fault in them is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.python import usage

from easycall.config import Config, ConfigError, load
from easycall.ivr import library
from easycall.ivr.nodes import Flow, FlowError

__all__ = ["Options"]

DEFAULT_FILE = "/etc/easycall/easycall.toml"


class Options(usage.Options):
    """The command line of ``twistd easycall``."""

    synopsis = "[options]"
    longdesc = "A contact centre on top of Asterisk.  See etc/easycall.toml for every option of the configuration."
    optParameters = [["config", "c", DEFAULT_FILE, "The configuration file."]]  # noqa: RUF012 - twistd's own form

    config: Config
    flows: dict[str, Flow]

    def opt_check(self, path: str) -> None:
        """Check this configuration file and its flows, say what is wrong with them, and start nothing."""
        self._read(path)
        print(f"{path}: all right")  # noqa: T201 - the answer of the command
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the configuration."""
        self._read(self["config"])

    def _read(self, path: str) -> None:
        """Read the configuration and its flows; ends with status 1 and every fault on standard error.

        (Not by UsageError: twistd would print its own options above the faults.)
        """
        wrong: list[Exception] = []
        try:
            self.config = load(Path(path), os.environ)
        except ConfigError as error:
            wrong.append(error)
            self.config = error.readable
        try:
            if self.config and (not wrong or self.config.flows_directory.is_dir()):
                self.flows = library.flows_of(self.config)
        except FlowError as error:
            wrong.append(error)
        if wrong:
            sys.exit("\n".join(map(str, wrong)))
