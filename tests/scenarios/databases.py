"""The PostgreSQL of a scenario's daemon, which by itself has a SQLite file in its folder."""

from __future__ import annotations

from pathlib import Path

from easycall.store.postgres.address import Address

__all__ = ["keeps_in"]


def keeps_in(folder: Path, at: Address) -> None:
    """Let the daemon of this folder, when it starts the next time, have that database."""
    more = folder / "conf.d"
    more.mkdir(parents=True, exist_ok=True)
    secret = folder / "store.password"
    secret.touch(mode=0o600)
    secret.write_text(at.password, encoding="utf-8")
    (more / "store.toml").write_text(f'[store]\nurl = "{at.url}"\npassword_file = "{secret}"', encoding="utf-8")
