"""The messages of a request, checked: roles in turn, texts that are texts, pictures that can be read, in bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conversations.messages import Content, ImageRef, Message, Role
from model.door.api_error import ApiError, invalid
from model.door.data_url import picture_from
from model.door.json_values import shown
from model.door.limits import Limits
from model.engine.request import Picture


class MessageReader:
    """Reads the list of messages and keeps count of what it brings. `pictures` by the SHA-256 that ImageRefs name."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_chars = 0
        self._num_pictures = 0
        self._by_url: dict[str, Picture] = {}
        self.pictures: dict[str, Picture] = {}

    def read(
        self, messages: object, *, may_be_answered: bool = False
    ) -> tuple[str | None, tuple[Message, ...]]:
        """The system prompt (None where none is sent) and the turns. Raises ApiError.

        The last message is the user's, or with `may_be_answered` also the assistant's.
        """
        if not isinstance(messages, list) or not messages:
            raise invalid("messages must be a list with at least one message of the user.", "messages")
        system: str | None = None
        turns: list[Message] = []
        for place, message in enumerate(messages):
            where = f"messages[{place}]"
            if not isinstance(message, dict):
                raise invalid(
                    f"{where} is {shown(message)}; it must be an object with role and content.", where
                )
            role = message.get("role")
            if role in ("system", "developer"):
                if place != 0:
                    raise invalid(f"{where} is a system message; only the first message may be one.", where)
                system = self._plain(message.get("content"), where)
                continue
            turns.append(self._turn(self._checked_role(role, turns, where), message, where))
        if not turns or (turns[-1].role != "user" and not may_be_answered):
            raise invalid("The last message must be the user's: it is what is answered.", "messages")
        return system, tuple(turns)

    @staticmethod
    def _checked_role(role: object, turns: list[Message], where: str) -> Role:
        """The role, if it is its turn."""
        if role not in ("user", "assistant"):
            raise invalid(f"{where} has the role {shown(role)}; known are system, user and assistant.", where)
        expected: Role = "assistant" if turns and turns[-1].role == "user" else "user"
        if role != expected:
            raise invalid(
                f"{where} is the {role}'s, but the {expected}'s turn is due; user and assistant must alternate, "
                "beginning with the user.",
                where,
            )
        return expected

    def _turn(self, role: Role, message: Mapping[str, Any], where: str) -> Message:
        content = message.get("content")
        if role == "assistant":
            return Message("assistant", (self._plain(content, where),))
        parts = self._parts(content, where)
        if not any(not isinstance(part, str) or part.strip() for part in parts):
            raise invalid(f"{where} is empty; write a question or add a picture.", where)
        return Message("user", parts)

    def _plain(self, content: object, where: str) -> str:
        """Text that may also come as a list of text parts."""
        parts = self._parts(content, where)
        if not all(isinstance(part, str) for part in parts):
            raise invalid(f"{where} holds a picture; only the user's messages may.", where)
        return "\n".join(part for part in parts if isinstance(part, str))

    def _parts(self, content: object, where: str) -> Content:
        if isinstance(content, str):
            return (self._text(content, where),)
        if not isinstance(content, list):
            raise invalid(
                f"{where} has the content {shown(content)}; it must be text or a list of parts.", where
            )
        return tuple(self._part(part, f"{where}.content[{place}]") for place, part in enumerate(content))

    def _part(self, part: object, where: str) -> str | ImageRef:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
            return self._text(part["text"], where)
        if isinstance(part, dict) and kind == "image_url":
            return self._picture(part.get("image_url"), where)
        raise invalid(f"{where} is of the type {shown(kind)}; known are text and image_url.", where)

    def _text(self, text: str, where: str) -> str:
        self._num_chars += len(text)
        if self._num_chars > self._limits.max_text_chars:
            raise ApiError(
                400,
                "context_length_exceeded",
                f"The conversation has more than {self._limits.max_text_chars:,} characters; shorten it.",
                param="messages",
            )
        if "\0" in text:
            raise invalid(f"{where} holds a NUL character; remove it.", where)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise invalid(
                f"{where} holds half of a surrogate pair, which is no character; remove it.", where
            ) from error
        return text

    def _picture(self, image_url: object, where: str) -> ImageRef:
        url = image_url.get("url") if isinstance(image_url, dict) else image_url
        if not isinstance(url, str):
            raise invalid(f'{where} has no url; send {{"url": "data:image/png;base64,…"}}.', where)
        self._num_pictures += 1
        if self._num_pictures > self._limits.max_pictures:
            raise ApiError(
                400,
                "invalid_picture",
                f"The conversation holds more than {self._limits.max_pictures} pictures; leave some out.",
                param=where,
            )
        picture = self._by_url.get(url) or self._new_picture(url, where)
        return ImageRef(picture.sha256, picture.image.width, picture.image.height)

    def _new_picture(self, url: str, where: str) -> Picture:
        """Decode a picture that was not sent before."""
        picture = picture_from(url, self._limits, where)
        picture = self.pictures.setdefault(picture.sha256, picture)
        self._by_url[url] = picture
        return picture
