"""What a MuData and a matrix must be before anything is learnt from them; nothing here changes them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from omicsbal._validate import OmicsbalWarning, listed, nearest, problem

if TYPE_CHECKING:
    from mudata import MuData

COUNT_RECIPES = frozenset({"rna", "atac", "protein"})
_WHOLE = 0.99  # share of stored values that must be whole: ambient-RNA correction leaves a few fractions
_NEARLY = 1e-3  # from a whole number, for rounding
_PIECE = 2**16  # values looked at together
_HEAD = 200  # rows that nearly always show that something varies
_LEAVE_OUT = "Leave this modality out with modalities=[...]."


@dataclass(frozen=True)
class Census:
    """What kinds of stored values there are."""

    infinite: int
    unknown: int  # NaN
    nonzero: int  # finite ones
    whole: int  # of them, those >= 0 and within 1e-3 of a whole number
    lowest: float  # of the finite values; inf if there is none

    @property
    def near_counts(self) -> bool:
        """Whether nearly all finite values could be counts."""
        return bool(self.nonzero) and self.whole / self.nonzero >= _WHOLE

    @property
    def counts(self) -> bool:
        """The same with no negative value at all; infinite values and NaN aside."""
        return self.near_counts and self.lowest >= 0


def _values(X: Any) -> np.ndarray:
    """The stored values as a flat array."""
    return X.data if sp.issparse(X) else np.asarray(X).ravel()


def census(X: Any) -> Census:
    """Count the kinds of stored values in one pass, a piece that stays in the processor's cache at a time."""
    values = _values(X)
    infinite = unknown = nonzero = whole = 0
    lowest = np.inf
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE]
        if piece.dtype.kind == "f" and not np.isfinite(piece).all():
            unknown += int(np.isnan(piece).sum())
            infinite += int(np.isinf(piece).sum())
            piece = piece[np.isfinite(piece)]
        lowest = min(lowest, float(piece.min())) if len(piece) else lowest
        some = int(np.count_nonzero(piece))
        nonzero += some
        fits = np.abs(piece - np.rint(piece)) < _NEARLY if piece.dtype.kind not in "iub" else np.ones(len(piece), dtype=bool)
        # zeros are whole, and leave; below 0 nothing is a count
        whole += int(np.count_nonzero(fits & (piece >= 0))) - (len(piece) - some)
    return Census(infinite, unknown, nonzero, whole, lowest)


def are_counts(X: Any) -> bool:
    """Whether all values are >= 0 and at least 99 % of the non-zero ones are whole; NaN and all-zero matrices are no counts."""
    found = census(X)
    return found.counts and not found.infinite and not found.unknown


def nearly_counts(X: Any) -> bool:
    """Whether X is no counts matrix, but 99 % of its finite non-zero values are whole and >= 0: counts that something spoilt."""
    found = census(X)
    return found.near_counts and (found.lowest < 0 or found.infinite > 0 or found.unknown > 0)


def check_values(name: str, X: Any, *, counts: bool, nan: bool = False) -> Any:
    """Return X if its values are finite and, with `counts`, whole and not negative; `nan` allows NaN among counts.

    Examples
    --------
    >>> check_values("rna", np.array([[1.0, 0.0]]), counts=True)
    array([[1., 0.]])
    """
    found = census(X)
    if found.infinite:
        do = "Set them to NaN or remove them."
        raise ValueError(problem(name, expected="finite values", found=f"{found.infinite} infinite", do=do))
    if not counts:
        return X
    fix = f'Pass recipe={{{name!r}: "dense"}}, or layer={{{name!r}: ...}} with the raw counts.'
    if found.unknown and not nan:
        raise ValueError(problem(name, expected="counts", found=f"{found.unknown} NaN", do=fix))
    if found.lowest < 0:
        raise ValueError(problem(name, expected="counts", found=f"negative values (lowest {found.lowest:g})", do=fix))
    if found.nonzero and not found.counts:
        values = _values(X)
        example = values[np.abs(values - np.rint(values)) >= _NEARLY][0]
        raise ValueError(problem(name, expected="counts", found=f"values such as {example:g}", do=fix))
    return X


def check_matrix(name: str, X: Any, recipe: str) -> None:
    """Refuse a modality that its recipe cannot learn from.

    Parameters
    ----------
    name
        Of the modality; every message names it.
    X
        (n, p) sparse matrix or array of the rows to train on.
    recipe
        Name of the recipe.

    Raises
    ------
    ValueError
        No features, fewer than two rows, infinite values, no variance; for a counts recipe also NaN, negative or
        non-integer values.

    Examples
    --------
    >>> check_matrix("rna", np.array([[1, 0], [0, 2]]), "rna")
    """
    n, p = X.shape
    if p == 0:
        raise ValueError(problem(name, expected="features", found="none", do=_LEAVE_OUT))
    if n < 2:
        raise ValueError(problem(name, expected="at least two cells to train on", found=n, do=_LEAVE_OUT))
    check_values(name, X, counts=recipe in COUNT_RECIPES)
    if not _has_variance(X):
        found = "the same values in every cell"
        raise ValueError(problem(name, expected="features that vary", found=found, do=_LEAVE_OUT))


def _has_variance(X: Any) -> bool:
    """Whether any column takes two values, NaN aside."""
    if sp.issparse(X):
        X = X.tocsr()
    if X.shape[0] > _HEAD and _has_variance(X[:_HEAD]):
        return True
    if sp.issparse(X):
        X = X.tocsc()
        low, high = X.min(0), X.max(0)
        return bool(np.any(low.toarray() != high.toarray()))
    X = np.asarray(X)
    known = ~np.isnan(X) if X.dtype.kind == "f" else np.ones(X.shape, bool)
    lowest, highest = np.where(known, X, np.inf).min(0), np.where(known, X, -np.inf).max(0)
    return bool(np.any(highest > lowest))


def check_mdata(mdata: Any, *, modalities: Sequence[str] | None = None) -> "MuData":
    """Return a usable MuData; an AnnData is wrapped as the one modality of a new one.

    Parameters
    ----------
    mdata
        MuData, or AnnData.
    modalities
        Names that must be there; all of them when None.

    Returns
    -------
    `mdata` itself, or the MuData around an AnnData.

    Raises
    ------
    TypeError
        Neither MuData nor AnnData.
    KeyError
        Unknown modality.
    ValueError
        No cells, no modalities, a modality without features, repeated cell names, or repeated feature names in a modality.

    Warns
    -----
    OmicsbalWarning
        An AnnData was wrapped.

    Examples
    --------
    >>> import omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=60, n_truth=200, random_state=0)
    >>> check_mdata(mdata) is mdata
    True
    """
    mdata = as_mdata(mdata)
    if getattr(mdata, "axis", 0) != 0:
        found = f"axis={mdata.axis} (shared features)"
        raise ValueError(problem("mdata", expected="shared cells, axis=0", found=found, do="Build it with axis=0."))
    names = list(mdata.mod) if modalities is None else list(modalities)
    for m in names:
        if m not in mdata.mod:
            raise KeyError(problem("modalities", expected="modalities of the MuData", found=repr(m), do=nearest(m, mdata.mod)))
    if not names or mdata.n_obs == 0:
        found = "no modalities" if not names else "no cells"
        raise ValueError(problem("mdata", expected="cells and modalities", found=found, do="Check how it was subset."))
    _check_names("mdata", mdata.obs_names, "cell")
    for m in names:
        _check_names(m, mdata.mod[m].obs_names, "cell")
        _check_names(m, mdata.mod[m].var_names, "feature")
        if mdata.mod[m].n_vars == 0:
            raise ValueError(problem(m, expected="features", found="none", do=_LEAVE_OUT))
    return mdata


def as_mdata(mdata: Any) -> "MuData":
    """Return a MuData, an AnnData wrapped as one with a warning; refuse anything else with a TypeError."""
    from anndata import AnnData
    from mudata import MuData

    if isinstance(mdata, AnnData):
        return _wrap(mdata)
    if isinstance(mdata, MuData):
        return mdata
    todo = "Build one with omicsbal.io.from_anndatas or from_dataframes."
    raise TypeError(problem("mdata", expected="a MuData", found=type(mdata).__name__, do=todo))


def _check_names(where: str, names: Any, what: str) -> None:
    """Refuse repeated names."""
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        kind = "obs" if what == "cell" else "var"
        fix = f"Call .{kind}_names_make_unique() on the modality" + (", then mdata.update()." if what == "cell" else ".")
        raise ValueError(problem(where, expected=f"unique {what} names", found=f"repeated {listed(twice, 3)}", do=fix))


def _wrap(adata: Any) -> "MuData":
    """A MuData around one AnnData, named by its feature type."""
    from mudata import MuData

    from .recipes import choose_recipe

    name = "rna"
    if "feature_types" in adata.var:
        kind = choose_recipe("", np.ones((1, 1)), feature_types=adata.var["feature_types"])[0]
        name = kind if kind in COUNT_RECIPES else name
    warnings.warn(
        f"`mdata`: expected a MuData; found an AnnData, taken as MuData({{{name!r}: adata}}). "
        "Results are written to that MuData: build it yourself to keep them.",
        OmicsbalWarning,
        stacklevel=5,
    )
    return MuData({name: adata})
