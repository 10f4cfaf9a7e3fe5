"""What the kernels are built of: polynomials, and rounding to the stored dtype."""

from __future__ import annotations

from numba import types, uint8, uint16, uint32
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic, overload

from initlib._native._building import bits_of, float_of, inline


@intrinsic
def floats_at(typing_context, address, start, count):
    """Return a tuple of `count` numbers, which is a literal, from the `start`-th at an address."""
    if not isinstance(count, types.IntegerLiteral):
        raise RequireLiteralValue("count")
    size = count.literal_value

    def codegen(context, builder, signature, args):
        data, first, _ = args
        begin = builder.gep(data, [first])
        places = (builder.gep(begin, [context.get_constant(types.intp, i)]) for i in range(size))
        numbers = [builder.load(place) for place in places]
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(address.dtype, size)(address, types.intp, count), codegen


@intrinsic
def horner(typing_context, x, coefficients):
    """Evaluate a polynomial; written out in full, because LLVM leaves a long loop as it is."""

    def codegen(context, builder, signature, args):
        x, table = args
        y = builder.extract_value(table, 0)
        for i in range(1, coefficients.count):
            y = builder.fadd(builder.fmul(y, x), builder.extract_value(table, i))
        return y

    return x(x, coefficients), codegen


# -- rounding to the stored dtype ------------------------------------------------------------------
# Numba has no bfloat16 or float8, so `out` comes as integers whose type names the dtype: see STORED
# in _engine.py.


def store(out, i, x):
    """Round x to the dtype that `out` stores, to nearest and ties to even, and put it at out[i]."""


@inline
def _narrow(x, bias, mantissa_bits):
    """Round a float32 to a narrower IEEE-like format that can hold it; return its bit pattern."""
    drop = uint32(23 - mantissa_bits)
    bits = bits_of(x)
    magnitude = uint32(bits & uint32(0x7FFFFFFF))
    half = uint32((uint32(1) << uint32(drop - uint32(1))) - uint32(1))
    odd = uint32((magnitude >> drop) & uint32(1))
    normal = uint32(uint32(magnitude + half + odd) >> drop) - uint32((127 - bias) << mantissa_bits)
    # Subnormals: adding a power of two whose last bit is the format's smallest step rounds there.
    magic = uint32((127 + 1 - bias + 23 - mantissa_bits) << 23)
    subnormal = uint32(bits_of(float_of(magnitude) + float_of(magic)) - magic)
    # Chosen by a mask: Numba 0.68 warns of a conditional expression that it inlines this deep.
    mask = uint32(uint32(0) - uint32(magnitude >= uint32((127 + 1 - bias) << 23)))
    rounded = uint32((normal & mask) | (subnormal & ~mask))
    sign_bit = uint32(15 if mantissa_bits > 3 else 7)
    return uint32(rounded | uint32(uint32(bits >> uint32(31)) << sign_bit))


@overload(store, inline="always")
def _store_overload(out, i, x):
    if out.dtype == types.uint16:

        def store(out, i, x):
            bits = bits_of(x)
            odd = uint32((bits >> uint32(16)) & uint32(1))
            out[i] = uint16(uint32(bits + uint32(0x7FFF) + odd) >> uint32(16))
    elif out.dtype == types.int16:

        def store(out, i, x):
            out[i] = uint16(_narrow(x, 15, 10))
    elif out.dtype == types.uint8:

        def store(out, i, x):
            out[i] = uint8(_narrow(x, 7, 3))
    elif out.dtype == types.int8:

        def store(out, i, x):
            out[i] = uint8(_narrow(x, 15, 2))
    else:

        def store(out, i, x):
            out[i] = x

    return store
