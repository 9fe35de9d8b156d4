import json

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.core.files import to_json
from distill.data.dataset import Dataset
from distill.evaluation.evaluate import measure_student, measure_teacher, seed_folders
from distill.store.target_set import TargetStore
from tests import tiny
from tests.stores import materialize
from tests.target_specs import target_spec


@pytest.fixture(scope="module")
def store(tmp_path_factory, dataset) -> TargetStore:
    folder = tmp_path_factory.mktemp("store") / "tiny"
    return TargetStore.open(materialize(tiny.bert(layers=4), dataset, folder, target_spec()))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("distill.core.numeric.RESAMPLES", 200)


def test_a_student_that_is_its_teacher_retains_everything(dataset, store, teacher):
    found, *_ = measure_student(teacher, dataset, store, (1,))
    assert (found["retention"], found["agreement"]) == (1.0, 1.0)
    assert found["kl_from_teacher"] < 1e-6
    assert found["accuracy"] == measure_teacher(teacher, dataset)[0]["accuracy"]
    assert (found["layers"], found["hidden_size"]) == (4, 16)
    assert found["bytes"] == (teacher / "model.safetensors").stat().st_size
    assert json.loads(to_json(found)) == found


def test_calibration_does_not_lead_a_student_away_from_its_teacher(tmp_path, dataset, store, tokenizer):
    model = tiny.bert(layers=4)
    with torch.no_grad():
        for part in (model.classifier.weight, model.classifier.bias):
            part.div_(0.25)
    model.config.calibration_temperature = 0.25
    found, *_ = measure_student(tiny.save(model, tmp_path, tokenizer), dataset, store, (1,))
    assert (found["agreement"], found["temperature"]) == (1.0, 0.25)
    assert found["kl_from_teacher"] < 1e-6
    assert found["calibration_error_before"] == pytest.approx(
        measure_student(tiny.save(tiny.bert(layers=4), tmp_path, tokenizer), dataset, store, (1,))[0]["calibration_error"],
        abs=1e-6,
    )


def test_every_seed_is_measured_and_the_mean_reported(tmp_path, dataset, store, tokenizer):
    tiny.save(tiny.bert(seed=3), tmp_path, tokenizer)
    tiny.save(tiny.bert(seed=4), tmp_path / "seeds" / "8", tokenizer)
    assert seed_folders(tmp_path, (7, 8)) == {7: tmp_path, 8: tmp_path / "seeds" / "8"}
    both, *_ = measure_student(tmp_path, dataset, store, (7, 8))
    alone = [measure_teacher(folder, dataset)[0]["accuracy"] for folder in (tmp_path, tmp_path / "seeds" / "8")]
    assert (both["seeds"], both["shipped"]) == ({"7": alone[0], "8": alone[1]}, alone[0])
    np.testing.assert_allclose(both["accuracy"], np.mean(alone))
    np.testing.assert_allclose(both["accuracy_sd"], np.std(alone, ddof=1))


def test_a_store_of_other_rows_is_refused(tmp_path, store, teacher, tokenizer):
    texts, labels = tiny.rows(60, 5)
    other = Dataset.open(tiny.prepare_rows(tmp_path / "other", tokenizer, texts, labels, (20, 7)))
    with pytest.raises(UserError, match="the rows of test are "):
        measure_student(teacher, other, store, (1,))
