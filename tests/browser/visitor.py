"""A person at the page: what browser tests do, in the words of a person. Playwright is driven from here only."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page

SECONDS = 1000  # Playwright counts in milliseconds
PATIENCE = 300 * SECONDS
"""Of every wait: each ends as soon as its thing is there."""

_NOTE_TOASTS = """
window.toasts = [];
new MutationObserver(() => {
  const words = document.querySelector("#toast:not([hidden]) .words")?.textContent;
  if (words && window.toasts.at(-1) !== words) window.toasts.push(words);
}).observe(document, { subtree: true, childList: true, characterData: true, attributeFilter: ["hidden"] });
"""


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A fresh profile, so a fresh visitor, with patience, and with a note of what is only shown for a moment."""
    made = browser.new_context(**options)
    made.set_default_timeout(PATIENCE)
    made.add_init_script(_NOTE_TOASTS)
    return made


def toasted(page: Page, words: str) -> None:
    """Until the page has said these words at its foot; after some seconds they go again."""
    page.wait_for_function("words => window.toasts.some(said => said.includes(words))", arg=words)


class Visitor:
    """One tab. Every request that leaves the machine and every error of the page's scripts is written down."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.external: list[str] = []
        self.faults: list[str] = []
        page.on("request", self._note_request)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)

    def _note_request(self, request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != urlsplit(self.url).netloc:
            self.external.append(request.url)

    def go(self, address: str = "") -> Visitor:
        self.page.goto(self.url + address)
        self.page.wait_for_selector("html[data-loop=ready]")
        return self

    def wait_until_ready(self) -> Visitor:
        self.page.wait_for_selector('#state[data-tone="ready"]')
        return self

    @property
    def conversation(self) -> str:
        return parse_qs(urlsplit(self.page.url).query)["c"][0]

    def longest(self, num_tokens: int) -> None:
        self.choose("max_new_tokens", num_tokens)

    def choose(self, name: str, value: object) -> None:
        """Set a field of the settings, as typing there does."""
        self.page.eval_on_selector(
            f'#choices [name="{name}"]',
            "(field, value) => { field.value = value; field.dispatchEvent(new Event('input', {bubbles: true})); }",
            str(value),
        )

    def add(self, *files: Path) -> None:
        self.page.set_input_files("#file", [str(file) for file in files])

    def write(self, text: str) -> None:
        self.page.fill("#draft", text)

    def ask(self, text: str, *files: Path) -> None:
        """Send a question and wait until the program has taken it."""
        if files:
            self.add(*files)
            self.page.wait_for_selector('.chip[data-sending="no"]')
        before = self.page.locator("#thread .question").count()
        self.write(text)
        if self.page.evaluate("loop.touch.matches"):
            self.page.click("#send")  # there Enter breaks the line
        else:
            self.page.press("#draft", "Enter")
        self.page.wait_for_function(
            "count => document.querySelectorAll('#thread .question').length > count",
            arg=before,
        )

    @property
    def reply(self) -> Locator:
        """The newest answer."""
        return self.page.locator("#thread .reply").last

    def wait_for_text(self) -> str:
        """Until the newest answer has begun; what of it is there."""
        self.page.wait_for_function(
            "() => { const all = document.querySelectorAll('#thread .reply .answer'); "
            "const last = all[all.length - 1]; "
            "return last && !last.querySelector('.phase') && last.textContent.trim().length > 3; }",
        )
        return self.reply.locator(".answer").inner_text()

    def wait_for_end(self) -> str:
        """Until the newest answer has ended; how it ended."""
        self.page.wait_for_function(
            "() => { const all = document.querySelectorAll('#thread .reply'); const last = all[all.length - 1]; "
            "return last && last.dataset.state !== 'running' && !document.querySelector('#composer[data-busy=yes]'); }",
        )
        return str(self.reply.get_attribute("data-state"))

    def raw(self) -> str:
        """The newest answer as it was written, before Markdown."""
        return str(self.reply.get_attribute("data-raw"))

    def notice(self) -> str:
        self.page.wait_for_selector("#notice:not([hidden])")
        return self.page.locator("#notice span").inner_text()


def choose(visitor: Visitor, chat: Locator, deed: str) -> None:
    """From the menu of a conversation in the list."""
    chat.hover()
    chat.locator("[data-do=chat-menu]").click()
    visitor.page.get_by_role("menuitem", name=deed).click()
