"""The form's fields, made from the dataclass that is also the command line and the job's file: what a field is called,
what it is about, what it may be and what it stands at all come from TrainingConfig and its recipes."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from html import escape
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from model.training.config import DataSource, InvalidConfig, RecipeName, TrainingConfig
from model.training.recipes import RECIPES, Scale, config_for

ASKED_ELSEWHERE = frozenset({"recipe", "model", "data"})
"""Fields that the form asks for in a way of their own."""

SCALES: Mapping[Scale, str] = {"small": "small data, as a person corrects", "paper": "the papers’ data sets"}
_ANY_DATA = (DataSource("-"),)
_HINTS = get_type_hints(TrainingConfig)
_FIELDS = {each.name: each for each in fields(TrainingConfig) if each.name not in ASKED_ELSEWHERE}


def fields_html() -> str:
    """Every field that is left, empty: `values` fills them in."""
    return "".join(_field_html(name) for name in _FIELDS)


def recipes_html() -> str:
    return "".join(
        f'<label class="recipe"><input type="radio" name="recipe" value="{each.name}"'
        f"{' checked' if each.name == 'lora' else ''}><span><b>{each.name}</b>{escape(each.words)}</span></label>"
        for each in RECIPES.values()
    )


def scales_html() -> str:
    return "".join(f'<option value="{name}">{words}</option>' for name, words in SCALES.items())


def values(recipe: RecipeName, scale: Scale, text_width: int | None) -> dict[str, str]:
    """What the recipe stands at, as the form's fields show it."""
    return shown(config_for(recipe, "-", _ANY_DATA, scale=scale, text_width=text_width))


def shown(config: TrainingConfig) -> dict[str, str]:
    return {name: _text(getattr(config, name)) for name in _FIELDS}


def read(name: str, typed: str) -> Any:
    """A field's value from what stands in the form. Raises InvalidConfig; whether the value can be meant, the config
    itself says when it is built."""
    if name not in _FIELDS:
        raise InvalidConfig(f"A config has no field {name!r:.60}.")
    kind, is_optional = _kind(name)
    typed = typed.strip()
    if not typed:
        default = _FIELDS[name].default
        return None if is_optional or default is MISSING else default
    if kind is bool:
        return typed == "true"
    if kind not in (int, float):
        return typed
    try:
        return kind(typed)
    except ValueError as error:
        whole = "whole " if kind is int else ""
        raise InvalidConfig(f"{name} cannot be {typed!r:.60}; give a {whole}number.") from error


def label(name: str) -> str:
    words = name.removeprefix("num_").replace("_", " ").capitalize()
    return words.replace("Lora", "LoRA")


def _field_html(name: str) -> str:
    kind, is_optional = _kind(name)
    about = _FIELDS[name].metadata.get("about", "")
    small = f"<small>{escape(about)}</small>" if about else ""
    head = f'<label class="field" title="{name}"><span>{escape(label(name))}</span>'
    if get_origin(kind) is Literal or kind is bool:
        choices = ("false", "true") if kind is bool else get_args(kind)
        words = {"false": "no", "true": "yes"}
        options = "".join(f'<option value="{each}">{words.get(each, each)}</option>' for each in choices)
        return f'{head}<select name="config.{name}">{options}</select>{small}</label>'
    mode = ' inputmode="decimal"' if kind in (int, float) else ""
    empty = ' placeholder="as usual"' if is_optional else ""
    box = f'<input type="text" name="config.{name}" maxlength="200" spellcheck="false"{mode}{empty}>'
    return f"{head}{box}{small}</label>"


def _kind(name: str) -> tuple[Any, bool]:
    """The field's type without None, and whether it may be None."""
    hint = _HINTS[name]
    if get_origin(hint) in (Union, types.UnionType):
        inner = [each for each in get_args(hint) if each is not type(None)]
        return inner[0], True
    return hint, False


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
