"""Inputs for the fuzzer: good ones, changed at random, with a feeling for what they are made of."""

import re

# Words that are likely to matter, for texts of any kind.
WORDS = [
    *(b"{", b"}", b"[", b"]", b"(", b")", b":", b",", b"'", b'"', b"\n", b"\t", b"\0", b"\\", b"#"),
    *(
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!python/object:os.system ",
        b"!!binary ",
        b"---\n",
        b"...\n",
        b"? ",
    ),
    *(
        b"- ",
        b"| ",
        b"> ",
        b"%YAML 1.1\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc2\x85",
    ),
    *(b"\\ud800", b"\\u0000", b"\xe2\x80\xa8", b"\x1b[2J", b"\xf0\x9f\xa4\xa6", b"\xd9\xa3"),
    *(b"0", b"-1", b"1e999", b"-0.0", b"1e-400", b"0x7fffffffffffffff", b"9" * 5000, b"2**63"),
    *(b"18446744073709551616", b"9223372036854775807", b"NaN", b"inf", b".inf", b"null", b"true"),
    *(b"10**12", b"9**9**9", b"2**-1074", b"1_000", b"1j", b"...", b"0b1", b"1or 2", b"a:=1"),
    *(b"lambda:0", b"__import__('os')", b"a.b", b"a if b else 3", b"*a", b"**a", b"f'{a}'", b"~"),
    *(b"//0", b"%0", b"round(", b"max(", b"sqrt(-1)", b"ceil(inf)", b"{i:0>1000000000}", b"{i!r}"),
    *(
        b"{i:099d}",
        b"{i.__class__}",
        b"{{",
        b"../",
        b"/dev/zero",
        b"a/../b",
        b".",
        b"*" * 30,
        b"[!",
    ),
    *(
        b"layers",
        b"name",
        b"shape",
        b"initializer",
        b"repeat",
        b"rules",
        b"match",
        b"vars",
        b"seed",
    ),
    *(b"dtype", b"version", b"metadata", b"layout", b"class_name", b"config", b"initgen", b"torch"),
    *(b"seed=", b"bfloat16", b"float8_e5m2", b"int8", b"bool", b"zeros()", b"constant(", b"stft"),
    *(
        b"orthogonal",
        b"identity",
        b"from_file(",
        b"concatenate(",
        b"x.py:f",
        b"a:b",
        b"scaled_normal",
    ),
    *(b"__metadata__", b"data_offsets", b"F4", b"F64", b"BF16", b"weight_map", b"a.safetensors"),
    *(b"tensors", b"checksum", b"stream", b"manifest", b"only", b"initializers"),
]
NUMBERS = [0, 1, 7, 8, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]
BINARY = {"safetensors", "hdf5", "keras", "verify"}
_NUMBER = re.compile(rb"\d+")
_TOKEN = re.compile(rb"[\w.]+|\s+|.", re.DOTALL)


def changed(chance, pool, target):
    """Return one of the inputs with a few things changed."""
    data = bytearray(chance.choice(pool))
    ways = BITS if target in BINARY and chance.random() < 0.8 else TEXTS
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        data = chance.choice(ways)(chance, data, pool)
    return bytes(data)


def _place(chance, data):
    return chance.randrange(len(data) + 1)


def _flip(chance, data, pool):
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _number(chance, data, pool):
    """Write a number of 1 to 8 bytes over what is there."""
    width = chance.choice((1, 2, 4, 8))
    place = chance.randrange(max(1, len(data) - width))
    number = chance.choice(NUMBERS) if chance.random() < 0.7 else chance.randrange(len(data) + 1)
    data[place : place + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")
    return data


def _cut(chance, data, pool):
    del data[_place(chance, data) :]
    return data


def _remove(chance, data, pool):
    place = _place(chance, data)
    del data[place : place + chance.choice((1, 2, 8, 64))]
    return data


def _repeat(chance, data, pool):
    place = _place(chance, data)
    piece = data[place : place + chance.choice((1, 4, 16, 64))]
    times = chance.choice((1, 1, 2, 3, 60, 500)) if len(piece) < 20 else 1
    data[place:place] = piece * times
    return data


def _insert(chance, data, pool):
    place = _place(chance, data)
    data[place:place] = chance.choice(WORDS)
    return data


def _over(chance, data, pool):
    """Write a word over a token."""
    tokens = list(_TOKEN.finditer(data))
    if tokens:
        start, end = chance.choice(tokens).span()
        data[start:end] = chance.choice(WORDS)
    return data


def _digits(chance, data, pool):
    """Put another number in the place of one."""
    numbers = list(_NUMBER.finditer(data))
    if numbers:
        start, end = chance.choice(numbers).span()
        number = chance.choice([*NUMBERS, 10**6, 10**12, 10**30, chance.randrange(70)])
        data[start:end] = str(number).encode()
    return data


def _splice(chance, data, pool):
    """Go on as another input does."""
    other = chance.choice(pool)
    start = _place(chance, other)
    place = _place(chance, data)
    data[place : place + chance.choice((0, 8, 10**6))] = other[start : start + 200]
    return data


def _wrap(chance, data, pool):
    """Put a piece into brackets, many times."""
    left, right = chance.choice((b"[]", b"{}", b"()")), None
    left, right = left[:1], left[1:]
    start, end = sorted((_place(chance, data), _place(chance, data)))
    times = chance.choice((1, 1, 3, 60, 300))
    data[start:end] = left * times + bytes(data[start:end]) + right * times
    return data


BITS = [_flip, _flip, _number, _number, _cut, _remove, _repeat, _splice]
TEXTS = [_flip, _insert, _insert, _over, _over, _digits, _remove, _repeat, _splice, _wrap, _cut]
