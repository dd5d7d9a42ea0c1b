"""What belongs to a contact beside its segments: nodes of flows, offers, wrap-ups, transactions."""

from alembic import op

revision = "0012"
down_revision = "0011"

UP = (
    "ALTER TABLE contacts ADD COLUMN nodes TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE contacts ADD COLUMN offers TEXT NOT NULL DEFAULT '[]'",
    # Without foreign keys: both may be there before the row of their contact, which is written when that has ended.
    """
    CREATE TABLE wrap_ups (
        seq BIGINT NOT NULL PRIMARY KEY,
        contact TEXT NOT NULL,
        agent TEXT NOT NULL,
        queue TEXT NOT NULL,
        started DOUBLE PRECISION NOT NULL,
        ended DOUBLE PRECISION NOT NULL
    )
    """,
    "CREATE INDEX wrap_ups_of_contact ON wrap_ups (contact, seq)",
    """
    CREATE TABLE transactions (
        seq BIGINT NOT NULL PRIMARY KEY,
        contact TEXT NOT NULL,
        at DOUBLE PRECISION NOT NULL,
        name TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reference TEXT NOT NULL,
        amount TEXT NOT NULL,
        currency TEXT NOT NULL,
        agent TEXT NOT NULL,
        data TEXT NOT NULL,
        node TEXT NOT NULL,
        reported_by TEXT NOT NULL
    )
    """,
    "CREATE INDEX transactions_of_contact ON transactions (contact, seq)",
)


def upgrade() -> None:
    """Make the columns and tables."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, with all that is in them."""
    for table in ("transactions", "wrap_ups"):
        op.execute(f"DROP TABLE {table}")
    for column in ("offers", "nodes"):
        op.execute(f"ALTER TABLE contacts DROP COLUMN {column}")
