"""Resolving a manifest to tensors, and cutting these into chunks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlib import _manifest, initializers
from initlib._digest import LEAF
from initlib._errors import ManifestError, RequestError
from initlib._memory import PAGE
from initlib._plan import ALIGNMENT, make_chunks, make_plan
from initlib._stream import Stream


def plan_of(layers, *, only=(), allow_code=False, **top):
    manifest = _manifest.read({**top, "layers": layers})
    return make_plan(manifest, only=only, allow_code=allow_code)


def layer(name, shape=(2, 3), initializer="zeros", **keys):
    return {"name": name, "shape": list(shape), "initializer": initializer, **keys}


def test_tensors_are_resolved():
    plan = plan_of(
        [layer("a", (4, 5), "he_normal"), layer("b", (7,), "ones", dtype="bfloat16")],
        seed=9,
        layout="torch",
    )
    a, b = plan.tensors
    assert isinstance(a.initializer, initializers.HeNormal)
    assert a.target.stream == Stream.named(9, "a")
    assert (a.target.layout, a.target.shape, a.streams) == ("torch", (4, 5), True)
    assert (b.entry.name, b.entry.nbytes) == ("b", 14)
    assert (plan.parameters, plan.nbytes) == (27, 94)


@pytest.mark.parametrize(("call", "tensor"), [("'gone.h5'", "w"), ("'gone.h5', 'v'", "v")])
def test_of_an_absent_file_the_tensor_is_known(call, tensor):
    manifest = _manifest.read({"layers": [layer("w", initializer=f"from_file({call})")]})
    (resolved,) = make_plan(manifest, skip_absent=True).tensors
    assert (resolved.initializer.path, resolved.initializer.tensor) == ("gone.h5", tensor)


def test_tensors_share_an_initializer_of_the_same_spec():
    same = [layer(f"t{i}", initializer="truncated_normal(stddev=0.1)") for i in range(3)]
    tensors = plan_of([*same, layer("other", initializer="truncated_normal")]).tensors
    assert len({id(tensor.initializer) for tensor in tensors}) == 2


def test_a_seed_of_a_layer_replaces_the_manifest_s():
    (tensor,) = plan_of([layer("a", initializer="he_normal", seed=5)], seed=1).tensors
    assert tensor.target.stream == Stream.named(5, "a")


def test_a_seed_of_an_initializer_replaces_seed_and_name():
    (tensor,) = plan_of([layer("a", initializer="he_normal(seed=5)")], seed=1).tensors
    assert tensor.target.stream == Stream.seeded(5)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("constant(0.5)", {"value": 0.5}),
        ("random_normal(1, stddev=2)", {"mean": 1.0, "stddev": 2.0, "seed": None}),
    ],
)
def test_calls_take_arguments_by_position(call, expected):
    (tensor,) = plan_of([layer("a", initializer=call)]).tensors
    assert tensor.initializer.get_config() == expected


@pytest.mark.parametrize(
    ("initializer", "problem"),
    [
        ("glorot_unifrom", "unknown initializer 'glorot_unifrom'; did you mean 'glorot_uniform'?"),
        ("constant(1, 2)", "constant takes 1 arguments: value"),
        ("random_normal(1, mean=2)", "random_normal is given 'mean' twice"),
        ("random_normal(stdev=1)", "RandomNormal has no argument 'stdev'; did you mean 'stddev'?"),
        ("random_normal(stddev=-1)", "expected a stddev of 0 or more, received -1"),
        ("identity", "Identity"),
        (
            "x.py:f",
            "is code, which runs only where --allow-code (in Python allow_code=True) lets it",
        ),
    ],
)
def test_what_cannot_be_resolved(initializer, problem):
    with pytest.raises(ManifestError) as caught:
        plan_of([layer("ok"), layer("a", (2, 3, 4), initializer)])
    message = str(caught.value)
    assert message.startswith("<manifest>: layers[1].initializer: for 'a': ")
    assert problem in message
    assert "\n" not in message


def test_random_integers_are_refused():
    with pytest.raises(ManifestError, match=r"for 'a': .*floating-point.*int32"):
        plan_of([layer("a", initializer="he_normal", dtype="int32")])


def test_the_first_few():
    layers = [layer(name) for name in ("a/w", "a/b", "c", "a/c")]
    plan = make_plan(_manifest.read({"layers": layers}), only=["a/*"], most=2)
    assert [entry.name for entry in plan.entries] == ["a/w", "a/b"]


def test_only():
    layers = [layer(name) for name in ("a/w", "a/b", "c")]
    names = [t.entry.name for t in plan_of(layers, only=["a/*", "c"]).tensors]
    assert names == ["a/w", "a/b", "c"]
    assert [t.entry.name for t in plan_of(layers, only=["*w"]).tensors] == ["a/w"]
    with pytest.raises(RequestError, match=r"no tensor's name matches 'a/ww'; did you mean 'a/w'"):
        plan_of(layers, only=["a/*", "a/ww"])


SIZES = st.lists(
    st.tuples(st.sampled_from(["float32", "float64", "float8_e5m2"]), st.integers(0, 3 << 20)),
    max_size=12,
)


@settings(max_examples=50)
@given(
    sizes=SIZES,
    chunk_mib=st.integers(1, 4),
    gaps=st.lists(st.integers(0, 9000), min_size=12, max_size=12),
    phase=st.sampled_from([ALIGNMENT, PAGE]),
    order=st.randoms(use_true_random=False),
)
def test_chunks_cover_everything_once(sizes, chunk_mib, gaps, phase, order):
    plan = plan_of([layer(f"t{i}", (n,), "he_normal", dtype=d) for i, (d, n) in enumerate(sizes)])
    indices = list(range(len(sizes)))
    order.shuffle(indices)
    offsets, end = [0] * len(sizes), 0
    for index in indices:
        offsets[index] = end + gaps[index]
        end = offsets[index] + plan.tensors[index].entry.nbytes
    done = [0] * len(sizes)
    touched = []
    for chunk in make_chunks(plan, offsets, chunk_mib << 20, phase=phase):
        end = 0
        for piece in chunk.pieces:
            itemsize = plan.itemsize(piece)
            offset = offsets[piece.tensor] + piece.start * itemsize
            assert piece.start == done[piece.tensor]
            assert piece.start * itemsize % LEAF == 0
            assert piece.count > 0
            done[piece.tensor] += piece.count
            assert piece.place % itemsize == 0
            assert end <= piece.place < end + max(phase, ALIGNMENT)
            if offset % itemsize == 0:
                assert (piece.place - offset) % phase == 0
            end = piece.place + piece.count * itemsize
            touched.append(offset)
        assert 0 < chunk.nbytes <= chunk_mib << 20
        assert end <= (chunk_mib << 20) + phase
    assert done == [n for _, n in sizes]
    assert touched == sorted(touched)


def test_a_tensor_made_whole_is_a_chunk_by_itself():
    plan = plan_of([layer("a"), layer("q", (9, 9), "orthogonal"), layer("b")])
    chunks = list(make_chunks(plan, [0, 1, 2], LEAF))
    assert [[p.tensor for p in chunk.pieces] for chunk in chunks] == [[1], [0, 2]]
    assert [chunk.nbytes for chunk in chunks] == [324, 48]


def test_a_large_constant_shares_no_chunk():
    plan = plan_of([layer("a"), layer("ones", (300_000,), "ones"), layer("b")])
    chunks = list(make_chunks(plan, [0, 24, 1_200_024], LEAF, phase=PAGE))
    found = [[(p.tensor, p.count, p.place) for p in chunk.pieces] for chunk in chunks]
    assert found == [[(1, 1 << 18, 24)], [(1, 300_000 - (1 << 18), 24)], [(0, 6, 0), (2, 6, 3992)]]


@pytest.mark.parametrize(
    ("initializer", "dtype", "element"),
    [
        ("zeros", "float32", bytes(4)),
        ("ones", "bfloat16", b"\x80\x3f"),
        ("constant(3)", "int8", b"\x03"),
        ("constant(-0.0)", "float32", b"\x00\x00\x00\x80"),
        ("he_normal", "float32", None),
    ],
)
def test_large_constants_are_known(initializer, dtype, element):
    small, large = plan_of(
        [layer("a", (9,), initializer), layer("b", (1 << 20,), initializer)], dtype=dtype
    ).tensors
    assert (small.element, large.element) == (None, element)
