"""A student taught by a live teacher, in an environment that has nothing of this project: by TextBrewer, or by a loop of its own.

`python live_teacher.py WAY SPEC.json`. The spec names folders of transformers' models and a file of tokenized rows.
"""

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy, log_softmax, softmax
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup


def padded(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch as long as its longest row."""
    longest = max(len(row["input_ids"]) for row in rows)
    names = [name for name in rows[0] if name != "labels"]
    batch = {name: torch.tensor([row[name] + [0] * (longest - len(row[name])) for row in rows]) for name in names}
    mask = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
    return {**batch, "attention_mask": torch.tensor(mask), "labels": torch.tensor([row["labels"] for row in rows])}


def by_loop(teacher: Any, student: Any, batches: Any, optimizer: Any, schedule: Any, spec: dict[str, Any]) -> None:
    """Hinton et al. 2015: alpha·CE + (1 − alpha)·T²·KL, whose gradient is that of the soft cross-entropy."""
    temperature, alpha = spec["temperature"], spec["alpha"]
    student.train()
    for _ in range(spec["epochs"]):
        for batch in batches:
            inputs = {name: part for name, part in batch.items() if name != "labels"}
            with torch.no_grad():
                soft = softmax(teacher(**inputs).logits / temperature, -1)
            logits = student(**inputs).logits
            loss = -(soft * log_softmax(logits / temperature, -1)).sum(-1).mean() * temperature**2 * (1 - alpha)
            loss = loss + alpha * cross_entropy(logits, batch["labels"])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), spec["max_grad_norm"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def by_textbrewer(teacher: Any, student: Any, batches: Any, optimizer: Any, schedule: Any, spec: dict[str, Any]) -> None:
    """The same loss by TextBrewer's general distiller."""
    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

    def adaptor(batch: dict[str, torch.Tensor], outputs: Any) -> dict[str, Any]:
        return {"logits": outputs.logits, "losses": cross_entropy(outputs.logits, batch["labels"])}

    training = TrainingConfig(output_dir=spec["scratch"], log_dir=None, device="cpu")
    weights = {"kd_loss_weight": spec["temperature"] ** 2 * (1 - spec["alpha"]), "hard_label_weight": spec["alpha"]}
    distillation = DistillationConfig(temperature=spec["temperature"], kd_loss_type="ce", **weights)
    distiller = GeneralDistiller(training, distillation, teacher, student, adaptor, adaptor)
    with distiller:
        distiller.train(optimizer, batches, spec["epochs"], scheduler=schedule, max_grad_norm=spec["max_grad_norm"])


def main(way: str, spec: dict[str, Any]) -> None:
    """Train, and save the student."""
    torch.manual_seed(spec["seed"])
    random.seed(spec["seed"])
    rows = [json.loads(line) for line in Path(spec["rows"]).read_text(encoding="utf-8").splitlines()]
    load = AutoModelForSequenceClassification.from_pretrained
    teacher, student = load(spec["teacher"]).eval(), load(spec["initial"])
    batches = DataLoader(rows, batch_size=spec["batch_size"], shuffle=True, collate_fn=padded)
    decayed, others = [], []
    for name, parameter in student.named_parameters():
        (others if name.endswith("bias") or "LayerNorm" in name else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": spec["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=spec["learning_rate"])
    steps = len(batches) * spec["epochs"]
    warmup = spec["warmup"] * steps
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(warmup) if warmup >= 1 else 0, steps)
    {"loop": by_loop, "textbrewer": by_textbrewer}[way](teacher, student, batches, optimizer, schedule, spec)
    student.save_pretrained(spec["student"])


if __name__ == "__main__":
    main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
