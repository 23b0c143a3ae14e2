"""Train the shipped model by the paper's recipe, from a seed, resuming where an earlier run stopped.

    python -m scripts.train_demo_model --out runs/demo-model/out --work runs/demo-model

A tokenizer, then CLIP, then a language model on text, then stage 1 (projector on captions) and stage 2 (projector and
language model on instructions) by the project's own trainer (scripts/demo_world/course.py). Every stage saves itself in
the work folder; delete the folder to start anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from model.checkpoint import LoadedModel, load, save
from model.llava import Llava
from model.pixels import PixelConfig
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.card import write_card
from scripts.demo_world.clip_stage import MEAN, STD, DrawnClip, clip_loss, measure_clip
from scripts.demo_world.examination import mark, questions, table
from scripts.demo_world.llava_stages import train_llava
from scripts.demo_world.patches import PICTURE_SIZE
from scripts.demo_world.stage import Schedule, run_stage
from scripts.demo_world.text_stage import CONTEXT_TOKENS, language_model, text_loss
from scripts.demo_world.tokenizer import train_tokenizer

ABOUT = "This model knows drawings of coloured shapes; load a real checkpoint with --model."

PIXELS = PixelConfig(PICTURE_SIZE, "pad", MEAN, STD)


def main(argv: list[str] | None = None) -> None:
    args = _arguments(argv)
    torch.manual_seed(args.seed)
    tokenizer = _tokenizer(args.work)
    clip = _train_clip(args, tokenizer)
    language = _train_language(args, tokenizer)
    llava = Llava.from_parts(
        clip.vision, language, projector_type="mlp2x_gelu", image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        template="llava_v0", pixels=PIXELS, about=ABOUT,
    ).to(args.device)  # fmt: skip
    train_llava(llava, tokenizer, args.work, seed=args.seed, loaded=lambda: _loaded(llava, tokenizer))
    save(args.out, llava, tokenizer)
    asked = list(questions(args.questions_per_kind))
    marks = mark(asked, answer_all(load(args.out, device=args.device), asked))
    write_card(args.out, marks, vars(args), llava.num_parameters())
    print(table(marks))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo-model/out"), help="the checkpoint's folder (%(default)s)"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("runs/demo-model"), help="the stages' folder (%(default)s)"
    )
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the weights' first values (%(default)s)")
    parser.add_argument("--clip-steps", type=int, default=900, help="of 128 pictures (%(default)s)")
    parser.add_argument("--text-steps", type=int, default=200, help="of 64 texts (%(default)s)")
    parser.add_argument(
        "--questions-per-kind", type=int, default=150, help="in the examination (%(default)s)"
    )
    return parser.parse_args(argv)


def _tokenizer(work: Path) -> PreTrainedTokenizerFast:
    """The run's own: every later stage is bound to its ids, whatever the world's text has become meanwhile."""
    folder = work / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        train_tokenizer().save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _train_clip(args: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> DrawnClip:
    clip = DrawnClip(tokenizer).to(args.device)
    run_stage(
        "clip", args.work, clip, Schedule(args.clip_steps, 2e-3, 100, 0.05),
        lambda step: clip_loss(clip, step, 128), measure=lambda: measure_clip(clip), measure_every_steps=100,
    )  # fmt: skip
    return clip


def _train_language(args: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    language = language_model(tokenizer).to(args.device)
    run_stage(
        "text", args.work, language, Schedule(args.text_steps, 2.5e-3, 50, 0.01),
        lambda step: text_loss(language, tokenizer, step, 64),
    )  # fmt: skip
    return language


def _loaded(llava: Llava, tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    """The model in training, as the examination takes it."""
    return LoadedModel(
        name="demo", model=llava, tokenizer=tokenizer, template=TEMPLATES["llava_v0"], num_patches=llava.num_patches,
        image_token_id=llava.config.image_token_id, context_tokens=CONTEXT_TOKENS, about=ABOUT, pixels=PIXELS,
    )  # fmt: skip


if __name__ == "__main__":
    main()
