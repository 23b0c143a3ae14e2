"""Our templates as chat templates (Jinja), the form in which other programs take them.

What comes out gives, after tokenisation, the ids that `model/prompt.py` gives: the same texts, marks and places of
pictures, `plain_text` included, and the beginning-of-sequence mark in front. The mark stands in the template because
servers tokenise a rendered chat without adding any.

Two things cannot be said in Jinja: half of a surrogate pair is not replaced, and an added token that `plain_text` does
not know (a `[PAD]`, say) becomes that token when a person types its name.
"""

from __future__ import annotations

import json

from conversations.template import ROLE_HEADERS, SPECIAL_NAMES, Template

_PLAIN = """\
{%- macro plain(text) -%}
{%- set ns = namespace(text='', run=0) -%}
{%- for part in text.split('#') -%}
{%- if not loop.first -%}{%- set ns.run = ns.run + 1 -%}{%- endif -%}
{%- if part or loop.last -%}
{%- set ns.text = ns.text + ('#' * ns.run if ns.run < 3 else '# ' * (ns.run - 1) + '#') + part -%}
{%- set ns.run = 0 -%}
{%- endif -%}
{%- endfor -%}
{%- for name in HEADERS -%}{%- set ns.text = ns.text.replace(name + ':', name + ' :') -%}{%- endfor -%}
{%- for name in SPECIALS -%}
{%- set ns.text = ns.text.replace('<' + name + '>', '< ' + name + '>') -%}
{%- set ns.text = ns.text.replace('</' + name + '>', '< /' + name + '>') -%}
{%- endfor -%}
{{- ns.text + (' ' if ns.text.endswith('#') else '') -}}
{%- endmacro -%}
"""

_TEXT_OF = """\
{%- macro text_of(message) -%}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- set ns = namespace(first=true) -%}
{%- for part in message['content'] if part['type'] == 'text' -%}
{{- ('' if ns.first else '\\n') + part['text'] -}}
{%- set ns.first = false -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""

_PARTS_OF = """\
{%- macro parts_of(message, pictures) -%}
{%- if message['content'] is string -%}
{{- plain(message['content'].strip()) -}}
{%- else -%}
{%- set ns = namespace(first=true) -%}
{%- for part in message['content'] -%}
{%- if part['type'] != 'text' -%}
{%- if pictures -%}
{{- ('' if ns.first else '\\n') + IMAGE -}}
{%- set ns.first = false -%}
{%- endif -%}
{%- elif part['text'].strip() -%}
{{- ('' if ns.first else '\\n') + plain(part['text'].strip()) -}}
{%- set ns.first = false -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""

_SYSTEM = """\
{%- set system = SYSTEM -%}
{%- set turns = messages -%}
{%- if messages and messages[0]['role'] in ['system', 'developer'] -%}
{%- set turns = messages[1:] -%}
{%- set given = text_of(messages[0]) -%}
{%- if given != system -%}{%- set system = plain(given.strip()) -%}{%- endif -%}
{%- endif -%}
"""

_TURNS = """\
{{- BOS + system + AFTER_SYSTEM -}}
{%- for message in turns -%}
{%- if message['role'] == 'assistant' -%}
{{- ASSISTANT + ' ' + plain(text_of(message).strip()) + STOP -}}
{%- else -%}
APART{%- set body = parts_of(message, PICTURES) -%}
{{- USER + (' ' + body + AFTER_QUESTION if body else '') -}}
{%- endif -%}
{%- endfor -%}
{{- ASSISTANT if add_generation_prompt else '' -}}
"""

_APART = """\
{%- if message['content'] is not string -%}
{%- for part in message['content'] if part['type'] != 'text' -%}
{{- USER + ' <Image>' + IMAGE + '</Image>' + AFTER_QUESTION + ASSISTANT + ' Received.' + STOP -}}
{%- endfor -%}
{%- endif -%}
"""

_PLAIN_TURNS = """\
{%- set ns = namespace(space=SPACE) -%}
{{- BOS -}}
{%- if system -%}{{- ns.space + system + '\\n' -}}{%- set ns.space = '' -%}{%- endif -%}
{%- for message in turns -%}
{%- if message['role'] == 'assistant' -%}
{{- ns.space + plain(text_of(message).strip()) + '\\n' -}}
{%- set ns.space = '' -%}
{%- elif message['content'] is not string -%}
{%- for part in message['content'] if part['type'] != 'text' -%}
{{- IMAGE -}}
{%- set ns.space = SPACE -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
"""


def chat_template(
    template: Template,
    *,
    bos_token: str | None,
    image_token: str = "<image>",
    image_wrap: tuple[str, str] | None = None,
    spaces: bool = False,
) -> str:
    """The Jinja text for `template`. A message's content is a text or a list of parts of the type text or image.

    With `spaces`, text that follows a picture or the beginning gets a space in front, which the tokenizer does not put.
    """
    before, after = image_wrap or ("", "")
    hashes, plain = template.layout == "hashes", template.layout == "plain"
    after_mark = " " if spaces and not plain else ""  # text always follows there
    after_picture = "" if image_wrap else after_mark
    stop = "###" if hashes else "</s>"
    examples = "".join(
        f"{template.user_role}: {question}{'###' if hashes else ' '}{template.assistant_role}: {answer}{stop}"
        for question, answer in template.examples
    )
    values = {
        "HEADERS": list(ROLE_HEADERS),
        "SPECIALS": list(SPECIAL_NAMES),
        "IMAGE": before + image_token + after + after_picture,
        "SPACE": " " if spaces else "",
        "SYSTEM": template.system,
        "BOS": (bos_token or "") + after_mark,
        "AFTER_SYSTEM": ("###" if hashes else " ") + examples,
        "AFTER_QUESTION": "###" if hashes else " ",
        "USER": f"{template.user_role}:",
        "ASSISTANT": f"{template.assistant_role}:",
        "STOP": stop,
    }
    if plain:
        body = _PLAIN + _TEXT_OF + _SYSTEM + _PLAIN_TURNS
    else:
        turns = _TURNS.replace("APART", _APART if template.images_apart else "")
        turns = turns.replace("PICTURES", "false" if template.images_apart else "true")
        body = _PLAIN + _TEXT_OF + _PARTS_OF + _SYSTEM + turns
    constants = "".join(
        f"{{%- set {name} = {json.dumps(value)} -%}}\n" for name, value in values.items() if name in body
    )
    return constants + body
