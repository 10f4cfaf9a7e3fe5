"""The one place of the version: of the library, the command and what files record."""

__version__ = "0.1.0"
