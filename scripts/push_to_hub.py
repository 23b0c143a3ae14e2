"""Put a model on the Hugging Face Hub: python -m scripts.push_to_hub NAME/MODEL --model FOLDER [--dry-run]

The folder that is uploaded is written first (build/hub/…, or --folder) and stays: weights, processor and chat template
in the layout of llava-hf, and a model card. --dry-run writes it, prints the plan, and touches no network. Sign in once
with `hf auth login`, or set HF_TOKEN; HF_ENDPOINT names another Hub.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one sentence on what is wrong."""
    arguments = _arguments(argv)
    from model.checkpoint.terminal import told_in_terminal
    from model.checkpoint_errors import CheckpointError

    try:
        with told_in_terminal():
            folder = build(arguments)
        print(plan_of(folder, arguments), flush=True)
        if arguments.dry_run:
            print("Nothing was uploaded: this was a dry run.")
        else:
            print(f"Uploaded: {upload(folder, arguments)}")
    except (CheckpointError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def build(arguments: argparse.Namespace) -> Path:
    """Write the folder as it will be uploaded. Raises CheckpointError, OSError."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    from model.checkpoint.hub import Hub
    from model.checkpoint_export.llava_hf import write_llava_hf
    from model.checkpoint_export.model_card import CardFacts, model_card, read_scores, read_settings
    from model.checkpoint_export.new_folder import ExportError, check_place, new_folder
    from model.checkpoint_export.source import Source

    try:
        validate_repo_id(arguments.repo)
    except HFValidationError as error:
        raise ExportError(
            f"{arguments.repo!r} is no name on the Hub ({error}); write it as NAME/MODEL."
        ) from error
    facts = CardFacts(
        repo=arguments.repo,
        base=arguments.base_model,
        datasets=tuple(arguments.dataset),
        license=arguments.license,
        language=arguments.language,
        settings=read_settings(arguments.settings) if arguments.settings else {},
        scores=read_scores(arguments.scores) if arguments.scores else {},
    )
    wanted: Path = arguments.folder or ROOT / "build" / "hub" / arguments.repo.replace("/", "--")
    # The default folder is this script's own; one that a person names is theirs.
    overwrite = arguments.folder is None or arguments.overwrite
    check_place(wanted, overwrite)
    source = Source.read(
        arguments.model,
        model_base=arguments.model_base,
        adapter=arguments.adapter,
        template=arguments.template,
    )
    present = Hub().fetch(arguments.model) / "README.md"
    card = model_card(
        source.loaded, facts, present.read_text(encoding="utf-8") if present.is_file() else None
    )
    with new_folder(wanted, num_bytes=source.num_bytes, overwrite=overwrite) as folder:
        write_llava_hf(folder, source)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return wanted


def plan_of(folder: Path, arguments: argparse.Namespace) -> str:
    """What will be uploaded where, for a person to read."""
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }
    if arguments.private is None:
        seen = "public if it is new, as it is if it is there"
    else:
        seen = "private" if arguments.private else "public"
    lines = [f"To {arguments.repo} ({seen}), revision {arguments.revision}, from {folder}:"]
    lines += [f"  {size:>15,}  {name}" for name, size in sorted(sizes.items())]
    return "\n".join([*lines, f"  {sum(sizes.values()):>15,}  bytes in {len(sizes)} files, in one commit"])


def upload(folder: Path, arguments: argparse.Namespace) -> str:
    """Make the repository where it is not there, and commit the folder. Returns the commit's address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    from model.checkpoint_errors import HubError

    api = HfApi()
    try:
        api.create_repo(arguments.repo, private=arguments.private, exist_ok=True)
        if arguments.revision != "main":
            api.create_branch(arguments.repo, branch=arguments.revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=arguments.repo,
            folder_path=folder,
            revision=arguments.revision,
            commit_message=arguments.message,
        )
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise HubError(
                f"{api.endpoint} does not let you write to {arguments.repo} (status {status}); sign in with `hf auth "
                "login` or set HF_TOKEN to a token that may write, and check the name."
            ) from error
        raise HubError(
            f"{api.endpoint} answered {status} to the upload of {arguments.repo}: {error}. The folder {folder} is "
            "whole; run the command again."
        ) from error
    except ValueError as error:
        raise HubError(
            f"{api.endpoint} does not take the card ({error}); correct the README.md beside the model."
        ) from error
    except HTTPError as error:
        raise HubError(
            f"{api.endpoint} cannot be reached ({error}); the folder {folder} is whole, run the command again once "
            "there is a connection."
        ) from error
    return str(done.commit_url)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.push_to_hub",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("repo", help="where to: NAME/MODEL on the Hub")
    parser.add_argument(
        "--model",
        default=str(ROOT / "model" / "demo"),
        help="a folder or a name on the Hub (default: the shipped one)",
    )
    parser.add_argument("--model-base", help="what completes --model: a delta, an adapter, a projector")
    parser.add_argument("--adapter", help="an adapter that is merged into --model")
    parser.add_argument(
        "--dry-run", action="store_true", help="write the folder and print the plan; upload nothing"
    )
    parser.add_argument("--folder", type=Path, help="where to write what is uploaded (default: build/hub/…)")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is in --folder")
    parser.add_argument(
        "--private", action=argparse.BooleanOptionalAction, default=None, help="who sees a new model"
    )
    parser.add_argument("--revision", default="main", help="the branch (default: main)")
    parser.add_argument("--message", default="Upload model", help="the commit's message")
    parser.add_argument("--template", help="the template's name, where the checkpoint does not say it")
    parser.add_argument("--base-model", default="", help="for the card: what it was trained from")
    parser.add_argument(
        "--dataset", action="append", default=[], help="for the card: its data; may be repeated"
    )
    parser.add_argument("--license", default="", help="for the card: the licence, as the Hub names it")
    parser.add_argument("--language", default="", help="for the card: the language, as en")
    parser.add_argument(
        "--settings", type=Path, help="for the card: a JSON file with the training's settings"
    )
    parser.add_argument(
        "--scores", type=Path, help="for the card: a JSON file with names and measured numbers"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    # The page ends it by SIGINT; a shell that starts the page in the background has that ignored, also in children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
