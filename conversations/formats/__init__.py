"""The formats that a data set is written in, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from conversations.formats.axolotl import AXOLOTL
from conversations.formats.format import Format
from conversations.formats.kto import KTO
from conversations.formats.llava import LLAVA
from conversations.formats.messages import MESSAGES
from conversations.formats.parquet import PARQUET
from conversations.formats.preference import PREFERENCE

__all__ = ["FORMATS", "DEFAULT_FORMAT"]

_ALL = (LLAVA, MESSAGES, PARQUET, AXOLOTL, PREFERENCE, KTO)

FORMATS: Mapping[str, Format] = MappingProxyType({each.name: each for each in _ALL})
DEFAULT_FORMAT = LLAVA.name
