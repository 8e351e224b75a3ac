"""Unimodal training: every modality alone."""

from omicsbal.balance._base import Strategy


class Unimodal(Strategy):
    """One loss a modality and no fused head: encoders that never meet, the reference that joint training is held against.

    Notes
    -----
    ``L = sum_m L_m``. Each encoder and head has its own gradient, so this is M separate fits in one pass.

    Examples
    --------
    >>> Unimodal().heads(["rna", "atac"])
    ['rna', 'atac']
    """

    cost = 1.1

    fused = False
