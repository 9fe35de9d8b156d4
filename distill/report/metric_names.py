"""What scores are called, and how they are written, wherever people read them."""

METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "map": "mean average precision",
    "f1": "F1",
    "mcc": "MCC",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "entity_f1": "entity F1",
    "exact_match": "exact match",
    "entity_precision": "entity precision",
    "entity_recall": "entity recall",
    "token_accuracy": "token accuracy",
}
"""As in a sentence."""
FORMATS = dict.fromkeys(METRIC_NAMES, ".1%") | dict.fromkeys(("mcc", "pearson", "spearman"), ".3f")
"""How scores are written, in the language that Python and d3 share."""


def shown(metric: str, value: float) -> str:
    """A score as people read it."""
    return f"{value:{FORMATS[metric]}}"


def title(metric: str) -> str:
    """A metric's name where it comes first."""
    return METRIC_NAMES[metric][0].upper() + METRIC_NAMES[metric][1:]
