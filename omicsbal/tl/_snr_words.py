"""A signal-to-noise ratio in words; the reading guide, with no threshold but as much signal as noise, and p = 0.05."""

import numpy as np

from omicsbal.diagnostics._jackknife import Estimate

SURE = 0.05


def signal_share(snr: float) -> float:
    """Share of the variance that is signal: SNR^2 / (1 + SNR^2)."""
    return snr / (1 + snr)


def split_words(found: Estimate) -> str:
    """What two halves of the counts say."""
    if np.isnan(found.low):
        return "no interval: too few donors"
    if found.low <= 0:
        return "no reproducible signal found: too shallow, or noise"
    if found.high < 1:
        return "more noise than signal: measuring deeper or denoising would help"
    return "more signal than noise" if found.low > 1 else "about as much signal as noise"


def label_words(found: Estimate, split: Estimate | None) -> str:
    """What the label explains, beside what is reproducible at all."""
    real = split is not None and split.low > 0
    if not found.p <= SURE:
        return "no signal of the label found" + (": what is reproducible is something else (cell cycle, batch?)" if real else "")
    if split is None or not real:
        return "differs between classes"
    share = min(signal_share(found.value) / signal_share(split.value), 1.0)
    return f"differs between classes, which make up about {share:.0%} of the reproducible variance"


def class_words(found: Estimate) -> str:
    """Whether one class stands apart."""
    if np.isnan(found.value):
        return f"too few cells ({found.n})"
    apart = "stands apart" if found.p <= SURE else "not told from the others"
    return f"{apart}; cells times SNR^2 = {found.n * found.value:.3g}"


def cross_words(nats: Estimate, label: Estimate | None) -> str:
    """Whether a modality shares anything with another one, and what that means for its label signal."""
    if np.isnan(nats.low):
        return "no interval: too few donors"
    if nats.low > 0:
        return "shares signal: losses that align the two have something to align"
    private = label is not None and label.p <= SURE
    return "nothing shared found" + (
        ": its signal of the label is private, and losses that align the two may hurt it" if private else ""
    )
