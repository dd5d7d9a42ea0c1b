"""The routing of queues that was changed over the API."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE queue_edits (
            queue TEXT NOT NULL PRIMARY KEY,
            changed TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            changed_by TEXT NOT NULL
        )
        """
    )


def downgrade() -> None:
    """Drop it, with all that is in it."""
    op.execute("DROP TABLE queue_edits")
