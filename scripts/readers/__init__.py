"""One program a trainer that is run in that trainer's own environment (scripts/test_readers.py)."""
