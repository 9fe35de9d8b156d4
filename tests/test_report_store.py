"""What the store holds."""

from dataclasses import replace

from distill.report.content import DataSet
from distill.report.store import described, holdings
from distill.report.tables import to_markdown
from tests.reports import news
from tests.test_report_tables import cells

__all__ = ["news"]


def test_every_output_with_its_bytes_and_losses(news: DataSet) -> None:
    table = holdings(news.targets[0])
    assert table.caption == "Target set news: 42.7 MB for 116,000 tokens"
    rows = cells(to_markdown(table))
    assert rows["hidden-06"] == ["hidden state 6, every token", "42.3", "99.1%", "0.0045% of the variance"]
    assert rows["tokens"] == ["what the teacher read", "0.31", "0.7%", "nothing: exact"]
    assert rows["logits"][-1] == "KL 2.1e-06 nats, if replayed from the last hidden state"


def test_all_outputs_have_a_name() -> None:
    outputs = ("logits", "tokens", "transform", "hidden-00", "cls-03", "attention-12", "queries-01", "keys-01", "values-01")
    assert len({described(output) for output in outputs}) == len(outputs)
    assert described("attention-12") == "attention of layer 12"


def test_attention_is_lost_in_nats(news: DataSet) -> None:
    targets = replace(news.targets[0], bytes={"attention-06": 5}, losses={"attention-06": {"kl": 2.2e-5}})
    assert holdings(targets).cells[0][-1].text == "KL 2.2e-05 nats"
