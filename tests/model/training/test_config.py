"""A config is checked when it is built: what cannot be meant is refused by name, everything else survives its file."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training.config import DataSource, InvalidConfig, TrainingConfig

DATA = (DataSource("train.json"),)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
paths = st.characters(exclude_categories=(), exclude_characters="\0")
field_names = st.sampled_from(sorted(TrainingConfig.__dataclass_fields__))


def valid(**changes: Any) -> TrainingConfig:
    return TrainingConfig("lora", "model", DATA).changed(**changes)


@given(
    st.builds(
        TrainingConfig,
        recipe=st.sampled_from(["align", "finetune", "lora", "qlora"]),
        model=st.text(paths, min_size=1),
        data=st.lists(
            st.builds(
                DataSource,
                st.text(paths, min_size=1),
                st.text(paths),
                st.floats(0.01, 100),
            ),
            min_size=1,
            max_size=3,
        ).map(tuple),
        template=st.sampled_from([None, "plain", "llava_v1"]),
        num_epochs=st.floats(0.01, 1000),
        learning_rate=st.floats(1e-9, 1),
        projector_learning_rate=st.none() | st.floats(1e-9, 1),
        batch_size=st.integers(1, 10**6),
        activation_checkpointing=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
    )
)
def test_a_config_is_read_back_as_it_was_written(config: TrainingConfig) -> None:
    assert TrainingConfig.from_json(config.to_json()) == config


@given(st.dictionaries(field_names | st.text(max_size=5), json_values, max_size=4))
def test_any_values_give_a_config_or_a_sentence(changes: dict[str, Any]) -> None:
    """Whatever a hand or a form wrote."""
    values = json.loads(valid().to_json()) | changes
    try:
        config = TrainingConfig.from_dict(values)
    except InvalidConfig as error:
        assert str(error).endswith((".", "…")) and "\n" not in str(error)
    else:
        assert TrainingConfig.from_json(config.to_json()) == config


@given(st.text() | json_values.map(json.dumps))
def test_any_text_gives_a_config_or_a_sentence(text: str) -> None:
    with pytest.raises(InvalidConfig):
        TrainingConfig.from_json(text)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("learning_rate", 0, "above 0 and at most 1"), ("learning_rate", math.nan, "above 0"),
        ("learning_rate", True, "a number"), ("learning_rate", "1e-4", "a number"),
        ("num_epochs", math.inf, "at most 1000"),
        ("batch_size", 2.0, "a whole number at least 1"), ("batch_size", 10**400, "at least 1"),
        ("seed", -1, "at least 0"), ("lora_dropout", 1.0, "at most 0.9"), ("max_tokens", 15, "at least 16"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused_with_what_is_allowed(field: str, value: Any, allowed: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        valid(**{field: value})
    assert str(caught.value).startswith(f"{field} cannot be ")
    assert allowed in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "full"}, "recipe cannot be 'full'; it is one of align, finetune, lora, qlora."),
        ({"template": "llava_v2"}, "template cannot be 'llava_v2'"), ({"device": ""}, "device cannot be ''"),
        ({"model": ""}, "model cannot be ''"), ({"model": "a\0"}, "model cannot be 'a"),
        ({"data": ()}, "data is empty"),
        ({"activation_checkpointing": 1}, "activation_checkpointing is true or false, not 1."),
        ({"lerning_rate": 1}, "A config has no field 'lerning_rate'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        valid(**changes)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    "data",
    [
        [],
        "train.json",
        [3],
        [{"pictures": "p"}],
        [{"file": 3}],
        [{"file": "a", "share": 0}],
        [{"file": "a", "x": 1}],
        [{"file": "a\0.json"}],
        [{"file": "a", "pictures": "\0"}],
    ],
)
def test_data_that_names_no_file_is_refused(data: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"^data"):
        TrainingConfig.from_dict({"recipe": "lora", "model": "m", "data": data})


def test_what_is_left_out_has_its_default() -> None:
    config = TrainingConfig.from_dict({"recipe": "lora", "model": "m", "data": [{"file": "train.json"}]})
    assert config == TrainingConfig("lora", "m", DATA)
    assert config.keeps_adapter
    assert not config.changed(recipe="align").keeps_adapter
