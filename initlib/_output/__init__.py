"""Where a checkpoint goes: new files, which take their names only once they are whole."""

from initlib._output._claim import Claim, abandon
from initlib._output._file import Output
from initlib._output._folder import OutputFolder
from initlib._output._objects import ObjectFile, ObjectFolder, Uploads
from initlib._output._target import Target, file_at, folder_at, is_folder
from initlib._output._terms import Terms
from initlib._output._text import TextFile

__all__ = [
    "Claim",
    "ObjectFile",
    "ObjectFolder",
    "Output",
    "OutputFolder",
    "Target",
    "Terms",
    "TextFile",
    "Uploads",
    "abandon",
    "file_at",
    "folder_at",
    "is_folder",
]
