"""Differences and their intervals as text."""

import math


def signed(value: float, digits: int) -> str:
    """A difference with its sign: '+0.12', with a true minus.

    Examples
    --------
    >>> signed(0.123, 2), signed(-0.0001, 2)
    ('+0.12', '+0.00')
    """
    rounded = round(float(value), digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def spanned(low: float, high: float, digits: int) -> str:
    """An interval of differences, or that there is none.

    Examples
    --------
    >>> spanned(0.1, 0.25, 2), spanned(0.1, float("nan"), 2)
    ('+0.10 to +0.25', 'no interval')
    """
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    return f"{signed(low, digits)} to {signed(high, digits)}"
