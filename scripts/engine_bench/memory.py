"""The row about memory: what the engine takes beside the imports, the weights and the cache itself."""

from __future__ import annotations

import json
import subprocess
import sys

from scripts.engine_bench.bench import Bench
from scripts.engine_bench.process import ROOT
from scripts.engine_bench.row import Bar, Row


def resident(bench: Bench) -> Row:
    """In a process of its own: the highest resident set with all slots full, less what must be there."""
    plan = bench.plan
    command = [sys.executable, "-m", "scripts.engine_bench.memory_program", str(bench.folder)]
    tokens = min(plan.slot_tokens, bench.loaded.context_tokens)
    command += [str(plan.num_streams), str(tokens), str(plan.answer_tokens // 2)]
    what = f"resident memory at {plan.num_streams} slots of {tokens} tokens beyond imports, weights and cache"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return Row.left_out(what, "–", " ".join(done.stderr.split())[-300:])
    numbers = {name: value / 1e6 for name, value in json.loads(done.stdout.splitlines()[-1]).items()}
    beyond = numbers["peak"] - numbers["imports"] - numbers["weights"] - numbers["cache"]
    note = "of {peak:.0f} MB in all; imports {imports:.0f}, weights {weights:.0f}, cache {cache:.0f}".format(
        **numbers
    )
    return Row(what, "–", f"{beyond:.0f} MB", "", beyond, bar=Bar(400.0, 200.0, most=True), note=note)
