"""Every slot that omicsbal writes into a MuData, named once."""

from dataclasses import dataclass

KEY = "omicsbal"  # default of `key_added` but for the next two
COMPARE_KEY = f"{KEY}_compare"  # a fit clears its own key, and may not take hours of comparing with it
TUNE_KEY = f"{KEY}_tune"  # the tuned fit and its search, beside the fit that is there

# Entries of uns[key_added]; their contents are described in docs/slots.md.
LABEL_KEY = "label_key"  # str
TASK = "task"  # "classification" or "regression"
METRIC = "metric"  # name of the task's first metric, a column of HEADS
CLASSES = "classes"  # array of str; empty for regression
MODALITIES = "modalities"  # array of str
STRATEGY = "strategy"  # str
RANDOM_STATE = "random_state"  # int
VERSIONS = "versions"  # one JSON string
PARAMS = "params"  # one JSON string
FOLDS = "folds"  # (n,) int: the fold a row was held out in; -1 where the row was not trained on
HISTORY = "history"  # DataFrame, a row an epoch
HEADS = "heads"  # DataFrame, a row a head or expert: scores, temperature, pool weight
FOLD_SCORES = "fold_scores"  # DataFrame: head, fold, and a column a metric
CALIBRATION = "calibration"  # DataFrame: head, bin, confidence, accuracy, n
RECIPES = "recipes"  # DataFrame: modality, recipe, features in and out, why
COVERAGE = "coverage"  # DataFrame, after predict: modality, share of the model's features found
POOLS = "pools"  # DataFrame: pattern, head, weight, n, method
REFERENCES = "references"  # DataFrame, a row a modality: out-of-fold scores of a network trained on it alone
KD_GATE = "kd_gate"  # DataFrame, a row an ordered pair teacher -> student
INFORMATION = "information"  # DataFrame, a row a subset of the modalities, or a pair: nats with intervals
PID = "pid"  # DataFrame, a row a part of a decomposition: nats with intervals
CONTRIBUTION = "contribution"  # DataFrame, a row a number: Shapley values, alone, on top of the rest, by class
CONFUSIONS = "confusions"  # DataFrame, a row a pair of classes that a modality keeps apart
DIFFICULTY = "difficulty"  # DataFrame: success by class and modality, and what depth has to do with it
IMPORTANCE = "feature_importance"  # DataFrame, a row a feature that carries a class
STABILITY = "feature_stability"  # DataFrame, a row a class and modality: how far members agree on its features
COMPARE = "compare"  # DataFrame, a row a repeat, fold and system: scores on held-out rows
COMPARE_SUMMARY = "compare_summary"  # DataFrame, a row a metric and system: mean, rank, paired differences
TUNE = "tune"  # DataFrame, a row a trial of a search of settings
TUNE_SCORES = "tune_scores"  # DataFrame, a row a measure and outer fold: tuned beside default
SNR = "snr"  # DataFrame: signal-to-noise ratios by modality and method
UTILIZATION = "utilization"  # DataFrame, a row a number: ceiling, learned and used of each modality
VERDICTS = "verdicts"  # DataFrame, a row a modality: is it wasted, how sure, and why
ROBUSTNESS = "robustness"  # DataFrame, a row a number: scores under damage to a modality, and from each subset


@dataclass(frozen=True)
class Keys:
    """Slot names for one `key_added` and one label.

    Examples
    --------
    >>> Keys("omicsbal", "cell_type").proba
    'omicsbal_proba_cell_type'
    """

    key_added: str
    label: str

    @property
    def slot(self) -> str:
        """The label as it may stand in a slot name: h5 reads '/' as a folder."""
        return self.label.replace("/", "_")

    @property
    def embedding(self) -> str:
        """obsm of the MuData and of each modality: (n, k) float32, NaN where nothing is present."""
        return f"X_{self.key_added}"

    @property
    def prediction(self) -> str:
        """obs: predicted class (categorical), or predicted value (float)."""
        return f"{self.key_added}_{self.slot}"

    @property
    def confidence(self) -> str:
        """obs, classification: probability of the predicted class in [0, 1]."""
        return f"{self.key_added}_confidence"

    @property
    def proba(self) -> str:
        """obsm, classification: DataFrame of probabilities with class names as columns."""
        return f"{self.key_added}_proba_{self.slot}"

    @property
    def interval(self) -> str:
        """obsm, regression: DataFrame with columns low and high, a 90 % interval."""
        return f"{self.key_added}_interval_{self.slot}"

    @property
    def contribution(self) -> str:
        """obsm, classification: DataFrame (n, M) of each modality's share of log p(label) in nats, NaN where one is lacking."""
        return f"{self.key_added}_contribution_{self.slot}"

    @property
    def importance(self) -> str:
        """varm of each modality, classification: DataFrame (features, c) of nats, NaN for features that the recipe leaves out."""
        return f"{self.key_added}_importance_{self.slot}"

    @property
    def success(self) -> str:
        """obs: share of stochastic passes in which the cell is told right; with "_<m>" behind, by that modality alone."""
        return f"{self.key_added}_success"

    @property
    def variability(self) -> str:
        """obs: standard deviation of the probability of the label over those passes."""
        return f"{self.key_added}_variability"

    @property
    def suspect(self) -> str:
        """obs: whether the label looks wrong."""
        return f"{self.key_added}_suspect"
