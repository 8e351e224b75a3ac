"""Uniform multitask training: fused and unimodal losses, equal weights."""

from omicsbal.balance._base import Strategy


class Uniform(Strategy):
    """The fused loss and one loss a modality, each of weight 1: the simple remedy every other one has to beat.

    Notes
    -----
    ``L = L_0 + sum_m L_m``. Each encoder keeps a gradient of its own when the fused head is already content.

    Examples
    --------
    >>> Uniform().heads(["rna", "atac"])
    ['fused', 'rna', 'atac']
    """

    cost = 1.2
