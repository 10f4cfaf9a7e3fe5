"""Globs match what the standard library's do, however they are looked up."""

from fnmatch import fnmatchcase
from glob import escape

from hypothesis import given
from hypothesis import strategies as st

from initlib._globs import matcher, unmatched

TEXTS = st.text("ab*?[]!", max_size=4)
GLOBS = st.lists(TEXTS | TEXTS.map(escape), max_size=4)


@given(GLOBS, TEXTS)
def test_a_name_matches_if_one_of_them_does(globs, name):
    expected = not globs or any(fnmatchcase(name, glob) for glob in globs)
    assert matcher(globs)(name) is expected


@given(GLOBS, st.lists(TEXTS, max_size=4))
def test_the_first_that_matches_no_name(globs, names):
    missing = [glob for glob in globs if not any(fnmatchcase(name, glob) for name in names)]
    assert unmatched(globs, names) == next(iter(missing), None)
