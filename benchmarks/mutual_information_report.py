"""Tables and a figure from mutual_information.jsonl: what `mutual_information.py report` writes into benchmarks/results/."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

BETWEEN = ["between", "copula", "Gaussian", "label-decomposed", "KSG canonical", "KSG", "Gaussian plug-in", "InfoNCE", "MINE"]
LABELS = ["with_labels", "usable", "Ross, 4 PCs", "Ross, 3 LDA axes", "Ross, all axes"]
# Okabe-Ito, as far as it reaches; what is recommended is black, what is not recommended dotted
COLOURS = dict(
    zip(BETWEEN, ["black", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#E69F00", "#999999", "#CC79A7", "#882255"], strict=True)
)
COLOURS |= dict(zip(LABELS, ["black", "#0072B2", "#D55E00", "#009E73", "#E69F00"], strict=True))
FORMS = {"label-decomposed", "KSG canonical", "usable", "Ross, 4 PCs", "Ross, 3 LDA axes"}  # of a named value
DOTTED = {"KSG", "Gaussian plug-in", "InfoNCE", "MINE", "Ross, all axes"}
WIDE, SMALL = "d of 16 or 32, I up to 2", "d of 1 or 4, I up to 2"


def read(path: Path) -> pd.DataFrame:
    frame = pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    frame["error"] = frame["value"] - frame["truth"]
    frame["shape"] = frame["world"].str.replace(r", \d+ classes", "", regex=True)
    return frame


def slices(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Draws of a panel or table, by its title."""
    a, d = frame[(frame["part"] == "A") & (frame["group"] != "neural")], frame[frame["part"] == "D"]
    found = {
        f"A. Gaussians, {WIDE}": a[(a["d"] >= 16) & (a["truth"] <= 2)],
        f"A. Gaussians, {SMALL}": a[(a["d"] <= 4) & (a["truth"] <= 2)],
        "A. Gaussians, I = 5": a[a["truth"] == 5],
        "B. Eight worlds beyond the Gaussian": frame[frame["part"] == "B"],
        "C. Clusters with labels": frame[frame["part"] == "C"],
    }
    return found | {f"D. I(Z;Y), {shape}": part for shape, part in d.groupby("shape", sort=False)}


def neural_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """All estimators on those draws alone that the neural ones saw."""
    keys = ["part", "world", "n", "d", "truth", "seed"]
    return frame.merge(frame.loc[frame["group"] == "neural", keys].drop_duplicates(), on=keys)


def rmse(errors: pd.Series) -> float:
    return float(np.sqrt((errors**2).mean()))


def grid(frame: pd.DataFrame, across: str, cell: Callable[[pd.DataFrame], tuple[float, str]], order: list[str]) -> str:
    """Estimators by `across`; `cell` gives a score (lower is better) and its text. Best of a column bold, fewer draws starred."""
    columns = list(dict.fromkeys(frame[across])) if across == "world" else sorted(frame[across].unique())
    groups = dict(list(frame.groupby(["estimator", across])))
    most = {c: max(len(part) for (_, k), part in groups.items() if k == c) for c in columns}
    cells = {k: cell(part) for k, part in groups.items()}
    best = {c: min(round(s, 2) for (e, k), (s, _) in cells.items() if k == c and len(groups[e, k]) == most[c]) for c in columns}
    heads = [f"n = {c}" if across == "n" else str(c) for c in columns]
    lines = ["| estimator | " + " | ".join(heads) + " |", "|---" * (len(columns) + 1) + "|"]
    for e in [e for e in order if e in set(frame["estimator"])]:
        texts = []
        for c in columns:
            score, text = cells.get((e, c), (np.inf, "–"))
            whole = len(groups.get((e, c), ())) == most[c]
            texts.append(f"**{text}**" if whole and round(score, 2) == best[c] else text if whole or text == "–" else f"{text}*")
        lines.append(f"| {e} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def error_cell(part: pd.DataFrame) -> tuple[float, str]:
    score = rmse(part["error"])
    return score, f"{score:.2f} ({part['error'].mean():+.2f})"


def coverage(frame: pd.DataFrame) -> str:
    """Share of draws whose truth is within 1.96 standard errors of the estimate."""
    known = frame[frame["se"].notna() & (frame["truth"] > 0)]
    known = known.assign(part=known["part"].where((known["part"] != "A") | (known["truth"] < 5), "A, I = 5"))
    lines = ["| estimator | part | " + " | ".join(["fewest n", "more", "most n"]) + " | draws |", "|---" * 6 + "|"]
    for (e, p), part in known.groupby(["estimator", "part"]):
        sizes = sorted(part["n"].unique())
        some = [sizes[0], *([sizes[len(sizes) // 2]] if len(sizes) > 2 else []), sizes[-1]][:3]
        hit = part["error"].abs() <= 1.96 * part["se"]
        cells = [f"{100 * hit[part['n'] == n].mean():.0f} % (n = {n})" for n in some] + ["–"] * (3 - len(some))
        lines.append(f"| {e} | {p} | " + " | ".join(cells) + f" | {len(part)} |")
    return "\n".join(lines)


def null_band(frame: pd.DataFrame) -> str:
    """Share of independent draws within the 95 % null band that came with them, and above it."""
    known = frame[frame["low"].notna() & (frame["truth"] == 0)]
    lines = ["| world | d | n | draws | within | above | mean value |", "|---" * 7 + "|"]
    told = {"linear": "label shuffled", "dense": "two sides", "sparse": "two sides"}
    known = known.assign(kind=known["shape"].replace(told)).sort_values(["kind", "d", "n"], ascending=[False, True, True])
    known = known.assign(inside=known["value"].between(known["low"], known["high"]), above=known["value"] > known["high"])
    for (world, d, n), part in known.groupby(["kind", "d", "n"], sort=False):
        cells = [world, d, n, len(part), f"{100 * part['inside'].mean():.0f} %", f"{100 * part['above'].mean():.0f} %"]
        lines.append("| " + " | ".join(map(str, cells)) + f" | {part['value'].mean():+.3f} |")
    share = known["inside"].mean()
    error = np.sqrt(share * (1 - share) / len(known))
    total = f"**{100 * share:.1f} ± {100 * error:.1f} %** | {100 * known['above'].mean():.1f} %"
    lines.append(f"| **all** | | | {len(known)} | {total} | |")
    return "\n".join(lines)


def chosen(frame: pd.DataFrame) -> str:
    """Which form the named values were."""
    known = frame[frame["method"].notna()]
    counts = known.groupby(["part", "estimator", "method"]).size()
    lines = ["| part | value | chosen form, share of draws |", "|---|---|---|"]
    for (p, e), part in counts.groupby(level=[0, 1]):
        share = (part / part.sum()).sort_values(ascending=False)
        lines.append(f"| {p} | {e} | " + ", ".join(f"{m} {100 * s:.0f} %" for (_, _, m), s in share.items()) + " |")
    return "\n".join(lines)


def seconds(frame: pd.DataFrame) -> str:
    """CPU time where sides have 16 axes or more. Forms of a named value cost what the whole costs, and are left out."""
    shown = [
        e for e in BETWEEN + LABELS if e not in {"label-decomposed", "KSG canonical", "usable", "Ross, 4 PCs", "Ross, 3 LDA axes"}
    ]
    wide = frame[(frame["d"] >= 16) & frame["estimator"].isin(shown)]
    labelled = (wide["part"] == "C") | (wide["world"] == "label says nothing")
    wide = wide.assign(estimator=wide["estimator"].where(~(labelled & (wide["estimator"] == "between")), "between, with labels"))
    table = wide.pivot_table(index="estimator", columns="n", values="cpu", sort=False).sort_index(axis=1)
    table = table.reindex([e for e in [*shown[:1], "between, with labels", *shown[1:]] if e in table.index])
    lines = ["| estimator | " + " | ".join(f"n = {n}" for n in table) + " |", "|---" * (table.shape[1] + 1) + "|"]
    lines += [f"| {e} | " + " | ".join("–" if np.isnan(v) else f"{v:.2g}" for v in row) + " |" for e, row in table.iterrows()]
    return "\n".join(lines)


def figure(frame: pd.DataFrame, path: Path) -> None:
    """RMSE against n, a panel a group of worlds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parts = {k: v for k, v in slices(frame).items() if len(v)}
    parts["A. Where neural bounds ran: d = 16, I of 0, .5, 2"] = neural_rows(frame)
    columns = 5
    rows = -(-len(parts) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(3.1 * columns, 3.4 * rows), layout="constrained", sharey=True)
    order = sorted(parts, key=lambda k: k[0])
    for ax, title in zip(axes.flat, order, strict=False):
        part, names = parts[title], LABELS if title.startswith("D") else BETWEEN
        for e in [e for e in names if e in set(part["estimator"])]:
            curve = part[part["estimator"] == e].groupby("n")["error"].agg(rmse)
            ax.plot(
                curve.index,
                curve.clip(lower=0.004),
                ":" if e in DOTTED else "-",
                marker="o",
                ms=4,
                color=COLOURS[e],
                lw=2.4 if e in ("between", "with_labels") else 1.4,
                zorder=4 if e in ("between", "with_labels") else 2,
                label=e,
            )
        ax.set(xscale="log", yscale="log", title=title.replace(", ", "\n", 1), xlabel="rows n")
        ax.title.set_fontsize(9)
        ax.minorticks_off()
        ax.set_xticks(sorted(part["n"].unique()), [str(n) for n in sorted(part["n"].unique())], fontsize=8)
        ax.set_yticks([0.01, 0.03, 0.1, 0.3, 1, 3], ["0.01", "0.03", "0.1", "0.3", "1", "3"])
        ax.grid(axis="y", color="0.92", lw=0.8)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(order) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("RMSE (nats)")
    for names, anchor, heading in ((BETWEEN, 0.33, "I(A;B)"), (LABELS, 0.78, "I(Z;Y)")):
        handles = [plt.Line2D([], [], color=COLOURS[e], ls=":" if e in DOTTED else "-", marker="o", ms=4, label=e) for e in names]
        fig.legend(
            handles=handles,
            loc="outside lower left" if anchor < 0.5 else "outside lower right",
            ncols=5 if anchor < 0.5 else 3,
            fontsize=8,
            frameon=False,
            title=heading,
            title_fontsize=9,
        )
    fig.savefig(path, dpi=130)
    plt.close(fig)


def report(path: Path) -> None:
    """Write everything."""
    frame, parts = read(path), []
    cpu = frame.drop_duplicates(["part", "world", "n", "d", "truth", "seed", "group", "cpu"])["cpu"].sum()
    seeds = frame.groupby("part")["seed"].nunique()
    about = (
        "Made by `python benchmarks/mutual_information.py run` and `report`: simulated worlds of known mutual information "
        "(analytic in A, B and N, Monte Carlo with a standard error below 0.01 in C and D); seeds: "
        + ", ".join(f"{p} {s}" for p, s in seeds.items())
        + f"; {len(frame)} estimates, {cpu / 60:.0f} CPU minutes on one core. Cells are RMSE (bias) in nats; bold is the lowest "
        "RMSE of a column. With so few seeds a difference of a tenth of an RMSE is within noise. `between` and `with_labels` are "
        "what `ob.mi` recommends. Starred cells hold fewer draws than their column, so they are not comparable to a hundredth."
    )
    for title, part in slices(frame).items():
        if len(part):
            parts += [f"## {title}", grid(part, "n", error_cell, LABELS if title.startswith("D") else BETWEEN)]
    worlds = frame[(frame["part"] == "B") & (frame["n"] == 1000)].assign(world=lambda f: f["world"] + " d=" + f["d"].astype(str))
    parts += ["## B by world, n = 1000", grid(worlds, "world", error_cell, BETWEEN)]
    parts += ["## A, the draws of the neural bounds", grid(neural_rows(frame), "n", error_cell, BETWEEN)]
    parts += ["## Truth within 1.96 standard errors", coverage(frame)]
    parts += ["## Independent draws within the null band", null_band(frame)]
    parts += ["## Which form was the named value", chosen(frame)]
    parts += ["## CPU seconds a draw, mean", seconds(frame)]
    path.with_suffix(".md").write_text("\n\n".join(["# Mutual information", about, *parts]) + "\n")
    figure(frame, path.with_suffix(".png"))
    print("\n\n".join(parts))
