"""A base model looked at without its weights: tokenizer, template and config to render with, its shape to count with.

The weights' files are opened for the shapes of their tensors, which stand in their headers; no number of them is read
(but for a delta's norms and an identity projector, by which formats are told apart).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken

from model.checkpoint import Hub
from model.checkpoint.config import own_keys, transformers_config
from model.checkpoint.key_names import EMBEDDING_KEY, HEAD_KEY, LANGUAGE, PROJECTOR, TOWER
from model.checkpoint.plan import Plan
from model.checkpoint.quantisation import BLOCK
from model.checkpoint.recognition import recognise
from model.checkpoint.tensor_file import TensorFile
from model.training.config import TrainingConfig
from model.training.model_shape import ModelShape
from model.training.rendering import Rendering

Shape = tuple[int, ...]
_FIRST_LAYER = f"{LANGUAGE}layers.0."
_SAFE = ".safetensors"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """`rendering` is the run's: with the template and the longest length that its config asks for."""

    folder: Path
    rendering: Rendering
    shape: ModelShape
    told: tuple[str, ...]  # what was recognised and why, in sentences


def look_at(config: TrainingConfig, hub: Hub | None = None) -> BaseModel:
    """The base model of a run, as `checkpoint.load` will read it. Raises CheckpointError."""
    hub = hub or Hub()
    folder = hub.fetch(config.model)
    found = recognise(folder, base=None, tower=None, fetch=hub.fetch)
    template, _ = own_keys(found.config_path, found.values, config.template)
    values = transformers_config(found.config_path, found.values)
    image_token = found.tokenizer.added_tokens_decoder.get(values.image_token_id)
    if image_token is not None:  # as loading does: no text may spell it
        mark = AddedToken(image_token.content, special=True, normalized=False)
        found.tokenizer.backend_tokenizer.add_special_tokens([mark])
    longest = int(values.text_config.max_position_embeddings)
    side = values.vision_config.image_size // values.vision_config.patch_size
    rendering = Rendering(
        template=template,
        tokenizer=found.tokenizer,
        num_patches=side * side,
        image_token_id=int(values.image_token_id),
        context_tokens=min(longest, int(found.values.get("context_tokens") or longest)),
        image_wrap=("<im_start>", "<im_end>") if found.values.get("mm_use_im_start_end") else None,
    ).for_run(config)
    tensors = _shapes(found.plan)
    if values.tie_word_embeddings:
        tensors.pop(HEAD_KEY, None)
    return BaseModel(folder, rendering, shape_of(tensors, side * side), tuple(found.told))


def shape_of(tensors: Mapping[str, Shape], num_patches: int) -> ModelShape:
    """`tensors` are the shapes by name in memory (model/checkpoint/key_names.py)."""
    vocabulary, width = tensors[EMBEDDING_KEY]
    layer = {
        name.removeprefix(_FIRST_LAYER): shape
        for name, shape in tensors.items()
        if name.startswith(_FIRST_LAYER) and len(shape) == 2
    }
    tower_mlp_width, tower_width = tensors[f"{TOWER}encoder.layers.0.mlp.fc1.weight"]
    return ModelShape(
        tower=_numbers(tensors, TOWER),
        projector=_numbers(tensors, PROJECTOR),
        embeddings=vocabulary * width,
        language=_numbers(tensors, LANGUAGE) - vocabulary * width,
        head=math.prod(tensors.get(HEAD_KEY, (0,))),
        quantisable=sum(
            math.prod(shape)
            for name, shape in tensors.items()
            if ".layers." in name and len(shape) == 2 and shape[1] % BLOCK == 0
        ),
        linears=tuple(sorted((rows, columns) for rows, columns in layer.values())),
        num_layers=_num_layers(tensors, LANGUAGE),
        width=width,
        mlp_width=layer["mlp.gate_proj.weight"][0],
        query_width=layer["self_attn.q_proj.weight"][0],
        key_width=layer["self_attn.k_proj.weight"][0],
        vocabulary=vocabulary,
        tower_width=tower_width,
        tower_mlp_width=tower_mlp_width,
        tower_layers=_num_layers(tensors, f"{TOWER}encoder."),
        num_patches=num_patches,
    )


def _shapes(plan: Plan) -> dict[str, Shape]:
    """Of every tensor that will be read, by its name in memory."""
    headers = {path: _header(path) for path in {place.file for place in plan.places.values()}}
    shapes = {name: headers[place.file][place.key] for name, place in plan.places.items()}
    for name in (EMBEDDING_KEY, HEAD_KEY):
        if plan.num_rows is not None and name in shapes:
            shapes[name] = (max(plan.num_rows, shapes[name][0]), *shapes[name][1:])
    return shapes


def _header(path: Path) -> dict[str, Shape]:
    """Shapes by key on disk. A safetensors file begins with the length of a JSON table, then the table; a pickle is
    mapped, so that its tensors are not read either."""
    if path.suffix == _SAFE:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            table = json.loads(file.read(length))
        return {key: tuple(entry["shape"]) for key, entry in table.items() if key != "__metadata__"}
    file_of_tensors = TensorFile(path)
    try:
        return {key: tuple(file_of_tensors.get(key).shape) for key in file_of_tensors.keys()}  # noqa: SIM118
    finally:
        file_of_tensors.close()


def _numbers(tensors: Mapping[str, Shape], prefix: str) -> int:
    return sum(math.prod(shape) for name, shape in tensors.items() if name.startswith(prefix))


def _num_layers(tensors: Mapping[str, Shape], prefix: str) -> int:
    begin = f"{prefix}layers."
    return 1 + max(
        int(name.removeprefix(begin).partition(".")[0]) for name in tensors if name.startswith(begin)
    )
