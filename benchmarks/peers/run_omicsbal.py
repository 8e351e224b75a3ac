"""omicsbal through the same door as its peers: `ob.tl.fit` with its defaults, `ob.tl.predict` with the pool."""

from exchange import answer, begin, read, task


def main() -> None:
    folder, _ = task()
    import omicsbal as ob

    train, test = read(folder)
    start = begin()
    model = ob.tl.fit(train, label_key="label", progress=False, rare="error")
    ob.tl.predict(model, test, head="pool", key_added="out")
    answer(folder, start, {"": test.obsm["out_proba_label"].to_numpy()}, ["omicsbal"])


main()
