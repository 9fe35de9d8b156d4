"""The models that are measured: how each is run, its size, and what it has to compute."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from distill.benchmark.timing import Batch
from distill.core.devices import has_fast_bf16
from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset, PreparedRows
from distill.export.session import FP32, INT8, files_of, open_session
from distill.models.fit import require_positions
from distill.models.loading import load_for, weight_files

TORCH, BF16, ONNX, ONNX_INT8 = "torch-fp32", "torch-bf16", "onnx-fp32", "onnx-int8"
FILES = {ONNX: FP32, ONNX_INT8: INT8}
"""Of an export, by format."""


@dataclass(frozen=True)
class Subject:
    """A teacher or a student on disk."""

    kind: str
    """`teachers` or `students`."""
    name: str
    dataset: Dataset
    origin: str
    """The entry of `datasets` that its data set is of, through whatever augmentations."""
    teacher: str
    """The one that it is compared with; its own name for a teacher."""
    data: Path = field(default=Path("data"))

    @property
    def folder(self) -> Path:
        """The torch model."""
        return self.data / self.kind / self.name

    def files(self) -> dict[str, Path]:
        """What each format is loaded from; exports that were not made are left out."""
        export = self.data / "exports" / self.kind / self.name
        formats = [TORCH, *([BF16] if has_fast_bf16() else [])]
        return dict.fromkeys(formats, self.folder) | {
            form: export / name for form, name in FILES.items() if (export / name).is_file()
        }

    def runner(self, form: str, threads: int) -> Callable[[Batch], object]:
        """Load the model in a format."""
        if form in FILES:
            return open_session(self.files()[form], threads)
        model, _ = load_for(self.folder, self.dataset)
        return torch_runner(model.to(torch.bfloat16) if form == BF16 else model)

    def bytes(self, form: str) -> int:
        """What its weights take on disk: bf16 is made of the fp32 weights when they are loaded."""
        path = self.files()[form]
        return sum(file.stat().st_size for file in (weight_files(path) if path.is_dir() else files_of(path)))


def torch_runner(model: PreTrainedModel) -> Callable[[Batch], object]:
    """A model that is called with arrays, as an ONNX session is; in eval mode."""
    model.eval()
    taken = inspect.signature(model.forward).parameters

    def run(batch: Batch) -> object:
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(part) for name, part in batch.items() if name in taken})

    return run


def fits(model: PreTrainedModel, length: int) -> bool:
    """Whether a model has positions for rows of a length."""
    with suppress(UserError):
        require_positions(model, length, "")
        return True
    return False


def flops(model: PreTrainedModel, length: int) -> int:
    """Floating-point operations of one row of so many tokens, a multiplication and an addition being two: matrix products alone.

    Attention is counted by its plain formula: the fused kernel of processors is not known to torch's counter.
    """
    ids = torch.ones(1, length, dtype=torch.int64)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.eval()(input_ids=ids)
    return int(counter.get_total_flops())


def shuffled_rows(rows: PreparedRows, size: int) -> Callable[[int], Batch]:
    """Batches of `size` rows in a shuffled order, the same whenever it is asked for, round and round."""
    order = np.random.default_rng(0).permutation(len(rows))

    def batch(number: int) -> Batch:
        return _whole(pad_batch(rows, order[np.arange(number * size, (number + 1) * size) % len(order)]))

    return batch


def random_rows(vocabulary: int, length: int, size: int = 1) -> Callable[[int], Batch]:
    """Batches of random tokens, all of one length."""

    def batch(number: int) -> Batch:
        ids = np.random.default_rng(number).integers(0, vocabulary, (size, length), np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    return batch


def _whole(batch: Mapping[str, Tensor]) -> Batch:
    """Arrays, with a mask in any case: that is how a server gets them from its tokenizer."""
    arrays = {name: part.numpy() for name, part in batch.items()}
    return {"attention_mask": np.ones_like(arrays["input_ids"]), **arrays}
