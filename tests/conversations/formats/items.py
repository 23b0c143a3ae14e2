"""Items for the tests of the formats: texts full of marks, pictures anywhere, system texts or none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from conversations.errors import PictureMissing
from conversations.examples import Example, Preference, Verdict
from conversations.formats.contents import canonical
from conversations.messages import Content, ImageRef, Message
from tests.conversations.samples import hostile

SHA = [hashlib.sha256(bytes([number])).hexdigest() for number in range(6)]
typed = (hostile | st.sampled_from(["### Title", "<image>", "< image>", "<|im_end|>", "C#", "# # #"])).filter(
    lambda text: not any("\ud800" <= c <= "\udfff" for c in text)
)
texts = typed.filter(bool)
pictures = st.sampled_from([ImageRef(sha256) for sha256 in SHA])


def question(*content: str | ImageRef) -> Message:
    return Message("user", content)


def answer(text: str) -> Message:
    return Message("assistant", (text,))


contents: st.SearchStrategy[Content] = (
    st.lists(texts | pictures, min_size=1, max_size=4).map(tuple).map(canonical)
)
questions = contents.map(lambda content: Message("user", content))
answers = texts.map(answer)
prompts = st.lists(st.tuples(questions, answers), max_size=2).flatmap(
    lambda pairs: questions.map(lambda last: (*(message for pair in pairs for message in pair), last))
)
ids = st.text(max_size=6).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
systems = st.just("") | texts
examples = st.builds(
    lambda id, prompt, last, system: Example(id, (*prompt, last), system), ids, prompts, answers, systems
)
preferences = st.builds(Preference, ids, prompts, texts, texts, systems)
verdicts = st.builds(Verdict, ids, prompts, texts, st.booleans(), systems)


@dataclass
class NamedPictures:
    """Pictures whose bytes are known; those in `missing` are not there."""

    missing: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def name(self, sha256: str) -> str:
        self.asked.append(sha256)
        if sha256 in self.missing:
            raise PictureMissing(f"The picture {sha256[:12]}… is not in the store; add it again.")
        return f"{sha256}.jpg"

    def data(self, sha256: str) -> bytes:
        self.name(sha256)
        return b"bytes of " + sha256.encode()


def by_name(name: str) -> ImageRef:
    """The picture of a file that was exported."""
    return ImageRef(Path(name).stem)
