"""Any manifest has one canonical form, which loads to the same tensors from YAML and JSON."""

import io
import json
from dataclasses import replace

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from initlib._dtypes import DTYPES
from initlib._manifest import read, write

FIXED = settings(derandomize=True, max_examples=60)

dimensions = st.integers(0, 4096) | st.sampled_from(["d", "4*d", "d/2", "d + n"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["on", "1e-3", "0.02/sqrt(d)", "fan_in", "~", "2024-01-01", "d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
initializers = (
    st.sampled_from(["he_normal", "constant(d)", "my.py:f", "f(1e-3, 'x', seed=n)"])
    | st.builds(
        lambda name, config: {"class_name": name, "config": config},
        st.sampled_from(["Zeros", "pkg.mod:Class"]),
        st.dictionaries(st.text(max_size=4), values, max_size=3),
    )
)  # fmt: skip


def layers(suffix):
    return st.fixed_dictionaries(
        {
            "name": st.text(
                st.characters(exclude_characters="\0{}", codec="utf-8"), max_size=6
            ).map(lambda name: name.replace(".", "_") + suffix),
            "shape": st.lists(dimensions, max_size=3),
            "initializer": initializers,
        },
        optional={
            "dtype": st.sampled_from([None, *DTYPES]),
            "seed": st.none() | st.integers(0, 2**64 - 1),
        },
    )


def unique(items):
    return st.lists(items, max_size=3, unique_by=lambda layer: layer["name"])


repeats = st.builds(
    lambda variables, inner: {"repeat": variables, "layers": inner},
    st.sampled_from([{"i": 2, "j": 1}, {"j": [3, 1], "i": "n"}]),
    unique(layers(".{i}.{j:02d}")),
)
manifests = st.fixed_dictionaries(
    {
        "vars": st.just({"n": 2, "d": "n*32"}),
        "layers": st.builds(
            lambda plain, repeated: [*plain, *repeated],
            unique(layers(".")),
            st.lists(repeats, max_size=1),
        ),
    },
    optional={
        "seed": st.integers(0, 2**64 - 1),
        "dtype": st.sampled_from(list(DTYPES)),
        "layout": st.sampled_from(["keras", "torch"]),
        "metadata": st.dictionaries(st.text(max_size=4), st.text(max_size=8)),
    },
)


class Quoting(yaml.SafeDumper):
    """Quotes all text: PyYAML writes YAML 1.1, in which `0E0` needs no quotes to be text."""


Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def tensors(manifest):
    return [(t.name, t.shape, t.dtype, t.layout, t.seed, t.initializer) for t in manifest.tensors()]


@FIXED
@given(manifests)
def test_canonical_form(data):
    manifest = read(data)
    canonical = json.dumps(manifest.canonical(), sort_keys=True, allow_nan=False)
    again = read(io.StringIO(canonical))
    assert tensors(again) == tensors(manifest)
    assert again.metadata == manifest.metadata
    assert json.dumps(again.canonical(), sort_keys=True) == canonical


def plain(value):
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


texts = st.text(max_size=4) | st.sampled_from(["1/2", "0", "inf", "d", "fan_in"])
calls = st.builds(
    lambda config: f"g({', '.join(f'{key}={value!r}' for key, value in config.items())})",
    st.dictionaries(
        st.sampled_from("abc"),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts,
            lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
            max_leaves=4,
        ),
    ),
)


@FIXED
@given(initializers.filter(lambda written: "f(1e-3" not in written) | calls)
def test_initializers_written_out(written):
    """Without variables an initializer reads as it did with them, text that is no number too."""
    layer = {"name": "w", "shape": [2], "initializer": written}
    (tensor,) = read({"vars": {"n": 2, "d": "n*32"}, "layers": [layer]}).tensors()
    spec = tensor.initializer
    if spec.args:
        spec = replace(spec, args=(), config={"value": spec.args[0]})
    (again,) = read({"layers": [{**layer, "initializer": write(spec)}]}).tensors()
    assert again.initializer.identifier == spec.identifier
    assert plain(again.initializer.config) == plain(spec.config)
    assert again.initializer.keras == spec.keras


@FIXED
@given(manifests)
def test_yaml_and_json_agree(data):
    plain = read(data).canonical()
    as_yaml = yaml.dump(plain, Dumper=Quoting, sort_keys=False)
    assert read(io.StringIO(as_yaml)).canonical() == plain
    assert tensors(read(io.StringIO(as_yaml))) == tensors(read(data))
