"""Configs in the words of older programs, and pictures prepared alike by other programs' processors."""

from __future__ import annotations

import pytest
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from model.checkpoint_export.config_values import image_processor_values, text_values
from model.pixels import PixelConfig, pixel_values

from ..tiny import tiny_llava
from .models import picture

ONE_LEVEL = 1 / 255 / 0.26  # one of 255 levels, as normalisation shows it
SIZES = [(37, 50), (50, 37), (32, 32), (64, 64), (31, 77), (640, 480), (5, 90)]


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_a_processor_of_transformers_prepares_pictures_as_we_do(fit, size: tuple[int, int]) -> None:
    config = PixelConfig(size=32, fit=fit)
    values = image_processor_values(config)
    processors = {"CLIPImageProcessor": CLIPImageProcessorPil, "LlavaImageProcessor": LlavaImageProcessorPil}
    processor = processors[values.pop("image_processor_type")](**values)
    image = picture(*size)
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    difference = (theirs - pixel_values([image], config)).abs()
    # Pillow rounds once more where a picture is resized whole and cut then: one level, in a few values of a thousand.
    assert difference.max() <= ONE_LEVEL
    assert (difference > 1e-6).float().mean() < 0.01


def test_rotary_settings_stand_under_the_old_names_too() -> None:
    model, _ = tiny_llava()
    model.config.text_config.rope_parameters = {"rope_type": "default", "rope_theta": 5000.0}
    plain = text_values(model)
    assert (plain["rope_theta"], plain["rope_scaling"]) == (5000.0, None)
    model.config.text_config.rope_parameters = {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0}
    scaled = text_values(model)
    assert (scaled["rope_theta"], scaled["rope_scaling"]) == (5000.0, {"rope_type": "linear", "factor": 2.0})
