"""Recordings of contacts."""

from alembic import op

revision = "0002"
down_revision = "0001"

UP = (
    # Without a foreign key: a recording is there before the row of its contact, which is written when that has ended.
    """
    CREATE TABLE recordings (
        id TEXT NOT NULL PRIMARY KEY,
        contact TEXT NOT NULL,
        file TEXT NOT NULL,
        started DOUBLE PRECISION NOT NULL,
        ended DOUBLE PRECISION,
        gaps TEXT NOT NULL
    )
    """,
    "CREATE INDEX recordings_of_contact ON recordings (contact, started)",
    "CREATE INDEX recordings_by_start ON recordings (started, id)",
)


def upgrade() -> None:
    """Create the table."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop it, with all that is in it; the files stay."""
    op.execute("DROP TABLE recordings")
