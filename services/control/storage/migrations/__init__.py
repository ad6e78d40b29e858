"""How the database came to its present form, step by step; alembic runs what is missing at every start."""
