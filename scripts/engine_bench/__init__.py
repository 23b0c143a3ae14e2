"""What `python -m scripts.bench_engine` is made of: the models, the peers, the clock and the rows.

Every row compares our engine with a peer in one process tree, by turns, so that what disturbs one disturbs both.
"""
