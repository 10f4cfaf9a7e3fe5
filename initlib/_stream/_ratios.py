"""Coefficients for the normal truncated at any bounds, as exact hexadecimal floats.

`python tools/coefficients.py` derives them; a test holds the two together. The digits below are the
specification (docs/stream.md): changing one changes weights.

For z >= 0 and w = -ln(1 - erf(z / sqrt 2)^2), z^2 is w times a ratio of two polynomials in w. Each
window of w has its own: numerator and denominator, highest degree first.
"""

from __future__ import annotations

import numpy as np

from initlib._stream._coefficients import LOG_32

# LOG of binary32, for binary64.
LOG_WIDE = tuple(np.float64(c) for c in LOG_32)

Ratio = tuple[tuple[np.float64, ...], tuple[np.float64, ...]]

# Where windows begin; the first one begins at 0. They overlap: w may be up to 38 beyond the end.
WINDOWS = (1.5, 26.0, 360.0, 19900.0)


def _ratios(*polynomials: str) -> tuple[Ratio, ...]:
    tables = [tuple(np.float64(float.fromhex(c)) for c in text.split()) for text in polynomials]
    return tuple(zip(tables[0::2], tables[1::2], strict=True))


RATIOS_32 = _ratios(
    """
    0x1.03033b104b6e7p-23 0x1.bdc49e8149b62p-16 0x1.6893fbb548251p-11 0x1.1b2025e346a5dp-7
    0x1.2ebc3437152e2p-4 0x1.713e859f4fa3ap-2 0x1.921fb5455e4b0p+0
    """,
    """
    0x1.0302ae19251aep-24 0x1.c47f82852a074p-17 0x1.848e3a561ce3dp-12 0x1.3742ebd16dd85p-8
    0x1.5dfa2c7c7eb6cp-5 0x1.a5ce5a9d0e0a8p-3 0x1.0000000000000p+0
    """,
    """
    0x1.0dc35a2a185aep-22 0x1.286d3764f26d4p-15 0x1.94d60a54039afp-11 0x1.2d59cb12eaa45p-7
    0x1.3a32d18cd895fp-4 0x1.7868c0c5f98e2p-2 0x1.921f945c2dc6dp+0
    """,
    """
    0x1.0e0453efab03ep-23 0x1.2ea7e6985e742p-16 0x1.b7cc23075229ep-12 0x1.4bdb80654732ep-8
    0x1.6bbe8d34fb997p-5 0x1.aeebfd3b1f5e9p-3 0x1.0000000000000p+0
    """,
    """
    -0x1.7ded1e1d70e31p-34 -0x1.1c5d24723b66bp-23 -0x1.4f96e5ceb2a8bp-15 -0x1.93d19a1f54017p-9
    -0x1.8b8e086f058acp-5 0x1.c07df36458ef8p-3 0x1.7d5c86fb056d6p+0
    """,
    """
    -0x1.7df7833e90b00p-35 -0x1.1d200f1681580p-24 -0x1.530a351641d1fp-16 -0x1.a07e53f855761p-10
    -0x1.b80185f5d8b16p-6 0x1.6f1b97b060f64p-4 0x1.0000000000000p+0
    """,
    """
    0x1.36260c58baab7p-59 0x1.c150f82cca860p-44 0x1.ed36e5786918ap-31 0x1.16b39c31d1dd9p-19
    0x1.4c3ae2b5b33bep-10 0x1.5151293379949p-3 0x1.b0946bc1d4306p+0
    """,
    """
    0x1.36264dc272954p-60 0x1.c15f0f7ffbfbfp-45 0x1.ed7a5686429d2p-32 0x1.17317ffdb8a3ap-20
    0x1.4e192408db176p-11 0x1.587314c44d402p-4 0x1.0000000000000p+0
    """,
    """
    0x1.5452914d90b19p-92 0x1.8f43835bc4ec8p-71 0x1.6458055ccf354p-52 0x1.4780473d6a1d2p-35
    0x1.3a2edb4658457p-20 0x1.e80718e8f1bd1p-8 0x1.f8d9f41462998p+0
    """,
    """
    0x1.545292b1f1a78p-93 0x1.8f43d62f9c2f1p-72 0x1.6459579f3fe9bp-53 0x1.47847ea35c190p-36
    0x1.3a3cacc9a1209p-21 0x1.e8635152ee8adp-9 0x1.0000000000000p+0
    """,
)
RATIOS_64 = _ratios(
    """
    0x1.85827213a3759p-54 0x1.d7ade70567e71p-46 0x1.dd33e6f765922p-40 0x1.a1dc2b2620beep-35
    0x1.3b6067eee485cp-30 0x1.7af020cb7b91dp-26 0x1.752d8f1dd424ep-22 0x1.3168306167344p-18
    0x1.b027171dea978p-15 0x1.ec19e0e6521f9p-12 0x1.f62ad657e956ap-9 0x1.703b184649fa7p-6
    0x1.0b482b4fee1c5p-3 0x1.8f1aae33080cep-2 0x1.921fb54442d18p+0
    """,
    """
    0x1.85b6921464b4cp-55 0x1.dcaf546591c3ap-47 0x1.ee60dbe99c115p-41 0x1.bbe4094fdf2a3p-36
    0x1.5005e291f893fp-31 0x1.985ecdc078488p-27 0x1.970b2382205cdp-23 0x1.4ebe47d5fa045p-19
    0x1.e283152df6e31p-16 0x1.120d5d0b36d7ap-12 0x1.2108f1a2cd215p-9 0x1.a1078e98eb883p-7
    0x1.40c7f2e9fb7fep-4 0x1.cbd3322155dc4p-3 0x1.0000000000000p+0
    """,
    """
    0x1.54110efbed9e5p-64 0x1.a67006864273bp-52 0x1.0a9a2b841f20dp-43 0x1.33e2294ea4feap-37
    0x1.e32d0d2044617p-33 0x1.b36027887f838p-28 0x1.137cf93c97ff4p-23 0x1.190b0ba2eff06p-19
    0x1.eddb12d02ea9bp-16 0x1.4cef129e6b0e8p-12 0x1.8486ffc2cb152p-9 0x1.3cefd06c19a3dp-6
    0x1.eba6158d9cb88p-4 0x1.8b458a2eff8c7p-2 0x1.921fb543fb697p+0
    """,
    """
    0x1.53bee1e3ccb0ap-65 0x1.a6f7b622b2ac1p-53 0x1.0d44177889a1bp-44 0x1.3de00e8baf5bcp-38
    0x1.02a0708a6fffdp-33 0x1.ca1a60ddd2735p-29 0x1.2a338ec1f7619p-24 0x1.2f599049de044p-20
    0x1.10cb477510ee3p-16 0x1.6ec09acd29772p-13 0x1.bbbd902da3b53p-10 0x1.64caf9b6b0bb7p-7
    0x1.25b0d7e435d2ap-4 0x1.c6f1f7f4dd703p-3 0x1.0000000000000p+0
    """,
    """
    0x1.3ed22a98c3deap-82 0x1.3ca0265efa182p-69 0x1.4c8faad3878f5p-58 0x1.0d4d768c4e177p-48
    0x1.83990d963bd05p-40 0x1.026f03d32fc79p-32 0x1.2e9c7dd18d382p-26 0x1.c04562d10b60cp-22
    -0x1.790de195c183bp-18 -0x1.1283014e34b0dp-13 0x1.0cc0736f79c50p-8 0x1.d4fe57fac39cep-6
    -0x1.9613a04f47b0dp-2 -0x1.88d2c15b0240fp-1 0x1.490b5db045a72p+0
    """,
    """
    0x1.3ed432ef24daap-83 0x1.3cd0909057425p-70 0x1.4d2e0c3116dbcp-59 0x1.0e6db23963c09p-49
    0x1.86cc64a2b30b5p-41 0x1.06773c8829071p-33 0x1.37da1e8dc3e59p-27 0x1.e371e2fe0fc05p-23
    -0x1.5a8970942c274p-19 -0x1.324cf821d1f25p-14 0x1.09831e4bc0e04p-9 0x1.2659bc87be729p-6
    -0x1.9b4d436d69d23p-3 -0x1.4656a4fff555bp-1 0x1.0000000000000p+0
    """,
    """
    0x1.2ce08175b02f7p-149 0x1.85124867b6082p-131 0x1.0d47589ac69ebp-114 0x1.26f537a733a1dp-99
    0x1.2dd66c427a73dp-85 0x1.3aa942ef60373p-72 0x1.5e31736dad017p-60 0x1.a943b4fdb7390p-49
    0x1.1a73362b08c73p-38 0x1.93c63ca92a961p-29 0x1.2abd11b8934b5p-20 0x1.a9b1ed8d47c02p-13
    0x1.000e89c491273p-6 0x1.8ed4475e785fap-2 0x1.8542ac861077ap+0
    """,
    """
    0x1.2ce08d4975d53p-150 0x1.851442122a5e0p-132 0x1.0d4bcdcb27009p-115 0x1.270071aa20e93p-100
    0x1.2ded1e1743f1fp-86 0x1.3ad45eb6f4c04p-73 0x1.5e84fe804ad09p-61 0x1.a9f04bc691464p-50
    0x1.1b34ea65be945p-39 0x1.959e54b299266p-30 0x1.2d20d3475647cp-21 0x1.affb7931ed321p-14
    0x1.07c1a04080a62p-7 0x1.ac8fd8298c2d9p-3 0x1.0000000000000p+0
    """,
    """
    0x1.bbab814deb10ap-227 0x1.ce6fd1febe4a5p-203 0x1.028f229b648f3p-180 0x1.ca9a22bd59cd8p-160
    0x1.7cb989b9b0bbbp-140 0x1.428695c39cd03p-121 0x1.23fed4481f682p-103 0x1.207b59c74a17dp-86
    0x1.374d0c9c0ccadp-70 0x1.680515d9a4a80p-55 0x1.ab1fc1a714192p-41 0x1.dee191fab3955p-28
    0x1.b248445a2c10ap-16 0x1.c282927b18d13p-6 0x1.eb4a1c0685cf1p+0
    """,
    """
    0x1.bbab81a4a98fdp-228 0x1.ce6fe10fd63b6p-204 0x1.028f3eecd28cep-181 0x1.ca9a98dc44a77p-161
    0x1.7cba4f7072dcap-141 0x1.4287cd3600ea8p-122 0x1.2400c9f6fe908p-104 0x1.207eb97339544p-87
    0x1.37536055e8f7cp-71 0x1.6811ff7b51848p-56 0x1.ab3bd2827571cp-42 0x1.df1f7efff0ffbp-29
    0x1.b2c707bf4bfcdp-17 0x1.c416df551e0a8p-7 0x1.0000000000000p+0
    """,
)
