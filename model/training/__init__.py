"""Training: one frozen config, recipes, data, network, trainer, and the folder through which a run is watched.

`config`, `recipes`, `run_folder` and `status` import no torch: the page reads and writes them too.
"""
