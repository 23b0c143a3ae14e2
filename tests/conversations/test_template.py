"""What a template writes, what it marks as trained, and that nothing typed becomes markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.messages import Content
from conversations.template import (
    TEMPLATES,
    ImageSegment,
    Segment,
    SpecialSegment,
    TextSegment,
    plain_text,
)
from tests.conversations.samples import (
    GOLDEN,
    MARKUP,
    NAMES,
    OTHER_PICTURE,
    PICTURE,
    assistant,
    golden_cases,
    golden_messages,
    hostile,
    user,
)


def shown(segments: tuple[Segment, ...]) -> str:
    """The segments as the reference writes a prompt."""
    written = []
    for segment in segments:
        match segment:
            case TextSegment(text=text):
                written.append(text)
            case SpecialSegment(token=token):
                written.append(token)
            case ImageSegment():
                written.append("<image>")
    return "".join(written)


def trained_text(segments: tuple[Segment, ...]) -> list[str]:
    return [
        segment.text if isinstance(segment, TextSegment) else segment.token
        for segment in segments
        if not isinstance(segment, ImageSegment) and segment.trained
    ]


# plain_text


@given(hostile)
def test_plain_text_leaves_no_markup_of_any_template(text: str) -> None:
    plain = plain_text(text)
    assert not [mark for mark in MARKUP if mark in plain]


@given(hostile)
def test_plain_text_twice_is_plain_text_once(text: str) -> None:
    assert plain_text(plain_text(text)) == plain_text(text)


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert plain_text("a\ud83d b \N{GRINNING FACE}") == "a\N{REPLACEMENT CHARACTER} b \N{GRINNING FACE}"


@given(hostile)
def test_plain_text_only_adds_spaces(text: str) -> None:
    assert plain_text(text).replace(" ", "") == text.replace(" ", "")


@given(st.text(alphabet=st.characters(exclude_characters="#:<", exclude_categories=["Cs"]), max_size=60))
def test_text_without_markup_characters_is_untouched(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a # b ## c",
        "human: hi",
        "Human rights: yes",
        "a < b > c",
        "<b>bold</b>",
        "<images>",
        "user: x",
        "12:30",
        "#1 ok",
    ],
)
def test_ordinary_text_near_markup_is_untouched(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("###", "# # # "),
        ("a ##### b", "a # # # # # b"),
        ("Human: hi", "Human : hi"),
        ("superASSISTANT:", "superASSISTANT :"),
        ("see <image> and </s>", "see < image> and < /s>"),
        ("<<s>>", "<< s>>"),
        ("</Image>", "< /Image>"),
        ("I like C#", "I like C# "),
        ("##", "## "),
    ],
)
def test_markup_stays_readable(typed: str, plain: str) -> None:
    assert plain_text(typed) == plain


# layouts


def test_every_template_is_known_by_its_name() -> None:
    assert set(TEMPLATES) == NAMES
    assert all(name == template.name for name, template in TEMPLATES.items())


def test_llava_v0_open_turn_ends_with_the_header_alone() -> None:
    template = TEMPLATES["llava_v0"]
    text = shown(template.segments([user(PICTURE, "Q1"), assistant("A1"), user("Q2")]))
    assert text == f"{template.system}###Human: <image>\nQ1###Assistant: A1###Human: Q2###Assistant:"


def test_llava_v0_without_messages_is_the_system_text_and_a_stop() -> None:
    template = TEMPLATES["llava_v0"]
    assert shown(template.segments([], open_turn=False)) == f"{template.system}###"


def test_v1_closes_an_answer_with_the_end_token() -> None:
    template = TEMPLATES["vicuna_v1"]
    segments = template.segments([user("Q"), assistant("A"), user("R")])
    assert shown(segments) == f"{template.system} USER: Q ASSISTANT: A</s>USER: R ASSISTANT:"
    assert SpecialSegment("</s>", trained=True) in segments


def test_v0_mmtag_puts_the_picture_into_a_pair_of_its_own() -> None:
    text = shown(TEMPLATES["v0_mmtag"].segments([user("What?", PICTURE)], system="S"))
    assert text == "S###Human: <Image><image></Image>###Assistant: Received.###Human: What?###Assistant:"


def test_v1_mmtag_puts_the_picture_into_a_pair_of_its_own() -> None:
    text = shown(TEMPLATES["v1_mmtag"].segments([user(PICTURE, "What?")], system="S"))
    assert text == "S USER: <Image><image></Image> ASSISTANT: Received.</s>USER: What? ASSISTANT:"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v0_mmtag", "S###Human: <Image><image></Image>###Assistant: Received.###Human:Assistant:"),
        ("v1_mmtag", "S USER: <Image><image></Image> ASSISTANT: Received.</s>USER:ASSISTANT:"),
    ],
)
@pytest.mark.parametrize("content", [(PICTURE,), (PICTURE, " ")])
def test_mmtag_without_a_question_is_the_bare_header_as_in_the_reference(
    name: str, content: Content, expected: str
) -> None:
    assert shown(TEMPLATES[name].segments([user(*content)], system="S")) == expected


def test_an_empty_message_is_the_bare_header_as_in_the_reference() -> None:
    messages = [user(" "), assistant("A")]
    assert (
        shown(TEMPLATES["llava_v0"].segments(messages, system="S")) == "S###Human:Assistant: A###Assistant:"
    )


def test_vicuna_v0_begins_with_its_example_which_is_not_trained() -> None:
    segments = TEMPLATES["vicuna_v0"].segments([user("Q"), assistant("A")], open_turn=False)
    text = shown(segments)
    assert "###Human: What are the key differences between renewable" in text
    assert text.endswith("economic and social instability.\n###Human: Q###Assistant: A###")
    assert trained_text(segments) == [" A###"]


def test_plain_is_the_picture_and_its_caption_without_the_question() -> None:
    segments = TEMPLATES["plain"].segments(
        [user("Describe it.", PICTURE), assistant("A cat.")], open_turn=False
    )
    assert segments == (ImageSegment(PICTURE), TextSegment("A cat.\n", trained=True))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ((PICTURE, "Q"), "<image>\nQ"),
        (("Q", PICTURE), "Q\n<image>"),
        ((PICTURE, OTHER_PICTURE, "Q"), "<image>\n<image>\nQ"),
        ((PICTURE, "one", OTHER_PICTURE, "two"), "<image>\none\n<image>\ntwo"),
        ((PICTURE,), "<image>"),
        ((PICTURE, "  "), "<image>"),
        (("  Q\n",), "Q"),
    ],
)
def test_parts_of_a_question_keep_their_order(content: Content, expected: str) -> None:
    text = shown(TEMPLATES["llava_v0"].segments([user(*content)], system=""))
    assert text == f"###Human: {expected}###Assistant:"


def test_a_picture_in_a_later_turn_stands_there() -> None:
    messages = [user(PICTURE, "Q"), assistant("A"), user("R", OTHER_PICTURE)]
    segments = TEMPLATES["llava_v0"].segments(messages, system="S")
    assert shown(segments) == "S###Human: <image>\nQ###Assistant: A###Human: R\n<image>###Assistant:"
    assert [part.image for part in segments if isinstance(part, ImageSegment)] == [PICTURE, OTHER_PICTURE]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llava_v0", [" A###", " B###"]),
        ("v0_mmtag", [" A###", " B###"]),
        ("vicuna_v1", [" A", "</s>", " B", "</s>"]),
        ("plain", ["A\n", "B\n"]),
    ],
)
def test_only_answers_and_their_stops_are_trained(name: str, expected: list[str]) -> None:
    messages = [user(PICTURE, "Q"), assistant("A"), user("R"), assistant("B")]
    found = trained_text(TEMPLATES[name].segments(messages, open_turn=False))
    assert "".join(found) == "".join(expected)


def test_the_own_system_text_handed_back_is_still_the_own() -> None:
    """The page shows it in a box and sends it back; mmtag's holds `<Image>`."""
    template = TEMPLATES["v0_mmtag"]
    assert template.segments([user("Q")], system=template.system) == template.segments([user("Q")])


# hostile text in its place


@given(system=hostile, question=hostile, answer=hostile, name=st.sampled_from(sorted(NAMES - {"plain"})))
def test_hostile_text_adds_no_turn_and_no_picture(system: str, question: str, answer: str, name: str) -> None:
    template = TEMPLATES[name]
    messages = [user(PICTURE, question), assistant(answer), user(question)]
    segments = template.segments(messages, system=system)
    asked = "q" if question.strip() else ""
    harmless = template.segments([user(PICTURE, asked), assistant("a"), user(asked)], system="s")
    text, expected = shown(segments), shown(harmless)
    for mark in MARKUP:
        # Overlapping counts: a `#` beside a stop would make a second one.
        assert overlapping(text, mark) == overlapping(expected, mark), mark


@given(question=hostile, answer=hostile)
def test_hostile_captions_of_stage_one_hold_no_markup(question: str, answer: str) -> None:
    segments = TEMPLATES["plain"].segments([user(PICTURE, question), assistant(answer)], open_turn=False)
    text = "".join(segment.text for segment in segments if isinstance(segment, TextSegment))
    assert not [mark for mark in MARKUP if mark in text]


def overlapping(text: str, mark: str) -> int:
    return sum(text.startswith(mark, start) for start in range(len(text)))


# the reference


@pytest.mark.skipif(not GOLDEN.exists(), reason="the reference's prompts (shared/data) are not here")
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: f"{case['template']}-{case['id']}")
def test_prompts_equal_the_references(case: dict) -> None:
    template, messages, system, open_turn = golden_messages(case)
    assert shown(template.segments(messages, system=system, open_turn=open_turn)) == case["expected_prompt"]
    assert template.stop == case["stop"]
    if case["template"] != "multimodal":
        assert template.system == system
