"""What classifiers can read of a label: a cross-fitted lower bound on I(Z;Y), in nats."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp

from omicsbal._validate import check_choice
from omicsbal.mi._design import Design, design
from omicsbal.mi._learners import ALL, FLOOR, LEARNERS
from omicsbal.mi._rows import matrix

PLENTY = 10_000  # training rows beyond which a learner gains little for its time
SETTLED = 100  # EM iterations: weights of a handful of learners move by less than a per cent after that


@dataclass(frozen=True)
class Usable:
    """Cross-fitted classifier information.

    Parameters
    ----------
    value
        ``clip(H(Y) - CE, 0, H(Y))``, nats.
    se
        Standard error of ``H(Y) - CE``, nats, clustered by group where groups were given.
    log_proba
        (n, c) held-out log-probabilities of `classes`, nats.
    entropy
        H(Y) of `classes`, nats.
    gain
        (n,) ``log p(y_i | z_i) - log p(y_i)``, nats; their mean is ``H(Y) - CE``.
    folds
        (n,) the fold that held a row out.
    classes
        c names; rare classes share "rare (merged)".
    weights
        Mean weight of each learner in the mixture; "prior" is the class frequencies.
    notes
        What was decided on the way, in sentences.
    """

    value: float
    se: float
    log_proba: np.ndarray
    entropy: float
    gain: np.ndarray
    folds: np.ndarray
    classes: tuple[str, ...]
    weights: dict[str, float]
    notes: tuple[str, ...]


def usable(
    z: Any,
    y: Any,
    *,
    folds: Any = None,
    groups: Any = None,
    learners: Iterable[str] = ALL,
    random_state: int = 0,
) -> Usable:
    """Information about a label that classifiers can use, ``H(Y) - CE``, a lower bound on I(Z;Y).

    CE is the held-out cross-entropy of a mixture ``p(y|z) = sum_h w_h p_h(y|z)`` of learners and of the class frequencies. For
    the rows of a fold the learners are fitted on the other folds; their settings (penalty, kernel width, number of neighbours,
    stopping time) and the weights w (EM) are those that serve the held-out rows of the other folds best. So a row's label never
    reaches its own prediction by a fit; through the few numbers chosen on other folds it does indirectly, as in any stacking
    (our choice instead of folds inside folds: it costs a third, and shuffled labels still give 0).

    This is the predictive V-information of Xu et al. 2020 (arXiv:2002.10689) for this family of classifiers. With more than
    10,000 training rows a learner is fitted on an even sample of them; all rows are scored. The order of rows changes nothing.

    Parameters
    ----------
    z
        (n, d) representation. Its columns are centred and divided by one number, so they should be in comparable units.
    y
        (n,) classes: integers, strings or booleans.
    folds
        (n,) codes of the folds; None: five, stratified, groups kept whole.
    groups
        (n,) donors or patients: never split over folds, and one draw each in the standard error.
    learners
        Some of "logistic" (L2), "kernel" (Nystroem features of a radial basis kernel, then logistic), "neighbours", "network";
        also "small_kernel", cheaper, for a few columns.
    random_state
        Seed of folds, landmarks and network.

    Returns
    -------
    Value, standard error, held-out log-probabilities. Classes with fewer than five rows a fold (of fewer than 500 rows: less than
    a twentieth of them, our choice) are merged and named in `notes`; what is known of the merged label is a lower bound on what
    is known of the label.

    Raises
    ------
    ValueError, TypeError
        Values that are not finite numbers, labels that are missing or not classes, lengths that differ, fewer than two classes,
        folds or groups, fewer than 20 rows, a group in several folds, or an unknown learner.

    Examples
    --------
    >>> z = np.repeat([[0.0, 1.0], [1.0, 0.0]], 50, axis=0)
    >>> found = usable(z, ["B"] * 50 + ["T"] * 50, learners=["logistic"])
    >>> round(found.value, 1), round(found.entropy, 1)  # ln 2
    (0.7, 0.7)
    """
    names = [check_choice("learners", name, LEARNERS) for name in learners]
    z = matrix("z", z)
    plan = design(z, y, folds=folds, groups=groups, random_state=random_state)
    experts = cross_fit(z[plan.order], plan, names, random_state)
    log_proba, weights = mix(experts, plan)
    gain = plan.gain(log_proba)
    return Usable(
        value=float(np.clip(gain.mean(), 0.0, plan.entropy)),
        se=plan.error(gain),
        log_proba=plan.back(log_proba),
        entropy=plan.entropy,
        gain=plan.back(gain),
        folds=plan.back(plan.folds),
        classes=plan.classes,
        weights=weights,
        notes=plan.notes,
    )


def cross_fit(z: np.ndarray, plan: Design, learners: Iterable[str], random_state: int) -> dict[str, np.ndarray]:
    """Held-out log-probabilities {learner: (n, c)} of rows sorted as in `plan`, at the setting that the other folds prefer."""
    z = z - z.mean(0)
    z = z / max(float(np.sqrt((z**2).mean())), 1e-12)
    n, c = len(z), len(plan.classes)
    paths: dict[str, np.ndarray] = {}
    for k in range(int(plan.folds.max()) + 1):
        held, rest = np.flatnonzero(plan.folds == k), np.flatnonzero(plan.folds != k)
        rest = rest[:: -(-len(rest) // PLENTY)]
        constant = len(np.unique(plan.y[rest])) < 2
        for name in () if constant else learners:
            found = np.maximum(LEARNERS[name](z[rest], plan.y[rest], z[held], c, random_state), FLOOR)
            path = paths.setdefault(name, np.full((len(found), n, c), -np.log(c)))
            path[:, held] = log_softmax(found, axis=-1)
    experts = {name: np.empty((n, c)) for name in paths}
    for name, path in paths.items():
        hits = path[:, np.arange(n), plan.y]
        for k in range(int(plan.folds.max()) + 1):
            best = int(hits[:, plan.folds != k].mean(1).argmax())
            experts[name][plan.folds == k] = path[best, plan.folds == k]
    return experts


def mix(experts: dict[str, np.ndarray], plan: Design) -> tuple[np.ndarray, dict[str, float]]:
    """Held-out log-probabilities (n, c) of the mixture of experts and class frequencies, and the mean weights."""
    n, c = len(plan.y), len(plan.classes)
    logs = np.stack([np.empty((n, c)), *experts.values()])
    weights = np.empty((int(plan.folds.max()) + 1, len(logs)))
    for k in range(len(weights)):
        count = np.bincount(plan.y[plan.folds != k], minlength=c) + 0.5  # half a row, for a class that these folds lack
        logs[0, plan.folds == k] = np.log(count / count.sum())
    likelihood = np.exp(logs[:, np.arange(n), plan.y])
    mixed = np.empty((n, c))
    for k, weight in enumerate(weights):
        rest, held = plan.folds != k, plan.folds == k
        weight[:] = 1 / len(logs)
        for _ in range(SETTLED):
            share = weight[:, None] * likelihood[:, rest]
            weight[:] = (share / share.sum(0)).mean(1)
        mixed[held] = logsumexp(np.log(np.maximum(weight, 1e-300))[:, None, None] + logs[:, held], axis=0)
    return mixed, dict(zip(("prior", *experts), weights.mean(0).tolist(), strict=True))
