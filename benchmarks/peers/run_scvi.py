"""scvi-tools by its own tutorials, trained on the training cells: scANVI (RNA), totalVI (RNA, protein), MULTIVI (RNA, ATAC).

- `scanvi`: the 2,000 most variable genes (seurat_v3, on the training cells), SCVI with 2 layers and 30 latent dimensions for its
  default epochs, then SCANVI.from_scvi_model for 20 epochs with 100 samples a label, `predict(soft=True)`: the tutorials
  "Atlas-level integration of lung data" and "Tabula Muris".
- `totalvi`: the 4,000 most variable genes, the defaults of TOTALVI; head `rf`: the balanced random forest on its latent space,
  both of the tutorial "CITE-seq reference mapping with totalVI".
- `multivi`: the defaults of MULTIVI; its tutorial has no classifier, so the same forest.
- Both latent spaces also get the head `lr`: logistic regression tuned as the measure's baselines are, which is our addition.

Test cells come from the batches of the training cells, so they need no surgery on the weights: `predict` and
`get_latent_representation` take new cells with the same genes. The models are given the batch where the data have one.
"""

import os
import sys

import numpy as np
import pandas as pd
from exchange import answer, begin, read, since, task

GENES = {"scanvi": 2000, "totalvi": 4000}
FIT = {"accelerator": "cpu", "enable_progress_bar": False}


def variable(train, test, n_top: int):
    """RNA of both with the training cells' most variable genes."""
    import scanpy as sc

    learn, query = train["rna"].copy(), test["rna"].copy()
    for part, whole in ((learn, train), (query, test)):
        part.obs = whole.obs.loc[part.obs_names].copy()
    if learn.n_vars <= n_top:
        return learn, query
    sc.pp.highly_variable_genes(learn, n_top_genes=n_top, flavor="seurat_v3")
    keep = learn.var["highly_variable"].to_numpy()
    return learn[:, keep].copy(), query[:, keep].copy()


def scanvi(train, test, about: dict):
    from scvi.model import SCANVI, SCVI

    learn, query = variable(train, test, GENES["scanvi"])
    query.obs["label"] = "Unknown"
    SCVI.setup_anndata(learn, batch_key=about["batch"])
    base = SCVI(learn, n_layers=2, n_latent=30)
    base.train(**FIT)
    model = SCANVI.from_scvi_model(base, adata=learn, labels_key="label", unlabeled_category="Unknown")
    model.train(max_epochs=20, n_samples_per_label=100, **FIT)
    proba = model.predict(query, soft=True)[about["classes"]].to_numpy()
    return {"": proba / proba.sum(1, keepdims=True)}, {}


def totalvi(train, test, about: dict):
    from scvi.model import TOTALVI

    learn, query = variable(train, test, GENES["totalvi"])
    for part, whole in ((learn, train), (query, test)):
        protein = whole["protein"]
        part.obsm["protein"] = pd.DataFrame(protein.X.toarray(), index=part.obs_names, columns=list(protein.var_names))
    TOTALVI.setup_anndata(learn, protein_expression_obsm_key="protein", batch_key=about["batch"])
    model = TOTALVI(learn)
    model.train(**FIT)
    return classified(model.get_latent_representation(), model.get_latent_representation(query), train.obs["label"], about)


def multivi(train, test, about: dict):
    from scvi.model import MULTIVI

    for part in (train, test):  # it looks for a column in new cells that only its set-up writes
        MULTIVI.setup_mudata(part, batch_key=about["batch"], modalities={"rna_layer": "rna", "atac_layer": "atac"})
    model = MULTIVI(train, n_genes=train["rna"].n_vars, n_regions=train["atac"].n_vars)
    model.train(**FIT)
    return classified(model.get_latent_representation(), model.get_latent_representation(test), train.obs["label"], about)


def classified(learn: np.ndarray, query: np.ndarray, label: pd.Series, about: dict):
    """Probabilities by both heads on the latent space, and the seconds of each."""
    from sklearn.ensemble import RandomForestClassifier

    sys.path.insert(0, os.environ["OMICSBAL_MEASURE"])
    from baselines import tuned

    y = label.astype(str).to_numpy()
    forest = RandomForestClassifier(random_state=1, class_weight="balanced_subsample")
    learners = {"rf": lambda: forest.fit(learn, y), "lr": lambda: tuned(learn, y)[0]}
    heads, spent = {}, {}
    for head, fit in learners.items():
        start = begin()
        model = fit()
        assert list(model.classes_) == about["classes"]
        heads[head] = model.predict_proba(query)
        spent[head] = since(start)
    return heads, spent


MODELS = {"scanvi": scanvi, "totalvi": totalvi, "multivi": multivi}


def main() -> None:
    folder, about = task()
    import scvi

    scvi.settings.seed = 0
    scvi.settings.num_threads = 1
    train, test = read(folder)
    start = begin()
    heads, spent = MODELS[sys.argv[2]](train, test, about)
    answer(folder, start, heads, ["scvi-tools"], spent)


main()
