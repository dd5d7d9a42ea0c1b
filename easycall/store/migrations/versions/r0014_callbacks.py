"""Callbacks: who is called back for which queue, and what became of it."""

from alembic import op

revision = "0014"
down_revision = "0013"

UP = (
    """
    CREATE TABLE callbacks (
        id TEXT NOT NULL PRIMARY KEY,
        queue TEXT NOT NULL,
        number TEXT NOT NULL,
        source TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        due DOUBLE PRECISION NOT NULL,
        expires DOUBLE PRECISION NOT NULL,
        state TEXT NOT NULL,
        since DOUBLE PRECISION NOT NULL,
        contact TEXT NOT NULL,
        session TEXT NOT NULL,
        agent TEXT NOT NULL,
        name TEXT NOT NULL,
        zone TEXT NOT NULL,
        skills TEXT NOT NULL,
        priority_seconds DOUBLE PRECISION NOT NULL,
        reason TEXT NOT NULL,
        waited DOUBLE PRECISION NOT NULL,
        answers TEXT NOT NULL,
        data TEXT NOT NULL,
        created_by TEXT NOT NULL,
        attempts TEXT NOT NULL,
        escalated DOUBLE PRECISION NOT NULL,
        ended DOUBLE PRECISION NOT NULL,
        why TEXT NOT NULL
    )
    """,
    # Of a queue and a number one is open at most, whoever asks at once.
    "CREATE UNIQUE INDEX open_callbacks ON callbacks (queue, number) WHERE ended = 0",
    "CREATE INDEX callbacks_of_number ON callbacks (number, created)",
    "CREATE INDEX callbacks_of_queue ON callbacks (queue, id)",
    "CREATE INDEX callbacks_by_state ON callbacks (state, id)",
    "CREATE INDEX callbacks_by_end ON callbacks (ended, id)",
    "CREATE INDEX callbacks_of_session ON callbacks (session)",
    # Where a customer's number was told without a contact of the customer.
    "CREATE INDEX callbacks_asked ON events (at) WHERE kind = 'callback.asked'",
)


def upgrade() -> None:
    """Create the table and the indexes."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, with all that is in them."""
    op.execute("DROP INDEX callbacks_asked")
    op.execute("DROP TABLE callbacks")
