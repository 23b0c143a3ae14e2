"""Have each trainer read our exports with its own code: python -m scripts.test_readers [llama-factory ms-swift axolotl]

Their pins exclude each other and ours, so each gets an environment of its own below build/readers, made once (some
gigabytes; torch is taken from the program's own environment where their pins allow it). For every row is compared:
that it is there, how many image tokens it has, that its pictures were found, and the exact text that is learned.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from conversations.errors import LogError
from conversations.escaping import escape
from conversations.examples import Example, Item, LoggedConversation, LoggedTurn, Preference
from conversations.export import export, items
from conversations.formats import FORMATS
from conversations.image_store import ImageStore
from conversations.manifest import Tally
from conversations.selection import Selection

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "model/demo"
PATCHES = 36  # image tokens a picture, of 60 x 60 pixels in patches of 10
INSTALL_SECONDS, READ_SECONDS = 3600, 600


@dataclass(frozen=True, slots=True)
class Reader:
    """A trainer: its pin, the program that runs in its environment, and what it puts after a learned answer."""

    pin: str
    program: str
    formats: tuple[str, ...]
    end: str


READERS = {
    "llama-factory": Reader(
        "llamafactory==0.9.5", "llama_factory.py", ("messages", "preference", "kto"), "</s>"
    ),
    "ms-swift": Reader("ms-swift==4.6.0", "ms_swift.py", ("messages", "preference", "kto"), "</s>"),
    "axolotl": Reader("axolotl==0.19.0", "axolotl.py", ("axolotl",), "<|im_end|>"),
}


class NotInstalled(LogError):
    """A trainer that cannot be had here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if every trainer read every row as it was meant, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.test_readers", description=(__doc__ or "").split(":")[0]
    )
    parser.add_argument("names", nargs="*", metavar="READER", help=", ".join(READERS))
    names = parser.parse_args(argv).names or list(READERS)
    if unknown := [name for name in names if name not in READERS]:
        parser.error(f"there is no reader {unknown[0]}; there are {', '.join(READERS)}")
    wrong = 0
    for name in names:
        reader = READERS[name]
        try:
            python = _environment(name, reader.pin)
        except NotInstalled as error:
            print(f"{name}: could not be had: {error}")
            wrong += 1
            continue
        for format in reader.formats:
            faults = _read(python, reader, format)
            print(f"{reader.pin}, {format}: {'; '.join(faults) or 'all rows as they were meant'}", flush=True)
            wrong += bool(faults)
    return 1 if wrong else 0


def _environment(name: str, pin: str) -> Path:
    """The Python of the trainer's environment, made where it is not there yet. Raises NotInstalled."""
    folder = ROOT / "build" / "readers" / name
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == pin:
        return python
    print(f"Installing {pin} (minutes, once) ...", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    theirs = next((folder / "lib").glob("python*/site-packages"))
    (theirs / "ours.pth").write_text(ours + "\n", encoding="utf-8")
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q", pin]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"pip took more than {INSTALL_SECONDS} seconds") from error
    if done.returncode != 0:
        raise NotInstalled(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip failed")
    stamp.write_text(pin, encoding="utf-8")
    return python


def _read(python: Path, reader: Reader, format: str) -> list[str]:
    """What differs from what was meant."""
    with tempfile.TemporaryDirectory() as place:
        folder, result = Path(place) / "export", Path(place) / "result.json"
        expected = _expected(Path(place), folder, format, reader.end)
        program = ROOT / "scripts" / "readers" / reader.program
        command = [str(python), "-P", str(program), str(folder), str(DEMO), str(result), format]
        try:
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=READ_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return [f"took more than {READ_SECONDS} seconds"]
        if done.returncode != 0:
            return [
                f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"
            ]
        found = json.loads(result.read_text(encoding="utf-8"))
    if len(found) != len(expected):
        return [f"{len(expected)} rows went in and {len(found)} came out"]
    return [
        f"row {number}: {key} is {is_[key]!r} and should be {meant[key]!r}"
        for number, (is_, meant) in enumerate(zip(found, expected, strict=True), start=1)
        for key in meant
        if is_[key] != meant[key]
    ]


def _expected(place: Path, folder: Path, format: str, end: str) -> list[dict[str, Any]]:
    """Export the samples, and say what a reader should find in each row."""
    images = ImageStore(place / "store")
    talks = samples(images)
    export(talks, images, folder, FORMATS[format], Selection())
    chosen = [item for _, item in items(talks, FORMATS[format], Selection(), Tally())]
    return [_meant(item, end) for item in chosen]


def _meant(item: Item, end: str) -> dict[str, Any]:
    label = None
    if isinstance(item, Example):
        answers = [message.text for message in item.messages if message.role == "assistant"]
        learned = ["".join(escape(answer) + end for answer in answers)]
    elif isinstance(item, Preference):
        learned = [escape(item.chosen) + end, escape(item.rejected) + end]
    else:
        learned, label = [escape(item.completion) + end], item.wanted
    num_pictures = len(item.pictures)
    return {
        "learned": learned,
        "image_tokens": [PATCHES * num_pictures] * len(learned),
        "pictures": num_pictures,
        "label": label,
    }


def samples(images: ImageStore) -> list[LoggedConversation]:
    """One picture and a follow-up; a system prompt and two pictures in two turns; two pictures at once; text alone;
    texts full of marks; an empty line, letters that are not ASCII."""
    red, green, blue = (_picture(images, colour) for colour in ("red", "green", "blue"))
    return [
        _talk("one", ("What is it?", "A red square.", (red,)), ("Sure?", "Yes.", ())),
        _talk("two", ("This?", "Red.", (red,)), ("And this?", "Green.", (green,)), system="Be brief."),
        _talk("both", ("Which is blue?", "The second.", (red, blue))),
        _talk("text", ("Hello", "Hello, <b>you</b>", ())),
        _talk("marks", ("What does <image> mean? ### <video> </s>", "<image> is\n\n### a mark, C#", (blue,))),
        _talk("lines", ("Où?\n\nIci?", "Là.\n- one\n- two", (green,))),
    ]


def _talk(name: str, *turns: tuple[str, str, tuple[str, ...]], system: str = "") -> LoggedConversation:
    """Every last answer is corrected, and its original is the text with a word before it."""
    made: list[LoggedTurn] = []
    for number, (question, answer, images) in enumerate(turns):
        place, is_last = 2 * number + 1, number == len(turns) - 1
        made.append(LoggedTurn(place, place - 1 or None, "user", question, images))
        made.append(
            LoggedTurn(
                place + 1,
                place,
                "assistant",
                f"No: {answer}" if is_last else answer,
                finish_reason="stop",
                system_prompt=system,
                correction=answer if is_last else None,
            )
        )
    return LoggedConversation(name, tuple(made))


def _picture(images: ImageStore, colour: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(buffer, "PNG")
    return images.add(buffer.getvalue()).sha256


if __name__ == "__main__":
    raise SystemExit(main())
