"""Knowledge distillation between modalities: each alone, the weak ones taught by a stronger one where the gate allows it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omicsbal._keys import KD_GATE
from omicsbal._types import Batch, FitState, Outputs, References
from omicsbal._validate import check_choice, check_number, problem
from omicsbal.balance._base import Strategy
from omicsbal.balance._gate import GATES, SPACES, choose_teachers, decay, gate_table
from omicsbal.objectives.distill import feature_distance, relation_distance
from omicsbal.objectives.supervised import masked_mean


class Distill(Strategy):
    """Unimodal training in which a stronger modality teaches a weaker one (KD), where mutual information lets expect a gain.

    Parameters
    ----------
    gate
        Who may teach: "mi", the sign of ``I(T; S) - I(S; Y)``; "pilot", a run with the teacher and one without; "always", the
        best classifier; "never".
    weight
        lambda in [0, 1] of a teacher that passes; an uncertain one gets a third of it.
    temperature
        T > 0 that softens teacher and student.
    feature, relation
        Weights >= 0 of the two further terms on embeddings.
    space
        What the gate compares: "logit", label-facing out-of-fold predictions; "embedding", the literal form of the paper.
    margin
        A teacher's out-of-fold metric must be better by this much.
    teachers
        ``{student: teacher}`` in place of the gate.

    Raises
    ------
    ValueError, TypeError
        A number outside its range, an unknown gate or space; when the fit begins, a teacher that is no modality.

    Notes
    -----
    ``L_s = (1 - l) CE_s + l T^2 KL(teacher || student at T)`` (Hinton et al. 2015, arXiv:1503.02531), for numbers the squared
    difference of the predictions. l is constant and falls to 0 over the last fifth of the epochs. The teacher is a calibrated
    unimodal reference that trained neither on the row nor on the fold that the student is judged by. The gate is the hypothesis
    of Xie, Xu & Sanguinetti (2025, arXiv:2510.13182), that KD helps when teacher and student share more than the student knows of
    the label; interval, three-way decision, eligibility and weights are our reconstruction. The further terms are
    ``||P z_s - z_t||^2`` of unit vectors with P learned (Romero et al. 2015, arXiv:1412.6550, in kind) and the distance-wise
    relation loss of Park et al. (2019, arXiv:1904.05068).

    Examples
    --------
    >>> Distill(gate="always").heads(["rna", "cnv"])
    ['rna', 'cnv']
    """

    fused = False
    paper = "Xie, Xu & Sanguinetti 2025, arXiv:2510.13182"
    cost = 3.3
    confidence = "our reconstruction"
    needs = "unimodal references"

    def __init__(
        self,
        gate: str = "mi",
        weight: float = 0.3,
        temperature: float = 2.0,
        feature: float = 0.0,
        relation: float = 0.0,
        space: str = "logit",
        margin: float = 0.02,
        teachers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.gate, self.space = check_choice("gate", gate, GATES), check_choice("space", space, SPACES)
        self.weight = check_number("weight", weight, low=0, high=1)
        self.temperature = check_number("temperature", temperature, low=0, open_low=True)
        self.feature = check_number("feature", feature, low=0)
        self.relation = check_number("relation", relation, low=0)
        self.margin = check_number("margin", margin, low=0)
        self.teachers = None if teachers is None else dict(teachers)
        self.references = gate != "never" or bool(teachers)
        self.finish()

    def pilots(self, references: References) -> list[tuple[dict[str, str], Strategy]]:
        """Round r: every student with its r-th eligible teacher."""
        if self.gate != "pilot" or self.teachers is not None:
            return []
        scores = references.scores
        able = {s: [t for t in scores if t != s and scores[t] - scores[s] >= self.margin] for s in scores}
        rounds = [{s: ts[r] for s, ts in able.items() if r < len(ts)} for r in range(max(map(len, able.values())))]
        return [(teachers, type(self)(**{**self.settings(), "teachers": teachers})) for teachers in rounds]

    def setup(self, state: FitState) -> None:
        """Measure, decide, and make the projections of the feature term."""
        if state.references is None:
            return
        records = gate_table(
            state.references, state.data, metric=state.metric, margin=self.margin, space=self.space,
            every=False, measured=self.gate in ("mi", "pilot") and self.teachers is None,
        )  # fmt: skip
        if self.teachers is None:
            choose_teachers(records, self.gate, {"pass": self.weight, "uncertain": self.weight / 3})
        else:
            self._appoint(records, self.teachers)
        self.tables = {KD_GATE: records}
        self.taught = {r["student"]: (r["teacher"], r["weight"]) for r in records if r["chosen"] and r["weight"]}
        here = slice(len(state.scored))  # a pilot has the fold members alone
        self.targets = {t: state.references.targets[t][here] for t, _ in self.taught.values()}
        if self.feature or self.relation:
            self.spaces = {t: state.references.features(t)[here] for t, _ in self.taught.values()}
        if self.feature:
            k, members = next(iter(self.spaces.values())).shape[-1] if self.taught else 1, len(state.scored)
            self.projections = nn.ParameterList(torch.eye(k).expand(members, k, k).clone() for _ in self.taught)

    def _appoint(self, records: list[dict[str, Any]], teachers: Mapping[str, str]) -> None:
        """Take the teachers that the user named."""
        known = {r["student"] for r in records}
        for pair in teachers.items():
            if not known.issuperset(pair) or pair[0] == pair[1]:
                expected = f"{{student: teacher}}, two different ones of {sorted(known)}"
                raise ValueError(problem("teachers", expected=expected, found=dict([pair]), do="Use the names of mdata.mod."))
        for record in records:
            named = teachers.get(record["student"]) == record["teacher"]
            record |= {"chosen": int(named), "weight": self.weight * named, "decision": "named" if named else "not named"}

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for place, (student, (teacher, _)) in enumerate(self.taught.items()):
            mask = batch.scored * (batch.present[student] & batch.present[teacher])
            target = self.targets[teacher][:, batch.index]
            apart = state.task.distance(outputs.unimodal[student], target, self.temperature)
            found[f"kd:{student}"] = masked_mean(apart, mask, batch.weight)
            if self.feature:
                z, home = outputs.z[student] @ self.projections[place], self.spaces[teacher][:, batch.index]
                found[f"feature:{student}"] = masked_mean(feature_distance(z, home), mask, batch.weight)
            if self.relation:
                home = self.spaces[teacher][:, batch.index]
                found[f"relation:{student}"] = relation_distance(outputs.z[student], home, mask)
        return found

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        left = decay(state.epoch, state.n_epochs)
        found: dict[str, Tensor | float] = {}
        for student, (_, weight) in self.taught.items():
            found |= {student: 1 - weight * left, f"kd:{student}": weight * left}
            found |= {f"feature:{student}": self.feature * left, f"relation:{student}": self.relation * left}
            state.signals[f"kd_weight:{student}"] = weight * left
        return found

    def finish(self) -> None:
        self.taught, self.targets, self.spaces, self.projections = {}, {}, {}, nn.ParameterList()
