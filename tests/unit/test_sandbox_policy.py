"""The policy's section ``sandbox`` sets the limits of an examination."""

import pytest

from steward.errors import ConfigurationError
from steward.policy import Mode, PolicySet
from steward.policy.sandbox import Sandbox
from steward.policy.summary import describe
from steward.ports import SandboxLimits

FILE = """\
version: 1
policies:
  - name: fraud
    mode: observe
    match: {models: ["*"]}
    sandbox:
      {min_level: L2, cpu_s: 5, mem_mib: 512, wall_s: 7.5, formats: [skops], trusted: [a.b.C]}
"""


def test_the_section_becomes_the_limits_of_an_examination() -> None:
    policy = PolicySet.parse(FILE).policies[0]

    limits = SandboxLimits.of(policy.sandbox)

    assert limits == SandboxLimits(
        min_level="L2",
        cpu_seconds=5,
        memory_mib=512,
        wall_seconds=7.5,
        formats=("skops",),
        trusted=("a.b.C",),
    )


def test_without_the_section_the_limits_are_the_default_ones() -> None:
    assert SandboxLimits.of(Sandbox()) == SandboxLimits()


def test_the_section_is_told_to_people_where_it_is_set() -> None:
    policy = PolicySet.parse(FILE).policies[0]
    plain = policy.model_copy(update={"sandbox": Sandbox()})

    assert dict(describe(policy, Mode.OBSERVE))["sandbox"] == (
        "level L2 or more, 5 s of CPU, 512 MiB, 7.5 s an answer; loads skops; also trusts a.b.C"
    )
    assert "sandbox" not in dict(describe(plain, Mode.OBSERVE))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("min_level: L2", "min_level: L9", "min_level must be"),
        ("cpu_s: 5", "cpu_s: 0", "cpu_s must be"),
        ("formats: [skops]", "formats: []", "formats must not be empty"),
        ("formats: [skops]", "formats: [joblib]", "'skops', 'cloudpickle' or 'pickle'"),
        ("trusted: [a.b.C]", 'trusted: ["sklearn.*"]', "trusted"),
        ("mem_mib: 512", "mem_mb: 512", "mem_mib"),
    ],
)
def test_a_section_that_means_nothing_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PolicySet.parse(FILE.replace(old, new))

    assert said in str(caught.value)
