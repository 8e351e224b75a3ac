"""The command line: ``omicsbal demo|describe|fit|predict|compare|report``, .h5mu in and .h5mu out."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omicsbal._arguments import READING, make_parser
from omicsbal._keys import COMPARE_KEY, COMPARE_SUMMARY
from omicsbal._store import MANIFEST, write_file
from omicsbal._validate import OmicsbalWarning, check_number, listed, problem
from omicsbal.demo import draw, scored
from omicsbal.files import free_file, free_folder, read, write_h5mu

OK, UNEXPECTED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


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
    written = {str(out / name): what for name, what in demo.save(made, out).items()}
    width = max(map(len, written))
    for path, what in written.items():
        print(f"  {path:<{width}}  {what}")


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


def _compare(args: argparse.Namespace) -> None:
    """Compare, print the summary, write the scores and the figure."""
    check_number("--jobs", args.jobs, low=1, integer=True)
    out = free_file(args.out, "--out", overwrite=args.overwrite, suffix=".csv")
    figure = free_file(args.figure, "--figure", overwrite=args.overwrite, suffix=".png")
    if figure and args.systems and len(args.systems) < 2:
        found = f"only {args.systems[0]!r}"
        raise ValueError(problem("--figure", expected="systems to compare", found=found, do="Name a rival in --systems."))
    reading, mdata = _reading(args), read(args.data)
    from joblib import parallel_config

    from omicsbal import tl
    from omicsbal.diagnostics.comparison import summary_text

    named = ("systems", "against", "folds", "repeats", "modalities", "checkpoint", "device")
    options = {name: getattr(args, name) for name in named} | reading
    with parallel_config("loky" if args.jobs > 1 else "sequential", n_jobs=args.jobs):
        more = {"group_key": args.group, "random_state": args.seed, "progress": not args.quiet}
        table = tl.compare(mdata, label_key=args.label, **options, **more)
    if out:
        write_file(out, table.to_csv(index=False).encode())
    if figure:
        import matplotlib

        matplotlib.use("Agg")  # no window on a cluster's node
        from omicsbal import pl

        drawn: Any = pl.compare(mdata, return_fig=True)
        drawn.savefig(figure, dpi=150, bbox_inches="tight")
    _tell(args, summary_text(mdata.uns[COMPARE_KEY][COMPARE_SUMMARY]), out, figure)


def _report(args: argparse.Namespace) -> None:
    """Write the page, and the data if asked to."""
    out = free_file(args.out, "--out", overwrite=args.overwrite, suffix=".h5mu")
    page = free_file(args.page, "page", overwrite=args.overwrite, suffix=".html")
    mdata = read(args.data)
    from omicsbal._report import report

    named = ("title", "overwrite", "device", "key_added")
    more = {name: getattr(args, name) for name in named}
    seed, wanted = args.seed, not args.quiet
    report(
        args.model,
        mdata,
        str(page),
        compute=not args.no_compute,
        group_key=args.group,
        random_state=seed,
        progress=wanted,
        **more,
    )
    if out:
        write_h5mu(mdata, out)
    _tell(args, "The page is one file: open it in a browser, print it, or send it.", page, out)


def _tell(args: argparse.Namespace, text: str, *written: Path | None) -> None:
    """What came out and where it is."""
    if not args.quiet:
        print("\n".join([text.rstrip(), "", *(f"Written: {path}" for path in written if path)]))


RUNS = {"demo": _demo, "describe": _describe, "fit": _fit, "predict": _predict, "compare": _compare, "report": _report}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    return make_parser(RUNS)


if __name__ == "__main__":
    sys.exit(main())
