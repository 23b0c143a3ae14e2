"""Write a model in another program's layout: python -m scripts.convert_checkpoint --to llava-hf OUT --model FOLDER

    llava-hf   for transformers, vLLM and all that read llava-hf's checkpoints
    original   for LLaVA's own code (haotian-liu/LLaVA)
    delta      what must be added to --base, for weights whose licence forbids to pass on the base
    merged     this project's own layout, whole: what an adapter, a delta or a projector adds up to

The weights keep their number format unless --dtype says otherwise. See docs/converting.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYOUTS = ("llava-hf", "original", "delta", "merged")
DTYPES = ("stored", "float32", "bfloat16", "float16")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one sentence on what is wrong."""
    arguments = _arguments(argv)
    from model.checkpoint.terminal import told_in_terminal
    from model.checkpoint_errors import CheckpointError

    try:
        with told_in_terminal():
            convert(arguments)
    except (CheckpointError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def convert(arguments: argparse.Namespace) -> None:
    """Read, write beside, put in place, say what was done. Raises CheckpointError, OSError."""
    from model.checkpoint.hub import Hub
    from model.checkpoint_export.delta import write_delta
    from model.checkpoint_export.llava_hf import write_llava_hf
    from model.checkpoint_export.merged import write_merged
    from model.checkpoint_export.new_folder import ExportError, check_place, new_folder
    from model.checkpoint_export.original import write_original
    from model.checkpoint_export.source import Source

    if (arguments.to == "delta") != (arguments.base is not None):
        raise ExportError(
            "A delta is the difference to a base, and nothing else is: give --base with --to delta alone. What "
            "completes a partial --model is named by --model-base."
        )
    check_place(arguments.out, arguments.overwrite)  # before minutes are spent on reading
    source = Source.read(
        arguments.model,
        model_base=arguments.model_base,
        adapter=arguments.adapter,
        vision_tower=arguments.vision_tower,
        template=arguments.template,
        dtype=arguments.dtype,
        max_shard_bytes=int(arguments.max_shard_gb * 1e9),
    )
    said = [f"Wrote {source.loaded.name} as {arguments.to} to {arguments.out}."]
    with new_folder(arguments.out, num_bytes=source.num_bytes, overwrite=arguments.overwrite) as folder:
        if arguments.to == "llava-hf":
            write_llava_hf(folder, source)
        elif arguments.to == "original":
            write_original(folder, source)
        elif arguments.to == "delta":
            said.append(str(write_delta(folder, source, Hub().fetch(arguments.base))))
        else:
            write_merged(folder, source)
    if arguments.to in ("original", "delta"):
        said.append(
            f"LLaVA's own code looks for mm_vision_tower from where it is started: start it in {arguments.out}, or "
            "write the tower's full path into config.json."
        )
    print("\n".join(said))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.convert_checkpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="the folder to write; it must not be there yet")
    parser.add_argument("--to", choices=LAYOUTS, required=True, help="the layout to write")
    parser.add_argument(
        "--model",
        default=str(ROOT / "model" / "demo"),
        help="a folder or a name on the Hub (default: the shipped one)",
    )
    parser.add_argument("--model-base", help="what completes --model: a delta, an adapter, a projector")
    parser.add_argument("--adapter", help="an adapter that is merged into --model")
    parser.add_argument("--vision-tower", help="the tower, where --model's own cannot be found")
    parser.add_argument("--base", help="for a delta: the language model that is subtracted")
    parser.add_argument("--template", help="the template's name, where the checkpoint does not say it")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="stored", help="number format (default: as stored)"
    )
    parser.add_argument("--max-shard-gb", type=float, default=5.0, help="largest file in GB (default: 5)")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is in OUT")
    return parser.parse_args(argv)


if __name__ == "__main__":
    # The page ends it by SIGINT; a shell that starts the page in the background has that ignored, also in children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
