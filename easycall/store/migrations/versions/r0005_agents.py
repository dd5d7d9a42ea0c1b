"""What agents said came of contacts, and the queues and skills of agents that were changed over the API."""

from alembic import op

revision = "0005"
down_revision = "0004"

UP = (
    """
    CREATE TABLE agent_profiles (
        agent TEXT NOT NULL PRIMARY KEY,
        queues TEXT NOT NULL,
        skills TEXT NOT NULL,
        changed DOUBLE PRECISION NOT NULL,
        changed_by TEXT NOT NULL
    )
    """,
    "ALTER TABLE contacts ADD COLUMN disposition TEXT NOT NULL DEFAULT ''",
)


def upgrade() -> None:
    """Create the table and the column."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, with all that is in them."""
    op.execute("ALTER TABLE contacts DROP COLUMN disposition")
    op.execute("DROP TABLE agent_profiles")
