"""The sections of the report, each of a made-up data set and of changed copies of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import vl_convert

from distill.core.errors import UserError
from distill.evaluation.details import AnsweredAlone, Confusion, Continuation
from distill.recipes.registry import RECIPES
from distill.report.page import section
from distill.report.parts import Chart, Collapsible, Note
from distill.report.records import DataSet, Model, Suspect
from distill.report.sections.continuations import beside, continued
from distill.report.sections.costs import break_even, cost_comparison, once, one_time_seconds, sentence, students
from distill.report.sections.error_analysis import answers_alone
from distill.report.sections.label_audits import SHORT, SHOWN, audit, audits, shortened
from distill.report.sections.published import PUBLISHED, presets, published
from distill.report.sections.speeds import Timed, reference, speeds, table
from distill.report.sections.summary import difference, one_answer, verdict
from distill.report.sections.target_sets import described, holdings
from distill.report.tables import Table, best_student, results
from tests import reports
from tests.reports import LABELS, TEXTS, cells

A_TOKEN = 10.0 / 58_000
"""Seconds."""


def test_verdict(news: DataSet) -> None:
    kept = "97.5% accuracy on the test rows: 100.5% (95% interval 99.3–101.4%) of its teacher big’s"
    for part in (kept, "1.5 times fewer", "The interval includes 100%: 445 test rows"):
        assert part in verdict(news)
    best = best_student(news)
    assert best.name == "soft"
    assert verdict(replace(news, students=(best,))).startswith("On news, the best student is soft")
    assert verdict(replace(news, students=())) == "No student has learnt from news yet."
    plain = replace(news.students[0], metrics={**news.students[0].metrics, "accuracy": 0.99})
    assert verdict(replace(news, students=(plain,))).endswith("the labels alone: no student here is distilled.")
    assert verdict(replace(news, students=(plain, best))).endswith("the labels alone: no distilled student beats it.")
    some = verdict(replace(news, students=(replace(best, retention_rows=300),)))
    assert "The interval includes 100%: the 300 test rows that its teacher has answered do not tell it from its teacher." in some
    metrics = {**best.metrics, "teacher_score": 0.9876}
    of_a_mean = replace(news, students=(replace(best, metrics=metrics, further="seeds"),))
    assert "of its teachers’ mean (big, seeds), which scores 98.8%." in verdict(of_a_mean)
    assert " The interval includes 100%: 445 test rows" in verdict(of_a_mean)
    assert verdict(of_a_mean).endswith("do not tell it from this mean.")
    (scores, _) = results(of_a_mean)
    assert scores.caption.endswith("and sizes; retention is that of its teachers’ mean (big, seeds), 98.8%")
    of_an_ensemble = replace(news.students[1], teacher="big + other")
    assert "parameters" not in verdict(replace(news, students=(of_an_ensemble,)))


def test_a_model_that_says_the_same_everywhere_and_a_teacher_worth_nothing_are_named(news: DataSet) -> None:
    assert one_answer(news) == ""
    counts = ((0, 4, 0), (0, 3, 0), (0, 5, 0))
    big = news.teachers[0]
    same = replace(big, detail=replace(big.detail, confusion=Confusion(("a", "b", "c"), counts)))
    told = "big (teacher) says “b” everywhere: it tells nothing apart."
    assert one_answer(replace(news, teachers=(same,))) == told
    (block,) = [block for block in section(replace(news, teachers=(same,))).blocks if block.title == "Scores"]
    assert Note(told, "warning") in block.parts
    alone = replace(big, detail=replace(big.detail, confusion=Confusion(("a", "b", "c"), ((0, 0, 0), (0, 3, 0), (0, 0, 0)))))
    assert one_answer(replace(news, teachers=(alone,))) == ""  # all rows are of one class
    nothing = replace(news, teachers=(replace(big, metrics={**big.metrics, "accuracy": 0.0}),))
    assert "Its teacher scores 0.0%: there is nothing to keep of that." in verdict(nothing)


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (0.99, "On news, distilling was worth 3.4 points (95% interval {} to {}): soft reaches 99.0% accuracy, plain, as"),
        (0.90, "On news, distilling cost 5.8 points (95% interval {} to {} points gained): soft reaches 90.0%"),
        (
            0.96,
            "On news, 445 test rows do not tell whether distilling was worth anything (0.2 points, 95% interval {} to {}): soft",
        ),
    ],
)
def test_the_first_sentence_says_what_distilling_was_worth_by_a_paired_bootstrap(news: DataSet, score: float, told: str) -> None:
    plain, best = news.students[0], best_student(news)
    own = reports.judged("soft", score, 1)
    alike = replace(best, parameters=plain.parameters, metrics={**best.metrics, "accuracy": score}, judged=(own, own))
    gains = own.right.astype(float) - plain.judged[0].right
    drawn = gains[np.random.default_rng(1).integers(445, size=(2000, 445))].mean(axis=1)
    low, high = (f"{100 * value:.1f}" for value in np.quantile(drawn, (0.025, 0.975)))
    assert verdict(replace(news, students=(plain, alike))).startswith(told.format(low, high))
    unknown = replace(plain, judged=())
    assert verdict(replace(news, students=(unknown, alike))).startswith(
        f"On news, soft reaches {score:.1%} accuracy, plain, as large"
    )
    assert difference(plain, plain, "accuracy") == (0, 0, 0)


def test_what_distilling_was_worth_is_told_of_the_student_that_validation_rows_choose(news: DataSet) -> None:
    plain, best = news.students[0], best_student(news)

    def student(name: str, validation: float, test: float) -> Model:
        runs = tuple(replace(run, scores=((1.0, validation - 0.1), (2.0, validation))) for run in best.runs)
        own = (reports.judged("soft", test, 1),)
        return replace(
            best, name=name, parameters=plain.parameters, runs=runs, judged=own, metrics={**best.metrics, "accuracy": test}
        )

    lucky, chosen = student("lucky", 0.90, 0.99), student("chosen", 0.95, 0.97)
    assert ": chosen reaches 97.0%" in verdict(replace(news, students=(plain, lucky, chosen)))


def test_the_paired_interval_is_narrower_than_that_of_independent_scores(news: DataSet) -> None:
    plain, soft = news.students[0], news.students[1]
    _, low, high = difference(soft, plain, "accuracy")
    each = [
        np.quantile(model.judged[0].right[np.random.default_rng(1).integers(445, size=(2000, 445))].mean(1), [0.025, 0.975])
        for model in (soft, plain)
    ]
    assert high - low < np.hypot(*(part[1] - part[0] for part in each))


def test_a_student_says_what_it_answers_alone(news: DataSet) -> None:
    model = news.students[0]
    text = answers_alone(model)
    assert text == (
        "plain answers 92% of the test rows, 99.1% of them rightly: what it is 83.0% sure of, which reaches 99% on the "
        "validation rows. Send the rest to big."
    )
    whole = replace(model, detail=replace(model.detail, answered=AnsweredAlone(1.0, 0.985, 0.98, 0.0)))
    assert answers_alone(whole) == "plain answers all rows, 98.5% of them rightly: it reaches 98% on the validation rows alone."
    assert answers_alone(replace(model, detail=replace(model.detail, answered=None))) == ""


def test_the_store_is_paid_for_as_soon_as_a_live_teacher_has_cost_as_much(news: DataSet) -> None:
    assert one_time_seconds(news, news.taught) == pytest.approx(116_000 * A_TOKEN)
    even = break_even(news, news.taught)
    assert even == pytest.approx(116_000 / 81_000)
    assert even * 81_000 * A_TOKEN == pytest.approx(one_time_seconds(news, news.taught))
    text = sentence(news, news.taught)
    for part in ("paid once: 20 s", "12 epochs", f"{12 * 81_000 / 116_000:.1f} × as much", "after 1.4 epochs"):
        assert part in text
    slow = tuple(replace(own, epochs=1, live_seconds=8.0) for own in news.taught)
    assert break_even(news, slow) == pytest.approx(2.5)
    assert break_even(news, slow[:2]) is None
    assert "not paid for the store yet" in sentence(news, slow[:2])
    unread = replace(news.targets[0], name="other", seconds=500.0)
    assert one_time_seconds(replace(news, targets=(*news.targets, unread)), news.taught) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("computed", "time", "note"),
    [(58_000, "20 s", "; resumed, scaled up from 58,000"), (116_000, "10 s", ""), (0, "–", "; from cache")],
)
def test_targets_that_were_resumed(news: DataSet, computed: int, time: str, note: str) -> None:
    paid = cells(once(replace(news, targets=(replace(news.targets[0], computed=computed),))))
    assert paid["targets news"] == [time, f"116,000 tokens read by big{note}"]
    assert paid["fine-tuning big"][0] == "41 s"


def test_further_teachers_are_paid_once_too(news: DataSet) -> None:
    assert not any("further" in paid for paid in cells(once(news)))
    several = replace(news, teachers=(replace(news.teachers[0], further_seconds=82.0),))
    assert cells(once(several))["fine-tuning the further teachers of big"] == ["82 s", "folds, or seeds"]


def test_each_student_with_what_a_live_teacher_would_have_added(news: DataSet) -> None:
    paid = cells(students(news))
    assert (paid["soft"], paid["plain"][-1]) == (["hinton", "2", "6", "83 s", "+ 84 s"], "–")
    chart = next(part for part in cost_comparison(news).parts if isinstance(part, Chart))
    assert vl_convert.vegalite_to_vega(chart.spec)["marks"]
    unknown = replace(news, taught=tuple(replace(own, live_seconds=None) for own in news.taught))
    assert not any(isinstance(part, Chart) for part in cost_comparison(unknown).parts)


def test_an_audit_has_counts_and_the_worst_rows(news: DataSet) -> None:
    note, opened, more, hard = audit(news.targets[0])
    assert list(map(type, (note, opened, more, hard))) == [Note, Table, Collapsible, Collapsible]
    most = "the label is business where it says entertainment: 7 rows"
    assert all(
        part in note.text for part in ("contradicts 12 of 62 training labels (19.4%)", "20 of the rows hard (32.3%)", most)
    )
    assert [cell.text for cell in opened.cells[0]] == [TEXTS[0], LABELS[0], LABELS[1], "99.0%"]
    assert (len(opened.cells), more.summary, len(hard.parts[0].cells)) == (SHOWN, "4 more", 20)


def test_numbers_have_no_confidence_no_answer_is_a_dash_and_tasks_without_labels_have_no_audit(news: DataSet) -> None:
    found, number = news.targets[0].audit, Suspect("how warm", "", "4.5", None, "suspect")
    note, opened = audit(replace(news.targets[0], audit=replace(found, confused={}, worst=(number,))))
    assert "Most often" not in note.text
    assert [cell.text for cell in opened.cells[0]] == ["how warm", "–", "4.5", "–"]
    empty = replace(news.targets[0], audit=replace(found, rows=0, suspect=0, hard=0, worst=()))
    assert audits(replace(news, targets=(empty,))) is None


def test_an_audit_tells_how_sure_the_teacher_is_of_rows_it_has_seen_and_not_seen(news: DataSet) -> None:
    sure = {"lines": 50, "confidence": 0.9, "accuracy": 0.8, "entropy": 0.25, "loss": 0.5}
    known = {"train": sure, "validation": {"lines": 9, "loss": 0.25}}

    def shown(found: dict[str, object]) -> tuple[str, Table]:
        note, table, *_ = audit(replace(news.targets[0], audit=replace(news.targets[0].audit, certainty=found)))
        return note.text, table

    text, table = shown(known)
    assert [[cell.text for cell in row] for row in table.cells] == [
        ["training rows, the soft targets", "50", "90.0%", "80.0%", "0.250", "0.500"],
        ["validation rows, which no teacher has seen", "9", "–", "–", "–", "0.250"],
    ]
    assert "not seen it" not in text
    text, table = shown({**known, "seen": sure, "change": 0.125, "kl": 0.5})
    assert table.cells[0][0].text == "training rows, by a teacher that has seen them"
    assert "moved soft targets by 0.125 on average, KL 0.500 nats" in table.caption
    assert "contradicts, each row judged by one that has not seen it, 12 of 62" in text


def test_long_texts_are_cut_between_words() -> None:
    text = shortened("word " * 100)
    assert len(text) <= SHORT + 2
    assert text.endswith("word …")
    assert (shortened("x" * 500), shortened(" a\n b ")) == ("x" * SHORT + " …", "a b")


def test_the_best_student_of_a_recipe_stands_beside_its_paper(news: DataSet) -> None:
    for known in PUBLISHED:
        assert (known.recipe in RECIPES, "arXiv" in known.source) == (True, True)
        assert (0.9 < known.kept < 1.01, known.smaller > 1, known.faster > 1) == (True, True, True)
    worse = replace(news.students[2], name="worse", metrics={**news.students[2].metrics, "retention": 0.5})
    rows = cells(published(replace(news, students=(worse, *news.students))).parts[0])
    assert rows["DistilBERT"][:7] == ["97.0%", "1.7 ×", "1.6 ×", "half", "99.5%", "1.3 ×", "1.9 ×"]
    assert rows["TinyBERT, 4 layers"][:7] == ["96.8%", "7.5 ×", "9.4 ×", "–", "–", "–", "–"]
    assert published(replace(news, students=news.students[:2])) is None, "their recipes have no paper"


def test_what_shapes_reach_as_int8(tmp_path: Path) -> None:
    assert presets(tmp_path) is None
    reports.write_json(tmp_path / "metrics/presets.json", reports.presets())
    block = presets(tmp_path)
    assert cells(block.parts[0])["bert-base"] == ["109.5", "437.9", "109.5", "4.0 ×", "1.0 ×", "3.1 ×"]
    assert "128 tokens" in block.parts[1].text
    for damage in ("{", "{}", "[]", json.dumps({"machine": {}, "models": {"a": {}}, "length": 1})):
        (tmp_path / "metrics/presets.json").write_text(damage)
        with pytest.raises(UserError, match=r"presets\.json: is damaged"):
            presets(tmp_path)


def test_every_model_in_every_format(news: DataSet) -> None:
    _, timed, mended, note = speeds(news).parts
    assert mended == Note("half: the INT8 file was mended.", "quiet")
    lines = timed.cells
    assert (len(lines), lines[5][2].text) == (5 * 4, "–")
    plain = ("plain", "ONNX INT8", "95.5%", "1.42", "1.98", "7.9 × (7.6–8.3)", "2,119", "18.1", "5.0 ×", "487.0")
    assert tuple(cell.text for cell in lines[7]) == plain
    assert [line[0].tone for line in lines[:5]] == ["", "again", "again", "again", ""]
    best = {cell.text for line in lines for cell in line if cell.tone == "best"}
    assert best == {"0.202", "0.282", "55.6 × (53.3–58.3)", "4.5", "20.0 ×"}
    assert "AMD EPYC" in note.text
    assert speeds(replace(news, teachers=(), students=())) is None


def test_rows_of_other_data_are_not_compared(news: DataSet) -> None:
    form = replace(news.students[0].formats[0], speedup=None, rows_a_second=None)
    student = replace(news.students[0], teacher="elsewhere", formats=(form,))
    own = replace(news, students=(student,))
    assert reference(own, student) is None
    (line,) = table(own, [Timed(student, form, None)]).cells
    assert [line[place].text for place in (5, 6, 8)] == ["–", "–", "–"]


def test_every_output_of_a_target_set_with_its_bytes_and_losses(news: DataSet) -> None:
    held = holdings(news.targets[0])
    assert held.caption == "Target set news: 42.7 MB for 116,000 tokens"
    rows = cells(held)
    assert rows["hidden-06"] == ["hidden state 6, every token", "42.3", "99.1%", "0.0045% of the variance"]
    assert rows["tokens"] == ["what the teacher read", "0.31", "0.7%", "nothing: exact"]
    assert rows["logits"][-1] == "KL 2.1e-06 nats, if replayed from the last hidden state"
    targets = replace(news.targets[0], bytes={"attention-06": 5}, losses={"attention-06": {"kl": 2.2e-5}})
    assert holdings(targets).cells[0][-1].text == "KL 2.2e-05 nats"
    outputs = ("logits", "tokens", "transform", "hidden-00", "cls-03", "attention-12", "queries-01", "keys-01", "values-01")
    assert len({described(output) for output in outputs}) == len(outputs)
    assert described("attention-12") == "attention of layer 12"


def test_continuations_stand_beside_those_of_the_teacher_and_of_the_text(news: DataSet) -> None:
    assert continued(news) is None

    def going(model: Model) -> Model:
        lines = tuple(Continuation(f"before {place}", f"text {place}", f"{model.name} {place}") for place in (1, 2))
        return replace(model, detail=replace(model.detail, continuations=lines))

    block = continued(reports.changed(news, going))
    assert block is not None
    note, first, *rest = block.parts
    assert isinstance(note, Note)
    student, teacher = news.students[0], news.teacher_of(news.students[0])
    assert isinstance(first, Table)
    assert first.titles == ("Before", "The text itself", teacher.label, student.label)
    assert cells(first)["before 2"] == ["text 2", f"{teacher.name} 2", f"{student.name} 2"]
    assert [part.summary for part in rest if isinstance(part, Collapsible)] == [each.name for each in news.students[1:]]
    alone = continued(replace(reports.changed(news, going), students=()))
    assert alone.parts[1].titles == ("Before", "The text itself", teacher.label)
    ensemble = replace(going(student), teacher="big + other")
    assert beside(news, ensemble).titles == ("Before", "The text itself", student.label)
