"""What may not be loaded is refused by reading its files; nothing of them runs."""

import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from steward.clients.sandbox.contents import check_contents, trusted_names
from steward.clients.sandbox.pickled import UnreadablePickleError, globals_of
from steward.errors import ModelUnfitError
from steward.ports import SandboxLimits
from tests.model_files import write_model

LIMITS = SandboxLimits()
TRUSTED = OrderedDict(a=1)


class Runs:
    """A pickle that runs a program when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("false",)


def refusal(directory: Path, limits: SandboxLimits = LIMITS) -> str:
    with pytest.raises(ModelUnfitError) as caught:
        check_contents(directory, limits)
    assert caught.value.reason == "content"
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_names_are_told_in_every_protocol(protocol: int) -> None:
    data = pickle.dumps([Runs(), TRUSTED, TRUSTED, OrderedDict()], protocol)

    assert globals_of(data) == {"posix.system", "collections.OrderedDict"}


def test_names_that_are_recalled_from_the_memo_are_told() -> None:
    text = ["posix", "system", Runs(), Runs()]  # the pickler stores both words before it uses them

    names = globals_of(pickle.dumps(text, 4))

    assert names == {"posix.system"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80\x04\x8c\x05posix\x8c\x03sys\x8c\x03tem\x86\x93.", "computes the name"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x01x0\x93.", "computes the name"),
        (b"\x80\x04h\x07h\x08\x93.", "never stored"),
        (b"\x80\x04\x8c\x05posixq\x00\x94\x8c\x06system\x93.", "two ways"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x04\x8c\x03pidQ.", "BINPERSID"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"cposix\nsystem x\n.", "odd name"),
        (pickle.dumps(1) + pickle.dumps(2), "more follows"),
        (b"not a pickle", "not a pickle"),
        (b"\x80\x04", "not a pickle"),
        (b"", "not a pickle"),
    ],
)
def test_a_pickle_whose_names_cannot_be_told_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(UnreadablePickleError, match=why):
        globals_of(data)


def test_a_name_in_the_oldest_opcodes_is_told() -> None:
    data = b"(S'false'\niposix\nsystem\n."

    assert globals_of(data) == {"posix.system"}


def test_a_model_of_trusted_names_passes(tmp_path: Path) -> None:
    files = write_model(tmp_path, TRUSTED)

    told = check_contents(files.path, LIMITS)

    assert told["flavors"]["sklearn"]["serialization_format"] == "pickle"


def test_a_model_that_runs_a_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_model(tmp_path, Runs())

    told = refusal(tmp_path)

    assert told == (
        "The model was not loaded: model.pkl holds posix.system, which no list trusts; if you do, "
        "name it in the policy's sandbox.trusted."
    )


def test_the_policy_may_trust_more_by_exact_name(tmp_path: Path) -> None:
    write_model(tmp_path, Runs())

    check_contents(tmp_path, SandboxLimits(trusted=("posix.system",)))

    assert "posix.system" in refusal(tmp_path, SandboxLimits(trusted=("posix",)))


def test_a_second_file_that_is_a_pickle_is_looked_at_whatever_its_name(tmp_path: Path) -> None:
    write_model(tmp_path, TRUSTED)
    (tmp_path / "notes.txt").write_bytes(pickle.dumps(Runs()))

    assert "notes.txt holds posix.system" in refusal(tmp_path)


def test_an_old_pickle_under_another_name_is_looked_at_where_it_is_loaded(tmp_path: Path) -> None:
    write_model(tmp_path, TRUSTED, file="model.bin")
    (tmp_path / "model.bin").write_bytes(pickle.dumps(Runs(), 0))

    assert "model.bin holds posix.system" in refusal(tmp_path)


def test_a_format_that_the_policy_does_not_allow_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, TRUSTED)

    told = refusal(tmp_path, SandboxLimits(formats=("skops",)))

    assert "stored as pickle, and the policy's sandbox.formats allow skops" in told


def test_code_beside_a_model_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, TRUSTED, has_code=True)

    assert "code of its own" in refusal(tmp_path)


@pytest.mark.parametrize("loader", ["mlflow.pyfunc.model", "os", "mlflow.sklearn.evil"])
def test_another_loader_is_refused_unless_the_policy_names_it(tmp_path: Path, loader: str) -> None:
    write_model(tmp_path, TRUSTED, loader=loader)

    assert f"loaded by {loader}" in refusal(tmp_path)
    check_contents(tmp_path, SandboxLimits(trusted=(loader,)))


def test_a_file_outside_of_the_model_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "model", TRUSTED, file="../other.pkl")
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(TRUSTED))

    assert "not among its files" in refusal(tmp_path / "model")


def test_a_link_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, TRUSTED)
    (tmp_path / "link").symlink_to("/etc/passwd")

    assert "neither a file nor a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "flavors: 3", "flavors: [", "flavors: {sklearn: {}}", "!!python/name:os.system"]
)
def test_an_mlmodel_file_that_tells_nothing_is_refused(tmp_path: Path, text: str) -> None:
    write_model(tmp_path, TRUSTED)
    (tmp_path / "MLmodel").write_text(text)

    assert "The model was not loaded" in refusal(tmp_path)


def test_a_skops_file_is_held_against_our_list_and_not_its_own(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    write_model(tmp_path, TRUSTED, file="model.skops", stored_as="skops")
    (tmp_path / "model.pkl").unlink()
    with (tmp_path / "MLmodel").open("a") as file:
        file.write("    skops_trusted_types: [posix.system]\n")

    skops_io.dump(preprocessing.FunctionTransformer(os.system), tmp_path / "model.skops")

    assert "posix.system" in refusal(tmp_path)
    skops_io.dump(preprocessing.StandardScaler(), tmp_path / "model.skops")
    check_contents(tmp_path, LIMITS)


def test_what_only_claims_to_be_skops_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, TRUSTED, file="model.skops", stored_as="skops")
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        archive.writestr("schema.json", "{}")

    assert "cannot be checked" in refusal(tmp_path)


def test_our_list_holds_no_name_that_runs_programs_or_finds_others() -> None:
    names = trusted_names()

    assert "sklearn.linear_model._logistic.LogisticRegression" in names
    assert not any("*" in name for name in names)
    dangerous = {"eval", "exec", "getattr", "__import__", "compile", "open", "apply", "map"}
    assert not names & {f"builtins.{name}" for name in dangerous}
    assert not names & {f"__builtin__.{name}" for name in dangerous}
    assert not [
        name for name in names if name.split(".")[0] in {"os", "posix", "subprocess", "sys"}
    ]
    assert not [name for name in names if name.rpartition(".")[2] in {"_ufunc_reconstruct", "load"}]


def test_the_forged_pickles_are_what_they_claim() -> None:
    data = b"\x80\x04\x8c\x05posix\x8c\x06system\x93."

    assert [code.name for code, _, _ in pickletools.genops(data)][-2] == "STACK_GLOBAL"
    assert globals_of(data) == {"posix.system"}
