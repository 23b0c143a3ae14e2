"""Personal data: what is found, what is not, and that masking leaves nothing."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations import personal_data
from conversations.personal_data import find, masked, masked_or_none


def found(text: str) -> list[tuple[str, str]]:
    return [(kind, text[start:end]) for kind, start, end in find(text)]


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        ("Mail ann.b+x@mail.example.co.uk.", "email", "ann.b+x@mail.example.co.uk"),
        ("(müller@straße.example)", "email", "müller@straße.example"),
        ("Call +49 30 1234567 now", "phone", "+49 30 1234567"),
        ("+1 (212) 555-0123", "phone", "+1 (212) 555-0123"),
        ("(212) 555-0123", "phone", "(212) 555-0123"),
        ("212-555-0123", "phone", "212-555-0123"),
        ("0044 20 7946 0958", "phone", "0044 20 7946 0958"),
        ("030 1234567 and so on", "phone", "030 1234567"),
        ("0171/1234567", "phone", "0171/1234567"),
        ("tel:+493012345678", "phone", "+493012345678"),
        ("4111 1111 1111 1111", "card", "4111 1111 1111 1111"),
        ("card 5500-0000-0000-0004!", "card", "5500-0000-0000-0004"),
        ("378282246310005", "card", "378282246310005"),
        ("3782 822463 10005", "card", "3782 822463 10005"),
        ("5 4111 1111 1111 1111 100", "card", "4111 1111 1111 1111"),
        ("from 192.168.0.17:8080", "ip", "192.168.0.17"),
        ("2001:db8::ff00:42:8329", "ip", "2001:db8::ff00:42:8329"),
        ("at ::1", "ip", "::1"),
        ("IP:2001:db8::1", "ip", "2001:db8::1"),
        ("grade:2001:db8::1, so", "ip", "2001:db8::1"),
        ("the host 2001:db8::1: it is down", "ip", "2001:db8::1"),
        ("2001:db8:1:2:3:4:5:6:", "ip", "2001:db8:1:2:3:4:5:6"),
        ("net 2001:db8:::", "ip", "2001:db8::"),
        ("+49\u00a030\u00a01234567", "phone", "+49\u00a030\u00a01234567"),
        ("Call +49 30\u20111234567!", "phone", "+49 30\u20111234567"),
        ("212\u2013555\u20130123", "phone", "212\u2013555\u20130123"),
        ("1-800-555-0199", "phone", "1-800-555-0199"),
        ("+1\u202f800\u202f555\u202f0199", "phone", "+1\u202f800\u202f555\u202f0199"),
        ("1 (212) 555-0123", "phone", "1 (212) 555-0123"),
        ("1.800.555.0199", "phone", "1.800.555.0199"),
        ("(202)5550143", "phone", "(202)5550143"),
        ("(202) 5550143", "phone", "(202) 5550143"),
        ("4111\u00a01111\u00a01111\u00a01111", "card", "4111\u00a01111\u00a01111\u00a01111"),
        ("4111  1111  1111  1111", "card", "4111  1111  1111  1111"),
        ("4111 - 1111 - 1111 - 1111", "card", "4111 - 1111 - 1111 - 1111"),
        ("my card is 4111.1111.1111.1111.", "card", "4111.1111.1111.1111"),
        ("3782.822463.10005", "card", "3782.822463.10005"),
        ("ann\u2011b@mail.example", "email", "ann\u2011b@mail.example"),
    ],
)
def test_personal_data_is_found(text: str, kind: str, part: str) -> None:
    assert found(text) == [(kind, part)]
    assert masked(text) == text.replace(part, f"[{kind}]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "There are 3 red squares.",
        "On 2024-01-31 at 12:30:45, and on 01-02-2024.",
        "1,234,567,890 or 3.14159265358979",
        "4111 1111 1111 1112",  # fails Luhn
        "version 1.2.3, section 4.5.6",
        "999.999.999.999",
        "std::vector<a::b> and `::`",
        "@ann, see you @home",
        "a ratio of 16:9:4",
        "1024 x 768, 100 %",
        "std::cafe::dead, Foo::ab::cd12 and crate::de::Face",
        "label:12:30:45 and MAC:00:1B:44:11:3A:B7 and time: 12:30:",
        "0.4111111111111111 or 4.111.111.111.111.111 or 411.111.111.111.111",
        "4111.1111.1111.1112 and 12.4111.1111.1111.1111",
        "1990\u20132005, 5\u2212212, 10\u00a0000\u00a0000 and 3 \u2013 4",
        "f(202)5550143 and 1-2-3, 1-800-555",
    ],
)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert find(text) == () and masked(text) == text and masked_or_none(text) is None


def test_several_in_one_text_are_found_in_order() -> None:
    text = "a@b.example or 10.0.0.1 or +44 20 7946 0958"
    assert [kind for kind, _ in found(text)] == ["email", "ip", "phone"]
    assert masked(text) == "[email] or [ip] or [phone]"


def test_what_only_another_piece_hid_is_masked_too() -> None:
    """The phone number's pattern reaches into the card's, which wins."""
    assert masked("030 1234567 4111111111111111") == "[phone] [card]"


pieces = st.sampled_from(
    [
        "a@b.example",
        "4111111111111111",
        "+49 30 1234567",
        "030 1234567",
        "10.0.0.1",
        "::1",
        "2001:db8::1",
        "4111.1111.1111.1111",
        "(202)5550143",
        "1-800-555-0199",
        "IP:",
        "\u00a0",
        "\u2011",
        "@",
        ".",
        ":",
        " ",
        "-",
        "0",
        "12",
        "x",
    ]
)
texts = st.one_of(st.lists(pieces, max_size=14).map("".join), st.text(max_size=40))


@given(texts)
def test_nothing_is_left_after_masking(text: str) -> None:
    assert find(masked(text)) == ()


@given(texts)
def test_the_quick_look_passes_over_nothing(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(personal_data, "_MAY_HOLD", re.compile(""))
        expected = find(text)
    assert find(text) == expected


@given(texts)
def test_other_spaces_and_dashes_are_found_where_the_plain_ones_are(text: str) -> None:
    """Each is one character, so that the places are those of the text itself."""
    assert find(text.replace(" ", "\u00a0").replace("-", "\u2011")) == find(text)


@given(texts)
def test_spans_are_in_order_and_apart(text: str) -> None:
    end = 0
    for span in find(text):
        assert end <= span.start < span.end <= len(text)
        end = span.end


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1 ",
        "1",
        "a.b-",
        "+1 ",
        "a@",
        ":",
        "0",
        "(212",
        "1-",
        "a@b.example ",
        "z:",
        "z",
        "4111.",
        "(202)",
        "\u00a01",
    ],
)
def test_the_time_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    began = time.process_time()
    find(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 3  # a square would take hours
