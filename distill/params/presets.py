"""Well-known shapes of encoders, by name: settings of transformers' configs. The vocabulary is that of the data set."""

from typing import Any


def _bert(layers: int, width: int, heads: int, inner: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": inner,
    }


_MOBILEBERT = {
    "model_type": "mobilebert",
    "num_hidden_layers": 24,
    "hidden_size": 512,
    "num_attention_heads": 4,
    "embedding_size": 128,
    "trigram_input": True,
    "key_query_shared_bottleneck": True,
}

PRESETS: dict[str, dict[str, Any]] = {
    "bert-base": _bert(12, 768, 12, 3072),
    "bert-tiny": _bert(2, 128, 2, 512),
    "bert-mini": _bert(4, 256, 4, 1024),
    "bert-small": _bert(4, 512, 8, 2048),
    "bert-medium": _bert(8, 512, 8, 2048),
    "tinybert-4": _bert(4, 312, 12, 1200),
    "tinybert-6": _bert(6, 768, 12, 3072),
    "distilbert": {"model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072},
    "mobilebert": {
        **_MOBILEBERT,
        "intra_bottleneck_size": 128,
        "intermediate_size": 512,
        "num_feedforward_networks": 4,
        "normalization_type": "no_norm",
        "hidden_act": "relu",
    },
    "ib-bert": {
        **_MOBILEBERT,
        "intra_bottleneck_size": 1024,
        "intermediate_size": 4096,
        "num_feedforward_networks": 1,
        "normalization_type": "layer_norm",
        "hidden_act": "gelu",
    },
}
"""bert-tiny to bert-medium: Turc et al. 2019 (arXiv 1908.08962). distilbert: Sanh et al. 2019 (arXiv 1910.01108). tinybert-4 and
tinybert-6: Jiao et al. 2020 (arXiv 1909.10351). mobilebert and its teacher ib-bert: Sun et al. 2020 (arXiv 2004.02984), table 1.

With 30,522 tokens, mobilebert has 24.8M parameters and not the paper's 25.3M: what the masked language model adds to it, 0.3M, is
left out here. ib-bert has 332M and not 293M: in the paper queries and keys are made of the 512 channels between layers, and
transformers' modules make them of 1024, behind a bottleneck that they share (38M).
"""
