"""A kernel that LLVM can't see to raise nothing."""

from initlib._native._building import array_at


def divides(address, divisor):
    numbers = array_at(address, 0, 1)
    if divisor == 0:
        raise ValueError("zero")
    numbers[0] //= divisor
