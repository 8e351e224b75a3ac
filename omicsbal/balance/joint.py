"""Joint training: the fused loss alone."""

from omicsbal.balance._base import Strategy


class Joint(Strategy):
    """One loss, that of the fused head: the usual early-fusion training, and the disease this package treats.

    The strong modality lowers the shared loss first, and with it the gradient that the weak ones learn from.

    Notes
    -----
    ``L = L_0``. No unimodal head is trained.

    Examples
    --------
    >>> Joint().heads(["rna", "atac"])
    ['fused']
    """

    unimodal = False
