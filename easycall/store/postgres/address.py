"""Where a PostgreSQL database is, and in which words libpq is told."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg2
from attrs import field, frozen

__all__ = ["LOCK", "STATEMENT_SECONDS", "Address", "mends_itself", "refusal"]

LOCK = int.from_bytes(b"easycall", "big")
"""The advisory lock that one daemon, or one ``easycall db`` command, holds in its database."""

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 2.5
"""How long one statement may run; PostgreSQL itself ends it then."""

LOCK_SECONDS = 2.0
"""How long a statement waits for a lock."""


@frozen
class Address:
    """A database and who asks it.  As text it is the URL, in which no password stands."""

    url: str
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def host(self) -> str:
        """The name that must be looked up before connecting; empty for an address or a socket on this machine."""
        parts = urlsplit(self.url)
        host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
        return "" if not host or host.startswith(("/", "@")) or ":" in host or host.replace(".", "").isdigit() else host

    @property
    def names(self) -> tuple[str, ...]:
        """The user and the database, if the URL gives them."""
        parts = urlsplit(self.url)
        return tuple(unquote(name) for name in (parts.username, parts.path.lstrip("/")) if name)

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.url).port or 5432

    def wanted(self, *, limit_statements: bool = True) -> dict[str, Any]:
        """What libpq is told beside the URL: the password, and that neither side waits for ever for the other."""
        settings = {
            "lock_timeout": int(LOCK_SECONDS * 1000),
            "statement_timeout": int(STATEMENT_SECONDS * 1000) if limit_statements else 0,
            "idle_in_transaction_session_timeout": 60_000,
            # The server's own default finds a client that vanished after two hours; until then its lock is held.
            "tcp_keepalives_idle": 10,
            "tcp_keepalives_interval": 5,
            "tcp_keepalives_count": 3,
        }
        given: dict[str, Any] = {
            "application_name": "easycall",
            "client_encoding": "UTF8",
            "connect_timeout": CONNECT_SECONDS,  # of the blocking connection only: libpq ignores it otherwise
            "gssencmode": "disable",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        }
        return {**given, "password": self.password} if self.password else given

    def connect(self) -> Any:
        """A psycopg2 connection that blocks, whose statements may take as long as they need.  For a thread or a command."""
        return psycopg2.connect(self.url, **self.wanted(limit_statements=False))


def refusal(why: BaseException) -> str:
    """What PostgreSQL or libpq said, without what may quote values: its first line only."""
    return str(why).partition("\n")[0].strip() or type(why).__name__


_WRONG = (
    "authentication failed",
    "does not exist",
    "does not support ssl",
    "no password supplied",
    "certificate",
    "permission denied",
    "invalid",
    "encryption",
    "pg_hba.conf",
)
"""What libpq and servers say of what only the operator can mend, beside the names."""

_QUOTES = (('"', '"'), ("'", "'"), ("«", "»"), ("„", "“"), ("“", "”"), ("»", "«"))

_FULL = "too many connections"
"""It is said with the name of the user or the database, too."""


def mends_itself(trouble: str, address: Address) -> bool:
    """Whether a connection that could not be made may well be made later, with nothing changed.  Pure.

    libpq gives the server's words and no code, and servers speak many languages; but one that objects to who we are or what
    we want names it, and one that starts, stops, is full or is not there does not.
    """
    said = trouble.partition(" failed: ")[2] or trouble
    if _FULL in said:
        return True
    named = any(f"{before}{name}{after}" in said for name in address.names for before, after in _QUOTES)
    return not named and not any(word in said.lower() for word in _WRONG)
