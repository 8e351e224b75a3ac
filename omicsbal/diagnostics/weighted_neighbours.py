"""Votes of the nearest neighbours on muon's weighted graph, in a process of its own: muon aborts the interpreter on some data."""

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NEIGHBOURS = 20


def neighbour_votes(
    train: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray], y: np.ndarray, n_classes: int, *, random_state: int = 0
) -> np.ndarray:
    """Probabilities (n_test, c) by the training rows among the nearest neighbours of each test row.

    The graph is that of `muon.pp.neighbors` (weighted nearest neighbours, Hao et al. 2021, doi:10.1016/j.cell.2021.04.048) on
    training and test rows together: it sees the features of test rows, never a label. A row's votes are the classes of its
    neighbours among the training rows, and one more vote is shared out as the classes are (our choice: else a class without a
    vote would be impossible).

    Raises
    ------
    RuntimeError
        The process failed; its last line says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        blocks: dict[str, Any] = {f"m{i}": np.vstack([train[m], test[m]]) for i, m in enumerate(train)}
        np.savez(Path(folder) / "blocks.npz", **blocks)
        command = [sys.executable, "-P", __file__, folder, str(random_state)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            message = f"Weighted neighbours ended with {done.returncode}: {done.stderr.strip()[-300:]}"
            raise RuntimeError(message)
        with np.load(Path(folder) / "edges.npz") as edges:
            rows, columns = edges["rows"], edges["columns"]
    return votes_of(rows, columns, y, sum(len(x) for x in list(test.values())[:1]), n_classes)


def votes_of(rows: np.ndarray, columns: np.ndarray, y: np.ndarray, n_test: int, n_classes: int) -> np.ndarray:
    """Shares (n_test, c) of the classes among the neighbours that are training rows; edges count training rows first.

    Examples
    --------
    >>> votes_of(np.array([2, 2, 0]), np.array([0, 1, 2]), np.array([0, 1]), 2, 2).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    n_train = len(y)
    kept = (rows >= n_train) & (columns < n_train)
    votes = np.tile(np.bincount(y, minlength=n_classes) / n_train, (n_test, 1))
    np.add.at(votes, (rows[kept] - n_train, y[columns[kept]]), 1.0)
    return votes / votes.sum(1, keepdims=True)


def write_graph(folder: Path, random_state: int) -> None:
    """Edges of the weighted graph of the blocks in a folder; rows are normalised first, as muon asks."""
    import muon
    import scanpy as sc
    from anndata import AnnData
    from mudata import MuData

    with np.load(folder / "blocks.npz") as blocks:
        mdata = MuData({name: AnnData(blocks[name]) for name in blocks.files})
    few = min(NEIGHBOURS, mdata.n_obs - 1)
    for adata in mdata.mod.values():
        muon.pp.l2norm(adata)
        sc.pp.neighbors(adata, n_neighbors=few, use_rep="X", random_state=random_state)
    more = {"n_multineighbors": min(200, mdata.n_obs - 1), "n_bandwidth_neighbors": few}
    muon.pp.neighbors(mdata, n_neighbors=few, random_state=random_state, **more)  # noqa: TID251 (in a process of its own)
    rows, columns = mdata.obsp["distances"].nonzero()
    np.savez(folder / "edges.npz", rows=rows, columns=columns)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write_graph(Path(sys.argv[1]), int(sys.argv[2]))
