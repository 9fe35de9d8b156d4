"""Files on the hub, in a folder or in an installed package: where each lies, and an error that says why it cannot be had."""

import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from distill.core.errors import UserError, first_line

Result = TypeVar("Result")

PAUSE = 2.0
"""Seconds until the hub is asked again; twice as many before each further attempt."""


def package_folder(name: str) -> Path:
    """The folder of `PACKAGE/sub/folder`, without importing the package."""
    package, _, inside = name.partition("/")
    if not package.isidentifier():
        raise UserError(f"package '{package}': expected a name as Python imports it, with '_' for '-', such as 'torch'")
    spec = importlib.util.find_spec(package) if package != "__main__" else None
    if package == "__main__" or (spec is not None and not spec.submodule_search_locations):
        raise UserError(f"package '{package}' is a module, which has no folder; name another, or give a `path`")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"package '{package}' is not installed; `pip install {package.replace('_', '-')}`")
    folder = Path(next(iter(spec.submodule_search_locations)), inside)
    if not folder.exists():
        raise UserError(f"package '{package}' has no '{inside}': looked in {folder.parent}")
    return folder


def local_folder(path: str | None, package: str | None) -> Path | None:
    """The folder or file of a `path`, which may begin with `~`, or of a `package`; nothing for what stands on the hub."""
    if package is not None:
        return package_folder(package)
    if path is None:
        return None
    place = Path(os.path.expanduser(path))  # noqa: PTH111 (Path's raises where there is no such user)
    if not place.exists():
        raise UserError(f"{path}: no such file or folder (looked from {Path.cwd()})")
    return place


def from_hub(what: str, load: Callable[[], Result], attempts: int = 2) -> Result:
    """Call `load`, again after a growing pause (seconds) when the network fails; what the hub refuses is a UserError.

    The attempts are few, for huggingface_hub itself tries each request six times.
    """
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    for attempt in range(1, attempts + 1):
        try:
            return load()
        except (OSError, HTTPError) as error:
            causes = _causes(error)
            if any(isinstance(cause, GatedRepoError) for cause in causes):
                raise UserError(f"hub: {what} is gated; accept its terms on the hub and run `hf auth login`") from None
            if any(isinstance(cause, (RepositoryNotFoundError, RevisionNotFoundError)) for cause in causes):
                raise UserError(f"hub: {what} does not exist, or is private; check the name and `hf auth login`") from None
            if not any(map(_of_the_network, causes)):
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise UserError(f"hub: {what} cannot be used: {first_line(error)}") from None
            if is_offline_mode():
                raise UserError(f"hub: {what} is not cached here, and HF_HUB_OFFLINE is set; unset it, or give `path`") from None
            if attempt == attempts:
                raise UserError(
                    f"hub: {what} could not be fetched in {attempts} attempts ({first_line(error)}); check the network, "
                    "or give a local `path` instead"
                ) from None
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise AssertionError


def _of_the_network(error: BaseException) -> bool:
    """Whether it may go well the next time; transformers and datasets wrap what huggingface_hub raises."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]

    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        return status is None or status == 429 or status >= 500
    return isinstance(error, (HTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError))


def _causes(error: BaseException | None) -> list[BaseException]:
    """An error and those that led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def load_or_explain(place: str | Path, what: str, load: Any) -> Any:
    """Call a `from_pretrained`, from disk or from the hub, and turn its failures into one line."""
    try:
        return load() if Path(place).is_dir() else from_hub(f"{what} '{place}'", load)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{place}: no usable {what}: {first_line(error)}") from None
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(f"{place}: the {what} is damaged: {error}; fetch it again") from None


def checkpoint_place(hub: str | None, path: str | None, package: str | None) -> str | Path:
    """Where transformers finds a checkpoint: a folder, or the hub's name of it."""
    return local_folder(path, package) or str(hub)
