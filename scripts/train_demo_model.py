"""Train the shipped model by the paper's recipe, from a seed, resuming where an earlier run stopped.

    python -m scripts.train_demo_model --out model/demo --work runs/demo-model

Tokenizer, then CLIP, then a language model on text, then stage 1 (projector) and stage 2 (projector and language model).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from scripts.demo_world.clip_stage import DrawnClip, clip_loss, measure_clip
from scripts.demo_world.stage import Schedule, run_stage
from scripts.demo_world.tokenizer import train_tokenizer


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("model/demo"), help="where the checkpoint goes")
    parser.add_argument("--work", type=Path, default=Path("runs/demo-model"), help="where the stages save themselves")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clip-steps", type=int, default=1000)
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    clip = DrawnClip(tokenizer).to(args.device)
    run_stage(
        "clip", args.work, clip, Schedule(args.clip_steps, 2e-3, 100, 0.05),
        lambda step: clip_loss(clip, step, 128), measure=lambda: measure_clip(clip), measure_every_steps=100,
    )  # fmt: skip


if __name__ == "__main__":
    main()
