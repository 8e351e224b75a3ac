"""Real data sets: what there is, under which terms, and a checked copy of each. The facts are in registry.toml."""

import hashlib
import os
import tomllib
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from omicsbal._validate import OmicsbalWarning, nearest, problem

if TYPE_CHECKING:
    from mudata import MuData

UNVERIFIED = "not verified"
_TEXT_LISTS = ("citation", "source")  # several sentences each; one cell of the table


def available() -> pd.DataFrame:
    """List the real data sets that `load` knows, with their terms.

    Returns
    -------
    DataFrame, one row a data set: ``name``; ``title``; ``label_key`` (column of ``mdata.obs``, empty where unlabelled);
    ``modalities`` ("rna 5000 x 4000, ...", rows x features); ``rows`` (cells or samples with at least one modality);
    ``size_mb`` (10^6 bytes); ``licence``; ``redistributable`` (bool: True only where the terms plainly allow it);
    ``citation`` (with DOI where there is one); ``source`` (repository and commit, or address); ``caveat``; ``url`` (empty where
    the processed file has no public address); ``sha256`` ("not verified" where the file was never in our hands).

    Notes
    -----
    Licences and citations were written down without access to the sources' pages: check them before you publish.

    Examples
    --------
    >>> table = available()
    >>> table.loc[table["name"] == "cite_pbmc10k", ["label_key", "rows"]].values.tolist()
    [['cell_type', 5000]]
    """
    rows = [{k: "; ".join(v) if k in _TEXT_LISTS else v for k, v in entry.items()} for entry in _registry().values()]
    table = pd.DataFrame(rows)
    table["sha256"] = table["sha256"].replace("", UNVERIFIED)
    return table


def load(name: str, *, path: str | os.PathLike[str] | None = None) -> "MuData":
    """Load one real data set, from this machine or from its public address, and check that it is the right file.

    Parameters
    ----------
    name
        A name from `available`.
    path
        The file, or a folder that holds it as ``<name>.h5mu`` (``<name>.h5`` for what 10x ships). By default these folders are
        looked through in turn: the environment variable ``OMICSBAL_DATA``; in a checkout, ``data/`` and ``../shared/data``;
        the cache of earlier downloads. Then the file is downloaded, if it has a public address.

    Returns
    -------
    MuData as stored: raw values, label in ``obs[label_key]``; a cell that lacks a modality is absent from it. Files that 10x
    ships have no label and muon's names (``rna``, ``prot``, ``atac``); repeated gene names get a number.

    Raises
    ------
    KeyError
        Unknown name; the nearest one is suggested.
    FileNotFoundError
        Not on this machine, and without a public address; the message says where the source is.
    ValueError
        The file is there but its SHA-256 is another one.
    ImportError
        A download is needed and pooch is absent.

    Warns
    -----
    OmicsbalWarning
        A file was read whose SHA-256 is not known, so it could not be verified.

    Examples
    --------
    >>> load("cite_pbmc10")
    Traceback (most recent call last):
    KeyError: "`name`: expected a data set of `available()`; found 'cite_pbmc10'. Did you mean 'cite_pbmc10k'?"
    """
    entries = _registry()
    if name not in entries:
        raise KeyError(problem("name", expected="a data set of `available()`", found=repr(name), do=nearest(name, entries)))
    entry = entries[name]
    file = _find(name, path)
    if file is None:
        file = _download(name)
    if entry["sha256"]:
        _verify(file, entry["sha256"])
    else:
        warnings.warn(f"{name}: its SHA-256 is not known, so {file.name} could not be verified.", OmicsbalWarning, stacklevel=2)
    return _read(file)


@cache
def _registry() -> dict[str, dict]:
    """The table of facts, by name."""
    text = Path(__file__).with_name("registry.toml").read_text(encoding="utf-8")
    return {entry["name"]: entry for entry in tomllib.loads(text)["dataset"]}


def _filename(name: str) -> str:
    """Name of the file on disk."""
    return f"{name}.h5" if _registry()[name]["url"].endswith(".h5") else f"{name}.h5mu"


def _find(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    """The file on this machine, or None; a `path` that was given must hold it."""
    if path is None:
        return next((p for folder in _folders() if (p := folder / _filename(name)).is_file()), None)
    file = Path(path)
    file = file / _filename(name) if file.is_dir() else file
    if not file.is_file():
        expected = f"a file, or a folder with {_filename(name)}"
        raise FileNotFoundError(problem("path", expected=expected, found=str(path), do=_how(name)))
    return file


def _folders() -> list[Path]:
    """Where files may lie, in the order of trust: what the user says comes first."""
    checkout = Path(__file__).resolve().parents[2]
    folders = [Path(told)] if (told := os.environ.get("OMICSBAL_DATA")) else []
    if (checkout / "pyproject.toml").is_file():
        folders += [checkout / "data", checkout.parent / "shared" / "data"]
    return folders


def _how(name: str) -> str:
    """What a user who lacks the file can do."""
    entry = _registry()[name]
    if entry["url"]:
        return f"Download it from {entry['url']}, or leave `path` out and `load` will."
    return (
        f"The processed file has no public address. Its source: {'; '.join(entry['source'])}. Licence: {entry['licence']}. "
        f"Put {_filename(name)} into a folder and set OMICSBAL_DATA to it, or pass path=."
    )


def _download(name: str) -> Path:
    """The file in pooch's cache, downloaded when it is not yet there."""
    entry = _registry()[name]
    if not entry["url"]:
        looked = ", ".join(map(str, _folders())) or "no folder (OMICSBAL_DATA is not set)"
        raise FileNotFoundError(problem("name", expected=f"{_filename(name)} on this machine", found=looked, do=_how(name)))
    try:
        import pooch
    except ImportError as error:
        msg = f"Downloading {name} needs pooch: pip install 'omicsbal[datasets]'. Or: {_how(name)}"
        raise ImportError(msg) from error
    known = f"sha256:{entry['sha256']}" if entry["sha256"] else None
    return Path(pooch.retrieve(entry["url"], known_hash=known, fname=_filename(name), path=pooch.os_cache("omicsbal")))


def _verify(file: Path, sha256: str) -> None:
    """Stop if the file is not, byte for byte, the one that the table describes."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        do = "It is damaged or another version: delete it and get it again."
        raise ValueError(problem(str(file), expected=f"SHA-256 {sha256}", found=found, do=do))


def _read(file: Path) -> "MuData":
    """Read what was found: .h5mu, or the .h5 that 10x ships."""
    if file.suffix != ".h5":
        import mudata

        return mudata.read_h5mu(file)
    import muon

    with warnings.catch_warnings():
        # Symbols shared by two genes are numbered just below; nothing is lost.
        warnings.filterwarnings("ignore", message="(Variable names|var_names) are not unique")
        mdata = muon.read_10x_h5(file, extended=False)  # extended only prints, and looks for fragment files
        for adata in mdata.mod.values():
            adata.var_names_make_unique()
        mdata.update()
    return mdata
