"""The history of the tables, numbered and append-only. `conversations/database.py` runs it when a store is
opened."""
