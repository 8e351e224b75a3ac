"""Results of finished pieces in a file, a line each, so that a comparison that was killed goes on where it was."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from omicsbal._store import check_writable
from omicsbal._validate import listed, problem
from omicsbal.tl._outer_fold import Table

MARK = "omicsbal_compare"  # of the first line


def fingerprint(tables: Mapping[str, Table], outer: Sequence[np.ndarray], facts: Mapping[str, Any]) -> str:
    """SHA-256 of all that scores depend on but for the systems: matrices, folds, and labels and settings in `facts`."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode())
    for m, table in tables.items():
        X: Any = sp.csr_matrix(table.X) if sp.issparse(table.X) else np.asarray(table.X)
        digest.update(json.dumps([m, X.shape, str(X.dtype), table.features, table.types]).encode())
        for part in (table.rows, *((X.data, X.indices, X.indptr) if sp.issparse(X) else (X,))):
            digest.update(np.ascontiguousarray(part).tobytes())
    for fold in outer:
        digest.update(fold.tobytes())
    return digest.hexdigest()


class ResultLines:
    """Lines of results, in memory and, with a path, on disk.

    Parameters
    ----------
    path
        A ``.jsonl`` file, new or of the same comparison; None: nothing is written. A last line that a kill cut short is removed.
    mark
        Fingerprint of data, folds and common settings.
    digests
        ``{system: digest of its settings}``. Lines of other systems in the file stay there and are not returned.

    Raises
    ------
    OSError
        The path cannot be written.
    ValueError
        The file holds something else, another comparison, or another system under one of the names.
    """

    def __init__(self, path: Path | str | None, mark: str, digests: Mapping[str, str]) -> None:
        self.path = None if path is None else check_writable(path, what="checkpoint")
        self.digests = dict(digests)
        self.lines: list[dict[str, Any]] = []
        if self.path is None:
            return
        text = self.path.read_bytes() if self.path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if not whole and text and not json.dumps({MARK: ""})[:-2].encode().startswith(text[: len(MARK) + 6]):
            raise self._refusal("something else")
        if whole:
            self._read(whole, mark)
        if len(whole) < len(text):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        if not whole:
            self._append({MARK: mark})

    def _refusal(self, found: str) -> ValueError:
        """The complaint about a file that cannot be gone on with."""
        do = f"Delete {self.path}, or choose another path."
        return ValueError(problem("checkpoint", expected="results of this comparison", found=found, do=do))

    def _read(self, text: bytes, mark: str) -> None:
        """Check the first line, keep what was asked for, each once."""
        try:
            first, *lines = [json.loads(line) for line in text.splitlines()]
            held = first[MARK]
            known = {(line["repeat"], line["fold"], line["system"]): line for line in reversed(lines)}
        except (ValueError, KeyError, TypeError) as error:
            raise self._refusal("something else") from error
        if held != mark:
            raise self._refusal("one of other data or settings")
        own = self.digests
        changed = {line["system"] for line in known.values() if own.get(line["system"], line["digest"]) != line["digest"]}
        if changed:
            raise self._refusal(f"other settings of {listed(sorted(changed))}")
        self.lines = [line for line in reversed(known.values()) if line["system"] in self.digests]

    def has(self, repeat: int, fold: int, system: str) -> bool:
        """Whether that piece is finished."""
        return any((line["repeat"], line["fold"], line["system"]) == (repeat, fold, system) for line in self.lines)

    def add(self, line: Mapping[str, Any]) -> bool:
        """Keep the line of a piece, once; whether it is a new one."""
        if self.has(line["repeat"], line["fold"], line["system"]):
            return False
        line = {**line, "digest": self.digests[line["system"]]}
        self.lines.append(line)
        if self.path is not None:
            self._append(line)
        return True

    def _append(self, line: Mapping[str, Any]) -> None:
        """One line onto the disk."""
        assert self.path is not None
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
