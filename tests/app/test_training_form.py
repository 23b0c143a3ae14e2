"""The form's fields: all of the config's, with the recipe's values, read back as they were."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import training_form
from model.training.config import DataSource, InvalidConfig, TrainingConfig
from model.training.recipes import RECIPES, config_for

DATA = (DataSource("train.json"),)


def test_every_field_of_the_config_is_in_the_form_once_with_what_it_is_about() -> None:
    html = training_form.fields_html()
    asked = [each.name for each in fields(TrainingConfig) if each.name not in training_form.ASKED_ELSEWHERE]
    assert len(asked) > 20
    for name in asked:
        assert html.count(f'name="config.{name}"') == 1, name
    assert "of the pictures, never trained on" in html
    assert '<select name="config.optimizer"><option value="adamw">' in html


def test_a_recipe_stands_at_the_values_that_the_command_line_gives_it() -> None:
    for recipe in RECIPES.values():
        for scale in training_form.SCALES:
            for width in (None, 128, 4096):
                shown = training_form.values(recipe.name, scale, width)
                read = {name: training_form.read(name, text) for name, text in shown.items()}
                assert config_for(recipe.name, "m", DATA, scale=scale, text_width=width) == TrainingConfig(
                    recipe.name, "m", DATA, **read
                )
    assert training_form.values("lora", "small", 128) != training_form.values("lora", "small", 4096)


@given(
    st.builds(
        config_for,
        st.sampled_from(["align", "finetune", "lora", "qlora"]),
        st.just("m"),
        st.just(DATA),
        learning_rate=st.floats(1e-12, 1.0),
        projector_learning_rate=st.none() | st.floats(1e-9, 1.0),
        seed=st.integers(0, 2**32 - 1),
        activation_checkpointing=st.booleans(),
        template=st.none() | st.sampled_from(["plain", "vicuna_v1"]),
        num_epochs=st.floats(0.01, 1000.0),
    )
)
def test_what_a_job_was_told_stands_in_the_form_again(config: TrainingConfig) -> None:
    read = {name: training_form.read(name, text) for name, text in training_form.shown(config).items()}
    assert config.changed(**read) == config and all(read[name] == getattr(config, name) for name in read)


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("batch_size", "4x", "batch_size cannot be '4x'; give a whole number."),
        ("batch_size", "4.5", "batch_size cannot be '4.5'; give a whole number."),
        ("learning_rate", "fast", "learning_rate cannot be 'fast'; give a number."),
        ("colour", "red", "A config has no field 'colour'."),
        ("model", "x", "A config has no field 'model'."),
    ],
)
def test_what_is_no_value_is_named(name: str, typed: str, words: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        training_form.read(name, typed)
    assert str(refused.value) == words


def test_an_empty_field_is_the_usual_value() -> None:
    assert training_form.read("template", "") is None
    assert training_form.read("projector_learning_rate", " ") is None
    assert training_form.read("seed", "") == 0 and training_form.read("batch_size", "") == 128


def test_every_recipe_is_offered_with_its_words() -> None:
    html = training_form.recipes_html()
    assert all(f"<b>{each.name}</b>" in html for each in RECIPES.values())
    assert html.count(" checked") == 1 and 'value="lora" checked' in html
