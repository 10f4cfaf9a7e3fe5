"""Writing the chunks of a plan into a file."""

from initlib._write._file import File
from initlib._write._writer import Writer

__all__ = ["File", "Writer"]
