"""Exact, mergeable figures of streams of values, in one pass over memory.

`Tally` takes the pieces of a tensor from many threads and makes a `Summary` of them: counts,
moments up to the fourth, extremes, quantiles and histograms. `Moments` of several tensors join.
"""

from initlib._moments._cells import parts
from initlib._moments._engine import Tally, center_of, prepare, summarize
from initlib._moments._figures import Moments
from initlib._moments._summary import Summary

__all__ = ["Moments", "Summary", "Tally", "center_of", "parts", "prepare", "summarize"]
