"""The worker's flags and environment."""

from __future__ import annotations

from app.settings import DTYPES
from model.serving import ModelChoice
from model.worker import TOKEN_VARIABLE, read_settings


def test_flags_go_before_the_environment() -> None:
    environment = {"LLAVA_LOOP_WORKER_PORT": "9000", "LLAVA_LOOP_DTYPE": "float16", TOKEN_VARIABLE: "secret"}
    settings = read_settings(["--port", "9001", "--template", "vicuna_v1"], environment)
    assert (settings.port, settings.choice.dtype, settings.token) == (9001, "float16", "secret")
    assert (settings.choice.template, settings.host, settings.reserved_port) == (
        "vicuna_v1",
        "127.0.0.1",
        False,
    )
    assert read_settings([], {}).choice.template is None


def test_the_default_number_format_is_left_to_the_device_here_as_on_the_page() -> None:
    assert read_settings([], {}).choice.dtype == ModelChoice("x").dtype == "auto"
    for dtype in DTYPES:
        assert read_settings(["--dtype", dtype], {}).choice.dtype == dtype


def test_a_model_may_be_given_another_name_than_its_folders() -> None:
    assert read_settings(["--served-model-name", "colours"], {}).choice.name == "colours"
    assert read_settings([], {"LLAVA_LOOP_SERVED_MODEL_NAME": "colours"}).choice.name == "colours"
    assert read_settings([], {}).choice.name == ""
