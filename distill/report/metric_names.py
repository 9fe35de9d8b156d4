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
    "ndcg_at_10": "nDCG@10",
    "recall_at_1": "recall@1",
    "recall_at_10": "recall@10",
    "mrr": "mean reciprocal rank",
    "likelihood": "likelihood (1 / perplexity)",
}
"""As in a sentence."""
FORMATS = (
    dict.fromkeys(METRIC_NAMES, ".1%")
    | dict.fromkeys(("mcc", "pearson", "spearman", "ndcg_at_10", "mrr"), ".3f")
    | {"likelihood": ".4f"}
)
"""How scores are written, in the language that Python and d3 share."""


def shown(metric: str, value: float) -> str:
    """A score as people read it."""
    return f"{value:{FORMATS[metric]}}"


def title(metric: str) -> str:
    """A metric's name where it comes first."""
    name = METRIC_NAMES[metric]
    return name if metric == "ndcg_at_10" else name[0].upper() + name[1:]
