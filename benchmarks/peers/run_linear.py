"""lr:concat of the measure (../../../shared/measure/baselines.py), features and tuning, through the same door as the peers."""

import os
import sys

import numpy as np
from exchange import answer, begin, read, task


def main() -> None:
    folder, about = task()
    sys.path.insert(0, os.environ["OMICSBAL_MEASURE"])
    import anndata
    import mudata
    import protocol
    from baselines import tuned

    train, test = read(folder)
    start = begin()
    n = train.n_obs
    both = mudata.MuData({m: anndata.concat([train[m], test[m]]) for m in train.mod})
    parts = protocol.features(both, np.arange(n), np.arange(n, both.n_obs), dense=both.n_obs <= 600)
    learn, query = (np.hstack([part[side] for part in parts.values()]) for side in (0, 1))
    model, _ = tuned(learn, train.obs["label"].astype(str).to_numpy())
    assert list(model.classes_) == about["classes"]
    answer(folder, start, {"concat": model.predict_proba(query)}, ["scikit-learn"])


main()
