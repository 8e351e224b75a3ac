"""The searches of all outer folds and the one on all rows, within one budget."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsbal._validate import problem
from omicsbal.balance import name_of
from omicsbal.model import versions
from omicsbal.tl._design import Design
from omicsbal.tl._tune_scores import Outer, score_outer, score_table
from omicsbal.tl._tune_search import Rows, best_of, open_study, quiet, search
from omicsbal.tl._tune_space import Base, Range

ALL = "all"  # the search on all rows, among those of the outer folds


def facts_of(design: Design, outer: list[Outer], base: Base, space: Mapping[str, Range], **rest: Any) -> dict[str, Any]:
    """All that the searches depend on but for data and budget."""
    return {
        "folds": [design.folds.tolist(), *([o.design.folds.tolist(), o.test.tolist()] for o in outer)],
        "strategy": [name_of(base.strategy), base.strategy.settings()],
        "config": [base.net.as_dict(), base.config.as_dict()],
        "space": repr(space),
        "rest": rest,
        "versions": versions(),
    }


def run_searches(
    parts: list[tuple[str, Rows, Outer | None]], base: Base, space: Mapping[str, Range], design: Design, *, mark: str,
    path: Path | None, minutes: float, n_trials: int | None, label: str,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Every search, each with its share of the time that is left: trials, scores, and what the last one chose."""
    from tqdm.auto import tqdm

    begin = time.monotonic()
    tables: list[pd.DataFrame] = []
    scores: list[dict[str, Any]] = []
    bar = tqdm(desc=f"tune {label}", unit="trial", disable=not label, leave=False)
    bar.total = None if n_trials is None else n_trials * len(parts)

    def tick(records: list[dict[str, Any]]) -> None:
        bar.update(len(records) + sum(len(table) for table in tables) - bar.n)
        bar.set_postfix_str(f"search {name}, loss {records[best_of(records)]['loss']:.3f}", refresh=False)

    chosen: dict[str, Any] = {}
    try:
        with quiet():
            for i, (name, rows, outer) in enumerate(parts):
                study = _opened(name, mark, path, base.config.evaluations)
                seconds = (60 * minutes - (time.monotonic() - begin)) / (len(parts) - i)
                records = search(study, rows, base, space, n_trials=n_trials, seconds=seconds, tick=tick)
                table = pd.DataFrame(records).assign(search=name, best=np.arange(len(records)) == best_of(records))
                tables.append(table)
                chosen = {k: records[best_of(records)][k] for k in space}
                if outer is not None:
                    scores.append(_scored(study, rows, outer, base, chosen, design))
                    rows.sizes.clear()  # arrays of one search at a time
    finally:
        bar.close()
    return _trial_table(pd.concat(tables, ignore_index=True), base, list(space)), score_table(scores, design.outcome), chosen


def _opened(name: str, mark: str, path: Path | None, evaluations: int) -> Any:
    """The study of a search, that of an earlier call if the file holds it."""
    try:
        return open_study(name, mark, path, evaluations)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        do = f"Delete {path}, or choose another path."
        raise ValueError(problem("checkpoint", expected="trials of this search", found="something else", do=do)) from error


def _scored(study: Any, rows: Rows, outer: Outer, base: Base, values: dict[str, Any], design: Design) -> dict[str, Any]:
    """Scores in an outer fold, taken from the study where an earlier call has left them for the same choice."""
    known = study.user_attrs.get("scores")
    if known and known["values"] == values:
        return known
    place = np.searchsorted(np.flatnonzero(design.training), outer.test)
    found: dict[str, Any] = dict(score_outer(rows, outer, base, values, design.labels.iloc[place], design.outcome))
    found |= {"values": values, "n_train": len(rows.design.folds), "n_test": len(outer.test)}
    study.set_user_attr("scores", json.loads(json.dumps(found)))
    return found


def _trial_table(table: pd.DataFrame, base: Base, names: list[str]) -> pd.DataFrame:
    """All trials, with columns in their order."""
    default = base.values(names)
    table["trial"] = table.groupby("search", sort=False).cumcount()
    table["default"] = np.logical_and.reduce([table[name] == default[name] for name in names])
    told = ["loss", "state", "evaluations", "seconds", "best", "default"]
    return table[["search", "trial", *names, *told]].astype({"loss": float, **dict.fromkeys(names, float)})
