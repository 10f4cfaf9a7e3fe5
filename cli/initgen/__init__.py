"""The `initgen` command: a thin face of initlib's public functions, one module a command."""
