"""What `python -m scripts.bench_training` measures: our trainer beside a plain one of transformers, in processes."""
