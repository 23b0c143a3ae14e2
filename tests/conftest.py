"""What holds for every test: nothing here reaches out to the network, also when pytest is started by hand."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# No deadline and no look at the clock: on a busy machine one example may wait for seconds, and the first one loads a
# vocabulary. The quick examples are the same each time, so that whether a change passes is not drawn; the thorough ones
# are others each time, to find what nobody thought of.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=50, derandomize=True, **UNTIMED)
settings.register_profile("thorough", max_examples=1000, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "quick")
