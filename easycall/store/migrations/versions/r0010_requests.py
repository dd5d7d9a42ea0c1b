"""What is asked of agents without a call, and what kind each contact was."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table and the column."""
    op.execute(
        """
        CREATE TABLE requests (
            id TEXT PRIMARY KEY,
            channel TEXT NOT NULL,
            queue TEXT NOT NULL,
            since DOUBLE PRECISION NOT NULL,
            created DOUBLE PRECISION NOT NULL,
            number TEXT NOT NULL,
            address TEXT NOT NULL,
            name TEXT NOT NULL,
            skills TEXT NOT NULL,
            priority_seconds DOUBLE PRECISION NOT NULL,
            data TEXT NOT NULL,
            about TEXT NOT NULL,
            created_by TEXT NOT NULL
        )
        """
    )
    op.execute("ALTER TABLE contacts ADD COLUMN channel TEXT NOT NULL DEFAULT 'call'")


def downgrade() -> None:
    """Drop them, with all that is in them."""
    op.execute("ALTER TABLE contacts DROP COLUMN channel")
    op.execute("DROP TABLE requests")
