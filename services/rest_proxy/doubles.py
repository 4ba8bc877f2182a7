"""Floating-point numbers as Java writes them.

Before Java 19 `Double.toString` did not always find the shortest text that reads back as the same double: it writes
2^-44 with 17 digits instead of 16. The real proxy was recorded on Java 17.
"""

from __future__ import annotations

import math
import struct

_FRACTION = 52
_BIAS = 1023


def text(number: float) -> str:
    """What `Double.toString` of Java 17 gives: 100000.0, 1.0E-7, Infinity.

    >>> text(1e7), text(2.0**-44)
    ('1.0E7', '5.6843418860808015E-14')
    """
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    sign = "-" if math.copysign(1, number) < 0 else ""
    if number == 0:
        return f"{sign}0.0"
    digits, point = _digits(abs(number))
    if 0 < point < 8:
        return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"
    if -3 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}"


def _digits(number: float) -> tuple[str, int]:
    """Decimal digits, and how many are before the point: Steele and White's algorithm, as Java implements it."""
    bits = struct.unpack(">Q", struct.pack(">d", number))[0]
    exponent, fraction = (bits >> _FRACTION) - _BIAS, bits & ((1 << _FRACTION) - 1)
    significant = _FRACTION + 1
    if exponent == -_BIAS:  # subnormal
        significant = fraction.bit_length()
        fraction <<= _FRACTION + 1 - significant
        exponent = significant - _FRACTION - _BIAS
    else:
        fraction |= 1 << _FRACTION
    trailing = (fraction & -fraction).bit_length() - 1
    length = _FRACTION + 1 - trailing
    below_point = max(0, length - exponent - 1)
    if below_point == 0 and exponent <= 62:
        return _whole(fraction << exponent >> _FRACTION, max(0, exponent - significant - 1))

    mantissa = fraction / (1 << _FRACTION)
    scale = math.floor((mantissa - 1.5) * 0.289529654 + 0.176091259 + exponent * 0.301029995663981)
    # number = value / unit * 10^scale, and half the distance to the next double is margin / unit.
    value_2 = max(0, -scale) + below_point + exponent
    unit_2, margin_2 = max(0, scale) + below_point, value_2 - significant
    value_2 -= length - 1
    shared = min(value_2, unit_2)
    value_2, unit_2, margin_2 = value_2 - shared, unit_2 - shared, margin_2 - shared - (length == 1)
    lift = max(0, -margin_2)
    value_2, unit_2, margin_2 = value_2 + lift, unit_2 + lift, margin_2 + lift
    five = 5 ** max(0, -scale)
    value, unit, margin = (fraction >> trailing) * five << value_2, 5 ** max(0, scale) << unit_2, five << margin_2
    bits = max(length + value_2 + _bits_of_five(-scale), unit_2 + 1 + _bits_of_five(max(0, scale) + 1))
    return _generate(value, unit, margin, scale, next((1 << size - 1 for size in (32, 64) if bits < size), None))


def _bits_of_five(power: int) -> int:
    return (5**power).bit_length() if power > 0 else 0


def _whole(number: int, uncertain_bits: int) -> tuple[str, int]:
    """A number without a fraction; its last digits are beyond the double's precision, so they are rounded."""
    dropped = math.floor(uncertain_bits * math.log10(2)) if uncertain_bits > 1 else 0
    power = 10**dropped
    number = number // power + (dropped > 0 and number % power >= power // 2)
    return str(number).rstrip("0"), len(str(number)) + dropped


def _generate(value: int, unit: int, margin: int, scale: int, overflow: int | None) -> tuple[str, int]:
    """Digits of value / unit, until the rest is within the margin of the digit below or of the one above.

    Java's numbers overflow from `overflow` on: they are ints or longs if all but the margin fit, else of any size.
    """
    ten = unit * 10
    digits = ""
    first, low, high = True, False, False
    while not low and not high:
        digit, rest = divmod(value, unit)
        value, margin = rest * 10, margin * 10
        low = value < margin
        if overflow is None:
            high = ten <= value + margin
        elif margin < overflow:
            high = ten < value + margin < overflow
        else:
            low = high = True
        if first and digit == 0 and not high:
            scale -= 1  # the estimate was one too high
        else:
            digits += str(digit)
        if first and not -3 <= scale < 8:
            low = high = False  # with an exponent there are two digits at least
        first = False
    if high and (not low or 2 * value > ten or (2 * value == ten and int(digits[-1]) % 2)):
        more = str(int(digits) + 1).rjust(len(digits), "0")
        scale += len(more) - len(digits)
        digits = more
    return digits.rstrip("0") or "0", scale + 1
