"""The command line: ``omicsbal demo|describe|fit|predict``, .h5mu in and .h5mu out."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omicsbal import __version__
from omicsbal._keys import KEY
from omicsbal._store import MANIFEST, write_file
from omicsbal._validate import OmicsbalWarning, listed, problem
from omicsbal.demo import draw, scored
from omicsbal.files import free_file, free_folder, read, write_h5mu

OK, UNEXPECTED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
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
  omicsbal predict model/ query.h5mu --out predicted.h5mu     new cells, any subset of the modalities"""
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = build_parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other libraries' announcements are for programmers
        warnings.simplefilter("always", OmicsbalWarning)
        warnings.showwarning = _note
        try:
            args.run(args)
        except KeyboardInterrupt:
            return INTERRUPTED
        except Exception as error:
            if args.debug:
                raise
            return _complain(error)
    return OK


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of the library as one line."""
    print(f"note: {message}", file=sys.stderr)


def _complain(error: Exception) -> int:
    """One line on stderr; the library's own complaints, worded by `problem`, are about the input."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    ours = text.startswith("`") and ": expected " in text and "; found " in text
    if ours or isinstance(error, FloatingPointError):
        print(f"omicsbal: {text}", file=sys.stderr)
        return BAD_INPUT
    print(f"omicsbal: unexpected {type(error).__name__}: {' '.join(text.split())} (--debug shows where)", file=sys.stderr)
    return UNEXPECTED


def _by_modality(name: str, values: list[str] | None) -> dict[str, str] | str | None:
    """['rna=counts', ...] as a mapping, ['counts'] as one value for all."""
    if not values or (len(values) == 1 and "=" not in values[0]):
        return values[0] if values else None
    pairs = [v.partition("=")[::2] for v in values]
    if not all(m and v for m, v in pairs):
        flag = "--" + name.replace("_", "-")
        raise ValueError(problem(flag, expected="MOD=VALUE, or one VALUE for all", found=listed(values), do="Write rna=VALUE."))
    return dict(pairs)


def _demo(args: argparse.Namespace) -> None:
    """Run the demonstration and fill its folder."""
    from omicsbal import demo

    out = Path(args.out)
    free_folder(args.out, "--out", overwrite=True, mark=demo.MARK)
    print(f"Simulating {args.n_obs} cells of the world {demo.PRESET!r}, and fitting twice: about a minute ...", flush=True)
    made = demo.run(n_obs=args.n_obs, random_state=args.seed)
    print(f"\n{demo.story(made)}\n\nWritten:")
    for name, what in demo.save(made, out).items():
        print(f"  {out / name!s:<32}{what}")


def _describe(args: argparse.Namespace) -> None:
    """Print what is in a file."""
    from omicsbal.pp import describe_text

    print(describe_text(read(args.data), label_key=args.label, **_reading(args)))


def _reading(args: argparse.Namespace) -> dict[str, Any]:
    """Options on how modalities are read."""
    return {name: _by_modality(name, getattr(args, name)) for name in READING}


def _fit(args: argparse.Namespace) -> None:
    """Fit, then write what was asked for."""
    if not (args.out or args.model):
        raise ValueError(problem("--out, --model", expected="at least one of them", found="neither", do="Pass --model model/."))
    out = free_file(args.out, "--out", overwrite=args.overwrite, suffix=".h5mu")
    folder = free_folder(args.model, "--model", overwrite=args.overwrite, mark=MANIFEST)
    figures = free_folder(args.figures, "--figures", overwrite=args.overwrite, mark="scores.png")
    reading, mdata = _reading(args), read(args.data)
    from omicsbal import tl
    from omicsbal.config import FitConfig

    config = FitConfig() if args.epochs is None else FitConfig(max_epochs=args.epochs)
    named = ("strategy", "encoder", "rare", "checkpoint", "device", "key_added")
    model = tl.fit(
        mdata, label_key=args.label, task=args.task, group_key=args.group, modalities=args.modalities,
        n_folds=args.folds, config=config, random_state=args.seed, progress=not args.quiet,
        **reading, **{name: getattr(args, name) for name in named},
    )  # fmt: skip
    if out:
        write_h5mu(mdata, out)
    if folder:
        model.save(folder, overwrite=True)
    if figures:
        draw(mdata, figures, key_added=args.key_added, classes=bool(model.classes))
    _tell(args, str(model), out, folder, figures)


def _predict(args: argparse.Namespace) -> None:
    """Predict a query, and score it where its labels are known."""
    if not (args.out or args.table):
        raise ValueError(problem("--out, --table", expected="at least one of them", found="neither", do="Pass --table p.csv."))
    out = free_file(args.out, "--out", overwrite=args.overwrite, suffix=".h5mu")
    table = free_file(args.table, "--table", overwrite=args.overwrite, suffix=".csv")
    mdata = read(args.query)
    from omicsbal import tl
    from omicsbal.model import FittedModel

    model = FittedModel.load(args.model)
    named = ("head", "min_coverage", "device", "key_added")
    options = {name: getattr(args, name) for name in named}
    found = tl.predict(model, mdata, modalities=args.modalities, **options)
    if out:
        write_h5mu(mdata, out)
    if table:
        write_file(table, found.to_csv(index_label="cell").encode())
    _tell(
        args,
        f"{int(found['prediction'].notna().sum())} of {len(found)} cells predicted.\n{scored(model, mdata, args.key_added)}",
        out,
        table,
    )


def _tell(args: argparse.Namespace, text: str, *written: Path | None) -> None:
    """What came out and where it is."""
    if not args.quiet:
        print("\n".join([text.rstrip(), "", *(f"Written: {path}" for path in written if path)]))


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], None], about: str, examples: str) -> Any:
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


def build_parser() -> argparse.ArgumentParser:
    """The parser; each subcommand's help ends in examples."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("omicsbal", description=ABOUT, epilog=CODES, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"omicsbal {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = _command(commands, "demo", _demo, "The whole way on simulated data whose right answers are known.", DEMO).add_argument
    add("--out", default="demo_output", metavar="DIR", help="folder to fill (default demo_output)")
    add("--n-obs", type=int, default=900, metavar="N", help="cells, a third of them held out (default 900)")
    add("--seed", type=int, default=0, help="of the data and of the fits (default 0)")

    describe = _command(commands, "describe", _describe, "Tell what is in a file and what a fit would do to it.", DESCRIBE)
    describe.add_argument("data", help="a .h5mu or .h5ad file")
    describe.add_argument("--label", metavar="COLUMN", help="label to count")
    _add_reading(describe)

    fit = _command(commands, "fit", _fit, "Learn a label from all modalities; scores out-of-fold.", FIT)
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

    predict = _command(commands, "predict", _predict, "Predict new cells from raw values.", PREDICT)
    add = predict.add_argument
    add("model", help="folder that omicsbal fit --model wrote")
    add("query", help="a .h5mu or .h5ad file")
    _add_common(predict, out="the query with the predictions")
    add("--table", metavar="FILE.csv", help="the predictions as a table")
    add("--head", default="pool", help="pool (default), product, fused, a modality, or an expert such as lr:rna")
    add("--min-coverage", type=float, default=0.8, metavar="SHARE", help="least share of features to be found (default 0.8)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
