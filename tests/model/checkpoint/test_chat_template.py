"""Which template a llava-hf checkpoint was written for: told by the words of its own chat template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.checkpoint.chat_template import template_of_chat

LLAVA_HF = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}"
    "{% endfor %}{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""As it stands in chat_template.json of llava-hf/llava-1.5-7b-hf and -13b-hf: no USER is written in it."""


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "chat_template.json", "processor_config.json", "tokenizer_config.json"]
)
def test_llava_hfs_own_is_told_wherever_it_stands(tmp_path: Path, name: str) -> None:
    written = LLAVA_HF if name.endswith(".jinja") else json.dumps({"chat_template": LLAVA_HF})
    (tmp_path / name).write_text(written)
    assert template_of_chat(tmp_path) == ("vicuna_v1", "the USER and ASSISTANT turns of its chat template")


def test_one_of_another_family_is_told_as_none(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("{{ '[INST] ' + messages[0]['content'] + ' [/INST]' }}")
    assert template_of_chat(tmp_path) == (None, "")
