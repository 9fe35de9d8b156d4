"""SQuAD's own files, versions 1.1 and 2.0: articles of paragraphs of questions, a row a question."""

from collections.abc import Iterator
from typing import Any

from distill.core.errors import UserError


def is_article(value: dict[str, Any]) -> bool:
    """Whether an object is an article, and no row that happens to have a column `paragraphs`."""
    paragraphs = value.get("paragraphs")
    if paragraphs == []:
        return value.keys() <= {"title", "paragraphs"}
    return isinstance(paragraphs, list) and any(isinstance(part, dict) and "context" in part for part in paragraphs)


def article_rows(article: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of an article; an error names the question that is not as SQuAD has it."""
    for paragraph in article["paragraphs"]:
        if not isinstance(paragraph, dict) or not isinstance(paragraph.get("context"), str):
            raise UserError(f"the article {article.get('title')!r:.60} has a paragraph without a context; mend it")
        for question in _list(paragraph, "qas", f"a paragraph of {article.get('title')!r:.60}"):
            what = f"the question {question.get('id')!r:.60}"
            if not isinstance(question.get("question"), str):
                raise UserError(f"{what} has no text; mend it")
            yield {
                "id": str(question.get("id")),
                "title": article.get("title"),
                "context": paragraph["context"],
                "question": question["question"],
                "answers": _answers(question, what),
            }


def _answers(question: dict[str, Any], what: str) -> dict[str, list[Any]] | None:
    """Texts and where they begin; empty if the context has no answer, None where answers are withheld."""
    impossible = question.get("is_impossible")
    if "answers" not in question and not impossible:
        return None
    answers = _list(question, "answers", what) if "answers" in question else []
    if impossible is not None and bool(impossible) == bool(answers):
        raise UserError(f"{what} has {len(answers)} answers and is_impossible: {str(impossible).lower()}; mend one of them")
    for answer in answers:
        if not isinstance(answer.get("text"), str) or not isinstance(answer.get("answer_start"), int):
            raise UserError(f"{what} has the answer {answer!r:.60}; expected {{text: …, answer_start: …}}")
    return {key: [answer[key] for answer in answers] for key in ("text", "answer_start")}


def _list(of: dict[str, Any], key: str, what: str) -> list[dict[str, Any]]:
    parts = of.get(key)
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{what}: {key}: got {parts!r:.60}, expected a list of objects")
    return parts
