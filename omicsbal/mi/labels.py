"""Mutual information of a representation and a label, by several forms that fail in different ways."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from omicsbal._validate import check_number
from omicsbal.mi._design import design
from omicsbal.mi._result import Information
from omicsbal.mi._rows import codes, matrix, thinned
from omicsbal.mi.axes import discriminant_scores, principal_scores
from omicsbal.mi.knn import MOST, ross, scatter
from omicsbal.mi.probe import usable

SURE = 300  # rows below which all forms fall short
NULL_ROWS = 1000  # chance of neighbours is measured on so many rows, and shrunk by sqrt(rows) beyond
Form = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def _principal(z: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float:
    """Neighbours on the four directions of largest variance."""
    return ross(principal_scores(z, n_axes=4), y)


def _discriminant(z: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float:
    """Neighbours on the three directions that separate the classes of the other folds."""
    return ross(discriminant_scores(z, y, n_axes=3, folds=folds), y)


def _estimate(form: Form, z: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float:
    """A form on the rows whose class is in several folds, and so can be learnt; 0 where that leaves one class."""
    pairs = np.unique(np.stack([y, folds]), axis=1)
    rows = np.bincount(pairs[0], minlength=int(y.max()) + 1)[y] > 1
    return form(z[rows], y[rows], folds[rows]) if len(np.unique(y[rows])) > 1 else 0.0


NEIGHBOURS: dict[str, Form] = {"ross_pc4": _principal, "ross_lda3": _discriminant}


def with_labels(
    z: ArrayLike,
    y: ArrayLike,
    *,
    folds: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_null: int = 20,
    random_state: int = 0,
) -> Information:
    """I(Z;Y) in nats of a representation and a class, with its error and what labels without meaning would give.

    The largest of these forms, each at most H(Y):

    ``usable``
        What cross-fitted classifiers read of the label (`usable`): a lower bound, never below 0.
    ``ross_pc4``
        Nearest neighbours (`ross`) on the first four principal components: classes of any shape, if they show in the variance.
    ``ross_lda3``
        Nearest neighbours on three cross-fitted discriminant axes: classes that differ in their means, however little.

    Our choice: with `groups` the value is ``usable`` alone, because neighbours of the same donor tell the donor, and with it the
    label, which is no information about a new donor; the other forms are reported.

    Parameters
    ----------
    z
        (n, d) representation, columns in comparable units; at least 20 rows.
    y
        (n,) classes.
    folds
        (n,) codes of the folds; None: five, stratified, groups kept whole.
    groups
        (n,) donors or patients.
    n_null
        Shuffles of the labels that measure chance.
    random_state
        Seed of folds, shuffles and learners.

    Returns
    -------
    `Information`. Its `se` is that of the chosen form: for classifiers from rows or groups, for neighbours from blocks of rows.
    Its null band starts at 0. Its upper end is that of the larger neighbour form over the shuffles (classifiers give at most
    0.03 nats then, and are not fitted again); with `groups`, it is what the standard error allows for.
    2 s at 1,000 rows and 32 columns.

    Raises
    ------
    ValueError, TypeError
        As `usable`.

    Examples
    --------
    >>> y = np.repeat([0, 1, 2], 40)
    >>> z = np.random.default_rng(0).normal(size=(120, 2)) + 20 * np.eye(3, 2)[y]
    >>> found = with_labels(z, y, n_null=3)
    >>> bool(abs(found.value - np.log(3)) < 0.05), found.detected
    (True, True)
    """
    z = matrix("z", z)
    names = np.asarray(y)
    label = codes("y", names, rows=len(z))
    check_number("n_null", n_null, low=2, integer=True)
    plan = design(z, names, folds=folds, groups=groups, random_state=random_state)
    order = plan.order  # by content: an even selection of rows is then one of classes, too
    x, label = z[order], label[order]
    probed = usable(
        x,
        names[order],
        folds=plan.folds,
        groups=None if groups is None else plan.groups,
        random_state=random_state,
    )
    share = np.bincount(label) / len(label)
    most = float(-(share * np.log(share)).sum())
    rows = thinned(len(x), MOST)
    few, fold = x[rows], plan.folds[rows]
    forms = {"usable": probed.value}
    forms |= {name: min(_estimate(form, few, label[rows], fold), most) for name, form in NEIGHBOURS.items()}
    notes = list(plan.notes)
    if len(x) < SURE:
        notes.append(f"{len(x)} rows are few: read the value as a lower bound, up to 0.3 nats below the truth.")
    if groups is not None:
        notes.append("Classifiers only: neighbours cannot tell what would hold for a new group.")
        high = float(student.ppf(0.975, max(int(plan.groups.max()), 1)) * probed.se)
        return _told(forms, "usable", probed.se, high, x, len(share), notes)
    method = max(forms, key=lambda name: forms[name])
    high, spread = _chance(few, label[rows], fold, n_null, random_state)
    se = probed.se
    if method != "usable":  # too few rows for blocks leave the scatter of shuffled labels
        se = float(np.nanmax([_error(NEIGHBOURS[method], few, label[rows], fold, random_state), spread]))
    return _told(forms, method, se, high, x, len(share), notes)


def _told(
    forms: dict[str, float], method: str, se: float, high: float, z: np.ndarray, n_classes: int, notes: list[str]
) -> Information:
    return Information(forms[method], method, se, (0.0, high), forms, len(z), (z.shape[1], n_classes), tuple(notes))


def _error(form: Form, z: np.ndarray, y: np.ndarray, folds: np.ndarray, random_state: int) -> float:
    """Standard error of a form on these rows."""
    return scatter(lambda rows: _estimate(form, z[rows], y[rows], folds[rows]), len(z), random_state=random_state)


def _chance(z: np.ndarray, y: np.ndarray, folds: np.ndarray, n_null: int, random_state: int) -> tuple[float, float]:
    """Upper 97.5 % of the larger neighbour form when labels are shuffled, by Student's t from a few shuffles; its scatter."""
    few = thinned(len(z), NULL_ROWS)
    rng = np.random.default_rng(random_state)
    found = np.empty(n_null)
    for i in range(n_null):
        shuffled = rng.permutation(y[few])
        found[i] = max(0.0, *(_estimate(form, z[few], shuffled, folds[few]) for form in NEIGHBOURS.values()))
    width = student.ppf(0.975, n_null - 1) * np.sqrt(1 + 1 / n_null)
    shrunk = np.sqrt(len(few) / len(z))
    return float((found.mean() + width * found.std(ddof=1)) * shrunk), float(found.std(ddof=1) * shrunk)
