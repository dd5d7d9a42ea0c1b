"""What stands open is found without reading all events."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the indexes, of these kinds of event only."""
    op.execute("CREATE INDEX arrivals ON events (at, contact) WHERE kind = 'contact.arrived'")
    op.execute("CREATE INDEX events_of_agents ON events (seq) WHERE kind IN ('agent.changed', 'agent.assigned')")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX events_of_agents")
    op.execute("DROP INDEX arrivals")
