"""Draw the example pictures of the empty page, from seeds kept beside their questions.

python -m scripts.draw_examples --out app/examples
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scripts.demo_world.picture import draw
from scripts.demo_world.scene import sample_scene

PICTURE_SIZE = 384
EXAMPLES = (
    (910_000_021, "Describe the picture."),
    (910_000_000, "How many crosses are there?"),
    (910_000_112, "Is the yellow cross to the left of the orange circle?"),
    (910_000_038, "Which shape is the largest?"),
)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("app/examples"), help="folder (%(default)s)")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    listed = []
    for number, (seed, question) in enumerate(EXAMPLES, start=1):
        name = f"scene-{number}.png"
        draw(sample_scene(seed), PICTURE_SIZE).save(args.out / name, optimize=True)
        listed.append({"picture": name, "question": question})
    (args.out / "examples.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
