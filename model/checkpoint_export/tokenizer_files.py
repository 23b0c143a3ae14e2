"""The tokenizer, written so that transformers 4 and 5, vLLM and llama.cpp's converter read the same one.

`tokenizer.json` holds it whole. The class named beside it is the plain one, since that of LLaMA would build a tokenizer
of its own from the vocabulary, which splits runs of spaces and what follows `</s>` otherwise.

LLaMA's tokenizer puts a space in front of every stretch of text. Checkpoints that say `legacy: false` have none after a
special token, but one after a picture, and no setting of a fast tokenizer says that. For those it is written without
the space, and the chat template writes the spaces (see model/prompt.py for the rule).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, TypeGuard

from tokenizers import Tokenizer, normalizers
from tokenizers.processors import Sequence, TemplateProcessing
from transformers import PreTrainedTokenizerFast

from .config_values import write_json

PIECES = "tokenizer.model"
_SPACED = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}
"""LLaMA's normaliser, as every conversion of it writes it."""
NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


def write_tokenizer(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    begins: bool,
    context_tokens: int,
    image_token: str | None = None,
    dropped: frozenset[str] = frozenset(),
    source: Path | None = None,
    spaces_by_template: bool = False,
    tokenizer_class: str = "PreTrainedTokenizerFast",
) -> None:
    """Write tokenizer.json and tokenizer_config.json; tokenizer.model too where `source` has one.

    `begins` says whether the tokenizer itself puts the beginning-of-sequence mark in front. `dropped` are added tokens
    that are left out, the last ones only. With `spaces_by_template` no stretch gets a space by itself.
    """
    written = _with_beginning(_without(tokenizer.backend_tokenizer, dropped), tokenizer, begins)
    if spaces_by_template:
        written.normalizer = normalizers.Replace(" ", "▁")
    write_json(folder / "tokenizer.json", _in_old_words(written), in_order=True)
    named = {name: getattr(tokenizer, name) for name in NAMED_TOKENS}
    values: dict[str, Any] = {name: token for name, token in named.items() if token not in (None, *dropped)}
    values |= {
        "tokenizer_class": tokenizer_class,
        "model_max_length": context_tokens,
        "add_bos_token": begins and tokenizer.bos_token is not None,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left" if image_token else "right",  # a batch is answered from its right end
        "model_input_names": ["input_ids", "attention_mask"],  # transformers 4 would add token_type_ids
        "added_tokens_decoder": _added_tokens(written),
    }
    if "legacy" in tokenizer.init_kwargs:
        values["legacy"] = tokenizer.init_kwargs["legacy"]
    if image_token is not None:
        values["image_token"] = image_token
        values["processor_class"] = "LlavaProcessor"
    write_json(folder / "tokenizer_config.json", values)
    if has_pieces(source):
        # Where tokenizer.json is, transformers does not read it; programs that know sentencepiece alone need it.
        shutil.copyfile(source / PIECES, folder / PIECES)


def has_pieces(source: Path | None) -> TypeGuard[Path]:
    """Whether the model came with a sentencepiece model."""
    return source is not None and (source / PIECES).is_file()


def wants_no_space_after_marks(tokenizer: PreTrainedTokenizerFast, source: Path | None) -> bool:
    """Whether the chat template must write the spaces. Reading such a folder here goes by its sentencepiece model, so
    without one the tokenizer is left as it is, and only what follows `</s>` may differ elsewhere."""
    if tokenizer.init_kwargs.get("legacy") is not False or not has_pieces(source):
        return False
    return bool(json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"] == _SPACED)


def _without(tokenizer: Tokenizer, dropped: frozenset[str]) -> Tokenizer:
    values = json.loads(tokenizer.to_str())
    values["added_tokens"] = [token for token in values["added_tokens"] if token["content"] not in dropped]
    values["truncation"] = values["padding"] = None
    return Tokenizer.from_str(json.dumps(values))


def _with_beginning(tokenizer: Tokenizer, named: PreTrainedTokenizerFast, begins: bool) -> Tokenizer:
    """A text comes out with the beginning-of-sequence mark, or with nothing but its own tokens."""
    mark = named.bos_token
    if not begins or mark is None:
        tokenizer.post_processor = Sequence([])
        return tokenizer
    tokenizer.post_processor = TemplateProcessing(
        single=f"{mark} $A", pair=f"{mark} $A {mark}:1 $B:1", special_tokens=[(mark, named.bos_token_id)]
    )
    return tokenizer


def _in_old_words(tokenizer: Tokenizer) -> dict[str, Any]:
    """tokenizer.json as tokenizers 0.15 reads it too, the version of LLaVA's own code.

    Merges are "left right" there (pairs came with 0.20), and a Metaspace says twice whether it puts a space ahead.
    """
    values: dict[str, Any] = json.loads(tokenizer.to_str())
    merges = values["model"].get("merges", [])
    if not any(" " in piece for pair in merges for piece in pair):
        values["model"]["merges"] = [" ".join(pair) for pair in merges]
    outer = values.get("pre_tokenizer") or {}
    for part in (outer, *outer.get("pretokenizers", [])):
        if part.get("type") == "Metaspace":
            part["add_prefix_space"] = part["prepend_scheme"] != "never"
    return values


def _added_tokens(tokenizer: Tokenizer) -> dict[str, dict[str, Any]]:
    """The added tokens as tokenizer_config.json of transformers 4 repeats them."""
    keys = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        str(number): {key: getattr(token, key) for key in keys}
        for number, token in sorted(tokenizer.get_added_tokens_decoder().items())
    }
