"""What an initializer promises of a tensor's values, and whether values keep that promise."""

from initlib._expected._judging import FALSE_ALARMS, Judge
from initlib._expected._promises import Promise, call, promise

__all__ = ["FALSE_ALARMS", "Judge", "Promise", "call", "promise"]
