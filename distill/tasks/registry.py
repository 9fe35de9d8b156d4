"""All tasks by name: a plain dict."""

from distill.tasks.base import Task
from distill.tasks.causal_lm import CausalLm
from distill.tasks.masked_lm import MaskedLm
from distill.tasks.multi_label import MultiLabel
from distill.tasks.question_answering import QuestionAnswering
from distill.tasks.ranking import Ranking
from distill.tasks.sentence_embedding import SentenceEmbedding
from distill.tasks.sequence_classification import Regression, SequenceClassification
from distill.tasks.token_classification import TokenClassification

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        SequenceClassification(),
        MultiLabel(),
        Regression(),
        TokenClassification(),
        QuestionAnswering(),
        MaskedLm(),
        SentenceEmbedding(),
        Ranking(),
        CausalLm(),
    )
}


def task_of(name: str) -> Task:
    """A task by the name that params.yaml and dataset.json have for it."""
    return TASKS[name]
