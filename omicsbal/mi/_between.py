"""Mutual information of two representations of the same rows, by several forms that fail in different ways."""

import numpy as np
from numpy.typing import ArrayLike

from omicsbal._validate import check_number
from omicsbal.mi._decomposed import by_labels
from omicsbal.mi._forms import Form, by_copula, by_neighbours, choose
from omicsbal.mi._result import Information
from omicsbal.mi._rows import codes, distinct, matrix, repeats
from omicsbal.mi.axes import principal_scores
from omicsbal.mi.chance import largest_dimension
from omicsbal.mi.gaussian import copula_normalise, orthonormal

SURE = 300  # rows below which the forms other than the copula are known to fall short


def between(
    a: ArrayLike, b: ArrayLike, *, labels: ArrayLike | None = None, n_null: int = 20, random_state: int = 0
) -> Information:
    """I(A;B) in nats of two representations of the same rows, with its error and what independent sides would give.

    The largest of these forms, where one has to exceed the copula form, the most exact of them, by its own standard error (our
    choice: a plain maximum would be 0.02 to 0.04 too high where forms agree).

    ``copula``
        Gaussian information of normal scores, unbiased (`copula_mi`). Sees trends; blind to rings, too low for clusters.
    ``ksg_canonical``
        Nearest neighbours (`ksg`) on three cross-fitted canonical axes a side, or on the columns as they are if no more than
        three. Sees any shape; far too low where more than three axes matter.
    ``label_decomposed``
        With `labels` Y, by the chain rule: ``I(A;Y) + I(B;Y) - I(AB;Y) + I(A;B|Y)``, the first three from `with_labels`, the last
        Gaussian within classes (`within_class_mi`). For representations in clusters that the labels name.

    A side with more columns than the rows allow is first reduced to its leading principal components (columns keep their scale),
    so that independent sides have a standard error of at most 0.1 nats. Rows that repeat exactly on both sides are counted once.

    Parameters
    ----------
    a, b
        (n, d_a) and (n, d_b), the same rows; at least 20.
    labels
        (n,) classes, one for every row.
    n_null
        Permutations of the rows of b that measure chance for neighbours; that of the copula form is known. Chance of the
        label-decomposed form is that of its neighbour forms, shifted to what its classifiers give in one permutation.
    random_state
        Seed of permutations, halves and folds.

    Returns
    -------
    `Information`, its `value` the chosen form and `forms` all of them. 1 s at 1,000 or 5,000 rows and 32 columns; with labels
    10 s and 25 s.

    Raises
    ------
    ValueError, TypeError
        Rows that differ in number, are fewer than 20, or are not finite numbers; labels that are missing or are not classes.

    Examples
    --------
    >>> import numpy as np
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 400, 5))
    >>> found = between(x, x + 2 * noise)  # 5/2 ln(1 + 1/4): 0.56 nats
    >>> found
    Information(0.52 nats, standard error 0.05, by copula; 400 rows)
    """
    a = matrix("a", a)
    b = matrix("b", b, rows=len(a))
    y = None if labels is None else codes("labels", labels, rows=len(a))
    check_number("n_null", n_null, low=2, integer=True)
    rows = distinct(a, b)
    notes = []
    if len(rows) < len(a):
        notes.append(f"{len(a) - len(rows)} of {len(a)} rows repeat others on both sides and are not counted.")
    y = None if y is None else np.unique(y[rows], return_inverse=True)[1]
    most = largest_dimension(len(rows), spent=0 if y is None else int(y.max()))
    a = _reduced("a", a[rows], most, notes)
    b = _reduced("b", b[rows], most, notes)
    scores = copula_normalise(a), copula_normalise(b)
    bases = orthonormal(scores[0]), orthonormal(scores[1])
    dims = (bases[0].shape[1], bases[1].shape[1])
    if not min(dims):
        notes.append("One side is constant.")
        return Information(0.0, "copula", 0.0, (0.0, 0.0), {"copula": 0.0}, len(a), dims, tuple(notes))
    forms: dict[str, Form] = {"copula": by_copula(*bases)}
    if repeats(a, b):
        notes.append("Values repeat on one side, so neighbours were not used.")
    else:
        forms["ksg_canonical"] = by_neighbours(*scores, n_null=n_null, random_state=random_state)
    if y is not None:
        forms["label_decomposed"] = by_labels(a, b, y, n_null=n_null, random_state=random_state)
    method, null = choose(forms)
    found = forms[method]
    if len(a) < SURE:
        notes.append(f"{len(a)} rows are few: up to 0.3 nats of what is not Gaussian can be missed; read a lower bound.")
    if found.value > np.log(len(a)):
        notes.append(f"No more than ln n = {np.log(len(a)):.1f} nats can be certified by {len(a)} rows: saturated.")
    return Information(found.value, method, found.se, null, {k: f.value for k, f in forms.items()}, len(a), dims, tuple(notes))


def _reduced(name: str, x: np.ndarray, most: int, notes: list[str]) -> np.ndarray:
    """x (n, d) with at most `most` columns, by principal components where there are more; says so in `notes`."""
    if x.shape[1] <= most:
        return x
    notes.append(f"{name}: {x.shape[1]} columns reduced to the {most} principal components that {len(x)} rows allow.")
    return principal_scores(x, n_axes=most)
