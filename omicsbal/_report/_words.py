"""Numbers as words that hedge by their intervals."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"
UNITS = {"macro_f1": "macro-F1", "r2": "R²", "rmse": "RMSE", "log_loss": "log-loss", "ece": "ECE"}


def unit(metric: str) -> str:
    """A score's name for readers."""
    return UNITS.get(metric, metric.replace("_", " "))


def number(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """A number with a true minus; a dash where there is none.

    Examples
    --------
    >>> number(-0.256), number(float("nan")), number(0.1, sign=True)
    ('−0.26', '–', '+0.10')
    """
    if value is None or math.isnan(value):
        return "–"
    rounded = round(float(value), digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if sign else ''}.{digits}f}".replace("-", MINUS)


def percent(value: float) -> str:
    """A share as a whole percentage, small ones said to be so; a dash where there is none.

    Examples
    --------
    >>> percent(0.256), percent(0.002), percent(0.0)
    ('26%', 'under 1%', '0%')
    """
    if 0 < value < 0.005:
        return "under 1%"
    return "–" if math.isnan(value) else f"{value:.0%}".replace("-", MINUS)


def whole(value: float) -> str:
    """A count."""
    return "–" if math.isnan(value) else f"{int(value):,}"


def interval(low: float, high: float, digits: int = 2, *, sign: bool = False) -> str:
    """Ends in words.

    Examples
    --------
    >>> interval(0.1, 0.25), interval(0.1, float("nan"))
    ('0.10 to 0.25', 'no interval')
    """
    if math.isnan(low) or math.isnan(high):
        return "no interval"
    return f"{number(low, digits, sign=sign)} to {number(high, digits, sign=sign)}"


def ranged(row: Any, digits: int = 2, *, sign: bool = False) -> str:
    """Value and interval of a row of a table that has ``value``, ``low`` and ``high``.

    Examples
    --------
    >>> ranged({"value": 0.2, "low": 0.1, "high": 0.3})
    '0.20 (0.10 to 0.30)'
    """
    if math.isnan(row["value"]):
        return "–"
    return f"{number(row['value'], digits, sign=sign)} ({interval(row['low'], row['high'], digits, sign=sign)})"


def distinct(notes: Iterable[str]) -> list[str]:
    """Notes in their order, without empty ones and those that another one holds.

    Examples
    --------
    >>> distinct(["Few.", "", "Few. Old.", "Few."])
    ['Few. Old.']
    """
    known = [note for note in dict.fromkeys(notes) if note]
    return [note for note in known if not any(note != other and note in other for other in known)]


def side(low: float, high: float) -> int:
    """1 where an interval lies above zero, -1 below, 0 where it does not tell."""
    return int(low > 0) - int(high < 0)


def named(names: Iterable[object], most: int = 5) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> named(["a", "b", "c"]), named("abcd", most=2)
    ('a, b and c', 'a, b and 2 more')
    """
    shown: list[str] = [str(name) for name in names]
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def apart(rows: Sequence[Any]) -> bool:
    """Whether the intervals of the first two rows do not overlap."""
    first, second = rows[0], rows[1]
    return bool(first["low"] > second["high"] or second["low"] > first["high"])
