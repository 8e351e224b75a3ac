"""Words for a reader who was not there."""

from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, terms

TERMS = {
    "sample": "A row of the data: a cell, or a patient.",
    "modality": "One kind of measurement of the same samples, such as RNA, ATAC (open chromatin) or protein.",
    "label, class": "What is to be predicted, such as the cell type, and the values it takes.",
    "out-of-fold": "The samples are dealt into folds. Each is predicted by models trained on the other folds alone.",
    "95% interval": "Where the number would plausibly lie with other samples of the same kind. Two numbers whose difference has "
    "an interval that holds zero cannot be told apart with these data.",
    "two kinds of interval": "Scores of heads vary over folds, each with a training of its own: wide intervals. What "
    "diagnostics measure on this one fit varies over samples drawn again, whole donors where they are known: a narrower one.",
    "recall, precision, F1": "Of a class: the share of its samples that are found; the share of those called so that are; and a "
    "mean of both.",
    "macro-F1": "The mean of the F1 of all classes, from 0 to 1; rare classes count as much as frequent ones.",
    "log-loss": "How surprised the prediction is by the truth, in nats; lower is better; 0 is certain and right.",
    "nat": "A unit of information. 0.69 nats answer one yes-or-no question whose answers are equally likely.",
    "fair share (Shapley value)": "The gain from a modality, averaged over all orders in which modalities could be added. Shares "
    "sum to the total. Equal shares are not the goal: a modality may have little to tell.",
    "alone, on top of the others": "What a modality tells by itself, and what would be lost if it were left out.",
    "redundant, unique, synergistic": "What either of two modalities tells, only one of them, or only both together.",
    "signal to noise": "How much of a modality's variation is found again in another half of its counts, or between classes.",
    "calibration, ECE": "Whether of the predictions made with 80% confidence 80% are right; the expected calibration error (ECE) "
    "is how far off they are on average.",
    "encoder, probe, retention": "The encoder is the part of the network that reads one modality. A probe, a linear model, asks "
    "how much of the label can be read from it; retention is that share of what an encoder trained alone holds.",
    "head, expert, pool": "A head is an output of the network, an expert a linear model; the pool weighs them into a prediction.",
}


def definitions(facts: Facts) -> list[Html]:
    """Every technical word of the page."""
    return [terms(list(TERMS.items()))]
