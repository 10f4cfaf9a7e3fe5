"""Descriptions made by hand, of NumPy's numbers: what pages are drawn from in tests."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from initlib._description import (
    QUANTILES,
    Description,
    Expected,
    Group,
    Histogram,
    Judgement,
    Statistics,
    TensorDescription,
    Unread,
)

BINS = 65
# Values drawn of each tensor; counts are scaled to its size.
DRAWN = 4096
ITEM_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}

NASTY = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(3)>",
    "\"'><svg onload=alert(4)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(5)",
    "line\nbreak\ttab",
    "back\\slash \\u003c %20 #tensor=x & &amp;",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "層/注意/🦄/é\u0301",
    "line\u2028separator\u2029",
    "not text: \udcff",
    "__proto__",
    "constructor",
    " ",
    "very." + "long." * 400 + "weight",
)


def tensor(name, shape=(64, 64), *, values=None, expected=None, off=(), **changes):
    """Describe `values`, of which a tensor of this shape is thought to be made."""
    parameters = math.prod(shape)
    values = np.zeros(1) if values is None else np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    scale = parameters / max(values.size, 1)
    judgement = Judgement("off" if off else "ok", 0.31, -0.52, 0.84, tuple(off))
    dtype = changes.get("dtype", "float32")
    fields = {
        "dtype": dtype,
        "fan_in": shape[-2] if len(shape) > 1 else parameters,
        "fan_out": shape[-1] if shape else 1,
        "nbytes": parameters * ITEM_BYTES[dtype],
        "file": "model.safetensors",
        "statistics": _statistics(values, finite, scale),
        "quantiles": tuple(np.quantile(finite, QUANTILES)) if finite.size else None,
        "histogram": _histogram(finite, scale, expected) if finite.size else None,
        "judgement": judgement if expected else None,
    }
    return TensorDescription(
        name=name, shape=shape, parameters=parameters, expected=expected, **fields | changes
    )


def _statistics(values, finite, scale):
    def count(found):
        return round(int(found.sum()) * scale)

    spread = finite.size > 0 and np.ptp(finite) > 0
    return Statistics(
        mean=finite.mean() if finite.size else None,
        stddev=finite.std() if finite.size else None,
        min=finite.min() if finite.size else None,
        max=finite.max() if finite.size else None,
        skewness=float(stats.skew(finite)) if spread else None,
        kurtosis=float(stats.kurtosis(finite)) if spread else None,
        l2=math.sqrt(float((finite**2).sum()) * scale) if finite.size else None,
        zeros=count(values == 0),
        nan=count(np.isnan(values)),
        infinite=count(np.isinf(values)),
    )


def _histogram(finite, scale, expected):
    low, high = finite.min(), finite.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(finite, BINS, (low, high))
    promised = None
    if expected is not None and (law := _law(expected)) is not None:
        promised = tuple(np.diff(law.cdf(edges)) * finite.size * scale)
    return Histogram(low, high, tuple(counts * scale), promised, 0.0, 0.0)


def _law(expected):
    match expected.distribution:
        case "normal":
            return stats.norm(expected.mean, expected.stddev)
        case "uniform":
            return stats.uniform(expected.low, expected.high - expected.low)
        case "constant":
            return stats.norm(expected.mean, 1e-9)
    return None


def normal(stddev):
    """What RandomNormal promises."""
    return Expected(f"RandomNormal(mean=0.0, stddev={stddev})", "normal", 0.0, stddev)


def uniform(limit):
    """What RandomUniform promises."""
    call = f"RandomUniform(minval={-limit}, maxval={limit})"
    return Expected(call, "uniform", 0.0, limit / math.sqrt(3), -limit, limit)


def constant(value):
    """What Zeros and Ones promise."""
    name = {0.0: "Zeros()", 1.0: "Ones()"}[value]
    return Expected(name, "constant", value, 0.0, value, value)


def description(tensors, **changes):
    """Put tensors together."""
    tensors = tuple(tensors)
    parameters, nbytes = (sum(getattr(t, key) for t in tensors) for key in ("parameters", "nbytes"))
    off = sum(t.judgement is not None and t.judgement.verdict == "off" for t in tensors)
    statistics = _statistics(np.zeros(0), np.zeros(0), 1)
    fields = {
        "path": "checkpoints/model.safetensors",
        "format": "safetensors",
        "files": ("model.safetensors",),
        "made_by": "initgen 0.1.0, seed 42",
        "source": "provenance",
        "layout": "keras",
        "false_alarms": 1e-6,
        "total": Group("", len(tensors), parameters, nbytes, off, statistics),
        "groups": (),
        "unread": (),
        "missing": (),
        "seconds": 0.25,
    }
    return Description(tensors=tensors, **fields | changes)


def gpt2(blocks=12):
    """A model like GPT-2, of 12 tensors a block and 4 more, with some things wrong."""
    rng = np.random.default_rng(7)
    width = 768

    def kernel(name, shape, stddev=0.02, actual=None, **changes):
        values = rng.normal(0, actual or stddev, DRAWN)
        return tensor(name, shape, values=values, expected=normal(stddev), **changes)

    def filled(name, value, size=width):
        return tensor(name, (size,), values=np.full(16, value), expected=constant(value))

    def block(i):
        begin = f"transformer.h.{i}"
        yield filled(f"{begin}.ln_1.weight", 1.0)
        yield filled(f"{begin}.ln_1.bias", 0.0)
        yield kernel(f"{begin}.attn.c_attn.weight", (width, 3 * width))
        yield filled(f"{begin}.attn.c_attn.bias", 0.0, 3 * width)
        yield kernel(f"{begin}.attn.c_proj.weight", (width, width), 0.02 / math.sqrt(24))
        yield filled(f"{begin}.attn.c_proj.bias", 0.0)
        yield filled(f"{begin}.ln_2.weight", 1.0)
        yield filled(f"{begin}.ln_2.bias", 0.0)
        yield kernel(f"{begin}.mlp.c_fc.weight", (width, 4 * width))
        yield filled(f"{begin}.mlp.c_fc.bias", 0.0, 4 * width)
        yield kernel(f"{begin}.mlp.c_proj.weight", (4 * width, width), 0.02 / math.sqrt(24))
        yield filled(f"{begin}.mlp.c_proj.bias", 0.0)

    tensors = [
        kernel("transformer.wte.weight", (50257, width)),
        kernel("transformer.wpe.weight", (1024, width)),
        *(found for i in range(blocks) for found in block(i)),
        filled("transformer.ln_f.weight", 1.0),
        filled("transformer.ln_f.bias", 0.0),
    ]
    _spoil(tensors, rng)
    groups = tuple(
        Group(f"transformer.h.{i}", 12, 7_087_872, 28_351_488, int(i == 3), _statistics(v, v, 1000))
        for i, v in enumerate(rng.normal(0, 0.02, (blocks, 999)))
    )
    return description(tensors, path="checkpoints/gpt2.safetensors", groups=groups)


def _spoil(tensors, rng):
    """Put in the place of some tensors what isn't as it should be, or nobody can tell."""
    names = [found.name for found in tensors]

    def put(name, shape, values, **changes):
        tensors[names.index(name)] = tensor(name, shape, values=values, **changes)

    begin = "transformer.h."
    put(
        f"{begin}3.attn.c_proj.weight",
        (768, 768),
        rng.normal(0, 0.02, DRAWN),
        expected=normal(0.02 / math.sqrt(24)),
        off=("stddev 0.02 instead of 0.00408",),
        judgement=Judgement("off", 1.2, 3003.5, 61.0, ("stddev is 0.02, expected 0.00408248",)),
    )
    put(
        f"{begin}7.mlp.c_fc.weight",
        (768, 3072),
        np.append(rng.normal(0, 0.02, DRAWN - 4), [np.nan, np.nan, np.inf, 0.31]),
        expected=normal(0.02),
        off=("1,152 values are NaN, 576 infinite", "kurtosis is 3.4"),
    )
    put(
        f"{begin}9.mlp.c_fc.weight",
        (768, 3072),
        rng.uniform(-0.035, 0.035, DRAWN),
        expected=normal(0.02),
        off=("the distribution is not normal",),
    )
    put("transformer.wpe.weight", (1024, 768), rng.laplace(0, 0.01, DRAWN), dtype="bfloat16")


def large(count=1000):
    """A model of this many tensors."""
    rng = np.random.default_rng(3)
    kinds = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "norm")
    tensors = [
        tensor(
            f"model.layers.{i // len(kinds)}.self_attention.{kinds[i % len(kinds)]}.weight",
            (4096, 128 * (1 + i % 97)),
            values=rng.normal(0, 0.02, DRAWN),
            expected=normal(0.02),
            dtype="bfloat16",
        )
        for i in range(count)
    ]
    return description(tensors, path="checkpoints/large")


def nasty():
    """Names, paths and texts that would break out of a page if it let them."""
    evil = "</title></style></script><script>alert(9)</script>"
    rng = np.random.default_rng(5)
    tensors = [
        tensor(
            name,
            (16, 16),
            values=rng.normal(0, 1, DRAWN),
            expected=Expected(f"Mine({evil!r})", "normal", 0.0, 1.0),
            off=(evil,) if i % 2 else (),
        )
        for i, name in enumerate(NASTY)
    ]
    statistics = _statistics(np.zeros(0), np.zeros(0), 1)
    return description(
        tensors,
        path=f"{evil}\udc80",
        made_by=evil,
        source=evil,
        files=(evil, "other"),
        groups=(Group(evil, 1, 1, 1, 0, statistics),),
        unread=(Unread(evil, evil, evil),),
        missing=(evil,),
    )


def empty():
    """Nothing at all."""
    return description((), made_by=None, source=None, files=())


def unjudged():
    """A checkpoint of which nobody knows the initializers, with a not finite value."""
    rng = np.random.default_rng(11)
    draws = rng.normal(0, 1, (3, DRAWN))
    return description(
        [
            tensor("conv/kernel", (3, 3, 8, 16), values=draws[0] * 0.1),
            tensor("conv/bias", (16,), values=np.append(draws[1], np.nan)),
            tensor("all/bad", (4,), values=np.full(4, np.nan)),
            tensor("none", (0,), values=np.zeros(0)),
            tensor("scalar", (), values=draws[2][:1], dtype="float64"),
        ],
        made_by=None,
        source=None,
        unread=(Unread("labels", "strings", "model.h5"),),
    )
