"""Layout of the member axis: fold members, then members that hold out two folds, then members that saw every row."""

from dataclasses import dataclass
from itertools import combinations

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
    in_pairs
        Also one member for each two folds, which trains on neither: what it says of one fold may be taught to the member that is
        judged by the other.

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
    in_pairs: bool = False

    @property
    def n_folds(self) -> int:
        """Fold members."""
        return int(self.folds.max()) + 1

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The two folds that each pair member holds out."""
        return list(combinations(range(self.n_folds), 2)) if self.in_pairs else []

    @property
    def n_more(self) -> int:
        """Members behind the fold members."""
        return len(self.pairs) + self.n_full

    @property
    def total(self) -> int:
        """K: all members."""
        return self.n_folds + self.n_more

    @property
    def deployed(self) -> slice:
        """Members that predict rows the fit never saw."""
        return slice(self.total - self.n_full, None) if self.n_full else slice(0, self.n_folds)

    @property
    def reference(self) -> int:
        """The member whose embedding space all share, and which embeds new rows."""
        return self.deployed.start or 0

    def scored(self, device: torch.device) -> Tensor:
        """(K, n) float32, 1 where the row enters the member's loss."""
        mask = np.ones((self.total, len(self.folds)), dtype=np.float32)
        mask[self.folds, np.arange(len(self.folds))] = 0
        for member, pair in enumerate(self.pairs, start=self.n_folds):
            mask[member, np.isin(self.folds, pair)] = 0
        return torch.from_numpy(mask).to(device)

    def fold_of(self, device: torch.device) -> Tensor:
        """(n,) int64, fold of each row."""
        return torch.from_numpy(self.folds.astype(np.int64)).to(device)

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows each fold member predicts, (n_folds, longest fold), padded with row 0, and the mask of true entries."""
        rows = [np.flatnonzero(self.folds == k) for k in range(self.n_folds)]
        longest = max(map(len, rows))
        table = np.zeros((self.n_folds, longest), dtype=np.int64)
        valid = np.zeros((self.n_folds, longest), dtype=bool)
        for k, r in enumerate(rows):
            table[k, : len(r)], valid[k, : len(r)] = r, True
        return table, valid

    def teachers(self, n_students: int) -> np.ndarray:
        """(n_students, n_folds): which member may teach student member k about the rows of fold j.

        Students are the fold members, which are taught by pair members, and after them members that saw every row, which are
        taught by fold members. A fold member is not taught about its own fold; the entry there is itself.
        """
        table = np.tile(np.arange(self.n_folds), (n_students, 1))
        for member, (i, j) in enumerate(self.pairs, start=self.n_folds):
            table[i, j] = table[j, i] = member
        return table
