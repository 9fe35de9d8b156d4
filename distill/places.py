"""Things that stand on a hub, in a local folder or inside an installed package."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from distill.errors import UserError

Result = TypeVar("Result")


def package_folder(name: str) -> Path:
    """The folder of `PACKAGE/sub/folder`, without importing the package.

    Raises:
        UserError: the package is not installed, or has no such folder.
    """
    package, _, inside = name.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"package '{package}' is not installed; `pip install {package.replace('_', '-')}`")
    folder = Path(next(iter(spec.submodule_search_locations)), inside)
    if not folder.exists():
        raise UserError(f"package '{package}' has no '{inside}': looked in {folder.parent}")
    return folder


def local_folder(path: str | None, package: str | None) -> Path | None:
    """The folder or file of a `path` or `package`; nothing for what stands on the hub.

    Raises:
        UserError: there is no such path.
    """
    if package is not None:
        return package_folder(package)
    if path is None:
        return None
    if not Path(path).exists():
        raise UserError(f"{path}: no such file or folder (looked from {Path.cwd()})")
    return Path(path)


def from_hub(what: str, load: Callable[[], Result], attempts: int = 4, pause: float = 2.0) -> Result:
    """Call `load`, again after a growing pause (seconds) when the network fails.

    Raises:
        UserError: the hub does not know the name or refuses it, or does not answer.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    for attempt in range(1, attempts + 1):
        try:
            return load()
        except GatedRepoError:
            raise UserError(f"hub: {what} is gated; accept its terms on the hub and run `hf auth login`") from None
        except (RepositoryNotFoundError, RevisionNotFoundError):
            raise UserError(f"hub: {what} does not exist, or is private; check the name and `hf auth login`") from None
        except (OSError, HfHubHTTPError) as error:
            if _not_found(error):
                raise UserError(f"hub: {what} cannot be used: {_first_line(error)}") from None
            if attempt == attempts:
                raise UserError(
                    f"hub: {what} could not be fetched in {attempts} attempts ({_first_line(error)}); check the network, "
                    "or give a local `path` instead"
                ) from None
            time.sleep(pause * 2 ** (attempt - 1))
    raise AssertionError


def _not_found(error: Exception) -> bool:
    name = type(error).__name__
    text = str(error)
    return name in {"DatasetNotFoundError", "DataFilesNotFoundError"} or "is not a valid model identifier" in text


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
