"""Which contacts are anonymous on request; and the recordings whose sound is kept are found without passing the others."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the column, and the index: of those that have a file only."""
    op.execute("ALTER TABLE contacts ADD COLUMN erased INTEGER NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX recordings_with_sound ON recordings (started, id) WHERE file <> ''")


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP INDEX recordings_with_sound")
    op.execute("ALTER TABLE contacts DROP COLUMN erased")
