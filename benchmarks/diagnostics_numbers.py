"""What `diagnostics.py` compares: numbers of the diagnostics and the truth about them."""

import omicsbal as ob
from omicsbal.datasets._world import subset_name, subsets
from omicsbal.diagnostics.anchored import anchored_pid
from omicsbal.diagnostics.answers import answers_from
from omicsbal.diagnostics.contribution import contribution_rows
from omicsbal.diagnostics.information import usable_information
from omicsbal.diagnostics.shapley import make_game

PARTS = ("redundant", "unique_1", "unique_2", "synergistic")
SIZES = {"rna": 80, "atac": 120, "protein": 20}
WORLDS = {  # arguments of ob.datasets.simulate
    "redundant": {"shared": 1.0},
    "unique": {"shared": 0.0},
    "mixed": {"shared": 0.5, "synergy": 0.8},
    "secret": {"shared": 0.0, "synergy": 1.0, "error": 0.05},
    "weak": {"shared": 0.5, "error": 0.6},
    "two": {"shared": 0.5, "synergy": 0.5, "modalities": ["rna", "atac"]},
}


def world(name: str, n: int, seed: int):
    """A simulated MuData with the truth of complete, strong data."""
    dials = {"modalities": list(SIZES), "error": 0.2} | WORLDS[name]
    sizes = {m: SIZES[m] for m in dials["modalities"]}
    fixed = {"preset": "redundant", "n_classes": 4, "strength": 3.0, "n_truth": 4000, "n_features": sizes}
    return ob.datasets.simulate(n_obs=n, random_state=seed, **fixed, **dials)


def truth_of(mdata) -> dict[tuple[str, str], float]:
    """{(quantity, of what): nats}."""
    truth, names = mdata.uns["truth"], list(mdata.mod)
    value = truth["subsets"].set_index("subset")["information_nats"]
    found = {("information", s): float(value[s]) for s in value.index if s != "none"}
    for m, phi in truth["shapley"].set_index("modality")["information_nats"].items():
        rest = subset_name(o for o in names if o != m)
        found["shapley", m], found["need", m] = float(phi), float(value[subset_name(names)] - value[rest])
    for row in truth["pid"].to_dict("records"):
        pair = f"{row['source_1']}|{row['source_2']}"
        found |= {(part, pair): float(row[part]) for part in PARTS} | {("synergy_kmeans", pair): float(row["synergistic"])}
    return found


def lines_of(piece: dict, found: dict, truth: dict) -> list[dict]:
    """A line for every number that has a truth; `found` holds (value, low, high)."""
    names = ("value", "low", "high")
    return [
        piece | {"quantity": q, "of": of, "truth": truth[q, of]} | dict(zip(names, map(float, numbers), strict=True))
        for (q, of), numbers in found.items()
        if (q, of) in truth
    ]


def by_oracle(mdata, seed: int) -> dict[tuple[str, str], tuple]:
    """What the estimators make of exact posteriors."""
    names, label = list(mdata.mod), mdata.obs["cell_type"].cat
    y = label.codes.to_numpy(int)
    logs = {frozenset(s): mdata.obsm[f"oracle_{subset_name(s)}"].to_numpy() for s in subsets(names)[1:]}
    more = {"groups": None, "classes": label.categories, "rows": "held-out", "random_state": seed}
    told = answers_from(make_game(names), logs.items(), y, **more)
    rows = [r for r in contribution_rows(told, measures=["information"]) if r["class"] == "" and r["kind"] in ("shapley", "need")]
    found = {(r["kind"], r["modality"]): (r["value"], r["low"], r["high"]) for r in rows}
    for s in subsets(names)[1:]:
        found["information", subset_name(s)] = usable_information(logs[frozenset(s)], y, random_state=seed)
    for one, two in [s for s in subsets(names) if len(s) == 2]:
        three = (logs[frozenset(s)] for s in ({one}, {two}, {one, two}))
        table = anchored_pid(*three, y, random_state=seed).set_index("part")
        found |= {(p, f"{one}|{two}"): tuple(table.loc[p, ["value", "low", "high"]]) for p in PARTS}
    return found


def by_model(mdata, model) -> dict[tuple[str, str], tuple]:
    """What the verbs say of a fitted model, out-of-fold."""
    ends = ["value", "low", "high"]
    table = ob.tl.contribution(model, mdata, value="information")
    rows = table[(table["class"] == "") & table["kind"].isin(["shapley", "need"])]
    found = {(r["kind"], r["modality"]): tuple(r[e] for e in ends) for r in rows.to_dict("records")}
    for r in ob.tl.information(model, mdata).to_dict("records"):
        quantity = "information" if r["kind"] == "label" else r["kind"]
        found[quantity, f"{r['source_1']}|{r['source_2']}" if r["source_2"] else r["source_1"]] = tuple(r[e] for e in ends)
    return found


def what_is_said(model, learn) -> dict[str, dict[str, float]]:
    """Every number about a modality that could foretell what leaving it out does."""
    table = ob.tl.contribution(model, learn)
    table = table[(table["class"] == "") & table["kind"].isin(["need", "shapley", "solo", "permutation"])]
    said = {m: {} for m in learn.mod}
    for r in table.to_dict("records"):
        said[r["modality"]][f"{r['kind']}, {r['measure']}"] = float(r["value"])
    pid = ob.tl.information(model, learn)
    for m in said:  # against the rest, which with two modalities is the other
        mine = pid[pid["source_1"].eq(m) & pid["source_2"].ne("") | pid["source_2"].eq(m)]
        rest = mine[(mine["source_1"] == m) & (mine["source_2"].str.contains("+", regex=False) | (len(said) == 2))]
        part = "unique_1" if len(rest) else "unique_2"
        chosen = (rest if len(rest) else mine).set_index("kind")["value"]
        said[m]["unique, information"] = float(chosen[part])
        said[m]["unique and synergistic, information"] = float(chosen[part] + chosen["synergistic"])
    return said
