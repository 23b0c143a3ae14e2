"""The person at the page: a headless Chromium that is driven through the controls that everybody has.

Questions are typed, pictures are added as files, answers are corrected in the library with its keys. What is asked in
large numbers goes over the page's own line to the program, as the composer sends it, several at a time.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Error, Locator, Page, sync_playwright

SECONDS = 1000.0  # Playwright counts in milliseconds
PATIENCE = 300 * SECONDS
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

_SEND = """async ({ text, picture }) => {
  const body = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
  const headers = { "content-type": "application/octet-stream" };
  const answer = await fetch("pictures", { method: "POST", body, headers });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  loop.say("turn", {
    kind: "ask", key: loop.key(), conversation: null, text, pictures: [told.ticket],
    choices: loop.choices(), drop_oldest: false, private: false,
  });
  return told.sha256;
}"""


class NoBrowser(Exception):
    """There is no Chromium to drive."""


class Person:
    """One tab of one visitor."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.page.set_default_timeout(PATIENCE)
        self._url = url

    def go(self, address: str = "") -> None:
        self.page.goto(self._url + address)
        self.page.wait_for_selector("html[data-loop=ready]", timeout=PATIENCE)

    def wait_for_model(self) -> None:
        self.page.wait_for_selector('#state[data-tone="ready"]', timeout=PATIENCE)

    def calm(self) -> None:
        """Temperature 0 in the settings, so that an answer is the model's best."""
        self.choose("temperature", "0")

    def choose(self, name: str, value: str) -> None:
        """A field of the settings, as typing there sets it."""
        self.page.eval_on_selector(
            f'#choices [name="{name}"]',
            "(field, value) => { field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); }",
            value,
        )

    # -- the chat --------------------------------------------------------------------------------------------------

    def ask(self, text: str, picture: Path) -> int:
        """A new conversation about a picture, typed and sent; the id of the answer, once it has ended."""
        page = self.page
        page.keyboard.press("Control+k")
        page.wait_for_selector("#thread .question", state="detached", timeout=PATIENCE)
        page.set_input_files("#file", str(picture))
        page.wait_for_selector('.chip[data-sending="no"]', timeout=PATIENCE)
        page.fill("#draft", text)
        page.press("#draft", "Enter")
        page.wait_for_selector('#thread .reply[data-state]:not([data-state="running"])', timeout=PATIENCE)
        page.wait_for_selector('#composer[data-busy="no"]', timeout=PATIENCE)
        return int(page.locator("#thread .reply").last.get_attribute("data-turn") or 0)

    def send(self, text: str, picture: bytes) -> str:
        """The same without typing: the stored picture's SHA-256, while the answer is being written."""
        data = {"text": text, "picture": base64.b64encode(picture).decode()}
        return str(self.page.evaluate(_SEND, data))

    # -- the library -----------------------------------------------------------------------------------------------

    def open_library(self, words: str) -> None:
        """Narrowed to the questions and answers with these words."""
        page = self.page
        page.click('[data-do="show-library"]')
        page.fill('#filters [name="text"]', words)
        page.keyboard.press("Enter")
        page.wait_for_selector("#desk .case", timeout=PATIENCE)

    def correct(self, answer_id: int, text: str) -> None:
        """Choose the answer in the list, write what it should have been, save, approve."""
        page = self.page
        page.locator(f'.entry[data-answer="{answer_id}"] .pick').click()
        case = f'#desk .case[data-answer="{answer_id}"]'
        page.wait_for_selector(case, timeout=PATIENCE)
        page.keyboard.press("e")
        page.fill("#desk .writing textarea", text)
        page.keyboard.press("Control+Enter")
        self._found(f"{case} .text.right", text).wait_for(timeout=PATIENCE)
        page.keyboard.press("a")
        page.wait_for_selector(f'.entry[data-answer="{answer_id}"][data-state="approved"]', timeout=PATIENCE)

    def _found(self, selector: str, text: str) -> Locator:
        return self.page.locator(selector).filter(has_text=text)


@contextmanager
def person_at(url: str) -> Iterator[Person]:
    """A fresh visitor, with the page open and the model ready. Raises NoBrowser."""
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        except Error as error:
            raise NoBrowser("No Chromium could be started; `make setup-tests` installs one.") from error
        try:
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            person = Person(page, url)
            person.go()
            person.wait_for_model()
            person.calm()
            yield person
        finally:
            chromium.close()


def _chromium() -> str | None:
    """One on the PATH; None is Playwright's own."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
