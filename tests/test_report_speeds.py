"""Speeds and sizes."""

from dataclasses import replace

from distill.report.content import DataSet
from distill.report.parts import Note
from distill.report.speeds import Timed, reference, speeds, table
from tests.reports import news

__all__ = ["news"]


def test_every_model_in_every_format(news: DataSet) -> None:
    block = speeds(news)
    lines = block.parts[1].cells
    assert len(lines) == 5 * 4
    assert [cell.text for cell in lines[7]] == [
        *("plain", "ONNX INT8", "95.5%", "1.42", "1.98", "7.9 × (7.6–8.3)", "2,119", "18.1", "5.0 ×", "487.0"),
    ]
    assert lines[5][2].text == "–"
    assert [line[0].tone for line in lines[:5]] == ["", "again", "again", "again", ""]
    best = {cell.text for line in lines for cell in line if cell.tone == "best"}
    assert best == {"0.202", "0.282", "55.6 × (53.3–58.3)", "4.5", "20.0 ×"}
    assert isinstance(block.parts[2], Note)
    assert "AMD EPYC" in block.parts[2].text


def test_rows_of_other_data_are_not_compared(news: DataSet) -> None:
    form = replace(news.students[0].formats[0], speedup=None, rows_a_second=None)
    student = replace(news.students[0], teacher="elsewhere", formats=(form,))
    own = replace(news, students=(student,))
    assert reference(own, student) is None
    (line,) = table(own, [Timed(student, form, None)]).cells
    assert [line[place].text for place in (5, 6, 8)] == ["–", "–", "–"]


def test_nothing_timed(news: DataSet) -> None:
    assert speeds(replace(news, teachers=(), students=())) is None
