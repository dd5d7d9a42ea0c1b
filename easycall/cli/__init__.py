"""The ``easycall`` command: one module per group of subcommands, joined in :mod:`easycall.cli.main`."""
