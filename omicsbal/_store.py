"""Folders of arrays and JSON, written whole or not at all, read without running anything that is in them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsbal._validate import listed, problem

MANIFEST = "model.json"
SEAL = "seal"  # of the manifest: its own checksum
Arrays = Mapping[str, np.ndarray]


def check_writable(path: Path | str, *, what: str) -> Path:
    """The path, once its parent is known to take a new file; so that hours of training do not end at a full or closed door.

    Raises
    ------
    OSError
        The parent folder is missing or closed.
    """
    path = Path(path)
    parent = path.absolute().parent
    if not parent.is_dir():
        raise FileNotFoundError(
            problem(what, expected="a path in a folder that exists", found=str(path), do=f"Create {parent} first.")
        )
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise PermissionError(
            problem(what, expected="a path that can be written", found=f"{path}: {reason}", do="Choose another folder.")
        ) from error
    return path


def write_folder(path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, Arrays], *, overwrite: bool) -> None:
    """Write ``<name>.safetensors`` for each group of arrays and the manifest with their checksums; the folder appears complete.

    Raises
    ------
    FileExistsError
        Something is there, and `overwrite` is False or it is not a folder that this function wrote.
    """
    from safetensors.numpy import save

    check_writable(path, what="path")
    if path.exists() and not (overwrite and (path / MANIFEST).is_file()):
        do = "Choose another path." if overwrite else "Choose another path, or pass overwrite=True."
        raise FileExistsError(
            problem("path", expected="a new path" + (" or an omicsbal model" * overwrite), found=str(path), do=do)
        )
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    try:
        sums = {}
        for name, group in arrays.items():
            data = save({key: np.array(value, order="C") for key, value in group.items()})
            sums[f"{name}.safetensors"] = hashlib.sha256(data).hexdigest()
            write_bytes(draft / f"{name}.safetensors", data)
        write_bytes(draft / MANIFEST, json.dumps(sealed({**manifest, "sha256": sums}), indent=1).encode())
        draft.chmod(0o777 & ~_umask())
        _replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the checksum of its other entries: against accidents and careless edits, not against forgery.

    Examples
    --------
    >>> facts = sealed({"classes": ["B", "T"]})
    >>> sealed(facts) == facts, sealed(facts | {"classes": ["T", "B"]}) == facts
    (True, False)
    """
    plain = json.loads(json.dumps({k: v for k, v in manifest.items() if k != SEAL}))  # as it will be read: tuples are lists
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return {**manifest, SEAL: hashlib.sha256(canonical.encode()).hexdigest()}


def _umask() -> int:
    """The process's mask: a temporary folder is private, a model is as open as any other file."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace(draft: Path, path: Path) -> None:
    """Put the complete draft in place; an old folder is moved aside first and comes back if that fails."""
    aside = draft.with_name(draft.name + ".old")
    if path.exists():
        path.rename(aside)
    try:
        draft.rename(path)
    except OSError:
        if aside.exists():
            aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and push it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, data: bytes) -> None:
    """Replace a file in one step: after a kill at any moment it holds the old bytes or the new ones."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write_bytes(draft, data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_folder(path: Path, *, schema: int) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Inverse of `write_folder`; the manifest is checked against its seal, and every file against the manifest before it is read.

    Raises
    ------
    FileNotFoundError
        No folder, no manifest, or a file missing.
    ValueError
        Not an omicsbal folder, written by a newer version, or altered since.
    """
    if not (path / MANIFEST).is_file():
        found = f"no {MANIFEST} in {path}" if path.is_dir() else f"no folder {path}"
        raise FileNotFoundError(problem("path", expected="a folder written by model.save", found=found, do="Check the path."))
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        written, sums, seal = int(manifest["schema"]), dict(manifest["sha256"]), manifest[SEAL]
        if any(Path(name).name != name for name in sums):  # a stranger's list must not lead out of the folder
            raise ValueError(listed(sums))
    except (ValueError, KeyError, TypeError) as error:
        found = f"a {MANIFEST} that is none ({type(error).__name__})"
        raise ValueError(
            problem("path", expected="a folder written by model.save", found=found, do="Save the model again.")
        ) from error
    if written > schema:
        found = f"version {written}"
        do = "Update omicsbal: pip install -U omicsbal."
        raise ValueError(problem("path", expected=f"a model of format version {schema} or older", found=found, do=do))
    if sealed(manifest)[SEAL] != seal:
        raise _altered([MANIFEST])
    missing = [name for name in sums if not (path / name).is_file()]
    if missing:
        raise FileNotFoundError(
            problem("path", expected=f"{listed(sums)} in {path}", found=f"no {listed(missing)}", do="Copy the whole folder.")
        )
    data = {name: (path / name).read_bytes() for name in sums}
    altered = [name for name, content in data.items() if hashlib.sha256(content).hexdigest() != sums[name]]
    if altered:
        raise _altered(altered)
    return manifest, {name.removesuffix(".safetensors"): _arrays(name, content) for name, content in data.items()}


def _altered(names: list[str]) -> ValueError:
    """The complaint about files that are not as they were written."""
    do = "Copy the folder again, or save the model again."
    return ValueError(problem("path", expected="files as they were saved", found=f"{listed(names)} altered", do=do))


def _arrays(name: str, content: bytes) -> dict[str, np.ndarray]:
    """The arrays of one file, whatever its checksum says it is."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        expected, do = "a folder written by model.save", "Save the model again."
        raise ValueError(problem("path", expected=expected, found=f"a {name} that is none", do=do)) from error


def frame_to_json(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as plain lists; numbers keep every digit."""
    return {
        "columns": list(frame.columns),
        "kinds": [frame[c].dtype.kind for c in frame],
        "data": {c: frame[c].tolist() for c in frame},
    }


def frame_from_json(table: Mapping[str, Any]) -> pd.DataFrame:
    """Inverse of `frame_to_json`."""
    kinds = {"f": float, "i": np.int64, "b": bool}
    columns = zip(table["columns"], table["kinds"], strict=True)
    return pd.DataFrame({c: pd.Series(table["data"][c], dtype=kinds.get(k, object)) for c, k in columns})
