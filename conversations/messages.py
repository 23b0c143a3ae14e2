"""What a conversation is made of: plain frozen values without I/O, shared by the log, the page and the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One stored picture, known by the SHA-256 of its stored bytes (64 hexadecimal digits)."""

    sha256: str
    width: int = 0
    height: int = 0


Content = tuple[str | ImageRef, ...]
"""Text and pictures in the order in which they stand in a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One side's turn. Text is what the person or the model wrote, never markup."""

    role: Role
    content: Content

    @property
    def text(self) -> str:
        """The text parts joined by line breaks, pictures left out."""
        return "\n".join(part for part in self.content if isinstance(part, str))

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """The pictures in order."""
        return tuple(part for part in self.content if isinstance(part, ImageRef))
