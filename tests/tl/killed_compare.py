"""Run by test_compare_workers.py: ``python killed_compare.py FOLDER`` compares, slowly, until it is killed."""

import sys
import time
import warnings
from pathlib import Path
from typing import Any, Self

from sklearn.dummy import DummyClassifier


class Steady(DummyClassifier):
    """Takes a while, so that a kill falls between two pieces or into one."""

    def fit(self, X: Any, y: Any) -> Self:
        time.sleep(0.3)
        return super().fit(X, y)


def comparison(folder: Path) -> Any:
    """The same call each time."""
    import omicsbal as ob

    mdata = ob.datasets.simulate(n_obs=90, n_truth=100, n_classes=2, modalities=["rna", "protein"], random_state=0)
    systems = ["lr:pool", {"steady": Steady(strategy="prior")}]
    options: dict[str, Any] = {"label_key": "cell_type", "folds": 4, "repeats": 2, "progress": False}
    return ob.tl.compare(mdata, systems=systems, checkpoint=folder / "lines.jsonl", **options)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    comparison(Path(sys.argv[1]))
