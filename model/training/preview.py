"""A sample as training takes it, made readable: its text in pieces, each trained or not, and its pictures' names.

The pieces are decoded from the very ids that are trained on, and marked by their mask; nothing is rendered again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.token_pieces import Decoder, token_pieces

if TYPE_CHECKING:
    from model.training.samples import Sample

PICTURE = "<image>"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of neighbouring tokens that are all trained or all not. A picture is a piece of its own, with the text
    `<image>` and its file's name."""

    text: str
    trained: bool
    num_tokens: int
    picture: str = ""


@dataclass(frozen=True, slots=True)
class SamplePreview:
    """The pieces joined read as the sample."""

    source: str  # the file
    record: int  # from 1
    num_tokens: int
    num_trained: int
    held_out: bool
    pieces: tuple[Piece, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplePreview:
        """Raises KeyError and TypeError for what is none."""
        pieces = tuple(Piece(**each) for each in values["pieces"])
        return cls(**{**values, "pieces": pieces})


def preview_of(
    sample: Sample,
    tokenizer: Decoder,
    files: Sequence[Path],
    *,
    image_token_id: int,
    num_patches: int,
    source: str,
    record: int,
    held_out: bool,
) -> SamplePreview:
    """`files` are those of the sample's pictures, in the order of their places."""
    ids, trained = sample.input_ids.tolist(), sample.trained.tolist()
    texts = token_pieces(tokenizer, ids)
    names = iter(file.name for file in files)
    pieces: list[Piece] = []
    place = 0
    while place < len(ids):
        if ids[place] == image_token_id:
            pieces.append(Piece(PICTURE, False, num_patches, next(names)))
            place += num_patches
            continue
        end = place
        while end < len(ids) and ids[end] != image_token_id and trained[end] == trained[place]:
            end += 1
        pieces.append(Piece("".join(texts[place:end]), trained[place], end - place))
        place = end
    return SamplePreview(source, record, len(ids), sample.num_trained, held_out, tuple(pieces))
