"""What can be typed after ``omicsbal``: subcommands, their options, and examples."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from omicsbal import __version__
from omicsbal._keys import KEY

Run = Callable[[argparse.Namespace], None]
READING = {
    "recipe": "rna, atac, protein or dense; by default chosen from the name and the values",
    "use_rep": "read this entry of obsm in place of X",
    "layer": "read this layer in place of X",
}
RARE = ("drop", "merge", "fewer_folds", "error")

ABOUT = """Balanced multi-omics learning on MuData: learn a label from all modalities, and see what each is worth.

  omicsbal demo                                               about a minute, simulated data
  omicsbal describe data.h5mu --label cell_type               what is there, and what a fit would do
  omicsbal fit data.h5mu --label cell_type --out fitted.h5mu --model model/
  omicsbal predict model/ query.h5mu --out predicted.h5mu     new cells, any subset of the modalities
  omicsbal compare data.h5mu --label cell_type                does it beat what you would use instead?
  omicsbal report model/ fitted.h5mu report.html              who contributes, what is wasted, what to do next"""
CODES = "exit codes: 0 done, 1 unexpected error, 2 wrong input or usage (one line on stderr says what to do)."
DEMO = """examples:
  omicsbal demo
  omicsbal demo --out somewhere --seed 1
A folder that an earlier demo wrote is replaced; any other folder that is not empty is refused."""
DESCRIBE = """examples:
  omicsbal describe data.h5mu
  omicsbal describe data.h5mu --label cell_type
Nothing is written. Look here first: is the recipe of each modality the one you expect? Are classes large enough?"""
FIT = """examples:
  omicsbal fit data.h5mu --label cell_type --out fitted.h5mu --model model/
  omicsbal fit data.h5mu --label cell_type --model model/ --group donor --figures figures/
  omicsbal fit data.h5mu --label cell_type --model model/ --layer rna=counts --recipe meth=dense
  omicsbal fit data.h5mu --label cell_type --model model/ --checkpoint run.ckpt    after a kill: the same command again
Give raw counts: the model owns its preprocessing. Cells without a label are not trained on; they are predicted.
The scores that are printed are out-of-fold. MOD=VALUE options may be repeated; a VALUE alone holds for all modalities."""
PREDICT = """examples:
  omicsbal predict model/ query.h5mu --out predicted.h5mu
  omicsbal predict model/ query.h5mu --table predictions.csv --modalities rna,protein
  omicsbal predict model/ query.h5mu --table fused.csv --head fused
The query holds raw values as in the fit, and any of the model's modalities; features are matched by name.
If it has the label's column, the scores on those cells are printed."""
COMPARE = """examples:
  omicsbal compare data.h5mu --label cell_type --out scores.csv --figure compare.png
  omicsbal compare data.h5mu --label cell_type --systems omicsbal,omicsbal:joint,lr:pool,rf:concat
  omicsbal compare data.h5mu --label cell_type --group donor --checkpoint run.jsonl    after a kill: the same command again
Every system is fitted on the same training rows and judged on rows that it never saw; recipes and tuning are inside the folds.
A gain is positive where the first system is better; its p holds for overlapping training sets and for several rivals."""
REPORT = """examples:
  omicsbal report model/ fitted.h5mu report.html
  omicsbal report model/ fitted.h5mu report.html --out diagnosed.h5mu    keep what the diagnostics found
  omicsbal report model/ fitted.h5mu report.html --no-compute            from what is in the file alone
The data are those that omicsbal fit --out wrote, with their results. The page needs no network."""


def _command(commands: Any, name: str, run: Run, about: str, examples: str) -> Any:
    """A subcommand with its examples."""
    options: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "description": about}
    parser = commands.add_parser(name, help=about, epilog=examples, allow_abbrev=False, **options)
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


def _add_reading(parser: Any) -> None:
    """Options on how modalities are read."""
    for name, about in READING.items():
        parser.add_argument("--" + name.replace("_", "-"), action="append", metavar="MOD=VALUE", help=about)


def _add_common(parser: Any, *, out: str) -> None:
    """Options of the commands that write."""
    add = parser.add_argument
    add("--out", metavar="FILE.h5mu", help=out)
    add("--modalities", type=lambda value: value.split(","), metavar="A,B", help="use these alone")
    add("--device", default="auto", help="auto, cpu, cuda (default auto)")
    add("--key-added", default=KEY, help=f"prefix of the slots that are written (default {KEY})")
    add("--overwrite", action="store_true", help="replace what is there")
    add("--quiet", action="store_true", help="print errors and notes alone")


def make_parser(runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    """The parser; each subcommand's help ends in examples. `runs` are the functions behind the subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("omicsbal", description=ABOUT, epilog=CODES, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"omicsbal {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = _command(
        commands, "demo", runs["demo"], "The whole way on simulated data whose right answers are known.", DEMO
    ).add_argument
    add("--out", default="demo_output", metavar="DIR", help="folder to fill (default demo_output)")
    add("--n-obs", type=int, default=900, metavar="N", help="cells, a third of them held out (default 900)")
    add("--seed", type=int, default=0, help="of the data and of the fits (default 0)")

    describe = _command(commands, "describe", runs["describe"], "Tell what is in a file and what a fit would do to it.", DESCRIBE)
    describe.add_argument("data", help="a .h5mu or .h5ad file")
    describe.add_argument("--label", metavar="COLUMN", help="label to count")
    _add_reading(describe)

    fit = _command(commands, "fit", runs["fit"], "Learn a label from all modalities; scores out-of-fold.", FIT)
    add = fit.add_argument
    add("data", help="a .h5mu or .h5ad file with raw counts")
    add("--label", required=True, metavar="COLUMN", help="column of obs to learn")
    _add_common(fit, out="the data with the results")
    add("--model", metavar="DIR", help="folder for the model, for omicsbal predict")
    add("--figures", metavar="DIR", help="folder for figures (PNG)")
    add("--strategy", default="uniform", help="how modalities are balanced (default uniform); an unknown name lists all")
    add("--encoder", choices=("mlp", "graph"), help="graph: each row also sees its neighbours, up to 5,000 rows (default mlp)")
    add("--task", default="auto", help="classification, regression or auto (default)")
    add("--group", metavar="COLUMN", help="donors or patients; none is split over folds")
    _add_reading(fit)
    add("--folds", type=int, metavar="K", help="default 5, and 3 above 3,000 training cells")
    add("--rare", default="drop", choices=RARE, help="classes with fewer cells than folds (default drop)")
    add("--epochs", type=int, metavar="N", help="longest training (default: by the number of cells)")
    add("--checkpoint", metavar="FILE", help="keep the training state here; after a kill the same command goes on")
    add("--seed", type=int, default=0, help="of folds, weights and minibatches (default 0)")

    predict = _command(commands, "predict", runs["predict"], "Predict new cells from raw values.", PREDICT)
    add = predict.add_argument
    add("model", help="folder that omicsbal fit --model wrote")
    add("query", help="a .h5mu or .h5ad file")
    _add_common(predict, out="the query with the predictions")
    add("--table", metavar="FILE.csv", help="the predictions as a table")
    add("--head", default="pool", help="pool (default), product, fused, a modality, or an expert such as lr:rna")
    add("--min-coverage", type=float, default=0.8, metavar="SHARE", help="least share of features to be found (default 0.8)")

    compare = _command(commands, "compare", runs["compare"], "Compare with what you would use instead, on equal folds.", COMPARE)
    add = compare.add_argument
    add("data", help="a .h5mu or .h5ad file with raw counts")
    add("--label", required=True, metavar="COLUMN", help="column of obs with the classes to learn")
    split: dict[str, Any] = {"type": lambda value: value.split(","), "metavar": "A,B"}
    add(
        "--systems",
        **split,
        help="omicsbal, omicsbal:<strategy>, lr:<modality>, lr:concat, ... (default: omicsbal and the baselines)",
    )
    add("--against", metavar="SYSTEM", help="the one that the others are set against (default omicsbal)")
    add("--folds", type=int, default=5, metavar="K", help="outer folds (default 5)")
    add("--repeats", type=int, default=1, metavar="N", help="draw the folds so many times (default 1)")
    add("--group", metavar="COLUMN", help="donors or patients; none is split over folds")
    add("--modalities", **split, help="use these alone")
    _add_reading(compare)
    add("--checkpoint", metavar="FILE.jsonl", help="keep results here; after a kill the same command goes on")
    add("--jobs", type=int, default=1, metavar="N", help="processes to work in (default 1)")
    add("--device", default="auto", help="auto, cpu, cuda (default auto)")
    add("--seed", type=int, default=0, help="of folds and systems (default 0)")
    add("--out", metavar="FILE.csv", help="scores, a row a fold and system")
    add("--figure", metavar="FILE.png", help="gains and ranks as a figure")
    add("--overwrite", action="store_true", help="replace what is there")
    add("--quiet", action="store_true", help="print errors and notes alone")

    report = _command(commands, "report", runs["report"], "Write one page on a fit: what it can, and what to do next.", REPORT)
    add = report.add_argument
    add("model", help="folder that omicsbal fit --model wrote")
    add("data", help="the .h5mu file that the same fit wrote with --out")
    add("page", metavar="PAGE.html", help="the page to write")
    add("--title", help="of the page (default: the label and the modalities)")
    add("--out", metavar="FILE.h5mu", help="the data with what the diagnostics found")
    add("--no-compute", action="store_true", help="run no diagnostic that is missing")
    add("--group", metavar="COLUMN", help="donors or patients, for intervals (default: those of the fit)")
    add("--device", default="auto", help="auto, cpu, cuda (default auto)")
    add("--key-added", default=KEY, help=f"prefix of the slots of the fit (default {KEY})")
    add("--seed", type=int, default=0, help="of the diagnostics (default 0)")
    add("--overwrite", action="store_true", help="replace what is there")
    add("--quiet", action="store_true", help="print errors and notes alone")
    return parser
