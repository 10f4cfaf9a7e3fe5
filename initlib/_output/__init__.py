"""Where a checkpoint goes: new files, which take their names only once they are whole."""

from initlib._output._file import Output
from initlib._output._folder import OutputFolder

__all__ = ["Output", "OutputFolder"]
