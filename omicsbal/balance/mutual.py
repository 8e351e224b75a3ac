"""Balanced learning via mutual information: KD, and a multitask loss weighed by macro-F1 and dependence."""

import torch
from torch import Tensor

from omicsbal._types import Batch, FitState, Outputs, References
from omicsbal._validate import check_choice, check_number
from omicsbal.balance._base import Strategy
from omicsbal.balance._dependence import mean_dependence, newest_signals
from omicsbal.balance._distill import Distill
from omicsbal.balance._weighting import WEIGHTINGS, averaged, balanced, headroom


class Mutual(Strategy):
    """KD from strong to weak modalities, and a multitask loss that raises the weak but informative ones.

    Parameters
    ----------
    weighting
        "f1_mi_softmax"; or its ablations "f1_only", which also raises a modality that is noise, "mi_only", "static".
    mi_sign
        1: dependent modalities gain weight; -1: complementary ones, with ``1 - i`` in place of i. The paper's sign is not known
        to us.
    sharpness, unimodal_weight
        tau > 0 of the softmax, smaller is sharper; eta >= 0 of all unimodal losses together, the fused one having 1.
    warm_up, memory
        Share of the epochs with equal weights; share of the old value that each new signal is averaged with; both in [0, 1].
    gate, kd_weight, temperature, feature, relation, space
        Of the KD, see `Distill`.
    kd
        "throughout": in the multitask loss; "first": in a stage before it, as in the paper, the encoders then fine-tuned.

    Raises
    ------
    ValueError, TypeError
        An unknown name, or a number outside its range.

    Notes
    -----
    ``L = L_0 + (eta / M) sum_m w_m L_m`` with ``w = M softmax(d i / tau)``, cut off at 0.25 and 3, then scaled to sum to M.
    ``d_m`` is the best modality's out-of-fold metric (R squared for numbers) minus that of m, both scaled so that chance is 0
    and perfect is 1; ``i_m`` is the mean over the other modalities of ``1 - exp(-2 I_mj)``, I the mutual information (nats) of
    out-of-fold predictions, 0 where it could be chance. Encoder m receives ``dL_0 + (eta / M) w_m dL_m``.

    Our reconstruction of Xie & Sanguinetti (2025, arXiv:2511.00987): KD first, and weights from macro-F1 and mutual information,
    are theirs; every formula is our choice, since theirs were not to be had. Both signals are one number for all training rows.

    Examples
    --------
    >>> Mutual(weighting="f1_only").heads(["rna", "cnv"])
    ['fused', 'rna', 'cnv']
    """

    paper, confidence = "Xie & Sanguinetti 2025, arXiv:2511.00987", "our reconstruction"
    needs, cost = "unimodal references", 3.7
    f1: Tensor  # (M,) averaged metric; NaN before the first evaluation
    dependence: Tensor  # (M,) averaged i

    def __init__(
        self,
        weighting: str = "f1_mi_softmax",
        mi_sign: int = 1,
        sharpness: float = 0.25,
        unimodal_weight: float = 1.0,
        warm_up: float = 0.1,
        memory: float = 0.7,
        kd: str = "throughout",
        gate: str = "mi",
        kd_weight: float = 0.3,
        temperature: float = 2.0,
        feature: float = 0.0,
        relation: float = 0.0,
        space: str = "logit",
    ) -> None:
        super().__init__()
        self.weighting, self.mi_sign = check_choice("weighting", weighting, WEIGHTINGS), check_choice("mi_sign", mi_sign, (1, -1))
        self.sharpness = check_number("sharpness", sharpness, low=0, open_low=True)
        self.unimodal_weight = check_number("unimodal_weight", unimodal_weight, low=0)
        self.warm_up, self.memory = check_number("warm_up", warm_up, low=0, high=1), check_number("memory", memory, low=0, high=1)
        self.gate, self.kd_weight, self.temperature, self.space = gate, kd_weight, temperature, space
        self.feature, self.relation, self.kd = feature, relation, check_choice("kd", kd, ("first", "throughout"))
        self.teaching = Distill(gate, kd_weight, temperature, feature, relation, space)
        self.references = self.teaching.references

    def pretraining(self) -> Strategy | None:
        return type(self.teaching)(**self.teaching.settings()) if self.kd == "first" else None

    def pilots(self, references: References) -> list[tuple[dict[str, str], Strategy]]:
        return self.teaching.pilots(references)

    def setup(self, state: FitState) -> None:
        missing, known = torch.full((len(state.data.x),), torch.nan, device=state.scored.device), state.references
        start = missing if known is None else mean_dependence(known.held_out, state.data.present, known.folds)
        self.register_buffer("f1", missing.clone())
        self.register_buffer("dependence", start.clone())
        if self.kd == "throughout":
            self.teaching.setup(state)
            self.tables = self.teaching.tables

    def start_epoch(self, state: FitState) -> None:
        if found := newest_signals(state):
            self.f1, self.dependence = averaged(self.f1, found[0], self.memory), averaged(self.dependence, found[1], self.memory)

    def terms(self, state: FitState, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        return self.teaching.terms(state, outputs, batch)

    def weights(self, state: FitState, losses: dict[str, Tensor], outputs: Outputs, batch: Batch) -> dict[str, Tensor | float]:
        kappa, shared = headroom(self.f1, state.chance), self.dependence.nan_to_num(nan=0.0)
        emphasis = shared if self.mi_sign > 0 else (1 - self.dependence).nan_to_num(nan=0.0)  # unknown moves nothing
        weight = balanced(kappa, emphasis, weighting=self.weighting, sharpness=self.sharpness)
        if state.epoch < self.warm_up * state.n_epochs:
            weight = torch.ones_like(weight)
        for i, m in enumerate(state.data.x):
            state.signals |= {f"weight:{m}": float(weight[i]), f"kappa:{m}": float(kappa[i]), f"dependence:{m}": float(shared[i])}
        own = {m: self.unimodal_weight / len(weight) * weight[i] for i, m in enumerate(state.data.x)}
        shares = self.teaching.weights(state, losses, outputs, batch)
        return own | {name: share * own[name if name in own else name.split(":", 1)[1]] for name, share in shares.items()}

    def finish(self) -> None:
        self.teaching.finish()
