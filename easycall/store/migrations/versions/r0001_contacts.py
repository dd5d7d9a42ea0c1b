"""Events, contacts and their segments."""

from alembic import op

revision = "0001"
down_revision = None

UP = (
    """
    CREATE TABLE events (
        seq BIGINT NOT NULL PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        kind TEXT NOT NULL,
        contact TEXT NOT NULL,
        agent TEXT NOT NULL,
        body TEXT NOT NULL
    )
    """,
    "CREATE INDEX events_of_contact ON events (contact, seq)",
    """
    CREATE TABLE contacts (
        id TEXT NOT NULL PRIMARY KEY,
        pbx TEXT NOT NULL,
        caller TEXT NOT NULL,
        caller_name TEXT NOT NULL,
        dialled TEXT NOT NULL,
        arrived DOUBLE PRECISION NOT NULL,
        ended DOUBLE PRECISION NOT NULL,
        outcome TEXT NOT NULL,
        ended_by TEXT NOT NULL,
        queue TEXT NOT NULL,
        agent TEXT NOT NULL,
        waited DOUBLE PRECISION NOT NULL,
        talked DOUBLE PRECISION NOT NULL,
        answers TEXT NOT NULL,
        data TEXT NOT NULL
    )
    """,
    "CREATE INDEX contacts_by_arrival ON contacts (arrived, id)",
    """
    CREATE TABLE segments (
        contact TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        kind TEXT NOT NULL,
        started DOUBLE PRECISION NOT NULL,
        ended DOUBLE PRECISION NOT NULL,
        agent TEXT NOT NULL,
        queue TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        PRIMARY KEY (contact, position)
    )
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, with all that is in them."""
    for table in ("segments", "contacts", "events"):
        op.execute(f"DROP TABLE {table}")
