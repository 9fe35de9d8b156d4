"""All recipes by name: what params.yaml may say of students, for its schema."""

from distill.params.students import StudentSettings
from distill.recipes.distilbert import DistilBert
from distill.recipes.fitnets import FitNets
from distill.recipes.hinton import Hinton
from distill.recipes.minilm import MiniLm
from distill.recipes.mobilebert import MobileBert
from distill.recipes.pkd import Pkd
from distill.recipes.supervised import Supervised
from distill.recipes.tinybert import TinyBert

RECIPES: dict[str, type[StudentSettings]] = {
    "supervised": Supervised,
    "hinton": Hinton,
    "distilbert": DistilBert,
    "tinybert": TinyBert,
    "mobilebert": MobileBert,
    "pkd": Pkd,
    "fitnets": FitNets,
    "minilm": MiniLm,
}
