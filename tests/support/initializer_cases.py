"""An initializer of each kind, and shapes that they fill: what contract and golden tests share."""

import numpy as np

from initlib import initializers

# Beside which the one that reads a file works, and what that file holds under the name `w`.
SOURCE = "source.safetensors"
SOURCE_VALUES = np.sqrt(np.arange(13.0 * 11)).reshape(13, 1, 11)
ARRAY = np.arange(13 * 11, dtype=np.float64).reshape(13, 1, 11) % 2
CASES = {
    "zeros": initializers.Zeros(),
    "ones": initializers.Ones(),
    "constant": initializers.Constant(1),
    "constant-array": initializers.Constant(ARRAY),
    "constant-row": initializers.Constant(ARRAY[0]),
    "given": initializers.get(ARRAY),
    "identity": initializers.Identity(),
    "normal": initializers.RandomNormal(0.1, 0.5, seed=7),
    "uniform": initializers.RandomUniform(-1, 2.5, seed=7),
    "truncated": initializers.TruncatedNormal(0.1, 0.5, seed=7),
    "scaling": initializers.VarianceScaling(2, "fan_avg", "untruncated_normal", seed=7),
    "glorot-normal": initializers.GlorotNormal(7),
    "glorot-uniform": initializers.GlorotUniform(7),
    "he-normal": initializers.HeNormal(7),
    "he-uniform": initializers.HeUniform(7),
    "lecun-normal": initializers.LecunNormal(7),
    "lecun-uniform": initializers.LecunUniform(7),
    "orthogonal": initializers.Orthogonal(1.5, seed=7),
    "orthogonal-tall": initializers.Orthogonal(0.5, seed=7),
    "kaiming-normal": initializers.KaimingNormal(0.2, "fan_out", seed=7),
    "kaiming-uniform": initializers.KaimingUniform(nonlinearity="tanh", seed=7),
    "xavier-normal": initializers.XavierNormal(1.5, 7),
    "xavier-uniform": initializers.XavierUniform(seed=7),
    "concatenate": initializers.Concatenate(
        [1, 0, 10, 2], ["ones", "zeros", initializers.RandomNormal(1, 2), "he_uniform"], seed=7
    ),
    "elementwise": initializers.Elementwise(
        "log(max(x, 0.1)) / 2", initializers.RandomUniform(0, 3), 7
    ),
    "dirac": initializers.Dirac(),
    "dirac-groups": initializers.Dirac(11),
    "sparse": initializers.Sparse(0.4, 0.5, 7),
    "delta-orthogonal": initializers.DeltaOrthogonal(1.5, seed=7),
    "jax-scaling": initializers.JaxVarianceScaling(2, "fan_geo_avg", "normal", seed=7),
    "jax-axes": initializers.JaxVarianceScaling(2, "fan_in", "uniform", 0, [2], 1, 7),
    "jax-orthogonal": initializers.JaxOrthogonal(1.5, 0, 7),
    "arange": initializers.Arange(3, 0.5),
    "rotary": initializers.RotaryInvFreq(500, 2),
    "sinusoidal": initializers.Sinusoidal(),
    "sinusoidal-halves": initializers.Sinusoidal(100, "halves", True),
    "from-file": initializers.FromFile(SOURCE, "w"),
    "trunc-normal": initializers.TruncNormal(0.5, 0.75, a=-1, b=None, seed=7),
    "stft-real": initializers.STFT(),
    "stft-imag": initializers.STFT("imag", "hamming", "spectrum", True),
    "stft-array": initializers.STFT("imag", np.arange(13), None),
}
SEEDED = [name for name in CASES if "seed" in CASES[name].get_config()]
FLOATS_ONLY = [*SEEDED, "stft-real", "stft-imag", "stft-array"]
FLOATS_ONLY += ["rotary", "sinusoidal", "sinusoidal-halves"]
WHOLE = ("orthogonal", "orthogonal-tall", "sparse", "delta-orthogonal", "jax-orthogonal")
# What axes some need; others have any.
SHAPES = {
    "orthogonal-tall": (31, 1, 11),
    "identity": (13, 11),
    "sparse": (13, 11),
    "rotary": (143,),
    "sinusoidal": (13, 11),
    "sinusoidal-halves": (14, 12),
}


# Whose axes are given, whatever the layout.
GIVEN = (
    *("constant-array", "constant-row", "given", "from-file", "sinusoidal-halves", "concatenate"),
)


def shape_of(name, layout="keras"):
    shape = SHAPES.get(name, (13, 1, 11))
    return shape if layout == "keras" or name in GIVEN else shape[::-1]
