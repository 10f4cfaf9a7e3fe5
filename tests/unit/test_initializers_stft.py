"""STFT kernels: they compute the transform that they are named for."""

import numpy as np
import pytest
from scipy import signal

from initlib._errors import RequestError
from initlib._stream import Stream
from initlib.initializers import STFT, Target, get, serialize

NAMED = ["boxcar", "triang", "blackman", "hamming", "hann", "bartlett", "flattop", "cosine"]


@pytest.mark.parametrize("window", [*NAMED, None, np.linspace(0.5, 1.5, 12)])
@pytest.mark.parametrize("scaling", [None, "density", "spectrum"])
@pytest.mark.parametrize("periodic", [False, True])
def test_kernels_transform(window, scaling, periodic):
    frame = np.sin(np.arange(12.0) ** 2)
    values = window
    if isinstance(window, str):
        values = signal.get_window(window, 12, fftbins=periodic)
    values = np.ones(12) if values is None else values
    norm = {None: 1, "density": np.linalg.norm(values), "spectrum": np.abs(values).sum()}[scaling]
    # Without a window Keras doesn't scale either.
    norm = 1 if window is None else norm
    expected = np.fft.rfft(frame * values / norm, 16)
    real, imag = (
        np.tensordot(frame, STFT(side, window, scaling, periodic)((12, 1, 9), "float64")[:, 0], 1)
        for side in ("real", "imag")
    )
    np.testing.assert_allclose(real, expected.real, atol=1e-14)
    np.testing.assert_allclose(imag, expected.imag, atol=1e-14)


@pytest.mark.parametrize(
    ("t", "k", "cosine"), [(4096, 1, 0), (16383, 4096, 0), (16383, 8192, -1), (8192, 8192, 1)]
)
def test_angles_stay_exact_in_long_frames(t, k, cosine):
    # t k is a quarter of F = 16384 and up to 8192 times F; in float32 the angle would be lost.
    target = Target((16384, 1, 8193), np.dtype("float64"), Stream.seeded(0))
    element = np.empty(1)
    STFT(window=None).fill(element, t * 8193 + k, target)
    assert element[0] == pytest.approx(cosine, abs=1e-15)


def test_torch_layout_is_the_transpose():
    target = Target((9, 1, 12), np.dtype("float32"), Stream.seeded(0), "torch")
    STFT().check(target)
    np.testing.assert_array_equal(STFT().whole(target), STFT()((12, 1, 9)).transpose(2, 1, 0))


def test_arrays_survive_the_config():
    initializer = STFT(window=np.array([0.25, 1, 0.5]))
    config = serialize(initializer)
    assert config["config"]["window"] == [0.25, 1.0, 0.5]
    np.testing.assert_array_equal(get(config)((3, 1, 5)), initializer((3, 1, 5)))
    # What Keras writes for it, and itself can't read back.
    config["config"]["window"] = {
        "class_name": "__numpy__",
        "config": {"value": [0.25, 1.0, 0.5], "dtype": "float64"},
    }
    np.testing.assert_array_equal(get(config)((3, 1, 5)), initializer((3, 1, 5)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": "left"}, "expected the side to be 'real' or 'imag', received 'left'"),
        (
            {"scaling": "x"},
            "expected the scaling to be None, 'density' or 'spectrum', received 'x'",
        ),
        ({"window": "foo"}, "expected the name of a window without parameters: "),
        ({"window": "kaiser"}, "expected the name of a window without parameters: "),
        ({"window": ["a"]}, "expected a number or an array of numbers, received ['a']"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(RequestError) as caught:
        STFT(**arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("shape", [(4, 5), (4, 2, 5), (4, 1, 1), (0, 1, 5), (4, 1, 5, 1)])
def test_wrong_shapes(shape):
    with pytest.raises(RequestError) as caught:
        STFT()(shape)
    expected = f"STFT fills shapes (T, 1, K) with T >= 1 and K >= 2, received {shape}"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("initializer", "dtype", "message"),
    [
        (STFT(), "int32", "STFT needs a floating-point dtype, received int32"),
        (STFT(window=[1, 2]), "float32", "expected 4 window values, received shape (2,)"),
        (STFT(window=[0] * 4), "float32", "expected finite window values whose sum isn't 0"),
        (
            STFT("real", [1, np.nan, 1, 1], None),
            "float32",
            "expected finite window values whose sum isn't 0",
        ),
    ],
)
def test_what_does_not_fit(initializer, dtype, message):
    with pytest.raises(RequestError) as caught:
        initializer((4, 1, 5), dtype)
    assert str(caught.value) == message
