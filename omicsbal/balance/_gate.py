"""Which modality may teach which: the gate's table, a record an ordered pair, and the choice made from it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from omicsbal._types import Arrays, References
from omicsbal.balance._dependence import label_coordinates
from omicsbal.mi.gate import complementarity

NAN = float("nan")
Record = dict[str, Any]
GAP = ("gap", "gap_low", "gap_high", "gap_se", "within", "extra", "shared", "relevant")  # nats
GAIN = ("gain", "gain_low", "gain_high")  # of the student's metric


def label_space(references: References, m: str, rows: Tensor) -> np.ndarray:
    """Out-of-fold predictions as label-facing coordinates."""
    return label_coordinates(references.held_out[m][rows], references.folds[rows])


def embedding_space(references: References, m: str, rows: Tensor) -> np.ndarray:
    """Held-out embeddings as they are; they are only comparable within one fold."""
    return references.embeddings[m][rows].double().cpu().numpy()


def every_row(references: References, present: Tensor) -> Tensor:
    """Positions of the rows that have both modalities."""
    return present.nonzero().squeeze(1)


def largest_fold(references: References, present: Tensor) -> Tensor:
    """The same, of the one fold that has most of them."""
    k = references.folds[present].mode().values if present.any() else references.folds[0]
    return (present & (references.folds == k)).nonzero().squeeze(1)


SPACES: dict[str, tuple[Callable[..., Tensor], Callable[..., np.ndarray]]] = {
    "logit": (every_row, label_space),
    "embedding": (largest_fold, embedding_space),
}


def measured_gap(references: References, data: Arrays, teacher: str, student: str, space: str) -> Record:
    """``I(T; S) - I(S; Y)`` of a pair with its 90 % interval, and the terms behind it, on rows that have both modalities.

    "unmeasured" where mi refuses an estimate.
    """
    choose, represent = SPACES[space]
    rows = choose(references, data.present[teacher] & data.present[student])
    y, folds = data.y[rows].cpu().numpy(), references.folds[rows].cpu().numpy()
    shown = {"decision": "unmeasured", "n": len(rows)}
    try:
        a, b = represent(references, teacher, rows), represent(references, student, rows)
        seen = complementarity(a, b, y, folds=folds if space == "logit" else None)
    except ValueError:  # modalities that meet in too few rows, or in one class or fold alone, as a mosaic has them
        return shown
    values = (seen.value, seen.low, seen.high, seen.se, seen.within, seen.extra, seen.shared, seen.relevant)
    return shown | dict(zip(GAP, values, strict=True)) | {"decision": seen.decision, "n": int(seen.n)}


def gate_table(
    references: References, data: Arrays, *, metric: str, margin: float, space: str, measured: bool = True, every: bool = True
) -> list[Record]:
    """A record an ordered pair. The gap is measured, of every pair or of those whose teacher is the better classifier."""
    records = []
    for student in references.scores:
        for teacher in references.scores:
            if teacher == student:
                continue
            eligible = references.scores[teacher] - references.scores[student] >= margin
            record: Record = {
                "teacher": teacher,
                "student": student,
                "metric": metric,
                "score_teacher": references.scores[teacher],
                "score_student": references.scores[student],
                "space": space,
                "n": int((data.present[teacher] & data.present[student]).sum()),
                **dict.fromkeys(GAP, NAN),
                "decision": "unmeasured",
            }
            if measured and (eligible or every):
                record |= measured_gap(references, data, teacher, student, space)
            record |= {} if eligible else {"decision": "weaker"}
            record |= {"chosen": 0, "weight": 0.0, **dict.fromkeys(GAIN, NAN)}
            record |= references.pilots.get((teacher, student), {})
            records.append(record)
    return records


def by_information(record: Record) -> tuple[str, float, float]:
    """The gap decides: verdict, rank, and the standard error of the rank."""
    return record["decision"], record["gap"], record["gap_se"]


def by_pilot(record: Record) -> tuple[str, float, float]:
    """A run with this teacher decides, against the same run without; one that gained nothing has failed."""
    verdict = "pass" if record["gain_low"] > 0 else "uncertain" if record["gain"] > 0 else "fail"
    return verdict, record["gain"], 0.0


def by_score(record: Record) -> tuple[str, float, float]:
    """No gate: the best classifier teaches."""
    return "pass", record["score_teacher"], 0.0


def nobody(record: Record) -> tuple[str, float, float]:
    """No teaching."""
    return "fail", NAN, 0.0


GATES: dict[str, Callable[[Record], tuple[str, float, float]]] = {
    "mi": by_information,
    "pilot": by_pilot,
    "always": by_score,
    "never": nobody,
}


def choose_teachers(records: list[Record], gate: str, weights: Mapping[str, float]) -> None:
    """Set ``decision``, ``chosen`` and ``weight``: for each student the best passing teacher, else the best uncertain one.

    Teachers within one standard error of the best count as level, and of those the better classifier is taken.
    """
    judge = GATES[gate]
    for record in records:
        if record["decision"] != "weaker":
            record["decision"] = judge(record)[0]
    for student in {r["student"]: None for r in records}:
        for verdict, weight in weights.items():
            candidates = [r for r in records if r["student"] == student and r["decision"] == verdict]
            if candidates:
                _, top, error = max((judge(r) for r in candidates), key=lambda found: found[1])
                level = [r for r in candidates if judge(r)[1] >= top - error]
                taken = max(level, key=lambda r: r["score_teacher"])
                taken |= {"chosen": 1, "weight": weight}
                break


def gate_records(references: References, data: Arrays, *, metric: str, margin: float, space: str, weight: float) -> list[Record]:
    """Every pair measured, and the choice that mutual information would make."""
    records = gate_table(references, data, metric=metric, margin=margin, space=space)
    choose_teachers(records, "mi", {"pass": weight, "uncertain": weight / 3})
    return records


def decay(epoch: int, n_epochs: int, *, share: float = 0.2) -> float:
    """1, and over the last `share` of the epochs linearly to 0."""
    return min(1.0, (n_epochs - 1 - epoch) / max(share * n_epochs, 1.0))
