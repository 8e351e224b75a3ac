"""Two dimensions for the eye: functions from an embedding (n, k) and a seed to points (n, 2)."""

import warnings
from collections.abc import Callable

import numpy as np

from omicsbal._validate import problem


def _umap(latent: np.ndarray, random_state: int) -> np.ndarray:
    """UMAP by scanpy on an AnnData of its own."""
    import scanpy as sc
    from anndata import AnnData

    if len(latent) < 5:
        raise ValueError(problem("basis", expected="at least 5 rows for UMAP", found=len(latent), do='Pass basis="pca".'))
    adata = AnnData(latent.astype(np.float32))
    with warnings.catch_warnings():
        # umap-learn's asides on its own threads and start, about which nothing can be done here
        warnings.filterwarnings("ignore", message="n_jobs value|.*[Ss]pectral|.*disconnected", category=UserWarning)
        sc.pp.neighbors(adata, n_neighbors=min(15, len(latent) - 1), use_rep="X", random_state=random_state)
        sc.tl.umap(adata, random_state=random_state)
    return adata.obsm["X_umap"]


def _pca(latent: np.ndarray, random_state: int) -> np.ndarray:
    """First two principal components by scikit-learn."""
    from sklearn.decomposition import PCA

    if min(latent.shape) < 2:
        found = f"{latent.shape[0]} x {latent.shape[1]}"
        do = "Fit a wider latent space."
        raise ValueError(problem("basis", expected="an embedding of at least 2 rows and 2 columns", found=found, do=do))
    return PCA(2, svd_solver="full", random_state=random_state).fit_transform(latent)


BASES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {"umap": _umap, "pca": _pca}
