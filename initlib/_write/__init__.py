"""Writing the chunks of a plan into a file."""

from initlib._write._file import File
from initlib._write._sender import Sender
from initlib._write._writer import Nowhere, Writer

__all__ = ["File", "Nowhere", "Sender", "Writer"]
