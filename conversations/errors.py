"""What can go wrong in the log, as one drawn tree, so that the page can turn each case into its own sentence.

    LogError
      NotFound            no such thing, or it is somebody else's: the two are told apart to nobody
      AnswerRunning       this conversation is being answered right now
      AlreadyAnswered     this very request was answered before (Send pressed twice)
      InvalidText         a text that cannot be kept as it is
      InvalidSettings     a number that no answer can be asked for with, or that cannot be kept
      InvalidFilters      a filter with a value that it cannot have
      InvalidImport       a file of conversations with a value that cannot be kept; names the record and the field
      PictureRefused      a picture that the door does not let in
      PictureMissing      a picture that is not, or no longer, in the store
      DatabaseRefused     the database cannot be used as it is
        CorruptDatabase, NewerSchema, ForeignDatabase, UnwritableFolder, UnsupportedDatabase
      BackupRefused       a backup that cannot be made, or put back, like this
      DatabaseBusy        another process held the database for too long
      DiskFull            there is no room left to write

Every message is a whole sentence that can be shown to a person.
"""

from __future__ import annotations


class LogError(Exception):
    """Root of everything that the log raises on purpose."""


class NotFound(LogError, LookupError):
    """The id names nothing that this owner may see."""


class AnswerRunning(LogError):
    """The conversation has an answer in the making; `answer_id` is its turn."""

    def __init__(self, answer_id: int) -> None:
        super().__init__("This conversation is being answered right now; wait for the answer or stop it.")
        self.answer_id = answer_id


class AlreadyAnswered(LogError):
    """The same request was answered before; `answer_id` is the turn it got."""

    def __init__(self, answer_id: int) -> None:
        super().__init__("This question was sent twice; its answer is already in the conversation.")
        self.answer_id = answer_id


class InvalidText(LogError, ValueError):
    """A text that cannot be kept unchanged, or that is empty where something must stand."""


class InvalidSettings(LogError, ValueError):
    """A setting out of its range; the sentence names it, its value and the range."""


class InvalidFilters(LogError, ValueError):
    """A filter that does not exist, or a value that it cannot have; the sentence names both."""


class InvalidImport(LogError, ValueError):
    """A conversation that is read from a file and cannot be kept; nothing of it was. The sentence names the
    record and the field."""


class PictureRefused(LogError, ValueError):
    """One sentence that names the limit that the picture breaks."""


class PictureMissing(LogError, LookupError):
    """No picture with this SHA-256 is stored."""


class DatabaseRefused(LogError):
    """The database, or the folder of the pictures, cannot be used; nothing was changed."""


class CorruptDatabase(DatabaseRefused):
    """The file is not an SQLite database, or it is damaged."""


class NewerSchema(DatabaseRefused):
    """The database was written by a newer version of this program."""


class ForeignDatabase(DatabaseRefused):
    """The database belongs to another program."""


class UnwritableFolder(DatabaseRefused):
    """The folder or the file cannot be written."""


class UnsupportedDatabase(DatabaseRefused):
    """The URL is not one of a database that this program can use."""


class BackupRefused(LogError):
    """A backup cannot be made here, or this is none, or putting it back would overwrite something."""


class DatabaseBusy(LogError):
    """The database stayed locked by another process."""


class DiskFull(LogError):
    """There is no room left on the disk."""
