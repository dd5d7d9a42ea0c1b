"""The number a customer is known by, to find the last talk with it."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column, with the numbers as they were shown, and its index."""
    op.execute("ALTER TABLE contacts ADD COLUMN customer TEXT NOT NULL DEFAULT ''")
    op.execute("UPDATE contacts SET customer = CASE direction WHEN 'outbound' THEN dialled ELSE caller END")
    op.execute("CREATE INDEX contacts_of_customer ON contacts (customer, ended)")


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP INDEX contacts_of_customer")
    op.execute("ALTER TABLE contacts DROP COLUMN customer")
