"""Tensors, and the elements of one, know nothing of each other: `make quality` in small.

The draws are fixed, and so are the p-values: the least of some 150 is expected to be near 0.01.
"""

import independence
import numpy as np
import pytest
from streams import ids_of, named, words

LEAST = 1e-4


def passed(found):
    return {name: p for name, p in found.items() if not p > LEAST} == {}


@pytest.mark.parametrize("family", independence.FAMILIES)
def test_tensors_are_uncorrelated(family):
    assert passed(independence.between(independence.FAMILIES[family], 65, 2048))


def test_rows_and_columns_of_a_tensor_are_uncorrelated():
    matrix = independence.normals([named(0)], 64 * 2048).reshape(64, 2048)
    assert passed(independence.of_matrix(matrix))
    assert passed(independence.of_matrix(matrix.reshape(2048, 64).T))


def test_elements_at_any_distance_are_uncorrelated():
    assert passed(independence.lags(1 << 15, 256))


def test_neighbouring_words_are_independent():
    assert passed(independence.neighbours(32, 1 << 12))


def test_no_frequency_stands_out():
    assert passed(independence.spectra(36))


def test_one_bit_turns_half_of_all():
    assert passed(independence.flips(1 << 9, 1 << 8))


def test_a_common_part_is_found():
    values = independence.normals([named(i) for i in range(65)], 2048)
    shared = values[:-1] + 0.25 * values[-1]
    found = independence.of_matrix(shared)
    assert max(found["all"], found["largest eigenvalue"]) < 1e-9
    alike = values.copy()
    alike[7] = 0.8 * values[7] + 0.6 * values[40]
    assert independence.of_matrix(alike)["largest"] < 1e-9


def test_equal_signs_are_found():
    values = independence.normals([named(i) for i in range(65)], 2048)
    values[7] = np.copysign(values[7], values[40])
    assert independence.of_matrix(values)["signs, largest"] < 1e-9


def test_an_echo_is_found():
    (x,) = independence.normals([named(0)], 1 << 15)
    echo = np.roll(x, 100) * 0.1 + x
    assert independence.of_lags(x, echo / np.sqrt(1.01), 256)["largest"] < 1e-9


def test_a_wave_is_found():
    field = independence.normals([named(0)], 1 << 14).reshape(128, 128)
    wave = 0.1 * np.sin(np.arange(128) * 2 * np.pi * 10 / 128)
    assert independence.of_spectrum(field + wave)["largest"] < 1e-9


def test_words_that_go_by_the_last_are_found():
    (x,) = words([named(0)], 1 << 16)
    y = x * np.uint32(5) + np.uint32(1)
    assert independence.of_tuples(x, y, bits=8) < 1e-9
    assert independence.of_tuples(x, y, bits=8, low=True) < 1e-9


def test_a_bit_that_turns_itself_alone_is_found():
    ids = ids_of([named(i) for i in range(512)])
    turned = (ids ^ np.uint32(1 << bit) for bit in range(32))
    assert independence.of_flips(ids, turned)["largest"] < 1e-9
