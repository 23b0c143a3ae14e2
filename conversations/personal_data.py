"""Personal data in a text: e-mail addresses, phone numbers, payment cards and IP addresses, found by plain patterns.

Names, places and faces are not found; docs/decisions/0010-the-log-as-data.md says why no model is asked. The
patterns rather mark a number too many than one too few: what is masked by mistake costs a word of an example, what
is left in goes to whoever reads the export. Every pattern starts only where a word or a number starts and is
bounded, so that the time grows with the length of the text and not with its square.

A number that was pasted has spaces that do not break and dashes of all widths. They are read as the plain ones, each
of them one character, so that the places found are those of the text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["email", "card", "ip", "phone"]


class Found(NamedTuple):
    """Personal data at `text[start:end]`."""

    kind: Kind
    start: int
    end: int


_MASKS: dict[Kind, str] = {"email": "[email]", "card": "[card]", "ip": "[ip]", "phone": "[phone]"}

_MAY_HOLD = re.compile(r"@|(?:\d[ ()./-]{0,3}){9}|\d\.\d{1,3}\.\d|::|(?:[0-9A-Fa-f]{1,4}:){3}")
"""Without a match there is nothing to find: most texts are done here."""

_PLAIN = {
    **dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " "),
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0xFE58, 0xFE63, 0xFF0D), "-"),
}
"""Unicode's other spaces and dashes; not the long dash, which stands between words."""

_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@[^\W_](?:[\w-]{0,62}[^\W_])?(?:\.[^\W_](?:[\w-]{0,62}[^\W_])?){1,8}"
)
_DIGITS = re.compile(r"(?<![\d.,])\d+(?![.,]?\d)")
_CARD_DIGITS = range(13, 20)
_CARD_GROUP = range(3, 7)
"""Cards are written in one piece or in groups like 4-4-4-4 or 4-6-5."""
_BETWEEN_GROUPS = (" ", "  ", "-", " - ")
_DOTTED_CARD = re.compile(r"(?<![\d.,])\d{4}(?:\.\d{4,6}){2,4}(?!\.?\d)")
"""Dots stand in decimals and, in some countries, between thousands too; those groups have three digits."""

_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_IPV6 = re.compile(
    r"""(?<![\w:.])
        (?:(?:(?![0-9A-Fa-f]{1,4}:)\w+)?:(?!:))?                    # IP:2001:db8::1 has a word before it
        (?P<address>[0-9A-Fa-f:]{2,40}(?:\.\d{1,3}){0,3})
        (?![\w:])""",
    re.VERBOSE,
)
_PHONE = re.compile(
    r"""(?<![\w.,+/-])(?:
        (?:\+|00)[ ]?[1-9]\d{0,3}(?:[ ./-]?\(?\d{1,5}\)?){1,7}    # +49 30 1234567, 0044 (20) 7946 0958
      | (?:1[ .-]?)?\(?[2-9]\d{2}\)?[ .-]?[2-9]\d{2}[ .-]\d{4}    # (212) 555-0123, 1-800-555-0199
      | (?:1[ .-]?)?\([2-9]\d{2}\)[ .-]?[2-9]\d{6}                # (202)5550143
      | \(?0[1-9]\d{0,4}\)?[ /-]?\d{2,9}(?:[ -]?\d{1,5}){0,4}     # 030 1234567, 0171/1234567
    )(?![\d])""",
    re.VERBOSE,
)
_PHONE_DIGITS = range(9, 16)
"""E.164 allows 15 digits. A date like 01-02-2024 has eight."""


def find(text: str) -> tuple[Found, ...]:
    """Every piece of personal data, in order, none overlapping another."""
    text = text if text.isascii() else text.translate(_PLAIN)
    if _MAY_HOLD.search(text) is None:
        return ()
    kept: list[Found] = []
    taken = bytearray(len(text))
    for found in _candidates(text):
        if 1 not in taken[found.start : found.end]:
            taken[found.start : found.end] = b"\1" * (found.end - found.start)
            kept.append(found)
    return tuple(sorted(kept, key=lambda found: found.start))


def masked(text: str) -> str:
    """The text with `[email]`, `[card]`, `[ip]` or `[phone]` in place of each. Masking twice changes nothing more."""
    while spans := find(text):
        pieces, position = [], 0
        for kind, start, end in spans:
            pieces += [text[position:start], _MASKS[kind]]
            position = end
        text = "".join(pieces) + text[position:]
    return text


def masked_or_none(text: str) -> str | None:
    """What the log keeps beside a text: None, which takes no room, where there is nothing to mask."""
    result = masked(text)
    return None if result == text else result


def _candidates(text: str) -> Iterator[Found]:
    """What is surest comes first and wins over what overlaps it."""
    for match in _EMAIL.finditer(text):
        yield Found("email", *match.span())
    yield from _cards(text)
    for match in _IPV4.finditer(text):
        if _is_address(match[0]):
            yield Found("ip", *match.span())
    for match in _IPV6.finditer(text):
        start, end = match.span("address")
        if not _is_address(text[start:end]) and text[end - 1] == ":":  # which belongs to the sentence
            end -= 1
        if _is_telling(text[start:end]) and _is_address(text[start:end]):
            yield Found("ip", start, end)
    for match in _PHONE.finditer(text):
        if sum(character.isdigit() for character in match[0]) in _PHONE_DIGITS:
            yield Found("phone", *match.span())


def _cards(text: str) -> Iterator[Found]:
    """Groups of digits side by side that together are a card's number, whatever other numbers stand beside them."""
    for match in _DOTTED_CARD.finditer(text):
        if sum(character.isdigit() for character in match[0]) in _CARD_DIGITS and _is_card(match[0]):
            yield Found("card", *match.span())
    groups = [match.span() for match in _DIGITS.finditer(text)]
    at = 0
    while at < len(groups):
        start, end = groups[at]
        last, num_digits = at, end - start
        found = None
        while num_digits <= _CARD_DIGITS[-1]:
            if num_digits in _CARD_DIGITS and _is_card(text[start:end]):
                found = Found("card", start, end)
                break
            side_by_side = last + 1 < len(groups) and text[end : groups[last + 1][0]] in _BETWEEN_GROUPS
            if not side_by_side or groups[last][1] - groups[last][0] not in _CARD_GROUP:
                break
            last += 1
            if groups[last][1] - groups[last][0] not in _CARD_GROUP:
                break
            num_digits, end = num_digits + groups[last][1] - groups[last][0], groups[last][1]
        if found is not None:
            yield found
        at = last + 1 if found is not None else at + 1


def _is_card(text: str) -> bool:
    """Issuers begin with 2 to 6 (ISO/IEC 7812), and the last digit is a check digit after Luhn."""
    digits = [int(character) for character in text if character.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 2 <= digits[0] <= 6 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_telling(text: str) -> bool:
    """`::` and `a::b` are read as addresses too, but are written in programs."""
    return text == "::1" or sum(character != ":" for character in text) >= 4


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
