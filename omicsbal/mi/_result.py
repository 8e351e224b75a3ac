"""What an estimate of mutual information is: a value with its error, what chance gives, and what must be said with it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, repr=False)
class Information:
    """Mutual information in nats, with everything needed to judge it.

    Parameters
    ----------
    value
        Estimate in nats; slightly negative values are chance.
    method
        The form that `value` is, a key of `forms`.
    se
        Standard error of `value` over samples of rows, nats.
    null
        Central 95 % band of `value` when the two sides are independent, (low, high) in nats.
    forms
        Every form computed, ``{name: nats}``.
    n
        Rows used.
    dims
        Columns used on either side, after any reduction.
    notes
        Sentences about what limits the estimate.

    Examples
    --------
    >>> found = Information(0.42, "copula", 0.03, (-0.04, 0.05), {"copula": 0.42, "ksg_canonical": 0.37}, 500, (8, 6))
    >>> print(found)
    0.42 nats (standard error 0.03) by copula; independent sides would give -0.04 to 0.05 (500 rows, 8 x 6 columns)
    all forms: copula 0.42, ksg_canonical 0.37
    >>> found.detected, found.saturated
    (True, False)
    >>> Information(6.1, "copula", 0.1, (-0.2, 0.2), {"copula": 6.1}, 100, (2, 2))
    Information(>4.6 nats, saturated, by copula; 100 rows)
    """

    value: float
    method: str
    se: float
    null: tuple[float, float]
    forms: dict[str, float]
    n: int
    dims: tuple[int, int]
    notes: tuple[str, ...] = field(default=())

    @property
    def detected(self) -> bool:
        """Whether `value` lies above the null band: more than independent sides would give in 97.5 % of samples."""
        return bool(self.value > self.null[1])

    @property
    def ceiling(self) -> float:
        """About the most that n rows can certify without assumptions on the distribution, ln n nats.

        McAllester and Stratos 2020, arXiv:1811.04251.
        """
        return float(np.log(self.n))

    @property
    def saturated(self) -> bool:
        """Whether `value` exceeds what n rows can certify."""
        return bool(self.value > self.ceiling)

    def amount(self, nats: float) -> str:
        """Digits as far as n rows can certify them, else the ceiling."""
        return f">{self.ceiling:.1f}" if nats > self.ceiling else f"{nats:.2f}"

    def __repr__(self) -> str:
        size = "saturated" if self.saturated else f"standard error {self.se:.2f}"
        return f"Information({self.amount(self.value)} nats, {size}, by {self.method}; {self.n} rows)"

    def __str__(self) -> str:
        size = ", saturated," if self.saturated else f" (standard error {self.se:.2f})"
        low, high = self.null
        rows = f"{self.n} rows, {self.dims[0]} x {self.dims[1]} columns"
        chance = f"independent sides would give {low:.2f} to {high:.2f}"
        first = f"{self.amount(self.value)} nats{size} by {self.method}; {chance} ({rows})"
        forms = "all forms: " + ", ".join(f"{name} {self.amount(nats)}" for name, nats in self.forms.items())
        return "\n".join([first, forms, *self.notes])
