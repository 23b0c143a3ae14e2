"""A model's Markdown as safe HTML.

What a model writes is as little to be trusted as what a stranger writes: no HTML passes, no picture is loaded, a link
leads only to http, https or mail and says nothing about where it was clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_SCHEMES = ("http", "https", "mailto")


class _Renderer(RendererHTML):
    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """A picture in an answer would be fetched from wherever the model says: its description stands instead."""
        described = self.renderInlineAsText(tokens[index].children or [], options, env)
        return f'<span class="no-picture">{escape(described or "a picture")}</span>'

    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        tokens[index].attrSet("target", "_blank")
        tokens[index].attrSet("rel", "noopener noreferrer nofollow")
        return self.renderToken(tokens, index, options, env)

    def table_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="table">' + self.renderToken(tokens, index, options, env)

    def table_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return self.renderToken(tokens, index, options, env) + "</div>"


def _allowed(address: str) -> bool:
    try:
        return urlsplit(address.strip()).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    reader.enable(["table", "strikethrough"])
    reader.validateLink = _allowed  # type: ignore[method-assign,assignment]
    return reader


_READER = _reader()


def answer_html(text: str) -> str:
    """The answer's paragraphs, lists, tables and code as HTML."""
    return _READER.render(text)


def attribute_html(text: str) -> str:
    """A text as an attribute's value, to be read back exactly: a page's reader would make line feeds of its carriage
    returns."""
    return escape(text).replace("\r", "&#13;")


def plain_html(text: str) -> str:
    """Text as it was typed: every character shows, none is markup."""
    return escape(text)
