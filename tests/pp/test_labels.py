import re
import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from omicsbal._validate import OmicsbalWarning
from omicsbal.pp import describe, find_groups, find_label
from omicsbal.pp.labels import TASKS, settle_task


def _adata(cells: str, **obs: list) -> AnnData:
    return AnnData(np.ones((len(cells), 2), np.float32), obs=pd.DataFrame(obs, index=list(cells)))


def _mudata(*, bare: bool, **mods: AnnData) -> MuData:
    """With `bare` as mudata 0.4 makes it: no column is pulled into mdata.obs."""
    mdata = MuData(mods)
    if bare:
        mdata.obs = pd.DataFrame(index=mdata.obs_names)
    return mdata


@pytest.fixture(params=[False, True], ids=["pulled", "bare"])
def bare(request) -> bool:
    return request.param


def test_the_shared_column_comes_first(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", t=["x", "y"]))
    mdata.obs["t"] = ["p", "q"]
    assert find_label(mdata, "t").tolist() == ["p", "q"]


def test_modalities_complete_each_other(bare):
    mdata = _mudata(bare=bare, rna=_adata("abc", t=["x", None, "y"]), protein=_adata("dba", t=["z", "w", "x"]))
    label = find_label(mdata, "t")
    assert label.name == "t"
    assert label.to_dict() == {"a": "x", "b": "w", "c": "y", "d": "z"}


def test_categories_survive_the_merge(bare):
    def cat(*values):
        return pd.Categorical(values)

    mdata = _mudata(bare=bare, rna=_adata("ab", t=cat("x", "y")), protein=_adata("bc", t=cat("y", "z")))
    assert find_label(mdata, "t").cat.categories.tolist() == ["x", "y", "z"]


def test_a_prefix_names_one_modality(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", t=["x", "y"]), protein=_adata("ab", t=["p", "q"]))
    assert find_label(mdata, "rna:t").tolist() == ["x", "y"]
    assert find_label(mdata, "protein:t").tolist() == ["p", "q"]


def test_disagreement_is_counted_and_named(bare):
    mdata = _mudata(bare=bare, rna=_adata("abc", t=["x", "y", "z"]), protein=_adata("abc", t=["x", "q", "r"]))
    with pytest.raises(ValueError, match="different values on 2 rows: 'b', 'c'"):
        find_label(mdata, "t")


def test_unknown_label_names_the_nearest_of_all_columns(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", cell_type=["x", "y"]))
    mdata.obs["donor"] = ["1", "2"]
    with pytest.raises(KeyError, match="Did you mean 'cell_type'"):
        find_label(mdata, "cel_type")
    with pytest.raises(KeyError, match="Did you mean 'donor'"):
        find_label(mdata, "doner")


def test_numbers_stay_numbers(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", age=[30.5, np.nan]), protein=_adata("bc", age=[1.5, 2.5]))
    label = find_label(mdata, "age")
    assert label.dtype.kind == "f"
    assert label.tolist() == [30.5, 1.5, 2.5]


def test_groups_are_found_alike_but_complained_of_by_their_own_name(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", donor=["x", "y"]))
    assert find_groups(mdata, "donor").tolist() == ["x", "y"]
    for find, name in ((find_groups, "group_key"), (find_label, "label_key")):
        with pytest.raises(KeyError, match=f"`{name}`: expected a column .*; found no column 'doner'. Did you mean 'donor'"):
            find(mdata, "doner")


CODES = (
    "has 30 different whole numbers, taken as a quantity .regression.. If they are codes of classes, pass task='classification'"
)
NUMBERS = "has {} different numbers, taken as classes. If it is a quantity, pass task='regression'"
KINDS = {  # values of 60 cells: the task, what describe notes, whether a fit warns
    "names": (["a", "b"] * 30, "classification", "", False),
    "numbers as names": ([str(i) for i in range(60)], "classification", "", False),
    "categories": (pd.Categorical(range(60)), "classification", "", False),
    "booleans": ([True, False] * 30, "classification", "", False),
    "few codes": (list(range(20)) * 3, "classification", "", False),
    "many codes": (list(range(30)) * 2, "regression", CODES, True),
    "many codes with a gap": ([*range(30), np.nan, *range(29)], "regression", CODES, True),
    "nullable codes": (pd.array([*range(30), None, *range(29)], dtype="Int64"), "regression", CODES, True),
    "few doses": ([0.5, 1.0, np.nan] * 20, "classification", NUMBERS.format(2), False),
    "ages": (np.linspace(20, 80, 60), "regression", "", False),
}


@pytest.mark.parametrize("case", KINDS)
def test_describe_and_fit_agree_on_the_task(case):
    values, task, noted, warned = KINDS[case]
    mdata = MuData({"rna": _adata([f"c{i}" for i in range(60)])})
    mdata.obs["t"] = values
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert settle_task(find_label(mdata, "t"), "auto") == task
    assert [w.category for w in caught] == [OmicsbalWarning] * warned
    table = describe(mdata, label_key="t")
    text = "\n".join(table.attrs["notes"])
    assert ("a target for regression" in text) == (task == "regression") == (not table.attrs["labels"])
    assert not warned or str(caught[0].message) in table.attrs["notes"]
    doubts = [note for note in table.attrs["notes"] if "pass task=" in note]
    assert len(doubts) == bool(noted) and all(re.search(noted, doubt) for doubt in doubts), text


def test_what_was_asked_for_is_done_without_a_word():
    assert [settle_task(pd.Series(range(60)), task) for task in TASKS] == list(TASKS)
    with pytest.raises(ValueError, match="`label_key`: expected numbers for task='regression'; found values such as 'a'"):
        settle_task(pd.Series(["a"]), "regression")
    with pytest.raises(ValueError, match="Did you mean 'regression'"):
        settle_task(pd.Series([1.0]), "regresion")


def test_every_task_has_an_outcome():
    pytest.importorskip("torch")
    from omicsbal.model import OUTCOMES

    assert sorted(OUTCOMES) == sorted(TASKS)
