"""The model card: what a model is, where it comes from, how it is asked, and what was measured.

It is the README.md of a repository on the Hub; the block on top is what the Hub reads. Nothing is made up: what nobody
told is said to be not told. A card that lies beside the model already is kept, and only what it lacks is added.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from model.checkpoint import LoadedModel

from .new_folder import ExportError

_ASKING = """\
## How to ask it

```python
from transformers import AutoProcessor, LlavaForConditionalGeneration

processor = AutoProcessor.from_pretrained("{repo}")
model = LlavaForConditionalGeneration.from_pretrained("{repo}")
chat = [
    {{
        "role": "user",
        "content": [{{"type": "image", "path": "picture.png"}}, {{"type": "text", "text": "What is this?"}}],
    }}
]
inputs = processor.apply_chat_template(
    chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
).to(model.device, model.dtype)
answer = model.generate(**inputs, max_new_tokens=200{stop})
print(processor.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

{notes}
"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a person tells about a model; everything may be left out."""

    repo: str  # its id on the Hub
    base: str = ""  # the model that it was trained from
    datasets: tuple[str, ...] = ()
    license: str = ""
    language: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)  # of its training
    scores: Mapping[str, float] = field(default_factory=dict)  # by what was measured


def read_settings(path: Path) -> Mapping[str, Any]:
    """A JSON object: a training job's config.json, say. Raises ExportError."""
    values = _json(path)
    if not isinstance(values, dict):
        raise ExportError(
            f"{path} holds a {type(values).__name__}; settings are a JSON object of names and values."
        )
    return values


def read_scores(path: Path) -> Mapping[str, float]:
    """A JSON object of what was measured and its number. Raises ExportError."""
    values = _json(path)
    if not isinstance(values, dict) or not values or not all(_is_number(value) for value in values.values()):
        raise ExportError(
            f'{path} holds something else than names and numbers; scores are a JSON object like {{"colour": 0.98}}.'
        )
    return {str(name): float(value) for name, value in values.items()}


def model_card(loaded: LoadedModel, facts: CardFacts, present: str | None = None) -> str:
    """The text of README.md. `present` is the card that the model has already."""
    card = _read_card(present)
    data = card.data if card is not None else ModelCardData()
    _fill(data, facts)
    body = card.text.strip() if card is not None else _own_words(loaded, facts)
    if "AutoProcessor" not in body:
        body += "\n\n" + _asking(loaded, facts.repo)
    if card is not None:
        body += _added(facts, body)
    return f"---\n{data.to_yaml()}\n---\n\n{body.strip()}\n"


def _read_card(present: str | None) -> ModelCard | None:
    if present is None:
        return None
    try:
        return ModelCard(present, ignore_metadata_errors=True)
    except Exception as error:  # yaml's and huggingface_hub's own kinds, without a parent of their own
        raise ExportError(
            f"The README.md beside the model has a head that is no YAML ({error}); correct it."
        ) from error


def _fill(data: ModelCardData, facts: CardFacts) -> None:
    """What the Hub reads; what the present card says stays, unless it was told anew."""
    told: dict[str, Any] = {
        "license": facts.license,
        "language": facts.language,
        "base_model": facts.base,
        "datasets": list(facts.datasets),
    }
    for key, value in told.items():
        if value:
            setattr(data, key, value)
    data.library_name = data.get("library_name") or "transformers"
    data.pipeline_tag = data.get("pipeline_tag") or "image-text-to-text"
    data.tags = sorted({*(data.get("tags") or []), "llava"})
    if facts.scores:
        data.model_name = facts.repo.split("/")[-1]
        data.eval_results = [
            EvalResult(
                task_type="image-text-to-text",
                dataset_type="other",
                dataset_name=", ".join(facts.datasets) or "not told",
                metric_type="score",
                metric_name=name,
                metric_value=value,
            )
            for name, value in facts.scores.items()
        ]


def _own_words(loaded: LoadedModel, facts: CardFacts) -> str:
    """A card for a model that has none."""
    num_parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    projector = (
        "a linear projector" if loaded.model.config.projector_type == "linear" else "a two-layer projector"
    )
    vision = loaded.model.config.vision_config
    parts = [
        f"# {facts.repo.split('/')[-1]}",
        loaded.about,
        f"A LLaVA of {num_parameters:,} parameters: CLIP at {vision.image_size} pixels, {projector}, and a language "
        f"model of {loaded.model.config.text_config.num_hidden_layers} layers. Prompts are laid out by the template "
        f"`{loaded.template.name}`; prompt and answer together take up to {loaded.context_tokens:,} tokens, a picture "
        f"{loaded.num_patches:,} of them.",
        "## Where it comes from",
        f"Trained from `{facts.base}`." if facts.base else "Which model it was trained from was not told.",
        _data(facts),
        f"Licence: {facts.license}." if facts.license else "No licence was named for it.",
        _settings(facts) or "## Settings\n\nThe settings of its training were not told.",
        _scores(facts) or "## Measured\n\nNo scores were told for this model.",
    ]
    return "\n\n".join(part for part in parts if part)


def _added(facts: CardFacts, body: str) -> str:
    """Told, and not in the card that was there."""
    parts = []
    if facts.base and facts.base not in body:
        parts.append(f"Trained from `{facts.base}`.")
    if any(name not in body for name in facts.datasets):
        parts.append(_data(facts))
    parts += [_settings(facts), _scores(facts)]
    return "".join(f"\n\n{part}" for part in parts if part)


def _data(facts: CardFacts) -> str:
    if not facts.datasets:
        return "Which data it was trained on was not told."
    return "Trained on: " + ", ".join(f"`{name}`" for name in facts.datasets) + "."


def _settings(facts: CardFacts) -> str:
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.settings.items()]
    return "\n".join(["## Settings", "", "| setting | value |", "|---|---|", *rows]) if rows else ""


def _scores(facts: CardFacts) -> str:
    rows = [f"| {_cell(name)} | {value:.4g} |" for name, value in facts.scores.items()]
    return "\n".join(["## Measured", "", "| what | score |", "|---|--:|", *rows]) if rows else ""


def _asking(loaded: LoadedModel, repo: str) -> str:
    stop, notes = "", []
    if loaded.template.stop not in (None, loaded.tokenizer.eos_token):
        stop = f", stop_strings=[{loaded.template.stop!r}], tokenizer=processor.tokenizer"
        notes.append(
            f"An answer ends with the text `{loaded.template.stop!r}`: servers that speak OpenAI's protocol take it as "
            "`stop`."
        )
    notes.append(
        "A prompt written by hand begins with the beginning-of-sequence mark; the chat template writes it."
    )
    return _ASKING.format(repo=repo, stop=stop, notes=" ".join(notes))


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"There is no file {path}; give the path of a JSON file.") from error
    except (ValueError, RecursionError, OSError) as error:
        raise ExportError(f"{path} is no readable JSON ({error}); correct it.") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
