"""All recipes by name: what params.yaml may say of students, for its schema."""

from distill.params.students import StudentSettings
from distill.recipes.annealing_kd import AnnealingKd
from distill.recipes.cosine import Cosine
from distill.recipes.distilbert import DistilBert
from distill.recipes.divergence import Divergence
from distill.recipes.embedding_mse import EmbeddingMse
from distill.recipes.fitnets import FitNets
from distill.recipes.hinton import Hinton
from distill.recipes.leaf import Leaf
from distill.recipes.listwise import Listwise
from distill.recipes.logit_mse import LogitMse
from distill.recipes.margin_mse import MarginMse
from distill.recipes.minilm import MiniLm
from distill.recipes.mobilebert import MobileBert
from distill.recipes.pkd import Pkd
from distill.recipes.similarity_kl import SimilarityKl
from distill.recipes.supervised import Supervised
from distill.recipes.tinybert import TinyBert

RECIPES: dict[str, type[StudentSettings]] = {
    "supervised": Supervised,
    "hinton": Hinton,
    "logit_mse": LogitMse,
    "annealing_kd": AnnealingKd,
    "distilbert": DistilBert,
    "tinybert": TinyBert,
    "mobilebert": MobileBert,
    "pkd": Pkd,
    "fitnets": FitNets,
    "minilm": MiniLm,
    "cosine": Cosine,
    "embedding_mse": EmbeddingMse,
    "similarity_kl": SimilarityKl,
    "leaf": Leaf,
    "margin_mse": MarginMse,
    "listwise": Listwise,
    "divergence": Divergence,
}
