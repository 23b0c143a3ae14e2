"""A small process that does what a trainer does as far as a page can tell: config in, status out, a checkpoint when
it is told to end. What it is to do stands in the file `orders` of its folder: `run` until told to end, `ignore` being
told, `save` until there is a file `saved`, `finish`, or `crash`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    orders = folder / "orders"
    told = (orders if orders.exists() else folder.parent / "orders").read_text().strip()
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)))

    def say(phase: str, words: str, step: int) -> None:
        fresh = folder / ".status"
        fresh.write_text(json.dumps({"phase": phase, "words": words, "step": step, "num_steps": 100}))
        fresh.replace(folder / "status.json")

    def end(number: int, frame: object) -> None:
        if told == "ignore":
            print("told to end, and going on", flush=True)
            return
        if told == "save":
            while not (folder / "saved").exists():
                time.sleep(0.02)
        checkpoint = folder / "checkpoint-7"
        checkpoint.mkdir(exist_ok=True)
        (checkpoint / "complete").touch()
        say("stopped", "Stopped at step 7 of 100.", 7)
        sys.exit(3)

    signal.signal(signal.SIGTERM, end)
    print(f"begins with {told}", flush=True)
    if told == "finish":
        say("done", "Trained 100 steps.", 100)
        sys.exit(0)
    if told == "crash":
        raise ValueError("no such thing as a loss")
    if told == "save":
        say("saving", "Saving checkpoint-7", 7)
    else:
        say("training", "Training", 1)
    ends = time.monotonic() + 300  # nothing is left behind by a test that failed
    while time.monotonic() < ends:
        time.sleep(0.05)
