"""The tokenizer of a checkpoint folder, tokenising as sentencepiece does.

Where there is a `tokenizer.model`, the fast tokenizer is built from it here: what transformers 5 builds splits runs of
two spaces and more otherwise than the models learned. Else `tokenizer.json` is read, as `checkpoint.save` and llava-hf
write it. Added tokens come from the files beside it; the ids are theirs, never assumed.

The prompt's writer (model/prompt.py) tokenises every stretch of text between special tokens by itself, as the reference
does, so what a tokenizer would do around special tokens does not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound, UnsupportedCheckpoint
from .json_file import read_object

PIECES = "tokenizer.model"
FAST = "tokenizer.json"
_PROBES = ("Hello world", " two  spaces,   three", "a\n\nb\tc", "### Human: 北京 🙂 naïve", "    indented")


def has_tokenizer(folder: Path) -> bool:
    return (folder / PIECES).is_file() or (folder / FAST).is_file()


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """With its added tokens; those that look like `<...>` are special. Raises CheckpointError."""
    if (folder / PIECES).is_file():
        tokenizer = _from_pieces(folder)
    elif (folder / FAST).is_file():
        tokenizer = _from_fast(folder)
    else:
        raise CheckpointNotFound(
            f"{folder} has no {FAST} and no {PIECES}; copy one of them into it, or give the base that has one with "
            "--model-base."
        )
    make_marks_special(tokenizer)
    return tokenizer


def add_token(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """Its id; a token that is not there yet gets the next free one. It is special from now on."""
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [AddedToken(token, special=True, normalized=False)]},
        replace_extra_special_tokens=False,
    )
    return int(tokenizer.convert_tokens_to_ids(token))


def make_marks_special(tokenizer: PreTrainedTokenizerFast) -> None:
    """Added tokens that look like `<...>` become special, so that typed text can never become one of them."""
    marks = [token for token in tokenizer.added_tokens_decoder.values() if not token.special]
    tokenizer.backend_tokenizer.add_special_tokens(
        [
            AddedToken(token.content, special=True, normalized=False)
            for token in marks
            if token.content.startswith("<") and token.content.endswith(">")
        ]
    )


def _from_fast(folder: Path) -> PreTrainedTokenizerFast:
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception on a bad file
        raise CheckpointFormatError(
            f"{folder / FAST} is no readable tokenizer ({error}); copy it again."
        ) from error


def _from_pieces(folder: Path) -> PreTrainedTokenizerFast:
    path = folder / PIECES
    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise CheckpointFormatError(
            f"{path} is no readable sentencepiece model ({path.stat().st_size:,} bytes); copy it again."
        ) from error
    inner = _fast(pieces)
    control = [
        pieces.id_to_piece(i) for i in range(len(pieces)) if pieces.is_control(i) or pieces.is_unknown(i)
    ]
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    for probe in _PROBES:
        if inner.encode(probe, add_special_tokens=False).ids != pieces.encode(probe):
            raise UnsupportedCheckpoint(
                f"{path} is a sentencepiece model of another kind than LLaMA's (byte-pair pieces with byte fallback); "
                f"add the {FAST} that belongs to it and take {PIECES} away."
            )
    config = read_object(folder / "tokenizer_config.json", may_lack=True)
    limit = config.get("model_max_length")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=pieces.id_to_piece(pieces.bos_id()) if pieces.bos_id() >= 0 else None,
        eos_token=pieces.id_to_piece(pieces.eos_id()) if pieces.eos_id() >= 0 else None,
        unk_token=pieces.id_to_piece(pieces.unk_id()),
        clean_up_tokenization_spaces=False,
        padding_side="right",
        legacy=config.get("legacy") is not False,
        **({"model_max_length": limit} if isinstance(limit, int) and limit > 0 else {}),
    )
    _add_tokens(folder, tokenizer, config)
    return tokenizer


def _add_tokens(folder: Path, tokenizer: PreTrainedTokenizerFast, config: dict[str, Any]) -> None:
    """Tokens that the checkpoint added to its pieces, at the very ids that its files say."""
    wanted: dict[int, str] = {}
    for token in read_object(folder / FAST, may_lack=True).get("added_tokens") or []:
        if isinstance(token, dict) and isinstance(token.get("id"), int):
            wanted[token["id"]] = str(token.get("content"))
    for token_id, token in (config.get("added_tokens_decoder") or {}).items():
        if isinstance(token, dict) and token_id.isdecimal():
            wanted[int(token_id)] = str(token.get("content"))
    for token, token_id in read_object(folder / "added_tokens.json", may_lack=True).items():
        if isinstance(token_id, int):
            wanted[token_id] = token
    for token_id in sorted(wanted):
        got = add_token(tokenizer, wanted[token_id]) if token_id >= tokenizer.vocab_size else None
        if got is not None and got != token_id:
            raise CheckpointFormatError(
                f"{folder} gives its added token {wanted[token_id]} the id {token_id}, but after {PIECES} and the "
                f"tokens before it that id is {got}; copy the tokenizer's files again, all of them."
            )


def _fast(pieces: sentencepiece.SentencePieceProcessor) -> Tokenizer:
    """The same pieces as a fast tokenizer: the form that transformers 4.37 gave LLaMA's (convert_slow_tokenizer.py)."""
    names = [pieces.id_to_piece(i) for i in range(len(pieces))]
    vocabulary = {name: i for i, name in enumerate(names)}
    inner = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=_merges(pieces, names, vocabulary),
            unk_token=names[pieces.unk_id()],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


def _merges(
    pieces: sentencepiece.SentencePieceProcessor, names: list[str], vocabulary: dict[str, int]
) -> list[tuple[str, str]]:
    """Every way to put a piece together from two others: pieces with the higher score first, of equal ones the lower
    id, and of the ways of one piece those whose halves are the lower ids."""
    found: list[tuple[float, int, int, int, str, str]] = []
    for index, name in enumerate(names):
        score = pieces.get_score(index)
        for cut in range(1, len(name)):
            left, right = name[:cut], name[cut:]
            if left in vocabulary and right in vocabulary:
                found.append((-score, index, vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]
