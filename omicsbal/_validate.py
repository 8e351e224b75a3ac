"""One wording for every complaint: what was expected, what was found, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class OmicsbalWarning(UserWarning):
    """Something was decided for the user that they may want to know of."""


def problem(name: str, *, expected: str, found: object, do: str) -> str:
    """Compose the text of an error or warning.

    Examples
    --------
    >>> problem("n_folds", expected="an integer of at least 2", found=1, do="Pass n_folds=5.")
    '`n_folds`: expected an integer of at least 2; found 1. Pass n_folds=5.'
    """
    return f"`{name}`: expected {expected}; found {found}. {do}"


def listed(names: Iterable[object], most: int = 8) -> str:
    """Names in backquotes, the first `most` of them, with the number left out.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    quoted = [repr(str(n)) for n in names]
    rest = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: object, choices: Iterable[object]) -> str:
    """A sentence that names the most similar choice, else all of them.

    Examples
    --------
    >>> nearest("cel_type", ["cell_type", "batch"])
    "Did you mean 'cell_type'?"
    """
    known = [str(c) for c in choices]
    close = get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Choose from: {listed(sorted(known), most=30) or 'none'}."


def check_choice(name: str, value: Any, choices: Iterable[object], *, error: type[Exception] = ValueError) -> Any:
    """Return `value` if it is one of `choices`, else raise `error` with the nearest choice.

    Examples
    --------
    >>> check_choice("device", "cpu", ["cpu", "cuda"])
    'cpu'
    """
    choices = list(choices)
    if value in choices:
        return value
    raise error(problem(name, expected=f"one of {listed(choices, most=30)}", found=repr(value), do=nearest(value, choices)))


def check_number(
    name: str, value: Any, *, low: float, high: float = float("inf"), integer: bool = False, open_low: bool = False
) -> Any:
    """Return `value` if it is a number within [low, high] ((low, high] with `open_low`), else raise.

    Examples
    --------
    >>> check_number("dropout", 0.5, low=0, high=1)
    0.5
    """
    kind = "an integer" if integer else "a number"
    span = f"{kind} {'above' if open_low else 'of at least'} {low:g}" + (f" and at most {high:g}" if high < float("inf") else "")
    whole = isinstance(value, bool) is False and (hasattr(value, "__index__") if integer else hasattr(value, "__float__"))
    if not whole:
        raise TypeError(problem(name, expected=span, found=repr(value), do=f"Pass {kind}."))
    if not (value > low if open_low else value >= low) or value > high:
        raise ValueError(problem(name, expected=span, found=value, do="Pass a value in this range."))
    return value
