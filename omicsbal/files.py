"""Files that commands read and write: one complaint for all that may be wrong, destinations checked before the work."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from omicsbal._store import check_writable
from omicsbal._validate import OmicsbalWarning, listed, problem

if TYPE_CHECKING:
    from mudata import MuData


def read(path: str) -> "MuData":
    """A .h5mu file, or a .h5ad file as its one modality."""
    from anndata import read_h5ad
    from mudata import read_h5mu

    from omicsbal.pp.checks import as_mdata

    file, readers = Path(path), {".h5mu": read_h5mu, ".h5ad": read_h5ad}
    if file.suffix not in readers:
        raise ValueError(problem("file", expected=f"a name that ends in {listed(readers)}", found=path, do="Convert it first."))
    if not file.is_file():
        raise FileNotFoundError(problem("file", expected=f"a {file.suffix} file", found=f"none at {path}", do="Check the path."))
    try:
        data = readers[file.suffix](file)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        do = "Copy it again: it is cut short, damaged, closed to you, or of another kind."
        raise ValueError(problem("file", expected=f"a {file.suffix} file", found=f"{path} ({why})", do=do)) from error
    if file.suffix == ".h5mu":
        return data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsbalWarning)  # it is about what a Python caller would lose
        mdata = as_mdata(data)
    warnings.warn(f"{path} is taken as the one modality {next(iter(mdata.mod))!r}", OmicsbalWarning, stacklevel=2)
    return mdata


def free_file(value: str | None, what: str, *, overwrite: bool, suffix: str) -> Path | None:
    """The path of a file that may be written, told before anything is computed."""
    if value is None:
        return None
    path = Path(value)
    if path.suffix != suffix:
        raise ValueError(problem(what, expected=f"a name that ends in {suffix}", found=value, do=f"Write {path.stem}{suffix}."))
    if path.is_dir() or (path.exists() and not overwrite):
        flag = "--overwrite" if what.startswith("--") else "overwrite=True (--overwrite)"
        do = "Choose another name" + (f", or pass {flag}." if path.is_file() else ".")
        raise FileExistsError(problem(what, expected="a new file", found=f"{value}, which exists", do=do))
    return check_writable(path, what=what)


def free_folder(value: str | None, what: str, *, overwrite: bool, mark: str) -> Path | None:
    """The path of a folder that may be filled: new, empty, or with `overwrite` one that holds `mark`."""
    if value is None:
        return None
    path = Path(value)
    used = path.exists() and (not path.is_dir() or any(path.iterdir()))
    ours = (path / mark).is_file()
    if used and not (overwrite and ours):
        do = "Choose another one" + (", or pass --overwrite." if ours else ".")
        raise FileExistsError(problem(what, expected="a new folder", found=f"{value}, which is in use", do=do))
    check_writable(path, what=what)
    return check_writable(path / mark, what=what).parent if path.is_dir() else path


def write_h5mu(mdata: "MuData", path: Path) -> None:
    """Write to a sibling and rename: the file is whole or not there."""
    draft = path.with_name(f".{path.stem}.{os.getpid()}.part.h5mu")
    try:
        mdata.write_h5mu(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
