"""Coefficients of stream version 1's transforms, as exact hexadecimal floats, highest degree first.

`python tools/coefficients.py` derives them; a test holds the two together. The digits below are the
specification (docs/stream.md): changing one changes every weight.

LN2: ln 2 in two parts, the first so short that its product with an exponent is exact.
LOG: 2 (atanh s - s) / s^3 in s^2 on [0, 1/9].
QUARTER_PI: pi / 4 rounded, and what the rounding left.
SIN: (sin(pi x / 4) / x - pi / 4) / x^2 in x^2 on [0, 1].
COS: (cos(pi x / 4) - 1) / x^2 in x^2 on [0, 1].
SQUARE: 1 - c^2 and c^2, where c = erf(sqrt(2)), the probability within two stddev.
QUANTILE: Z / t in y = -ln(1 - c^2 t^2); Z: the quantile of the normal truncated at two stddev.
"""

from __future__ import annotations

import numpy as np


def _float32(*digits: str) -> tuple[np.float32, ...]:
    return tuple(np.float32(float.fromhex(number)) for number in digits)


def _float64(*digits: str) -> tuple[np.float64, ...]:
    return tuple(np.float64(float.fromhex(number)) for number in digits)


LN2_32 = _float32(
    "0x1.62e000p-1",
    "0x1.0bfbe8p-15",
)
LOG_32 = _float32(
    "0x1.dba260p-3",
    "0x1.bc8cf8p-3",
    "0x1.24c926p-2",
    "0x1.9998d4p-2",
    "0x1.555556p-1",
)
QUARTER_PI_32 = _float32(
    "0x1.921fb6p-1",
    "-0x1.777a5cp-26",
)
SIN_32 = _float32(
    "0x1.4cb762p-22",
    "-0x1.32ce1ep-15",
    "0x1.466bc2p-9",
    "-0x1.4abbcep-4",
)
COS_32 = _float32(
    "0x1.db6492p-19",
    "-0x1.55cb98p-12",
    "0x1.03c1eap-6",
    "-0x1.3bd3ccp-2",
)
SQUARE_32 = _float32(
    "0x1.6c4222p-4",
    "0x1.d277bcp-1",
)
QUANTILE_32 = _float32(
    "-0x1.ffa09ep-22",
    "-0x1.2294e2p-19",
    "0x1.368f56p-14",
    "-0x1.862e1cp-13",
    "-0x1.9c0ea6p-9",
    "0x1.fec596p-7",
    "0x1.40b44cp-2",
    "0x1.323feep+0",
)
LN2_64 = _float64(
    "0x1.62e42fefa3800p-1",
    "0x1.ef35793c76730p-45",
)
LOG_64 = _float64(
    "0x1.401d3e65cdc48p-3",
    "0x1.32e0d25c9c761p-4",
    "0x1.bc37f0140c19ep-4",
    "0x1.e0a2d581ab68fp-4",
    "0x1.111abdc8abe16p-3",
    "0x1.3b13515f6f9efp-3",
    "0x1.745d19937b1fcp-3",
    "0x1.c71c71bedea97p-3",
    "0x1.2492492499d46p-2",
    "0x1.9999999999944p-2",
    "0x1.5555555555555p-1",
)
QUARTER_PI_64 = _float64(
    "0x1.921fb54442d18p-1",
    "0x1.1a62633145c07p-55",
)
SIN_64 = _float64(
    "-0x1.6cc577dadd922p-46",
    "0x1.e8f036bcd3237p-38",
    "-0x1.e3074d2614b2dp-30",
    "0x1.50783486facaap-22",
    "-0x1.32d2cce62b872p-15",
    "0x1.466bc6775aae1p-9",
    "-0x1.4abbce625be53p-4",
)
COS_64 = _float64(
    "0x1.1e745e5e09f6dp-50",
    "-0x1.b6de8b8e9ba08p-42",
    "0x1.f9d3870871194p-34",
    "-0x1.a6d1f2a086c90p-26",
    "0x1.e1f506891ae95p-19",
    "-0x1.55d3c7e3cbff7p-12",
    "0x1.03c1f081b5ac4p-6",
    "-0x1.3bd3cc9be45dep-2",
)
SQUARE_64 = _float64(
    "0x1.6c422139a1165p-4",
    "0x1.d277bbd8cbdd3p-1",
)
QUANTILE_64 = _float64(
    "0x1.0c5641d1383edp-42",
    "-0x1.7782e7af1f145p-38",
    "0x1.875626738b70ep-35",
    "-0x1.e3cd640a425eep-34",
    "-0x1.189a6ca545e64p-31",
    "0x1.7dbfea9966af4p-31",
    "0x1.0bb071aa94d0fp-25",
    "-0x1.b38485ed78ca0p-25",
    "-0x1.6ed65bf56d1d3p-20",
    "0x1.6df5501d8b621p-19",
    "0x1.07e70a173fc2ap-14",
    "-0x1.6a797f6506c80p-13",
    "-0x1.9d2619a22b9e6p-9",
    "0x1.fedafb851901fp-7",
    "0x1.40b4374c68f19p-2",
    "0x1.323fee65d1421p+0",
)
