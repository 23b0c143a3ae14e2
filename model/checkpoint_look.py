"""A look at a model before the running one is ended for it: python -m model.checkpoint_look --model FOLDER-OR-NAME

Fetches what is on the Hub, recognises it, opens its files, and asks whether it will fit into the memory once the
process --freed-by has ended. Nothing is loaded. It tells what it does and how it ended on its standard output, a JSON
object a line: {"fraction", "words"} while it fetches, and at its end {"fits": true} or {"failed": why}.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence

_log = logging.getLogger("model.checkpoint_look")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 where it can be loaded, else 1."""
    flags = _flags(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    if flags.exit_with_parent:
        threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    try:
        _look(flags)
    except Exception as error:  # noqa: BLE001 - the process' edge: every cause must reach the page in words
        _log.warning("%s cannot be loaded: %s", flags.model, error)
        _tell(failed=f"{error}" or type(error).__name__)
        return 1
    _tell(fits=True)
    return 0


def _look(flags: argparse.Namespace) -> None:
    from model.checkpoint.hub import Hub
    from model.checkpoint.look import look
    from model.checkpoint.placement import choose_device_map
    from model.checkpoint.quantisation import choose_quantize
    from model.device import choose_device, choose_dtype

    device = choose_device(flags.device)
    dtype, quantize = choose_dtype(flags.dtype, device), choose_quantize(flags.quantize, device)
    choose_device_map(flags.device_map)
    looked = look(
        flags.model,
        model_base=flags.model_base,
        adapter=flags.adapter,
        vision_tower=flags.vision_tower,
        template=flags.template,
        hub=Hub(on_download=lambda told: _tell(fraction=told.fraction, words=told.words)),
    )
    looked.check_weights()
    looked.place(device, dtype, quantize, flags.device_map, freed_by=flags.freed_by)


def _tell(**told: object) -> None:
    print(json.dumps(told), flush=True)


def _watch_parent() -> None:
    """Ends this process when standard input ends, which it does when the parent dies."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


def _flags(argv: Sequence[str] | None) -> argparse.Namespace:
    """Those of model/worker.py that say what is loaded and where."""
    parser = argparse.ArgumentParser(prog="python -m model.checkpoint_look", description=__doc__)
    parser.add_argument("--model", required=True, help="folder of the checkpoint, or its name on the Hub")
    for flag in ("--model-base", "--adapter", "--vision-tower", "--template"):
        parser.add_argument(flag, help="as the worker's")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--quantize", default="none", help="none, 8bit or 4bit")
    parser.add_argument(
        "--device", default=os.environ.get("LLAVA_LOOP_DEVICE") or "auto", help="auto, cpu, ..."
    )
    parser.add_argument("--device-map", default="none", help="none or auto")
    parser.add_argument("--freed-by", type=int, help="the process that is ended for this model")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
