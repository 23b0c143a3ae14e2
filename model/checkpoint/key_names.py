"""What each tensor is called: one map for every layout, for reading and for writing. No torch here.

"In memory" are the names of `Llava.state_dict()`, which are transformers 5's:

    model.vision_tower.{embeddings,pre_layrnorm,encoder,post_layernorm}.…    CLIP's picture tower
    model.multi_modal_projector.linear_1.… (.linear_2.… with the MLP)        the projector
    model.language_model.{embed_tokens,layers,norm}.…                        LLaMA
    lm_head.weight                                                           its head

"On disk" each program has names of its own. A layout is a list of prefixes, on disk and in memory. Reading takes the
first that fits the key on disk; writing takes the first that fits the name in memory, so that where a layout has
several spellings the one listed first is written. Names as in haotian-liu/LLaVA (`make_delta.py`,
`convert_llava_weights_to_hf.py` of transformers 4.37) and transformers 5.23 (`conversion_mapping.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TOWER = "model.vision_tower."
PROJECTOR = "model.multi_modal_projector."
LANGUAGE = "model.language_model."
HEAD = "lm_head."
EMBEDDING_KEY = "model.language_model.embed_tokens.weight"
HEAD_KEY = "lm_head.weight"

COMPUTED_SUFFIXES = ("rotary_emb.inv_freq", "embeddings.position_ids")
"""Tables that old files carry and that are computed here: rounded in some files and zero in a delta, so never read."""

IMAGE_NEWLINE = "model.image_newline"
"""Between rows of LLaVA 1.6's tiles; nothing reads it where pictures are not cut into tiles."""

OF_CLIP_BUT_NOT_OF_ITS_TOWER = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")
"""The other half of CLIP. LLaVA's tower is its picture half alone."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one program calls the tensors. `prefixes` are pairs (on disk, in memory)."""

    name: str
    prefixes: tuple[tuple[str, str], ...]

    def in_memory(self, key: str) -> str | None:
        """The name in memory of a key on disk; None where this layout has no such key."""
        return next(
            (theirs + key[len(ours) :] for ours, theirs in self.prefixes if key.startswith(ours)), None
        )

    def on_disk(self, name: str) -> str | None:
        """The key on disk of a name in memory; None where this layout cannot hold such a tensor."""
        return next(
            (ours + name[len(theirs) :] for ours, theirs in self.prefixes if name.startswith(theirs)), None
        )


_TOWER_PARTS = ("embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm.")
_LLAMA = (
    ("model.embed_tokens.", LANGUAGE + "embed_tokens."),
    ("model.layers.", LANGUAGE + "layers."),
    ("model.norm.", LANGUAGE + "norm."),
    ("lm_head.", HEAD),
)
_TOWER_INSIDE = (
    ("model.vision_tower.vision_tower.vision_model.", TOWER),
    ("model.vision_tower.vision_tower.", TOWER),
)

LLAVA_HF = Layout(
    "llava-hf",
    (
        ("language_model.lm_head.", HEAD),
        ("language_model.model.", LANGUAGE),
        ("multi_modal_projector.", PROJECTOR),
        ("vision_tower.vision_model.", TOWER),
        # what transformers 5 itself writes
        ("vision_tower.", TOWER),
        ("language_model.", LANGUAGE),
        ("lm_head.", HEAD),
    ),
)
"""llava-hf on the Hub; also what transformers 4, vLLM and llama.cpp's converter read, and what `checkpoint.save`
writes."""

TRANSFORMERS_5 = Layout(
    "transformers 5",
    (
        ("lm_head.", HEAD),
        ("model.language_model.lm_head.", HEAD),
        ("model.language_model.model.", LANGUAGE),
        (LANGUAGE, LANGUAGE),
        (PROJECTOR, PROJECTOR),
        *((TOWER + part, TOWER + part) for part in _TOWER_PARTS),
        ("model.vision_tower.vision_model.", TOWER),
    ),
)
"""Newer key names of the same layout, with `model.` in front: transformers 5's own, and what `checkpoint.save` wrote
before it wrote LLAVA_HF."""

ORIGINAL_MLP = Layout(
    "LLaVA's own, MLP",
    (
        *_TOWER_INSIDE,
        ("model.mm_projector.0.", PROJECTOR + "linear_1."),
        ("model.mm_projector.2.", PROJECTOR + "linear_2."),
        *_LLAMA,
    ),
)
ORIGINAL_LINEAR = Layout(
    "LLaVA's own, linear",
    (
        *_TOWER_INSIDE,
        ("model.mm_projector.weight", PROJECTOR + "linear_1.weight"),
        ("model.mm_projector.bias", PROJECTOR + "linear_1.bias"),
        *_LLAMA,
    ),
)
"""LLaVA's own code: full checkpoints, deltas, `mm_projector.bin`; v0 and v1 are linear, v1.5 has the MLP."""

LLAMA = Layout("LLaMA", _LLAMA)
"""A language model without pictures: the base of a delta, an adapter or a projector."""

CLIP = Layout(
    "CLIP",
    (("vision_model.", TOWER), *((part, TOWER + part) for part in _TOWER_PARTS)),
)
"""A picture tower by itself, as in openai/clip-vit-large-patch14-336."""

LAYOUTS = (LLAVA_HF, TRANSFORMERS_5, LLAMA, ORIGINAL_MLP, ORIGINAL_LINEAR, CLIP)


def is_computed(key: str) -> bool:
    """Whether a key on disk is a table that is computed and never read, or a part that is never used."""
    return key.endswith(COMPUTED_SUFFIXES) or key == IMAGE_NEWLINE


def layout_of(keys: Iterable[str]) -> Layout | None:
    """The first layout that has a name for every one of these keys; None where none has."""
    wanted = [key for key in keys if not is_computed(key)]
    return next((layout for layout in LAYOUTS if all(map(layout.in_memory, wanted))), None)


def without_adapter_prefix(keys: Iterable[str]) -> dict[str, str]:
    """Key -> key of the model that an adapter was put around.

    `base_model.` goes, and then one `model.` where any key has it twice (LLaVA, model/builder.py, lines 79-81).
    """
    stripped = {key: key.removeprefix("base_model.") for key in keys}
    if any(key.startswith("model.model.") for key in stripped.values()):
        return {key: short.removeprefix("model.") for key, short in stripped.items()}
    return stripped
