"""Whether one modality may teach another: the sign of I(T;S) - I(S;Y), in nats, with an interval and a decision."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from scipy.stats import t as student_t

from omicsbal._validate import check_number
from omicsbal.mi._design import Design, design
from omicsbal.mi._gap_terms import Terms, class_terms, number_terms
from omicsbal.mi._learners import FLOOR
from omicsbal.mi._rows import matrix, thinned

PLENTY = 4000  # rows; more sharpen a sign little
FEW = 200  # rows up to which the estimates' bias counts in full
DOUBT = 0.1  # nats that the bias may then amount to
FEW_ERRORS = 2.0  # standard errors on either side that few rows need at least


@dataclass(frozen=True)
class Gap:
    """How much better the student can predict the teacher than the label, nats.

    Parameters
    ----------
    value
        ``within - extra``, an estimate of ``I(T;S) - I(S;Y)``.
    se
        Its standard error, over rows or groups.
    low, high
        Interval at the level asked for, widened where rows are few.
    decision
        "pass" if `low` > 0, "fail" if `high` < 0, else "uncertain".
    within
        I(T;S|Y), what teacher and student share beyond the label.
    extra
        I(S;Y|T), what the student knows of the label beyond the teacher; at least 0.
    shared
        I(T;S), for the record.
    relevant
        I(S;Y), for the record.
    n
        Rows used.
    notes
        What limits the estimate, in sentences.
    """

    value: float
    se: float
    low: float
    high: float
    decision: str
    within: float
    extra: float
    shared: float
    relevant: float
    n: int
    notes: tuple[str, ...]


def label_facing(prediction: ArrayLike, *, most: int = 8) -> np.ndarray:
    """Predictions as coordinates in which modalities, folds and networks can be compared.

    Log-probabilities are cut at ln 1e-6, centred over the classes, and turned onto their principal axes, at most C - 1 and at
    most `most` of them, each with unit variance. A single column (a predicted number) is only standardised.

    Parameters
    ----------
    prediction
        (n, C) log-probabilities, or (n, 1) or (n,) numbers.
    most
        Axes to keep.

    Returns
    -------
    (n, q); axes along which nothing varies are left out, but for one column of zeros where nothing varies at all. The sign of an
    axis is that of its largest loading.

    Raises
    ------
    ValueError, TypeError
        Fewer than 20 rows, values that are NaN or not numbers, `most` below 1.

    Examples
    --------
    >>> raw = np.random.default_rng(0).normal(size=(100, 4))
    >>> label_facing(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))).shape
    (100, 3)
    """
    check_number("most", most, low=1, integer=True)
    wide = np.ndim(prediction) > 1 and np.shape(prediction)[1] > 1
    told = matrix("prediction", np.maximum(prediction, FLOOR) if wide else prediction)
    told = told - told.mean(axis=1, keepdims=True) if wide else told
    told = told - told.mean(axis=0)
    size, axes = np.linalg.eigh(told.T @ told / len(told))
    size, axes = size[::-1], axes[:, ::-1]
    kept = min(max(told.shape[1] - 1, 1), most, int((size > 1e-12 * max(size[0], 1e-12)).sum()))
    axes = axes[:, :kept] * np.sign(axes[np.abs(axes[:, :kept]).argmax(axis=0), np.arange(kept)])
    return told @ axes / np.sqrt(size[:kept]) if kept else np.zeros((len(told), 1))


def complementarity(
    teacher: ArrayLike,
    student: ArrayLike,
    y: ArrayLike,
    *,
    folds: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    level: float = 0.90,
    random_state: int = 0,
) -> Gap:
    """Cross-modal complementarity: distillation should help where ``I(T;S) > I(S;Y)``, in nats.

    The criterion is that of Xie, Xu & Sanguinetti 2025 (arXiv:2510.13182): sufficient, not necessary, and derived for Gaussians
    and a small weight of distillation. How it is estimated is our choice. By the chain rule the gap is ``I(T;S|Y) - I(S;Y|T)``:
    two small terms instead of the difference of two large ones.

    Classes: ``I(T;S|Y)`` is the unbiased Gaussian information (`gaussian_mi`) of what classes and folds leave of T and S, as
    normal scores within each class: residuals as they are, or scored all together, let classes that differ in spread or skew pass
    for dependence. ``I(S;Y|T)`` is the mean over rows of ``log p(y|t,s) - log p(y|t)`` from held-out classifiers on the same
    folds (`usable`, with logistic regression and a small kernel; p(y|t,s) may also be the product ``p(y|t) p(y|s) / p(y)``).
    Numbers: both terms are `partial_mi`, and the standard error is that of ``I(T;S) - I(S;Y)``, which is the same.

    The standard error is that of the mean of the rows' contributions to the whole difference, clustered by group, plus the
    variance that the first term has when there is nothing to find. The interval is Student's t times that error, and wider where
    rows are few: up to 200 at least two errors and 0.1 nats more, for the bias of classifiers; beyond, 200 / n of that excess.

    Parameters
    ----------
    teacher, student
        (n, p) and (n, q) representations of the same rows, best out-of-fold predictions as `label_facing` gives them: shared
        nuisance counts as teaching wherever the representations hold it.
    y
        (n,) classes, or floating-point numbers for regression.
    folds
        (n,) codes of the folds that the predictions were made in: their means are taken out, and classifiers use them. None:
        five new ones, and no means are taken out.
    groups
        (n,) donors or patients, one draw each in the standard error.
    level
        Of the interval, from 0.5 to 0.999.
    random_state
        Seed of folds and kernel.

    Returns
    -------
    `Gap`. Beyond 4,000 rows an even selection is used. 1 s at 1,000 rows and five classes.

    Raises
    ------
    ValueError, TypeError
        As `usable`; a level out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 200)
    >>> student = rng.normal(size=(400, 1)) + 0.5 * y[:, None]
    >>> complementarity(student + 0.1 * rng.normal(size=(400, 1)), student, y).decision
    'pass'
    >>> complementarity(rng.normal(size=(400, 1)) + y[:, None], student + y[:, None], y).decision
    'fail'
    """
    t = matrix("teacher", teacher)
    s = matrix("student", student, rows=len(t))
    check_number("level", level, low=0.5, high=0.999)
    label = np.asarray(y)
    group = None if groups is None else np.asarray(groups)
    fold = None if folds is None else np.asarray(folds)
    numbers = label.dtype.kind == "f"
    strata = _bins(label, len(t)) if numbers else label
    plan = design(np.hstack([t, s]), strata, folds=fold, groups=group, random_state=random_state)
    if len(t) > PLENTY:
        rows = plan.order[thinned(len(t), PLENTY)]  # sorted by fold and class: an even selection of both
        t, s, label, strata = t[rows], s[rows], label[rows], strata[rows]
        group, fold = (None if x is None else x[rows] for x in (group, fold))
        plan = design(np.hstack([t, s]), strata, folds=fold, groups=group, random_state=random_state)
    t, s, label = t[plan.order], s[plan.order], label[plan.order]
    told = np.eye(int(plan.folds.max()) + 1)[plan.folds] if fold is not None else np.ones((len(t), 1))
    terms = number_terms(t, s, label, plan, told) if numbers else class_terms(t, s, label, plan, told, random_state)
    return _decided(terms, plan, level)


def _decided(terms: Terms, plan: Design, level: float) -> Gap:
    """Interval and decision."""
    n, value = len(terms.rows), terms.within - terms.extra
    se = float(np.sqrt(plan.error(terms.rows) ** 2 + terms.null))
    width = float(student_t.ppf((1 + level) / 2, int(plan.groups.max())))
    doubt = min(1.0, FEW / n) * (DOUBT + max(FEW_ERRORS - width, 0.0) * se)
    low, high = value - width * se - doubt, value + width * se + doubt
    decision = "pass" if low > 0 else "fail" if high < 0 else "uncertain"
    notes = (*terms.notes, *plan.notes)
    return Gap(value, se, low, high, decision, terms.within, terms.extra, terms.shared, terms.relevant, n, notes)


def _bins(y: np.ndarray, n: int) -> np.ndarray:
    """Fifths (n,) of a continuous target, to stratify folds by."""
    y = matrix("y", y, rows=n)
    return (5 * (rankdata(y[:, 0]) - 1) // n).astype(int)
