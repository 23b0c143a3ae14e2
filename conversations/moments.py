"""Times that somebody wrote, in a file or a filter.

The log keeps UTC. A time at an end of the calendar may have none there: `9999-12-31T23:59:59-14:00` is a time that
Python reads, and that lies in the year 10000 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(text: str) -> datetime:
    """In the zone that it names, else in UTC; a day begins at midnight. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if not has_utc(moment):
        raise ValueError(f"{text!r} lies outside of the calendar in UTC")
    return moment


def has_utc(moment: datetime) -> bool:
    """Whether the log could keep it."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True
