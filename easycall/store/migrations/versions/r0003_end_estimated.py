"""Whether the end of a contact was seen, or found out later."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE contacts ADD COLUMN end_estimated INTEGER NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE contacts DROP COLUMN end_estimated")
