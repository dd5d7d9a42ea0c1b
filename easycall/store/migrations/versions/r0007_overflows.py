"""The queues that did not keep a contact."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE contacts ADD COLUMN overflows TEXT NOT NULL DEFAULT '[]'")


def downgrade() -> None:
    """Drop it, with all that is in it."""
    op.execute("ALTER TABLE contacts DROP COLUMN overflows")
