"""Layout of the member axis: fold members first, then members that saw every row."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Members:
    """Who trains on which rows.

    Parameters
    ----------
    folds
        (n,) fold of each row, 0..n_folds-1. Fold member k trains on every row outside fold k and predicts fold k.
    n_full
        R, members that train on every row and predict new ones; at 0 the fold members do that.

    Examples
    --------
    >>> members = Members(folds=np.array([0, 1, 0, 1]), n_full=1)
    >>> members.scored(torch.device("cpu"))
    tensor([[0., 1., 0., 1.],
            [1., 0., 1., 0.],
            [1., 1., 1., 1.]])
    """

    folds: np.ndarray
    n_full: int

    @property
    def n_folds(self) -> int:
        """Fold members."""
        return int(self.folds.max()) + 1

    @property
    def total(self) -> int:
        """K: fold members and all-row members."""
        return self.n_folds + self.n_full

    @property
    def deployed(self) -> slice:
        """Members that predict rows the fit never saw."""
        return slice(self.n_folds, None) if self.n_full else slice(0, self.n_folds)

    @property
    def reference(self) -> int:
        """The member whose embedding space all share, and which embeds new rows."""
        return self.deployed.start or 0

    def scored(self, device: torch.device) -> Tensor:
        """(K, n) float32, 1 where the row enters the member's loss."""
        mask = np.ones((self.total, len(self.folds)), dtype=np.float32)
        mask[self.folds, np.arange(len(self.folds))] = 0
        return torch.from_numpy(mask).to(device)

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows each fold member predicts, (n_folds, longest fold), padded with row 0, and the mask of true entries."""
        rows = [np.flatnonzero(self.folds == k) for k in range(self.n_folds)]
        longest = max(map(len, rows))
        table = np.zeros((self.n_folds, longest), dtype=np.int64)
        valid = np.zeros((self.n_folds, longest), dtype=bool)
        for k, r in enumerate(rows):
            table[k, : len(r)], valid[k, : len(r)] = r, True
        return table, valid
