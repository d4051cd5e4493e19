"""What scripts/bench.sh refuses; its figures are for people."""

import subprocess

import pytest
from support import SOURCE


def bench(*arguments):
    done = subprocess.run(["bash", SOURCE / "scripts/bench.sh", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_help_names_the_groups():
    code, told, errors = bench("--help")
    assert (code, errors) == (0, "")
    for group in ("step", "members", "fit", "process", "gloo", "score", "csv", "memory", "conv", "attack"):
        assert f"\n  {group} " in told


@pytest.mark.parametrize("arguments, told", [(["steps"], "steps"), (["--repeats", "0"], "--repeats 0"),
                                             (["--build"], "needs a value")])
def test_usage_errors_are_exit_2_in_one_line(arguments, told):
    code, shown, errors = bench(*arguments)
    assert (code, shown) == (2, "")
    assert errors.count("\n") == 1 and errors.startswith("bench.sh: error: ") and told in errors


def test_a_missing_build_is_named(tmp_path):
    code, shown, errors = bench("--build", tmp_path, "step")
    assert (code, shown) == (2, "")
    assert "engine_bench" in errors and "AETOOLS_BUILD_BENCHMARKS" in errors
