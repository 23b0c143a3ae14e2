"""What holds for every test: nothing here reaches out to the network, also when pytest is started by hand."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# No deadline: on a busy machine one example may wait for seconds, and the first one loads a vocabulary.
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "quick")
