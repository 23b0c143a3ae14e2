"""The parts of scripts/bench_store.py: the log that it makes up, and what it measures on it."""
