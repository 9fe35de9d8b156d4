"""Losses over a vocabulary a few lines at a time: those of all lines at once, in a fraction of the memory."""

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from distill.losses import in_chunks
from distill.losses.divergences import forward_kl
from distill.losses.in_chunks import means_in_chunks

WEIGHTS = torch.tensor([5.0, 2.0])


def problem(
    lines: int, vocabulary: int, width: int, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    made = {"dtype": dtype, "device": device}
    return {
        "states": torch.randn(lines, width, **made).requires_grad_(),
        "embedding": torch.randn(vocabulary, width, **made).requires_grad_(),
        "bias": torch.randn(vocabulary, **made).requires_grad_(),
        "teacher_states": torch.randn(lines, width, **made),
        "teacher_embedding": torch.randn(vocabulary, width, **made),
        "labels": torch.randint(0, vocabulary, (lines,), device=device),
    }


def chunked(given: dict[str, Tensor], softcap: float | None = None) -> Tensor:
    def losses(logits: Tensor, part: slice) -> Tensor:
        teacher = given["teacher_states"][part] @ given["teacher_embedding"].T
        hard = functional.cross_entropy(logits, given["labels"][part], reduction="none")
        return torch.stack([forward_kl(logits, teacher, 2.0), hard], dim=1)

    return means_in_chunks(losses, WEIGHTS.to(given["states"]), given["states"], given["embedding"], given["bias"], softcap)


def dense(given: dict[str, Tensor], softcap: float | None = None) -> Tensor:
    logits = functional.linear(given["states"], given["embedding"], given["bias"])
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    teacher = given["teacher_states"] @ given["teacher_embedding"].T
    soft = forward_kl(logits, teacher, 2.0).mean()
    return torch.stack([soft, functional.cross_entropy(logits, given["labels"])])


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("lines", [1, 3, 10])
def test_means_and_gradients_are_those_of_all_lines_at_once(monkeypatch, lines, softcap):
    monkeypatch.setattr(in_chunks, "CHUNK_BYTES", 3 * 11 * 8)
    given = problem(lines, 11, 5, dtype=torch.float64)
    parameters = [given[name] for name in ("states", "embedding", "bias")]
    found, expected = chunked(given, softcap), dense(given, softcap)
    torch.testing.assert_close(found, expected)
    weights = WEIGHTS.double() * 0.7
    own, theirs = (torch.autograd.grad((weights * each).sum(), parameters) for each in (found, expected))
    torch.testing.assert_close(own, theirs)


def test_its_gradient_is_that_of_finite_differences():
    given = problem(4, 7, 3, dtype=torch.float64)

    def total(states: Tensor, embedding: Tensor, bias: Tensor) -> Tensor:
        return (WEIGHTS.double() * chunked({**given, "states": states, "embedding": embedding, "bias": bias})).sum()

    assert torch.autograd.gradcheck(total, (given["states"], given["embedding"], given["bias"]))


def test_other_weights_than_were_told_are_refused():
    means = chunked(problem(4, 7, 3))
    with pytest.raises(RuntimeError, match="weighted otherwise than their gradient was computed for"):
        means.sum().backward()


class Peak(TorchDispatchMode):
    """The most bytes of tensors that operators have made and that are alive at once, beside those that are given."""

    def __init__(self, given: dict[str, Tensor]) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.known = {tensor.untyped_storage()._cdata for tensor in given.values()}

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        results = operator(*arguments, **(options or {}))
        for tensor in tree_iter(results):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return results

    def _add(self, storage: torch.UntypedStorage) -> None:
        size, key = storage.nbytes(), storage._cdata
        if key in self.known:
            return
        self.known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)

        def gone() -> None:
            self.known.discard(key)
            self.alive -= size

        weakref.finalize(storage, gone)


def peak_of(loss: Callable[[dict[str, Tensor]], Tensor], given: dict[str, Tensor]) -> int:
    with Peak(given) as seen:
        means = loss(given)
        (WEIGHTS.to(means) * means).sum().backward()
    return seen.peak


def test_the_loss_of_4096_tokens_over_50257_words_takes_a_tenth_of_the_memory():
    """On the meta device tensors have sizes and no numbers. A part of what it takes is the gradient of the embedding."""
    few, many = (peak_of(loss, problem(4096, 50257, 768, device="meta")) for loss in (chunked, dense))
    assert few <= many / 10
    assert many > 4 * 4096 * 50257 * 4
