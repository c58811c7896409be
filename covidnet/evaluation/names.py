"""Every metric that a run reports: its key in results.json, what it is called, what it says, and its scale.

All tables take their names and units from here. A new metric is computed in ``scores.py`` and named here: the tables
that show all metrics, on the screen, on the page and in the card, then show it too.
"""

from dataclasses import dataclass
from enum import Enum


class Scale(Enum):
    """How a metric is written and drawn."""

    SHARE = "a share from 0 to 1, higher is better; a page shows it in per cent, a difference in points"
    UNIT = "from 0 to 1, higher is better, but no share of anything"
    NUMBER = "any other number"
    COUNT = "a whole number of images or of calls"


class Group(Enum):
    """Where in results.json, below a model's name, a metric stands."""

    OVERALL = "among the model's own keys"
    POOLED = "there too: calls of all classes counted together, as Keras does"
    PER_CLASS = "under per_class and a class"
    CALIBRATED = "under calibrated, with some of the overall metrics"
    THRESHOLDS = "under thresholds and a class"
    USE = "under use and a class"
    SUBGROUPS = "under subgroups, an attribute, groups, a group, per_class and a class"
    SETS = "under prediction_sets, or there under per_class and a class"


@dataclass(frozen=True)
class Metric:
    """What is known of a metric besides its value."""

    key: str
    label: str  # in a table on the screen
    meaning: str
    scale: Scale
    group: Group
    title: str = ""  # at the head of a row or a column of a page; the label with a capital letter where left out
    short: str = ""  # in a narrow table; the label where left out
    same_as: str = ""  # the metric of another name that it repeats: tables that show all leave it out

    def __post_init__(self) -> None:
        """Fill in the names that are left out."""
        object.__setattr__(self, "title", self.title or self.label[0].upper() + self.label[1:])
        object.__setattr__(self, "short", self.short or self.label)


METRICS = (  # tables that show all keep this order
    Metric(
        "accuracy", "accuracy", "share of images whose most probable class is the right one", Scale.SHARE, Group.OVERALL
    ),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        "mean of the classes' sensitivities; guessing gives 1 / classes",
        Scale.SHARE,
        Group.OVERALL,
    ),
    Metric("mcc", "Matthews correlation", "1 is faultless, 0 is guessing", Scale.NUMBER, Group.OVERALL, short="MCC"),
    Metric("brier", "Brier score", "squared error of the probabilities; lower is better", Scale.NUMBER, Group.OVERALL),
    Metric(
        "ece",
        "calibration error",
        "mean gap between probability and share of right answers; lower is better",
        Scale.NUMBER,
        Group.OVERALL,
        title="Calibration error (ECE)",
    ),
    Metric(
        "loss", "loss", "negative log-likelihood; lower is better", Scale.NUMBER, Group.OVERALL, title="Cross-entropy"
    ),
    Metric(
        "nll", "cross-entropy", "negative log-likelihood; lower is better", Scale.NUMBER, Group.OVERALL, same_as="loss"
    ),
    Metric(
        "weighted_loss",
        "weighted loss",
        "classes weighted as in training; lower is better",
        Scale.NUMBER,
        Group.OVERALL,
        title="Weighted cross-entropy",
    ),
    # Last: right probabilities do not make it best, and it weighs errors as nobody chose (arXiv:2412.10288, abstract).
    Metric("macro_f1", "macro F1", "mean of the classes' F1 scores", Scale.UNIT, Group.OVERALL),
    Metric("true_positives", "true positives", "the right class called", Scale.COUNT, Group.POOLED),
    Metric("false_positives", "false positives", "a wrong class called", Scale.COUNT, Group.POOLED),
    Metric("true_negatives", "true negatives", "a wrong class not called", Scale.COUNT, Group.POOLED),
    Metric("false_negatives", "false negatives", "the right class not called", Scale.COUNT, Group.POOLED),
    Metric("precision", "precision", "right among all calls", Scale.SHARE, Group.POOLED),
    Metric("recall", "recall", "called among all that should be", Scale.SHARE, Group.POOLED),
    Metric("sensitivity", "sensitivity", "found among those that have it", Scale.SHARE, Group.PER_CLASS),
    Metric("specificity", "specificity", "ruled out among those that do not", Scale.SHARE, Group.PER_CLASS),
    # Before what hangs on the mix of the classes, as a predictive value does.
    Metric("auroc", "AUROC", "this class against the rest, over all thresholds", Scale.UNIT, Group.PER_CLASS),
    Metric("average_precision", "average precision", "PPV over all sensitivities", Scale.UNIT, Group.PER_CLASS),
    Metric(
        "ppv", "PPV (precision)", "right among those called so", Scale.SHARE, Group.PER_CLASS, title="PPV", short="PPV"
    ),
    Metric("precision", "precision", "right among those called so", Scale.SHARE, Group.PER_CLASS, same_as="ppv"),
    Metric(
        "ppv_at_prevalence_0.01",
        "PPV if 1 % have it",
        "if 1 % of the images were of this class",
        Scale.SHARE,
        Group.PER_CLASS,
        title="PPV at 1 %",
    ),
    Metric(
        "ppv_at_prevalence_0.1",
        "PPV if 10 % have it",
        "if 10 % were",
        Scale.SHARE,
        Group.PER_CLASS,
        title="PPV at 10 %",
    ),
    Metric("npv", "NPV", "right among those not called so", Scale.SHARE, Group.PER_CLASS),
    Metric("support", "images", "of this class in the test", Scale.COUNT, Group.PER_CLASS),
    Metric(
        "images_needed",
        "images needed",
        "of this class, to know a sensitivity of this size to within 5 points",
        Scale.COUNT,
        Group.PER_CLASS,
    ),
    Metric(
        "calibration_slope",
        "calibration slope",
        "1 is right; below 1, probabilities are too extreme",
        Scale.NUMBER,
        Group.USE,
        short="slope",
    ),
    Metric(
        "calibration_intercept",
        "calibration intercept",
        "0 is right; above 0, probabilities are too low",
        Scale.NUMBER,
        Group.USE,
        short="intercept",
    ),
    Metric(
        "temperature",
        "temperature, from validation",
        "what logits are divided by; above 1, they were too sure",
        Scale.NUMBER,
        Group.CALIBRATED,
    ),
    Metric("threshold", "threshold", "probability from which on the class is called", Scale.NUMBER, Group.THRESHOLDS),
    Metric(
        "mean_calibration",
        "mean calibration",
        "mean probability of the class less its share; 0 is best, above it the class is expected too often",
        Scale.NUMBER,
        Group.SUBGROUPS,
    ),
    Metric("stated", "stated coverage", "share of sets that shall hold the true class", Scale.SHARE, Group.SETS),
    Metric("coverage", "class in them", "share of sets that hold the true class", Scale.SHARE, Group.SETS),
    Metric("size", "classes a set", "on average; lower is better", Scale.NUMBER, Group.SETS),
    Metric("empty", "sets without a class", "share of sets; lower is better", Scale.NUMBER, Group.SETS),
    Metric("least", "least probability", "from which on a class is in the set", Scale.NUMBER, Group.SETS),
)


def metrics_of(group: Group) -> dict[str, Metric]:
    """Return the metrics of a group by their key, without those that repeat another."""
    return {metric.key: metric for metric in METRICS if metric.group is group and not metric.same_as}


OVERALL, POOLED, PER_CLASS, USE = map(metrics_of, (Group.OVERALL, Group.POOLED, Group.PER_CLASS, Group.USE))
BY_KEY = {metric.key: metric for metric in reversed(METRICS)}  # a key means the same wherever it stands
