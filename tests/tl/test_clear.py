"""What is taken away before a new fit writes, and what stays."""

import numpy as np
import pandas as pd

import omicsbal as ob
from omicsbal._keys import Keys
from omicsbal.tl._write import clear


def test_nothing_speaks_of_the_old_model(cells) -> None:
    keys, n = Keys("omicsbal", "cell_type"), cells.n_obs
    ours = [keys.prediction, keys.confidence, keys.success, f"{keys.success}_rna", keys.variability, keys.suspect]
    for column in (*ours, "omicsbal_mine", "other_success"):
        cells.obs[column] = np.zeros(n)
    cells.obsm[keys.proba] = pd.DataFrame({"a": np.zeros(n)}, index=cells.obs_names)
    cells.uns["omicsbal"] = {"label_key": "cell_type", "versions": "{}"}
    clear(cells, "omicsbal")
    assert not set(ours) & set(cells.obs) and keys.proba not in cells.obsm and "omicsbal" not in cells.uns
    assert {"cell_type", "omicsbal_mine", "other_success"} <= set(cells.obs), "what is not ours stays"


def test_a_slot_that_names_no_label_takes_any(cells) -> None:
    ob.tl.modality_snr(cells, methods=("split",), progress=False)
    table = ob.tl.kd_gate(cells, label_key="cell_type", config=ob.FitConfig(max_epochs=1, n_members=0), progress=False)
    assert len(table) == 6 and {"snr", "kd_gate"} <= set(cells.uns["omicsbal"])
