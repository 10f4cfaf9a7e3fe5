"""The page of `describe --html`, as text; tests/browser looks at it in a browser."""

import base64
import dataclasses
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser

import descriptions
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initgen import _html
from initlib._description import QUANTILES, Unread


class Page(HTMLParser):
    """What a page is made of: tags in order, text outside of scripts, contents of scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.blocks, self._raw = [], "", {}, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._raw = (
            attributes.get("id") or attributes.get("type", tag)
            if tag in ("script", "style")
            else None
        )

    def handle_data(self, text):
        if self._raw:
            self.blocks[self._raw] = self.blocks.get(self._raw, "") + text
        else:
            self.text += text

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._raw = None

    @property
    def data(self):
        return json.loads(self.blocks["data"])


def rendered(description):
    return Page(_html.render(description))


def said(description):
    """The text of a page, its white space as one sees it."""
    return " ".join(rendered(description).text.split())


def one(**changes):
    return descriptions.tensor("w", expected=descriptions.normal(0.1), **changes)


def test_the_same_description_gives_the_same_page():
    page = _html.render(descriptions.gpt2())
    assert page == _html.render(dataclasses.replace(descriptions.gpt2(), seconds=99.0))
    assert page.encode()


def test_figures_are_in_the_data():
    description = descriptions.gpt2()
    data = rendered(description).data
    assert data["quantiles"] == list(QUANTILES)
    for row, tensor in zip(data["tensors"], description.tensors, strict=True):
        assert row["name"] == tensor.name
        assert row["shape"] == list(tensor.shape)
        assert row["statistics"]["mean"] == pytest.approx(tensor.statistics.mean, rel=1e-8)
        assert row["quantiles"] == pytest.approx(tensor.quantiles, rel=1e-8)
        assert row["statistics"]["nan"] == tensor.statistics.nan


def test_a_float32_stays_itself():
    values = np.random.default_rng(1).normal(size=1000).astype("f4")
    short = [_html.plain(float(value)) for value in values]
    assert (np.array(short).astype("f4") == values).all()


def unpacked(text, top):
    levels = [_html.LETTERS.index(a) * 64 + _html.LETTERS.index(b) for a, b in pairs(text)]
    return [math.expm1(level * math.log1p(top) / _html.LEVELS) for level in levels]


def pairs(text):
    return [text[i : i + 2] for i in range(0, len(text), 2)]


@given(st.lists(st.floats(0, 1e12), min_size=1))
def test_counts_survive_packing(counts):
    top = max(counts)
    # Half a step of the logarithm, and what logarithms themselves round.
    step = math.expm1(0.5 * math.log1p(top) / _html.LEVELS) + 1e-9
    for count, found in zip(counts, unpacked(_html.pack(counts, top), top), strict=True):
        assert abs(found - count) <= step * (1 + count)


def test_a_histogram_of_no_counts_can_be_packed():
    assert _html.pack((0.0, 0.0), 0.0) == "AAAA"
    assert _html.pack((), 0.0) == ""


@pytest.mark.parametrize("make", [descriptions.gpt2, descriptions.nasty, descriptions.empty])
def test_the_page_loads_nothing_and_runs_its_own_script_alone(make):
    text = _html.render(make())
    page = Page(text)
    policy = next(a["content"] for t, a in page.tags if "http-equiv" in a)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for kind, block in (("script-src", "module"), ("style-src", "style")):
        digest = hashlib.sha256(page.blocks[block].encode()).digest()
        assert rules[kind] == f"'sha256-{base64.b64encode(digest).decode()}'"
    for _, attributes in page.tags:
        # Policies forbid both in the page; it has none to begin with.
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert not re.match("(https?:)?//", attributes.get("href") or "")
        assert "src" not in attributes


def test_nasty_texts_are_texts():
    description = descriptions.nasty()
    page = rendered(description)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert tags.count("svg") == 0
    names = [row["name"] for row in page.data["tensors"]]
    assert names == [name.replace("\udcff", "\\udcff") for name in descriptions.NASTY]
    assert description.made_by in page.text
    for tensor in description.tensors[1:16:2]:
        assert tensor.name in page.text


def test_links_lead_to_names():
    page = rendered(descriptions.nasty())
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert len(links) == _html.SHOWN_PROBLEMS
    assert links[0] == "#tensor=%3C/script%3E%3Cscript%3Ealert%282%29%3C/script%3E"


@pytest.mark.parametrize(
    ("tensors", "changes", "expected"),
    [
        ([], {}, "There are no tensors here."),
        ([one()], {}, "The tensor is what its initializer promises."),
        ([one()] * 3, {}, "All 3 tensors are what their initializers promise."),
        ([one(off=["late"])], {}, "1 of 1 tensor is not what its initializer promises. w late"),
        (
            [one(off=["a", "b"])] * 2 + [one()],
            {},
            "2 of 3 tensors are not what their initializers promise. w a; b",
        ),
        ([one(), descriptions.tensor("v")], {}, "Of 2 tensors, 1 is as promised, and 1 can't be"),
        ([descriptions.tensor("v")], {}, "Nothing tells how these tensors should be, so none is"),
        ([one()], {"missing": ("x",)}, "1 tensor of the manifest isn't in the checkpoint. x"),
        ([one(values=[1, np.nan])], {}, "1 tensor holds NaN or infinities."),
        ([one()], {"false_alarms": 0.00995}, "called off nevertheless is 1 in 100."),
        ([one()], {"files": ("a", "b")}, "safetensors, 2 files"),
        ([], {"unread": (Unread("labels", "strings", "m.h5"),)}, "Not read labels strings"),
    ],
)
def test_the_page_says_how_it_stands(tensors, changes, expected):
    assert expected in said(descriptions.description(tensors, **changes))


def test_many_problems_are_left_to_the_table():
    text = said(descriptions.description([one(off=["late"])] * 30))
    assert text.count("w late") == _html.SHOWN_PROBLEMS
    assert "Show all 30 in the table" in text


def test_names_without_text_are_shown_escaped():
    page = _html.render(dataclasses.replace(descriptions.empty(), path="a\udc80b"))
    assert "<title>a\\udc80b</title>" in html.unescape(page)


def arranged(*names):
    found = _html.arrange(names)
    rows = {row["kind"]: row["cells"] for row in found["kinds"]}
    return found["blocks"], rows, found["rest"]


def test_blocks_and_kinds_come_from_names():
    assert arranged("wte", "h.0.a.w", "h.0.b", "h.10.a.w", "h.2.b", "h.2.a.w") == (
        [0, 2, 10],
        {"h.*.a.w": [1, 5, 3], "h.*.b": [2, 4, None]},
        [0],
    )


def test_the_first_number_is_the_block_s():
    blocks, rows, rest = arranged("l/0/experts/1/w", "l/1/experts/1/w", "l/1/ln_2/w")
    assert (blocks, rows, rest) == ([0, 1], {"l/*/experts/1/w": [0, 1]}, [2])


def test_keras_numbers_layers_from_the_second_on():
    assert arranged("layers/dense/vars/0", "layers/dense_1/vars/0", "layers/dense_2/vars/0") == (
        [0, 1, 2],
        {"layers/dense_*/vars/0": [0, 1, 2]},
        [],
    )


@pytest.mark.parametrize("names", [(), ("a", "b.weight"), ("h.0.w", "g.1.w"), ("w.0", "w.1")])
def test_without_shared_numbers_there_is_a_list(names):
    assert arranged(*names) == ([], {}, list(range(len(names))))


@given(st.lists(st.text("a0\u0661.19_/", max_size=12), unique=True))
def test_every_tensor_has_one_place(names):
    blocks, rows, rest = arranged(*names)
    cells = [cell for row in rows.values() for cell in row if cell is not None]
    assert sorted(cells + rest) == list(range(len(names)))
    assert all(len(row) == len(blocks) for row in rows.values())


def test_a_thousand_tensors_take_less_than_two_megabytes():
    assert len(_html.render(descriptions.large(1000)).encode()) < 2_000_000
