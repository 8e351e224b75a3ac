"""A training run on disk: killed at any moment, it goes on and ends with the weights it would have had."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from omicsbal._store import check_writable, write_file
from omicsbal._types import Arrays
from omicsbal._validate import problem
from omicsbal.train.trainer import Run

EVERY = 5.0  # seconds between saves: bounds both what a kill costs and what saving costs


def fingerprint(data: Arrays, facts: Mapping[str, Any]) -> str:
    """SHA-256 of the training rows and of everything that decides the outcome."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for tensor in (*data.x.values(), *data.present.values(), data.y, data.weight):
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Checkpoint:
    """One file that is replaced as a whole; a fit of several stages keeps one file for each.

    With a graph encoder it holds the features of the training rows.

    Parameters
    ----------
    path
        The file; its folder must exist.
    mark
        `fingerprint` of the run; a file with another one is refused and never overwritten.

    Raises
    ------
    OSError
        The path cannot be written.
    ValueError
        On `restore`: a file that is not a checkpoint, or one of another run.
    """

    def __init__(self, path: Path | str, mark: str) -> None:
        self.path, self.mark, self.saved = check_writable(path, what="checkpoint"), mark, time.monotonic()

    def stage(self, name: str) -> "Checkpoint":
        """The checkpoint of an earlier stage, a file beside this one; of the last stage (no name) this one itself."""
        return Checkpoint(self.path.with_name(f"{self.path.name}.{name.replace(' ', '')}"), self.mark) if name else self

    def restore(self, run: Run) -> None:
        """Put the run where the file left it; nothing happens when there is no file."""
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return
        expected, do = "a checkpoint of this fit", f"Delete {self.path}, or choose another path."
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = json.loads((file.metadata() or {}).get("run", "{}"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(
                problem("checkpoint", expected=expected, found=f"{self.path}, which cannot be read", do=do)
            ) from error
        if facts.get("mark") != self.mark:
            raise ValueError(problem("checkpoint", expected=expected, found="one of other data or settings", do=do))
        _load(run, tensors)
        run.epoch, run.rows, run.oof = facts["epoch"], facts["rows"], facts["oof"]
        run.best_value, run.best_epoch = facts["best_value"], facts["best_epoch"]

    def save(self, run: Run, *, last: bool = False) -> None:
        """Write the run if the last time is long enough ago, or if it is the last."""
        from safetensors.torch import save

        if not last and time.monotonic() - self.saved < EVERY:
            return
        names = ("epoch", "rows", "oof", "best_value", "best_epoch")
        facts = {"mark": self.mark, **{name: getattr(run, name) for name in names}}
        write_file(self.path, save(_tensors(run), metadata={"run": json.dumps(facts)}))
        self.saved = time.monotonic()


def _named(prefix: str, tensors: Iterable[tuple[Any, Tensor]]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor.detach().cpu().contiguous().clone() for name, tensor in tensors}


def _tensors(run: Run) -> dict[str, Tensor]:
    """Every tensor of the run, by name."""
    moments = [(f"{i}/{k}", v) for i, state in run.optimizer.moments().items() for k, v in state.items()]
    return {
        **_named("net", run.net.state_dict().items()),
        **_named("strategy", run.strategy.state_dict().items()),
        **_named("optimizer", moments),
        **_named("best", enumerate(run.best)),
        "generator": run.generator.get_state(),
    }


def _load(run: Run, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `_tensors`."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        prefix, _, name = key.partition("/")
        groups.setdefault(prefix, {})[name] = tensor
    device = run.tensors()[0].device
    run.net.load_state_dict(groups["net"])
    run.strategy.load_state_dict(groups.get("strategy", {}))
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in groups.get("optimizer", {}).items():
        index, _, name = key.partition("/")
        moments.setdefault(int(index), {})[name] = tensor
    run.optimizer.set_moments(moments)
    run.best = [tensor.to(device) for _, tensor in sorted(groups.get("best", {}).items(), key=lambda item: int(item[0]))]
    run.generator.set_state(groups["generator"][""])
