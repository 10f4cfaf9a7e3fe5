"""What kernels of any kind are built of: arrays at addresses, bit patterns, square roots."""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

inline = njit(inline="always", error_model="numpy")


@intrinsic
def array_at(typing_context, address, start, size):
    """Return the 1-D array of elements start .. start + size at an address; nothing owns it.

    Numba's `carray` does the same, with checks that can raise.
    """
    array_type = types.Array(address.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        data, first, count = args
        array = context.make_array(array_type)(context, builder)
        width = context.get_abi_sizeof(context.get_data_type(address.dtype))
        itemsize = context.get_constant(types.intp, width)
        begin = builder.gep(data, [first])
        populate_array(array, begin, [count], [itemsize], itemsize, meminfo=None)
        return array._getvalue()

    return array_type(address, types.intp, types.intp), codegen


@intrinsic
def bits_of(typing_context, value):
    """Return the bit pattern of a float as an unsigned integer of its width."""
    width = value.bitwidth
    integer = types.Integer.from_bitwidth(width, signed=False)

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(width))

    return integer(value), codegen


@intrinsic
def float_of(typing_context, bits):
    """Return the float that has a bit pattern: the reverse of `bits_of`."""
    value = {32: types.float32, 64: types.float64}[bits.bitwidth]

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(value))

    return value(bits), codegen


@intrinsic
def square_root(typing_context, value):
    """Return the exactly rounded root. NumPy's may call the C library."""

    def codegen(context, builder, signature, args):
        root = builder.module.declare_intrinsic("llvm.sqrt", [args[0].type])
        return builder.call(root, args)

    return value(value), codegen
