"""Is a modality dominant, fair, under-used or uninformative: a rule on bootstrap draws, and a sentence with its numbers.

The rule is ours, refined on simulations with seeds below 1000.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from omicsbal.diagnostics.answers import joined
from omicsbal.diagnostics.utilization import NOTHING, SURE, Number, Utilized

UNINFORMATIVE, UNDER_USED, DOMINANT, FAIR = "uninformative", "under-used", "dominant", "fair"
VERDICTS = (UNINFORMATIVE, UNDER_USED, DOMINANT, FAIR)  # the first that holds
KEPT = 0.9  # of what an encoder trained alone knows; below it something was lost
HEARD = 0.9  # of what the encoder knows; below it the fused head does not listen
MOST = 0.75  # of the Shapley values; above it one modality has nearly all; at 2/3 a lead that ceilings explain counted
SHOWN = ("ceiling", "alone_probe", "learned", "solo", "need", "retention", "share")  # with their intervals in the table
ENDS = ("ceiling", "learned", "retention", "share")


@dataclass(frozen=True)
class Numbers:
    """Draws (B, M) that the rule reads, of M modalities, nats but for retention and share."""

    ceiling: np.ndarray
    alone_probe: np.ndarray
    learned: np.ndarray
    solo: np.ndarray
    share: np.ndarray


def rule(x: Numbers, *, masked: bool) -> np.ndarray:
    """(B, M) code of the verdict in each draw.

    The first of these that holds. *Uninformative*: the ceiling is at most 0.02 nats. *Under-used*: the encoder lost more than
    0.02 nats and more than a tenth of what the same probe finds in an encoder trained alone; or, where the fused head was trained
    with modalities hidden and so can be asked for one alone, that head says as much less than the encoder knows. *Dominant*: more
    than three quarters of the Shapley values though another modality is informative. Else *fair*: also a modality that has little
    to tell, or that others replace.

    Parameters
    ----------
    x
        The numbers.
    masked
        Whether the fused head was trained with modalities hidden.

    Examples
    --------
    >>> told = {"ceiling": [[0.6, 0.5]], "alone_probe": [[0.6, 0.5]], "learned": [[0.6, 0.2]]}
    >>> told |= {"solo": [[0.6, 0.2]], "share": [[0.8, 0.2]]}
    >>> codes = rule(Numbers(**{k: np.array(v) for k, v in told.items()}), masked=False)
    >>> [VERDICTS[i] for i in codes[0]]
    ['dominant', 'under-used']
    """
    tells = x.ceiling > NOTHING
    lost = (x.alone_probe - x.learned > NOTHING) & (x.learned < KEPT * x.alone_probe)
    ignored = (x.learned - x.solo > NOTHING) & (x.solo < HEARD * x.learned)
    others = tells.sum(axis=1, keepdims=True) - tells > 0
    dominant = (x.share > MOST) & others
    return np.select([~tells, lost | (ignored & masked), dominant], [0, 1, 2], default=3)


def decide(shares: np.ndarray, informative: np.ndarray) -> list[str]:
    """Verdicts from the share of draws (M, 4) that each has.

    An alarm takes 90 % of the draws; dominance, where another modality is under-used for sure, half of them. A modality whose
    ceiling is not above nothing for sure is uninformative.

    Parameters
    ----------
    shares
        In the order of `VERDICTS`.
    informative
        (M,) bool: the ceiling is above 0.02 nats in 90 % of the draws.

    Examples
    --------
    >>> decide(np.array([[0, 0.02, 0.6, 0.38], [0, 0.97, 0, 0.03], [0.1, 0.5, 0, 0.4]]), np.array([True, True, True]))
    ['dominant', 'under-used', 'fair']
    """
    starved = informative & (shares[:, 1] >= SURE)
    found = []
    for i, row in enumerate(shares):
        another = bool(np.delete(starved, i).any())
        alarms = {UNDER_USED: starved[i], DOMINANT: row[2] >= (0.5 if another else SURE)}
        found.append(next((v for v, on in alarms.items() if on), FAIR) if informative[i] else UNINFORMATIVE)
    return found


def verdict_rows(used: Utilized, *, advice: str) -> list[dict[str, Any]]:
    """A row a modality: verdict (empty: cannot be measured), certainty (share of draws; NaN: no draws), sentence, numbers.

    ``leaning`` is another verdict that half of the draws or more give, without being sure enough to be an alarm.
    """
    if used.refusal():
        said = {"verdict": "", "certainty": np.nan, "leaning": ""}
        return [_filled(m, said | {"sentence": f"{m}: unmeasured. {used.refusal()}"}, used, {}) for m in used.names]
    numbers = used.numbers_in_nats
    seen = {k: np.stack([numbers[k, m][1] for m in used.names], axis=1) for k in Numbers.__annotations__}
    codes = rule(Numbers(**{k: np.nan_to_num(v) for k, v in seen.items()}), masked=used.masked)
    shares = np.stack([(codes == i).mean(axis=0) for i in range(len(VERDICTS))], axis=1)
    informative = np.array([used.informative(m) for m in used.names])
    fixed = used.told.groups is not None and len(np.unique(used.told.groups)) < 2  # every draw is the same
    rows = []
    for i, (m, verdict) in enumerate(zip(used.names, decide(shares, informative), strict=True)):
        certainty = np.nan if fixed else float(shares[i, VERDICTS.index(verdict)])
        other = VERDICTS[int(shares[i].argmax())]
        leaning = other if other != verdict and shares[i].max() >= 0.5 else ""
        words = _sentence(used, m, verdict, certainty, leaning, advice)
        rows.append(
            _filled(m, {"verdict": verdict, "certainty": certainty, "leaning": leaning, "sentence": words}, used, numbers)
        )
    return rows


def _filled(m: str, said: dict[str, Any], used: Utilized, numbers: Mapping[tuple[str, str], Number]) -> dict[str, Any]:
    """A whole row."""
    row = {"modality": m, **said}
    for kind in SHOWN:
        value, drawn = numbers.get((kind, m), (np.nan, np.empty(0)))
        value = np.nan if kind == "retention" and numbers and used.unfounded(kind, m) else value
        ends = used.told.number(value, drawn) if np.isfinite(value) else dict.fromkeys(("value", "low", "high"), np.nan)
        row[kind] = ends["value"]
        row |= {f"{kind}_low": ends["low"], f"{kind}_high": ends["high"]} if kind in ENDS else {}
    return row | {"n": len(used.told.y), "rows": used.told.rows}


def _sentence(used: Utilized, m: str, verdict: str, certainty: float, leaning: str, advice: str) -> str:
    """What was found, the numbers behind it, how sure, and what to try."""

    def nats(kind: str) -> str:
        value, drawn = used.numbers_in_nats[kind, m]
        ends = used.told.number(value, drawn)
        return f"{value:.2f} nats [{ends['low']:.2f}, {ends['high']:.2f}]"

    def percent(kind: str) -> str:
        value, drawn = used.numbers_in_nats[kind, m]
        ends = used.told.number(value, drawn)
        return f"{100 * value:.0f} % [{100 * ends['low']:.0f}, {100 * ends['high']:.0f}]"

    sure = "; how sure cannot be said of a single group" if np.isnan(certainty) else f"; {_whole(certainty)} sure"
    sure = f"; {leaning} in most draws, in too few to be sure" if leaning else sure
    first = f"{m}: {verdict}. Alone it tells {nats('ceiling')}"
    if verdict == UNINFORMATIVE:
        end = "More cells would tell whether it has something." if leaning else "There is nothing to boost."
        return f"{first}, not above nothing for sure{sure}. {end}"
    alone = used.numbers_in_nats["alone_probe", m][0]
    kept = f"a probe finds {alone:.2f} nats in an encoder trained alone and {nats('learned')} in that of the joint model"
    if not used.unfounded("retention", m):
        kept += f" (retention {percent('retention')})"
    if verdict == UNDER_USED:
        known = used.numbers_in_nats["learned", m][0]
        lost = alone - known > NOTHING and known < KEPT * alone
        more = "" if lost else f", of which the fused head alone with it says {nats('solo')}"
        return f"{first}; {kept}{more}{sure}. {advice}"
    if verdict == DOMINANT:
        return f"{first} and holds {percent('share')} (Shapley) of what the fused head says from {joined(used.told.game)}{sure}."
    weak = used.numbers_in_nats["ceiling", m][0] < 0.25 * max(used.numbers_in_nats["ceiling", o][0] for o in used.names)
    end = "It is weak but used: nothing to balance." if weak else "Nothing to balance."
    if certainty < SURE:
        end = "More cells would tell." if leaning else "That may change with more cells."
    return f"{first}; {kept}{sure}. {end}"


def _whole(share: float) -> str:
    """A share as percent, never more than is known from 500 draws."""
    return "over 99 %" if share > 0.99 else f"{100 * share:.0f} %"
