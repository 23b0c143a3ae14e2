"""A chat rendered by the Jinja template and tokenised by other programs' means gives the ids of our own renderer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conversations.messages import ImageRef, Message
from conversations.template import TEMPLATES, plain_text
from model.checkpoint_export.chat_template import chat_template
from model.checkpoint_export.tokenizer_files import wants_no_space_after_marks, write_tokenizer
from model.prompt import render

from ..tiny import tiny_tokenizer

ROOT = Path(__file__).resolve().parents[3]
LLAMA = ROOT.parent / "shared" / "data" / "llama_tokenizer"
NUM_PATCHES = 3

# Pieces that markup is made of, so that the examples are about what could go wrong.
FRAGMENTS = [
    "#", "##", "###", "Human:", "Assistant:", "USER:", "ASSISTANT", ":", "<", "/", ">", "<image>", "</image>", "<s>",
    "</s>", "<unk>", "<pad>", "<im_start>", "</Image>", " ", "  ", "\n", "\t", "cat", "é", "图", "🙂", "'", '"', "\\",
    "{{", "{%", "}}",
]  # fmt: skip
TEXTS = st.lists(
    st.sampled_from(FRAGMENTS) | st.text(st.characters(exclude_categories=("Cs",)), max_size=4), max_size=8
)
TEXTS = TEXTS.map("".join)
PICTURES = st.just(ImageRef("0" * 64))
USERS = st.lists(TEXTS | PICTURES, max_size=4).map(lambda parts: Message("user", tuple(parts)))
ASSISTANTS = st.lists(TEXTS, min_size=1, max_size=2).map(lambda parts: Message("assistant", tuple(parts)))
CONVERSATIONS = st.lists(USERS | ASSISTANTS, min_size=1, max_size=4)
SYSTEMS = st.none() | TEXTS | st.sampled_from([template.system for template in TEMPLATES.values()])


def as_chat(messages: list[Message], system: str | None) -> list[dict[str, Any]]:
    """What a caller of transformers writes; a single text as a plain string, as many do."""
    chat: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
    for message in messages:
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in message.content
        ]
        single = len(parts) == 1 and isinstance(message.content[0], str)
        chat.append({"role": message.role, "content": message.content[0] if single else parts})
    return chat


def written(
    tokenizer: PreTrainedTokenizerFast, folder: Path, spaces: bool = False
) -> PreTrainedTokenizerFast:
    write_tokenizer(
        folder, tokenizer, begins=False, context_tokens=64, image_token="<image>", spaces_by_template=spaces
    )
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def tiny_pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    tokenizer = tiny_tokenizer()
    return tokenizer, written(tokenizer, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def joining_pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    """Of a checkpoint that says `legacy: false`: no space after a special token, but one after a picture."""
    tokenizer = tiny_tokenizer()
    tokenizer.init_kwargs["legacy"] = False
    folder = tmp_path_factory.mktemp("joining")
    (folder / "tokenizer.model").write_bytes(b"pieces")
    assert wants_no_space_after_marks(tokenizer, folder)
    return tokenizer, written(tokenizer, folder, spaces=True)


@pytest.fixture(scope="module")
def llama_pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    if not LLAMA.is_dir():
        pytest.skip("the LLaMA tokenizer is in the shared data, which is not here")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(LLAMA)
    tokenizer.add_tokens(["<image>", "<im_start>", "<im_end>", "<pad>"], special_tokens=True)
    return tokenizer, written(tokenizer, tmp_path_factory.mktemp("llama"))


def agree(
    name: str,
    pair: tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast],
    messages: list[Message],
    system: str | None,
    open_turn: bool = True,
    image_wrap: tuple[str, str] | None = None,
    spaces: bool = False,
) -> None:
    ours, theirs = pair
    image_token_id = ours.convert_tokens_to_ids("<image>")
    prompt = render(
        TEMPLATES[name],
        messages,
        ours,
        num_patches=NUM_PATCHES,
        image_token_id=image_token_id,
        system=system,
        open_turn=open_turn,
        image_wrap=image_wrap,
    )
    jinja = chat_template(TEMPLATES[name], bos_token=ours.bos_token, image_wrap=image_wrap, spaces=spaces)
    text = theirs.apply_chat_template(
        as_chat(messages, system), chat_template=jinja, tokenize=False, add_generation_prompt=open_turn
    )
    expanded = text.replace("<image>", "<image>" * NUM_PATCHES)  # as LlavaProcessor does
    assert theirs(expanded)["input_ids"] == prompt.input_ids


@pytest.mark.parametrize("name", TEMPLATES)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=CONVERSATIONS, system=SYSTEMS, open_turn=st.booleans())
def test_any_chat_gives_the_ids_of_our_renderer(
    tiny_pair, name: str, messages: list[Message], system: str | None, open_turn: bool
) -> None:
    agree(name, tiny_pair, messages, system, open_turn)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=CONVERSATIONS, system=SYSTEMS, open_turn=st.booleans())
def test_so_it_does_where_no_space_follows_a_special_token(
    joining_pair, name: str, messages: list[Message], system: str | None, open_turn: bool
) -> None:
    agree(name, joining_pair, messages, system, open_turn, spaces=True)


@pytest.mark.parametrize("name", ["llava_v0", "v0_mmtag", "vicuna_v1"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=CONVERSATIONS, system=SYSTEMS)
def test_so_it_does_with_the_tokenizer_of_llama(
    llama_pair, name: str, messages: list[Message], system: str | None
) -> None:
    agree(name, llama_pair, messages, system, image_wrap=("<im_start>", "<im_end>"))


@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
def test_the_rule_for_typed_text_is_the_same_one(text: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    jinja = chat_template(TEMPLATES["plain"], bos_token=None)
    (rendered,), _ = render_jinja_template([[{"role": "assistant", "content": text}]], chat_template=jinja)
    assert rendered == plain_text(text.strip()) + "\n"


def test_the_first_message_may_be_a_developers(tiny_pair) -> None:
    _, tokenizer = tiny_pair
    jinja = chat_template(TEMPLATES["llava_v0"], bos_token="<s>")
    chat = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(chat, chat_template=jinja, tokenize=False)
    assert text == "<s>Be brief.###Human: Hi###"
