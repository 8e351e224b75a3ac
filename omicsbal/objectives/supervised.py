"""Supervised terms: one a head, averaged over the rows that may be counted."""

from collections.abc import Iterable

from torch import Tensor

from omicsbal._types import FUSED, Batch, Outputs, Term
from omicsbal.objectives.tasks import Task


def masked_mean(values: Tensor, mask: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean (K,) of values (K, n) over mask (K, n), and the number of rows (K,) behind it; 0 where there is none."""
    share = mask * weight
    return (values * share).sum(-1) / share.sum(-1).clamp(min=1e-12), mask.sum(-1)


def head_term(head: str, task: Task) -> Term:
    """The task's loss of one head on scored rows; a unimodal head is scored where its modality is present."""

    def term(outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        mask = batch.scored if head == FUSED else batch.scored * batch.present[head]
        return masked_mean(task.loss(outputs.head(head), batch.y), mask, batch.weight)

    return term


def supervised_terms(heads: Iterable[str], task: Task) -> dict[str, Term]:
    """``{head: term}`` for the fused head ("fused") and the unimodal heads (named after their modality)."""
    return {head: head_term(head, task) for head in heads}
