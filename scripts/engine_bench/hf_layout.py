"""The same weights as transformers' own programs want them: the llava-hf layout, with processor and chat template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration
from transformers.models.llava.processing_llava import LlavaProcessor

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

# A system text, pictures before the question, and the roles that the reference's first template writes.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- set said = message['content'] -%}
{%- set parts = [{'type': 'text', 'text': said}] if said is string else said -%}
{%- if message['role'] == 'system' %}{% elif message['role'] == 'user' %}###Human: {% else %}###Assistant: {% endif -%}
{%- for part in parts -%}
{%- if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>\n{% endif -%}
{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt %}###Assistant:{% endif -%}
"""


def write_hf_layout(model: LlavaForConditionalGeneration, loaded: LoadedModel, folder: Path) -> Path:
    """Save `model` (transformers' class) with a processor that prepares pictures as `loaded` does, or nearly."""
    pixels = loaded.pixels
    edge = {"height": pixels.size, "width": pixels.size}
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": pixels.size},
        crop_size=edge,
        image_mean=list(pixels.mean),
        image_std=list(pixels.std),
    )
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=loaded.tokenizer,
        patch_size=model.config.vision_config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=CHAT_TEMPLATE,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
