"""What alembic runs around each migration: it uses the connection, and the transaction, it was given."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
