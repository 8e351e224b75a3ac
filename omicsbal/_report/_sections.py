"""The sections of the page in their order; one more is one more line."""

from collections.abc import Callable
from dataclasses import dataclass

from omicsbal import _keys
from omicsbal._report import _comparison, _damage, _data, _features, _modalities, _performance, _samples, _terms, _wasted
from omicsbal._report._diagnostics import BY_SLOT
from omicsbal._report._facts import Facts
from omicsbal._report._html import Html, join, paragraph


@dataclass(frozen=True)
class Section:
    """A part of the page; with `slot`, one that a diagnostic has to have written."""

    name: str
    title: str
    build: Callable[[Facts], list[Html]]
    slot: str = ""
    classes_only: bool = False

    def made(self, facts: Facts) -> Html:
        """Its content, or why there is none and which call makes it."""
        if self.slot and not facts.has(self.slot):
            why = facts.missing.get(self.slot, "")
            return join(
                [paragraph(f"Not available. {why}".strip()), paragraph(f"`{BY_SLOT[self.slot].call}` makes it.", kind="note")]
            )
        return join(self.build(facts))


SECTIONS = (
    Section("data", "The data", _data.data),
    Section("scores", "How well it is predicted", _performance.scores),
    Section("comparison", "Does it beat what one would use instead?", _comparison.comparison, classes_only=True),
    Section("classes", "Class by class", _performance.classes, classes_only=True),
    Section("contribution", "Who contributes", _modalities.contribution, _keys.CONTRIBUTION),
    Section("wasted", "Is a modality wasted?", _wasted.utilization, _keys.UTILIZATION),
    Section("information", "What is unique, shared, or told only together", _modalities.information, _keys.INFORMATION),
    Section("robustness", "If a modality were worse, or missing", _damage.robustness, _keys.ROBUSTNESS),
    Section("snr", "Signal and noise", _modalities.snr, _keys.SNR),
    Section("kd_gate", "Who may teach whom", _modalities.kd_gate, _keys.KD_GATE),
    Section("features", "Genes, peaks and proteins behind each class", _features.features, _keys.IMPORTANCE),
    Section("difficulty", "Hard samples and doubtful labels", _samples.difficulty, _keys.DIFFICULTY),
    Section("calibration", "Can probabilities be believed?", _performance.calibration),
    Section("made", "How this was made", _data.made),
    Section("terms", "Words", _terms.definitions),
)


def sections_of(facts: Facts) -> list[Section]:
    """Those that this fit can have."""
    return [s for s in SECTIONS if not (s.classes_only and facts.is_regression)]
