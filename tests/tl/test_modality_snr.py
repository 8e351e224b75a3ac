"""Signal-to-noise ratios of a MuData: the worlds whose answer is known, and all that is refused."""

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

import omicsbal as ob
from omicsbal._keys import KD_GATE, SNR
from omicsbal.tl._snr_table import COLUMNS


def ask(mdata, **options):
    return ob.tl.modality_snr(mdata, **{"label_key": "cell_type", "progress": False, **options})


def overall(table, method, measure="snr2"):
    """One row a modality, and pair, of a method."""
    mine = (table["method"] == method) & (table["measure"] == measure) & (table["class"] == "")
    return table[mine].set_index(["modality", "partner"])


def test_noise_has_no_label_and_shares_nothing(simulated):
    table = ask(simulated(n_obs=400, preset="useless", n_truth=200, random_state=0))
    assert table.columns.tolist() == COLUMNS
    label = overall(table, "label")
    assert label.loc[("rna", ""), "p"] == 0.005 == label.loc[("atac", ""), "p"] and label.loc[("protein", ""), "p"] > 0.05
    low, high = label.loc[("protein", ""), ["low", "high"]]
    assert low < 0 < high and label.loc[("rna", ""), "low"] > 0
    nats = overall(table, "cross", "nats")
    assert nats.loc[("rna", "atac"), "low"] > 0
    assert nats.loc[("rna", "protein"), "low"] <= 0 <= nats.loc[("rna", "protein"), "high"]
    assert nats.loc[("rna", "atac"), "value"] == nats.loc[("atac", "rna"), "value"], "information has no direction"
    assert "is private" in nats.loc[("rna", "protein"), "note"] and "is private" not in nats.loc[("protein", "rna"), "note"]
    assert "no signal of the label" in label.loc[("protein", ""), "note"]


def test_depth_is_what_the_split_form_sees(simulated):
    """RNA thinned 20 times falls; protein, left alone, does not."""
    deep = simulated(n_obs=300, preset="redundant", n_truth=200, random_state=0)
    shallow = simulated(n_obs=300, preset="redundant", depth={"rna": 0.05}, n_truth=200, random_state=0)
    one, other = (overall(ask(m, methods=["split"], modalities=["rna", "protein"]), "split") for m in (deep, shallow))
    assert other.loc[("rna", ""), "high"] < one.loc[("rna", ""), "low"] / 3
    assert other.loc[("protein", ""), "value"] == pytest.approx(one.loc[("protein", ""), "value"], rel=0.1)
    assert one.loc[("rna", ""), "note"] == "more signal than noise" and "measuring deeper" in other.loc[("rna", ""), "note"]


def test_a_rare_class_and_one_that_only_atac_tells_apart(simulated):
    """`celltype`: the last two types are one to RNA; ATAC sees the first ones as one, the last not."""
    mdata = simulated(n_obs=500, preset="celltype", n_truth=200, random_state=0)
    mdata.obs["pair"] = mdata.obs["cell_type"].astype(str)
    mdata.obs.loc[~mdata.obs["pair"].isin(["type_4", "type_5"]), "pair"] = None
    mdata.obs.loc[mdata.obs_names[mdata.obs["pair"] == "type_5"][3:], "pair"] = "type_4"
    table = ask(mdata, label_key="pair", methods=["label"], modalities=["rna"])
    assert table["class"].tolist() == ["", "type_4", "type_5"]
    rare = table.set_index("class").loc["type_5"]
    assert np.isnan(rare["value"]) and rare["n"] == 3 and rare["note"] == "too few cells (3)"
    mdata.obs["pair"] = mdata.obs["cell_type"].astype(str).where(mdata.obs["cell_type"].isin(["type_4", "type_5"]))
    found = overall(ask(mdata, label_key="pair", methods="label"), "label")["p"]
    assert found["atac", ""] == 0.005 and found["rna", ""] > 0.05


def test_what_is_written_survives_a_file_and_nothing_else_changes(holed, tmp_path, frozen):
    before = frozen(holed)
    table = ask(holed)
    said = holed.uns["omicsbal"]
    assert set(said) == {"label_key", "modalities", "versions", SNR}
    pd.testing.assert_frame_equal(said[SNR], table)
    n = {m: holed[m].n_obs for m in holed.mod}
    split = overall(table, "split")["n"]
    assert {m: split[m, ""] for m in n} == n
    both = holed.obs_names.isin(holed["atac"].obs_names) & holed.obs_names.isin(holed["protein"].obs_names)
    assert overall(table, "cross", "nats").loc[("atac", "protein"), "n"] == both.sum()
    kept = holed.uns.pop("omicsbal")
    assert frozen(holed) == before
    holed.uns["omicsbal"] = kept
    holed.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu").uns["omicsbal"][SNR]
    pd.testing.assert_frame_equal(again.reset_index(drop=True), table, check_dtype=False, check_categorical=False)
    table["value"] = 9.0
    assert (said[SNR]["value"] != 9.0).all(), "a copy"


def test_one_seed_one_table(tri):
    one, two, other = (ask(tri.copy(), random_state=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one, two)
    assert overall(one, "split").loc[("rna", ""), "value"] != overall(other, "split").loc[("rna", ""), "value"]


def test_it_joins_what_is_there(tri):
    tri.uns["omicsbal"] = {"label_key": "cell_type", "versions": "{}", "modalities": np.array(["rna"]), KD_GATE: 1}
    ask(tri, methods=["label"])
    assert set(tri.uns["omicsbal"]) == {"label_key", "versions", "modalities", KD_GATE, SNR}
    assert tri.uns["omicsbal"]["modalities"].tolist() == ["rna"]
    with pytest.raises(ValueError, match=r"expected a free slot or one for 'donor'; found results for 'cell_type'"):
        ask(tri, label_key="donor")


def test_what_cannot_be_had_is_said(tri, simulated):
    table = ask(tri, label_key=None)
    assert set(table[table["method"] == "label"]["note"]) == {"no label_key given"} and table["value"].notna().any()
    tri.obs["size"] = np.random.default_rng(0).normal(size=90)
    assert "quantity" in ask(tri, label_key="size", methods=["label"], key_added="size")["note"][0]
    tri["atac"].X = (tri["atac"].X > 0).astype(np.float32)
    notes = ask(tri, methods=["split"], recipe={"protein": "dense"}).set_index("modality")["note"]
    assert "binarised" in notes["atac"] and "no raw counts" in notes["protein"] and "signal" in notes["rna"]
    few = ask(tri[:24].copy(), methods=["split", "cross"])
    assert few["value"].isna().all() and few["note"].str.contains("too few cells").sum() == 8
    one = ask(simulated(n_obs=60, modalities=["rna"], n_truth=100, random_state=0))
    assert set(one["method"]) == {"split", "label"}, "no partner, no cross form"


def test_dense_blocks_and_donors(simulated):
    mdata = simulated(n_obs=120, preset="small", n_truth=100, random_state=0)
    table = ask(mdata, group_key="donor")
    assert overall(table, "split")["value"].isna().all()
    assert (overall(table, "cross", "nats")["low"] > 0).all(), "two factors are shared by all blocks"
    plain = overall(ask(mdata), "label")
    assert (overall(table, "label")["value"] - plain["value"]).abs().max() < 1e-9 and (table["recipe"] != "").all()
    assert (overall(table, "label")["low"] != plain["low"]).all()


def test_two_donors_give_a_wide_interval(simulated):
    mdata = simulated(n_obs=120, n_donors=2, n_truth=100, random_state=0)
    wide, narrow = (overall(ask(mdata, methods="label", group_key=g), "label") for g in ("donor", None))
    assert ((wide["high"] - wide["low"]) > (narrow["high"] - narrow["low"])).all()


def test_what_is_refused(tri, frozen):
    before = frozen(tri)
    for error, match, options in [
        (ValueError, r"`methods`: expected one of 'split', 'label', 'cross'; found 'halves'", {"methods": ["halves"]}),
        (KeyError, r"`label_key`.*Did you mean 'cell_type'", {"label_key": "cel_type"}),
        (KeyError, r"`group_key`.*Did you mean 'donor'", {"group_key": "donr"}),
        (KeyError, r"`modalities`.*Did you mean 'protein'", {"modalities": ["protien"]}),
        (ValueError, r"`key_added`: expected a name that is no modality", {"key_added": "rna"}),
        (ValueError, r"`random_state`", {"random_state": -1}),
    ]:
        with pytest.raises(error, match=match):
            ask(tri, **options)
    assert frozen(tri) == before
    with pytest.raises(ValueError, match="found a view"):
        ask(tri[:60])
    tri.obs["one"] = "a"
    with pytest.raises(ValueError, match=r"`group_key`: expected at least two groups; found 1"):
        ask(tri, group_key="one")
    tri.obs.loc[tri.obs_names[:3], "one"] = None
    with pytest.raises(ValueError, match=r"`group_key`: expected a group for every cell; found none for 3 of 90"):
        ask(tri, group_key="one")


def test_cut_sites_are_halved(tri):
    doubled = MuData({"atac": AnnData(tri["atac"].X * 2, obs=tri["atac"].obs, var=tri["atac"].var)})
    plain, ends = (ask(m, label_key=None, methods="split", modalities=["atac"]) for m in (tri, doubled))
    assert ends["value"][0] == plain["value"][0] and ends["recipe"][0] == plain["recipe"][0] + " of fragments"
