"""What `python -m scripts.bench_checkpoints` is made of: the random checkpoint, the loads and the tables."""
