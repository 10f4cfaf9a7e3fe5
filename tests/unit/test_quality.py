"""What `make quality` counts and reads: right values pass, wrong ones are found."""

import batteries
import distributions
import matrices
import numpy as np
import pytest
import streams
from counting import Count, joined, of_count
from scipy import stats

from initlib import initializers
from initlib._dtypes import DTYPES

COUNT = 1 << 18
# Initializers of which each value is given, and those that tools/quality/matrices.py looks at.
GIVEN = {
    *("zeros", "ones", "constant", "constant_", "identity", "stft", "dirac", "lora_b"),
    *("arange", "rotary_inv_freq", "sinusoidal", "from_file"),
}
MATRICES = {"orthogonal", "jax.orthogonal", "delta_orthogonal", "concatenate"}


def drawn(dtype, scale=1.0, seed=5):
    values = np.random.default_rng(seed).standard_normal(COUNT) * scale
    return values.astype(DTYPES[dtype])


def p_values(law, values, *, low_bits=False):
    count = Count(law, values.dtype)
    for part in np.split(values, 2):
        count.add(part)
    count.finish()
    return count.p_values(low_bits=low_bits)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_right_values_pass(dtype):
    found = p_values(stats.norm(), drawn(dtype), low_bits=True)
    assert min(found.values()) > 1e-3
    assert ("low bits" in found) == (dtype == "float32")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_wrong_values_are_found(dtype):
    right = drawn(dtype)
    wide = p_values(stats.norm(), drawn(dtype, 1.1))
    assert max(wide[test] for test in ("chi-square", "moment 2", "KS", "beyond 4")) < 1e-6
    shifted = p_values(stats.norm(0.02, 1), right)
    assert max(shifted[test] for test in ("KS", "moment 1", "negative")) < 1e-6
    far = right.copy()
    far[:50] = 8
    found = p_values(stats.norm(), far)
    assert max(found[test] for test in ("largest", "beyond 6", "moment 6")) < 1e-6
    cut = right[np.abs(right.astype(float)) < 3.2]
    assert p_values(stats.norm(), cut[: cut.size // 2 * 2])["beyond 4"] < 1e-3
    assert p_values(stats.truncnorm(-2, 2), right)["support"] == 0


def test_even_mantissas_are_found():
    values = drawn("float32")
    even = (values.view(np.uint32) & ~np.uint32(1)).view(np.float32)
    assert p_values(stats.norm(), even, low_bits=True)["low bits"] < 1e-9


def test_cells_are_joined():
    counts, shares = joined(np.array([1, 2, 3, 4, 5]), np.array([0.1, 0.2, 0.3, 0.35, 0.05]), 0.3)
    assert counts.tolist() == [3, 3, 9]
    assert shares == pytest.approx([0.3, 0.3, 0.4])
    assert of_count(0, 1000, 0.0) == 1
    assert of_count(1, 1000, 0.0) == 0


def test_every_random_initializer_is_tested():
    cases = {case.identifier for case in distributions.CASES}
    every = {entry.identifier for entry in initializers.catalogue()}
    assert cases | MATRICES == every - GIVEN
    for case in distributions.CASES:
        initializers.get({"class_name": case.identifier, "config": case.arguments})


def test_an_orthogonal_matrix_without_its_signs_is_found():
    draws = np.random.default_rng(0).standard_normal((2000, 8, 8))
    q, r = np.linalg.qr(draws)
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    right = matrices.of_traces(q * signs[:, None]) | matrices.of_angles(q * signs[:, None])
    assert min(right.values()) > 1e-3
    assert min(matrices.of_traces(q).values()) < 1e-9


@pytest.mark.parametrize("name", streams.STREAMS)
def test_bits_of_a_stream_are_even(name):
    first, other = (next(streams.STREAMS[name](seed)).reshape(-1) for seed in (0, 1000))
    assert not np.array_equal(first[:64], other[:64])
    bits = np.unpackbits(first[: 1 << 16].copy().view(np.uint8).reshape(-1, first.itemsize), axis=0)
    scores = (bits.sum() - bits.size / 2) / np.sqrt(bits.size / 4)
    assert abs(scores) < 4.5


@pytest.mark.parametrize("part", ["random_uniform, f", "sparse", "log", "a=5, b=7", "bfloat16"])
def test_cases_keep_their_promises(part, capsys):
    results = [
        distributions.tested(case, dtype, 1 << 17, 0)
        for case in distributions.CASES
        for dtype in case.dtypes
        if part in f"{case.label}, {dtype}" or (part == "log" and "exp" in case.label)
    ]
    assert results
    assert all(p > 1e-5 for each in results for p in each.p_values.values())
    distributions.report(results)
    assert capsys.readouterr().out.count(results[0].values) >= 2


def test_what_batteries_need_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in batteries.BATTERIES:
        with pytest.raises(SystemExit) as stopped:
            batteries.prepare({name})
        assert str(stopped.value).startswith("the batteries need gcc, dieharder, TestU01")
        assert "\n" not in str(stopped.value)
        assert batteries.LOGS.is_dir()


TESTU01 = """
 The following tests gave p-values outside [0.001, 0.9990]:
 (eps  means a value < 1.0e-300):

       Test                          p-value
 ----------------------------------------------
 12  BirthdaySpacings, t = 3          9.4e-4
 62  Run of U01                      1 - 3.2e-5
 ----------------------------------------------
 All other tests were passed

0.5\tGap
3.2e-05\tRun
"""
PRACTRAND = """
length= 1 gigabyte (2^30 bytes), time= 89.0 seconds
  Test Name                         Raw       Processed     Evaluation
  [Low8/32]BCFN(2+2,13-1,T)         R=  -7.8  p =1-3.8e-4   unusual
  Gap-16:A                          R=+142.0  p =  1.5e-98    FAIL !!!!
  ...and 190 test result(s) without anomalies
"""
DIEHARDER = """
        test_name   |ntup| tsamples |psamples|  p-value |Assessment
   diehard_birthdays|   0|       100|     100|0.01694772|  PASSED
      diehard_operm5|   0|   1000000|     100|0.00001000|   WEAK
"""


def test_reports_are_read():
    found = batteries.BATTERIES["crush"].findings(TESTU01)
    assert [each.again for each in found] == [("12",), ("62",)]
    assert found[1].test == "Run of U01"
    assert batteries.BATTERIES["crush"].tests(TESTU01) == 2
    found = batteries.BATTERIES["practrand"].findings(PRACTRAND)
    assert [each.value for each in found] == ["p =1-3.8e-4, unusual", "p =  1.5e-98, FAIL !!!!"]
    assert batteries.BATTERIES["practrand"].tests(PRACTRAND) == 192
    (weak,) = batteries.BATTERIES["dieharder"].findings(DIEHARDER)
    assert weak.test == "diehard_operm5, 0"
    assert batteries.BATTERIES["dieharder"].tests(DIEHARDER) == 2
