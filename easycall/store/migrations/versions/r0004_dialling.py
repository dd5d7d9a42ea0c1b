"""Numbers that are not called, and who dialled whom."""

from alembic import op

revision = "0004"
down_revision = "0003"

UP = (
    """
    CREATE TABLE do_not_call (
        number TEXT NOT NULL PRIMARY KEY,
        reason TEXT NOT NULL,
        added DOUBLE PRECISION NOT NULL,
        added_by TEXT NOT NULL
    )
    """,
    "ALTER TABLE contacts ADD COLUMN direction TEXT NOT NULL DEFAULT 'inbound'",
)


def upgrade() -> None:
    """Create the table and the column."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, with all that is in them."""
    op.execute("ALTER TABLE contacts DROP COLUMN direction")
    op.execute("DROP TABLE do_not_call")
