"""Pieces of work on the joblib backend in force, taken back one by one; what a lost worker had is sent again."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from omicsbal._validate import OmicsbalWarning

TRIES = 3  # times in a row that no piece may come back


def run_pieces(work: Callable[[Any], Any], pieces: Callable[[], Sequence[Callable[[], Any]]]) -> Iterator[Any]:
    """Results of `work` in the order in which they finish.

    Parameters
    ----------
    work
        A function of a module, so that another process can import it. It must not raise: what it raises is taken for the end of a
        worker.
    pieces
        Gives what is still to be done whenever it is called; each entry makes its piece when its turn comes.

    Yields
    ------
    What `work` returns; take note of each before the next is asked for, so that `pieces` no longer lists it.

    Raises
    ------
    Exception
        Whatever ended the workers, after `TRIES` times without a result.
    """
    idle = 0
    while waiting := pieces():
        idle += 1
        try:
            for result in _round(work, waiting):
                idle = 0
                yield result
        except Exception as error:
            if idle >= TRIES:
                raise
            text = f"A worker was lost ({type(error).__name__}); what it had not finished is sent again."
            warnings.warn(text, OmicsbalWarning, stacklevel=2)


def _round(work: Callable[[Any], Any], waiting: Sequence[Callable[[], Any]]) -> Iterator[Any]:
    """All that is waiting, once; a handful at a time on backends that cannot give results as they come (multiprocessing, Ray)."""
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    parallel = Parallel(batch_size=1)
    if parallel.n_jobs == 1 or getattr(get_active_backend()[0], "supports_return_generator", False):
        yield from Parallel(batch_size=1, return_as="generator_unordered")(delayed(work)(make()) for make in waiting)
        return
    handful = max(int(parallel._effective_n_jobs()), 1)
    for start in range(0, len(waiting), handful):
        yield from parallel(delayed(work)(make()) for make in waiting[start : start + handful])
