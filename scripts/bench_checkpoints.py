"""Measure how checkpoints are loaded: python -m scripts.bench_checkpoints [precision] [memory]

precision   the shipped model at 32, 16, 8 and 4 bits: its size, how long it loads, how many of its tokens are those of
            float32, and how much of the drawn world it gets right. The table in docs/checkpoints.md.
memory      a random model of 2 GB in four shards, in several formats: the most memory that a process that loads it ever
            holds, beside the limit of 1.2 times the weights as loaded and 1 GB. Exit status 1 where one is over it.

The random model is made in a temporary folder (6 GB) and removed again; --folder keeps it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from conversations.messages import Message
from model.checkpoint import LoadedModel, load
from model.checkpoint.key_names import CLIP, LLAMA, LLAVA_HF, ORIGINAL_MLP, TOWER, Layout
from model.llava import Llava
from model.pixels import pixel_values
from model.prompt import render
from scripts.demo_world.candidate import PICTURE_SIZE, answer_all
from scripts.demo_world.examination import Question, mark, questions
from scripts.demo_world.picture import draw

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "model" / "demo"
LIMIT_FACTOR, LIMIT_BYTES = 1.2, 1e9
NUM_SHARDS = 4
PRECISIONS = (("float32", "none"), ("bfloat16", "none"), ("float32", "8bit"), ("float32", "4bit"))
WIDTH, INNER, NUM_LAYERS = 2048, 5504, 20  # 1.01 billion weights, 2.0 GB in float16


# --- precision ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Precision:
    """The shipped model as it was loaded once."""

    name: str
    num_bytes: int
    seconds: float
    agreement: float  # of each next token with float32's, after float32's own answer so far
    accuracy: float

    def line(self) -> str:
        return (
            f"| {self.name} | {self.num_bytes / 1e6:.1f} MB | {self.seconds:.2f} s | {100 * self.agreement:.1f} % | "
            f"{100 * self.accuracy:.1f} % |"
        )


def measure_precisions(model: Path, num_per_kind: int) -> Iterator[Precision]:
    asked = list(questions(num_per_kind))
    reference: list[list[int]] = []
    for dtype, quantize in PRECISIONS:
        load(
            model, dtype=dtype, quantize=quantize, device="cpu"
        )  # libraries are imported, files are in memory
        started = time.perf_counter()
        loaded = load(model, dtype=dtype, quantize=quantize, device="cpu")
        seconds = time.perf_counter() - started
        answers = answer_all(loaded, asked)
        marks = mark(asked, answers)
        if not reference:
            reference = [
                _ids(loaded, question, answer) for question, answer in zip(asked, answers, strict=True)
            ]
        right, total = 0, 0
        for question, ids in zip(asked, reference, strict=True):
            same = _agreeing(loaded, question, ids)
            right, total = right + sum(same), total + len(same)
        name = dtype if quantize == "none" else f"{quantize}, the rest {dtype}"
        scored = sum(one.score * one.num_questions for one in marks) / len(asked)
        yield Precision(name, held_bytes(loaded.model), seconds, right / total, scored)


def _prompt(loaded: LoadedModel, messages: Sequence[Message], *, open_turn: bool) -> list[int]:
    return render(
        loaded.template, messages, loaded.tokenizer, num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id, image_wrap=loaded.image_wrap, open_turn=open_turn,
    ).input_ids  # fmt: skip


def _ids(loaded: LoadedModel, question: Question, answer: str) -> list[int]:
    """The question with float32's answer and its stop, as it would be trained."""
    messages = (*question.messages(), Message("assistant", (answer,)))
    return _prompt(loaded, messages, open_turn=False)


@torch.inference_mode()
def _agreeing(loaded: LoadedModel, question: Question, ids: Sequence[int]) -> list[bool]:
    """Of each token of the answer: is it the one with the highest score here too?"""
    start = len(_prompt(loaded, question.messages(), open_turn=True))
    given = {}
    if question.scene is not None:
        pixels = pixel_values([draw(question.scene, PICTURE_SIZE)], loaded.pixels)
        given["pixel_values"] = pixels.to(loaded.model.dtype)
    scores = loaded.model(input_ids=torch.tensor([ids]), **given).logits[0]
    return (scores[start - 1 : -1].argmax(-1) == torch.tensor(ids[start:])).tolist()


def held_bytes(model: Llava) -> int:
    """Of the weights in memory, their scales in 8 and 4 bits included; a table that is tied counts once."""
    total = 0
    for parameter in model.parameters():
        total += parameter.numel() * parameter.element_size()
        scales = getattr(parameter, "SCB", None)  # bitsandbytes' 8-bit parameters alone have them
        if scales is not None:
            total += scales.numel() * scales.element_size()
        state = getattr(parameter, "quant_state", None)  # and its 4-bit ones this
        if state is not None:
            tables = [state.absmax, *([state.state2.absmax] if state.nested else [])]
            total += sum(table.numel() * table.element_size() for table in tables)
    return total


# --- memory ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Peak:
    """A load in a process of its own."""

    name: str
    weights: int
    peak: int
    seconds: float

    @property
    def limit(self) -> float:
        return LIMIT_FACTOR * self.weights + LIMIT_BYTES

    def line(self) -> str:
        return (
            f"| {self.name} | {self.weights / 1e9:.2f} GB | {self.peak / 1e9:.2f} GB | {self.limit / 1e9:.2f} GB | "
            f"{self.seconds:.0f} s |"
        )


def measure_peaks(folder: Path) -> Iterator[Peak]:
    make_random(folder)
    tower = {"vision_tower": str(folder / "tower")}
    loads: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("llava-hf, safetensors, float16", "hf", {"dtype": "float16"}),
        ("the same, float32", "hf", {"dtype": "float32"}),
        ("the same, 8bit", "hf", {"dtype": "float16", "quantize": "8bit"}),
        ("the same, 4bit", "hf", {"dtype": "float16", "quantize": "4bit"}),
        ("LLaVA's own, pickled, float16", "original", {"dtype": "float16", **tower}),
        (
            "delta and base, pickled, float16",
            "delta",
            {"dtype": "float16", "model_base": str(folder / "base"), **tower},
        ),
    )
    for name, part, options in loads:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "scripts.bench_checkpoints",
                "--load",
                str(folder / part),
                json.dumps(options),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{name} could not be loaded:\n{done.stderr[-2000:]}")
        yield Peak(name, **json.loads(done.stdout.splitlines()[-1]))


def load_and_tell(folder: str, options: dict[str, Any]) -> None:
    """In a process of its own: load, and print what it took."""
    started = time.perf_counter()
    loaded = load(folder, device="cpu", **options)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"weights": held_bytes(loaded.model), "peak": peak, "seconds": seconds}))


def make_random(folder: Path) -> None:
    """hf, original, delta, base and tower: one shape, random weights. Each is left as it is where it is there."""
    shipped = load(DEMO, device="cpu")
    values = shipped.model.config.to_dict()
    text = values["text_config"]
    text |= {
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": NUM_LAYERS,
        "head_dim": 128,
    }
    text |= {
        "num_attention_heads": WIDTH // 128,
        "num_key_value_heads": WIDTH // 128,
        "tie_word_embeddings": False,
    }
    values["tie_word_embeddings"] = False
    vision = values["vision_config"]
    reference = {key: value for key, value in text.items() if key != "model_type"} | {
        "model_type": "llava_llama",
        "mm_vision_tower": "tower",
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
    }
    shapes = _shapes(values)
    tower = {name: shape for name, shape in shapes.items() if name.startswith(TOWER)}
    rest = {name: shape for name, shape in shapes.items() if name not in tower}
    for part, config, layout, some, safe in (
        ("hf", values, LLAVA_HF, shapes, True),
        ("original", reference, ORIGINAL_MLP, rest, False),
        ("delta", reference, ORIGINAL_MLP, rest, False),
        ("base", text | {"model_type": "llama"}, LLAMA, rest, False),
        ("tower", vision, CLIP, tower, True),
    ):
        if (folder / part / "config.json").is_file():
            continue
        (folder / part).mkdir(parents=True, exist_ok=True)
        names = {key: shape for name, shape in some.items() if (key := layout.on_disk(name)) is not None}
        _write_shards(folder / part, names, layout, safe=safe, is_delta=part == "delta")
        if part != "tower":
            shipped.tokenizer.save_pretrained(folder / part)
        (folder / part / "config.json").write_text(json.dumps(config))


def _shapes(values: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    from transformers.models.llava.configuration_llava import LlavaConfig

    with torch.device("meta"):
        model = Llava(LlavaConfig.from_dict(values))
    return {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}


def _write_shards(
    folder: Path, shapes: dict[str, tuple[int, ...]], layout: Layout, *, safe: bool, is_delta: bool
) -> None:
    keys = list(shapes)
    stem, end = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    where: dict[str, str] = {}
    for index in range(NUM_SHARDS):
        name = f"{stem}-{index + 1:05}-of-{NUM_SHARDS:05}.{end}"
        some = keys[index::NUM_SHARDS]  # about as many bytes in each
        tensors = {key: _random(key, shapes[key], is_delta=is_delta) for key in some}
        where |= dict.fromkeys(some, name)
        if safe:
            save_file(tensors, folder / name, metadata={"format": "pt"})
        else:
            torch.save(tensors, folder / name)
    (folder / f"{stem}.{end}.index.json").write_text(json.dumps({"weight_map": where}))


def _random(key: str, shape: tuple[int, ...], *, is_delta: bool) -> Tensor:
    if key.endswith("norm.weight"):
        return torch.full(shape, 0.0 if is_delta else 1.0, dtype=torch.float16)
    return torch.empty(shape, dtype=torch.float16).uniform_(-0.02, 0.02)


# --- the command ----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables asked for, by default both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="precision|memory", help="which tables (default: both)")
    parser.add_argument("--model", type=Path, default=DEMO, help="whose precision is measured (%(default)s)")
    parser.add_argument(
        "--questions-per-kind", type=int, default=150, help="of the drawn world (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="where the random model is made and kept")
    parser.add_argument("--load", nargs=2, metavar=("FOLDER", "OPTIONS"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.load:
        load_and_tell(args.load[0], json.loads(args.load[1]))
        return 0
    unknown = set(args.what) - {"precision", "memory"}
    if unknown:
        parser.error(f"there is no table {sorted(unknown)}; choose precision or memory")
    what, too_much = args.what or ["precision", "memory"], False
    if "precision" in what:
        print(
            "| format | weights in memory | load time | tokens as float32 | drawn world right |\n|---|---|---|---|---|"
        )
        for precision in measure_precisions(args.model, args.questions_per_kind):
            print(precision.line(), flush=True)
    if "memory" in what:
        print(
            "| format | weights as loaded | peak of the process | limit | load time |\n|---|---|---|---|---|"
        )
        with tempfile.TemporaryDirectory() as temporary:
            for peak in measure_peaks(args.folder or Path(temporary)):
                print(peak.line(), flush=True)
                too_much = too_much or peak.peak > peak.limit
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
