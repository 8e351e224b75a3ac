"""A bar over the epochs of all stages."""

from collections.abc import Callable, Mapping
from typing import Any


def progress_bar(label: str, *, wanted: bool) -> tuple[Any, Callable[..., None]]:
    """A bar over epochs and the function that moves it."""
    from tqdm.auto import tqdm

    bar = tqdm(desc=label, unit="epoch", disable=not wanted, leave=False)

    def report(done: int, total: int, metrics: Mapping[str, float]) -> None:
        bar.total = total
        bar.update(done - bar.n)
        first = next(iter(metrics.items()), None)
        if first:
            bar.set_postfix_str(f"{first[0]} {first[1]:.3f}", refresh=False)

    return bar, report
