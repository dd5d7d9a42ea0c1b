"""Edges to the database: the connection, the schema's migrations, and the named SQL of each noun."""
