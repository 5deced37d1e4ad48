"""Judges a model's files before anything of them is loaded. The sandbox's client calls this.

A file that passes holds only functions and classes on our list (``trusted_names.yaml``) or the
policy's; the lists that a model brings itself are not believed.
"""

import zipfile
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import yaml

from steward.clients.sandbox.pickled import UnreadablePickleError, globals_of
from steward.errors import ModelUnfitError
from steward.ports import SandboxLimits

_SKLEARN = "mlflow.sklearn"
_MLMODEL_BYTES = 8 << 20
_PICKLE_BYTES = 4 << 30
_SCHEMA_BYTES = 256 << 20
_UNPACKED_BYTES = 16 << 30
_PICKLE_MAGIC = b"\x80"
_SUFFIXES = {".pkl", ".pickle", ".joblib", ".cloudpickle"}
MlModel = dict[str, Any]


def check_contents(directory: Path, limits: SandboxLimits) -> MlModel:
    """Look at every file of a model version; returns what its MLmodel file says.

    Raises:
        ModelUnfitError: with reason ``content``, and what to do if the model is a good one.

    """
    found = _regular_files(directory)
    told = _read_mlmodel(directory / "MLmodel")
    flavors = told["flavors"]
    function = flavors.get("python_function")
    if not isinstance(function, dict):
        raise _refusal("it has no flavor python_function, so nothing can score it")
    loader = function.get("loader_module")
    if loader != _SKLEARN and loader not in limits.trusted:
        raise _refusal(f"it is loaded by {loader}, {_untrusted([str(loader)])}")
    for name, flavor in flavors.items():
        if isinstance(flavor, dict) and flavor.get("code"):
            raise _refusal(f"it brings code of its own (code_paths, flavor {name})")
    if loader == _SKLEARN:
        _check_object(directory, flavors.get("sklearn"), limits)
    for path in found:
        if path.suffix == ".skops":
            _check_skops(path, limits)
        elif path.suffix in _SUFFIXES or _looks_pickled(path):
            _check_pickle(path, limits)
    return told


def _regular_files(directory: Path) -> list[Path]:
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise _refusal(f"{path.name} is neither a file nor a directory")
        if path.is_file():
            found.append(path)
    return found


def _read_mlmodel(path: Path) -> MlModel:
    if not path.is_file() or path.stat().st_size > _MLMODEL_BYTES:
        raise _refusal("it has no MLmodel file of a sensible size")
    try:
        told = yaml.safe_load(path.read_text())  # as MLflow does: both must understand the same
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refusal(f"its MLmodel file cannot be read: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("flavors"), dict):
        raise _refusal("its MLmodel file names no flavors")
    return told


def _check_object(directory: Path, flavor: Any, limits: SandboxLimits) -> None:
    """The one file that scikit-learn's flavor loads, in the format that it says."""
    if not isinstance(flavor, dict):
        raise _refusal("it is loaded by mlflow.sklearn but has no flavor sklearn")
    stored_as = flavor.get("serialization_format")
    if stored_as not in limits.formats:
        raise _refusal(
            f"it is stored as {stored_as}, and the policy's sandbox.formats allow "
            f"{', '.join(limits.formats)}"
        )
    path = directory / str(flavor.get("pickled_model"))
    if not path.resolve().is_relative_to(directory.resolve()) or not path.is_file():
        raise _refusal("the file that its MLmodel names is not among its files")
    if stored_as == "skops":
        _check_skops(path, limits)
    else:
        _check_pickle(path, limits)


def _check_pickle(path: Path, limits: SandboxLimits) -> None:
    if path.stat().st_size > _PICKLE_BYTES:
        raise _refusal(f"{path.name} is too large to be checked")
    try:
        names = globals_of(path.read_bytes())
    except UnreadablePickleError as error:
        raise _refusal(f"{path.name} cannot be checked: {error}") from error
    _refuse_unknown(path, names, limits)


def _check_skops(path: Path, limits: SandboxLimits) -> None:
    """Types that skops itself does not trust, against our list. Reading them runs nothing."""
    from skops.io import get_untrusted_types

    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist()}
        is_huge = sizes.get("schema.json", 0) > _SCHEMA_BYTES
        is_huge = is_huge or sum(sizes.values()) > _UNPACKED_BYTES
        names = None if is_huge else get_untrusted_types(file=path)
    except Exception as error:  # whatever a forged file makes a parser raise
        raise _refusal(f"{path.name} cannot be checked: {error}") from error
    if names is None:
        raise _refusal(f"{path.name} unpacks to more than can be checked")
    _refuse_unknown(path, frozenset(names), limits)


def _refuse_unknown(path: Path, names: frozenset[str], limits: SandboxLimits) -> None:
    unknown = sorted(names - trusted_names() - set(limits.trusted))
    if unknown:
        raise _refusal(f"{path.name} holds {', '.join(unknown[:5])}, {_untrusted(unknown)}")


def _looks_pickled(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(2)
    return start[:1] == _PICKLE_MAGIC and start[1:] in {b"\x02", b"\x03", b"\x04", b"\x05"}


@cache
def trusted_names() -> frozenset[str]:
    """Our list: exact names, no patterns, since every library also holds what runs programs."""
    text = (package_files(__package__) / "trusted_names.yaml").read_text()
    groups = yaml.safe_load(text)
    return frozenset(
        f"{module}.{name}"
        for modules in groups.values()
        for module in modules
        for name in modules[module].split()
    )


def _untrusted(names: list[str]) -> str:
    which = "it" if len(names) == 1 else "them"
    return f"which no list trusts; if you do, name {which} in the policy's sandbox.trusted"


def _refusal(what: str) -> ModelUnfitError:
    return ModelUnfitError(f"The model was not loaded: {what}.", reason="content")
