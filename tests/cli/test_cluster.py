"""Several processes as a cluster's launcher starts them: training together, scoring in parts."""

import json
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import started
from pictures import write_png
from support import CONFIGS, SOURCE, WDBC, needs_torch, one_error, split_safetensors, wait_for

pytestmark = needs_torch

CONFIG = CONFIGS / "wdbc.json"
FEW = ["--set", "/training/epochs=3", "-q"]
ENDLESS = ["--set", "/training/epochs=1000000", "--set", '/training/early_stopping={"patience": 0}', "--set",
           '/training/checkpoint={"epochs": 20}', "--peer-timeout", "3", "-q"]  # fmt: skip
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    "srun": ("SLURM_PROCID", "SLURM_NTASKS", None),
}
KNOWN = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_", "OMPI_", "SLURM_", "TORCHELASTIC_", "GLOO_")


def plain_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(KNOWN)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(rank, size, port, launcher="torchrun", medium="shared memory"):
    """Processes that are not told that all run on one machine, speak over TCP."""
    names = LAUNCHERS[launcher]
    values = {names[0]: rank, names[1]: size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if names[2]:
        values[names[2]] = size if medium == "shared memory" else 1
    elif medium == "shared memory":
        values["SLURM_STEP_NUM_NODES"] = 1
    return plain_environment() | {name: str(value) for name, value in values.items()}


@pytest.fixture
def start(bin_folder, tmp_path):
    """start(size, program, arguments...) starts one process per rank and returns them all."""
    all_ranks = []

    def start_ranks(size, program, *args, launcher="torchrun", of_rank=lambda rank: [], medium="shared memory"):
        port = free_port()
        ranks = [
            subprocess.Popen([bin_folder / program, *map(str, args), *of_rank(rank)], cwd=tmp_path,
                             env=environment(rank, size, port, launcher, medium), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for rank in range(size)
        ]  # fmt: skip
        all_ranks.extend(ranks)
        return ranks

    yield start_ranks
    for process in all_ranks:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def together(bin_folder, tmp_path):
    """Runs the ranks to their end; all must succeed. Returns what they said."""

    def run_ranks(size, program, *args, launcher="torchrun", medium="shared memory"):
        port = free_port()

        def run_rank(rank):
            return started.run([bin_folder / program, *args], cwd=tmp_path, timeout=120,
                               env=environment(rank, size, port, launcher, medium))  # fmt: skip

        with ThreadPoolExecutor(size) as threads:
            ranks = list(threads.map(run_rank, range(size)))
        told = [(done.stdout.decode(), done.stderr.decode()) for done in ranks]
        assert [done.returncode for done in ranks] == [0] * size, told
        return told

    return run_ranks


@pytest.fixture
def alone(run, monkeypatch):
    for name in set(os.environ) - set(plain_environment()):
        monkeypatch.delenv(name)

    def run_alone(program, *args):
        done = run(program, *args)
        assert done.code == 0, done.stderr
        return done

    return run_alone


def weights(folder):
    header, tensors = split_safetensors((folder / "model.safetensors").read_bytes())
    numbers = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            numbers[name] = struct.unpack(f"<{(end - begin) // 4}f", tensors[begin:end])
    return numbers


def same_weights(folder, other, within=1e-5):
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys() and ours
    assert all(math.isfinite(x) for values in ours.values() for x in values)
    largest = max(abs(a - b) for name in ours for a, b in zip(ours[name], theirs[name], strict=True))
    assert largest < within


WAYS = {
    "corruption": [],
    "dropout and clipping": ["--set", "/model/dropout=0.3", "--set", "/training/clip_gradient=0.1"],
    "members": ["--set", "/model/members=3", "--threads", "2"],
    "swapped cells, weighted": ["--set", '/training/corruption=[{"type": "swap"}, {"type": "mask", "varied": true}]',
                                "--set", "/training/emphasis=3"],
    "tied, trimmed": ["--set", "/model/tied=true", "--set", "/training/trim=0.1"],
    "variational": ["--set", '/model/type="variational"'],
    "autograd": ["--set", '/training/engine="autograd"', "--set", "/model/dropout=0.3"],
    "autograd, variational members": ["--set", '/training/engine="autograd"', "--set", '/model/type="variational"',
                                      "--set", "/model/members=2"],
    "a batch smaller than the group": ["--set", "/training/batch_size=2", "--set", "/training/epochs=1"],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_same_global_batch_gives_the_same_weights(alone, together, tmp_path, way):
    alone("ae-train", CONFIG, "--out", "one", *FEW, *WAYS[way])
    for size, medium in ((2, "shared memory"), (3, "TCP"), (3, "shared memory")):
        together(size, "ae-train", CONFIG, "--out", f"of-{size}", "--force", *FEW, *WAYS[way], medium=medium)
        same_weights(tmp_path / "one", tmp_path / f"of-{size}")
        ours = (tmp_path / f"of-{size}" / "metrics.csv").read_text().splitlines()
        theirs = (tmp_path / "one" / "metrics.csv").read_text().splitlines()
        assert len(ours) == len(theirs)
        for line, other in zip(ours[1:], theirs[1:], strict=True):
            for at in (1, 2):
                assert float(line.split(",")[at]) == pytest.approx(float(other.split(",")[at]), rel=1e-5)


@pytest.mark.parametrize("members, medium", [(1, "TCP"), (2, "shared memory")])
def test_images_too(alone, together, tmp_path, members, medium):
    for i in range(12):
        y, x = numpy.mgrid[:16, :16]
        write_png(tmp_path / "images" / f"{i:02}.png", ((40 * i + 7 * x * y) % 256).astype("uint8"))
    config = {
        "data": {"type": "images", "path": "images"},
        "model": {"type": "conv", "levels": 2, "width": 4, "code": 4, "members": members},
        "training": {"epochs": 2, "batch_size": 5, "corruption": [{"type": "synthetic"}]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    alone("ae-train", "config.json", "--out", "one", "-q")
    together(2, "ae-train", "config.json", "--out", "two", "-q", medium=medium)
    same_weights(tmp_path / "one", tmp_path / "two")
    alone("ae-score", "one", "images", "-o", "scores.csv", "-q")
    together(3, "ae-score", "one", "images", "-o", "parts", "--maps", "maps", "-q")
    assert joined(tmp_path / "parts", 3) == (tmp_path / "scores.csv").read_text()
    assert len(list((tmp_path / "maps").glob("*.npy"))) == 12


@pytest.mark.parametrize("medium", ["shared memory", "TCP"])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_each_launchers_variables_are_known(together, tmp_path, launcher, medium):
    arguments = ["ae-train", CONFIG, "--out", "run", "--set", "/training/epochs=1"]
    told = together(2, *arguments, launcher=launcher, medium=medium)
    assert "2 processes over " + medium in told[0][1]
    assert told[1] == ("", "")  # rank 0 speaks for all
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2


@pytest.mark.parametrize(
    "variables, word",
    [
        ({"WORLD_SIZE": "many", "RANK": "0"}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "0", "RANK": "0"}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK"),
        ({"WORLD_SIZE": "2"}, "RANK"),
        ({"RANK": "0"}, "WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "http"}, "MASTER_PORT"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR"),
        ({"SLURM_NTASKS": "2.5", "SLURM_PROCID": "0"}, "SLURM_NTASKS"),
    ],
)
def test_nonsense_in_the_variables_is_a_usage_error(run, monkeypatch, variables, word):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    one_error(run("ae-train", CONFIG, "--out", "run", "-q"), 2, word)


def test_a_world_of_one_needs_nobody(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert run("ae-train", CONFIG, "--out", "run", *FEW).code == 0


def ends_alike(ranks, code):
    told = [process.communicate(timeout=60)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [code] * len(ranks), told
    return told


def test_batch_statistics_are_refused(start):
    for told in ends_alike(start(2, "ae-train", CONFIG, "--out", "run", "--set", '/model/norm="batch"', "-q"), 2):
        assert "/model/norm" in told and told.count("\n") == 1


def test_what_one_rank_cannot_do_ends_all_with_the_same_code(start, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_text("")
    for told in ends_alike(start(3, "ae-train", CONFIG, "--out", "run", "-q"), 2):
        assert "--force" in told
    data = [WDBC, tmp_path / "missing.csv"]
    ranks = start(2, "ae-train", CONFIG, "--out", "other", "-q", of_rank=lambda rank: ["--data", str(data[rank])])
    assert all("missing.csv" in told for told in ends_alike(ranks, 4))


def test_other_data_on_another_rank_are_noticed(start, tmp_path):
    lines = WDBC.read_text().splitlines(keepends=True)
    (tmp_path / "other.csv").write_text("".join([lines[0], lines[2], lines[1], *lines[3:]]))
    data = [WDBC, tmp_path / "other.csv"]
    ranks = start(2, "ae-train", CONFIG, "--out", "run", "-q", of_rank=lambda rank: ["--data", str(data[rank])])
    for told in ends_alike(ranks, 2):
        assert "rank 0" in told or "rank 1" in told


def test_a_stopped_run_continues_with_any_number_of_processes(alone, start, together, run, tmp_path):
    long = ["--set", "/training/epochs=400", "--set", '/training/early_stopping={"patience": 0}', "--set",
            '/training/engine="autograd"', "-q"]  # fmt: skip
    folder = tmp_path / "run"
    resume = ["--out", "run", "--resume", *long]

    def stop(ranks, whom):
        metrics = folder / "metrics.csv"
        wait_for(lambda: any(p.poll() is not None for p in ranks) or (folder / "config.json").exists())
        time.sleep(0.3)
        ranks[whom].send_signal(signal.SIGTERM)
        ends_alike(ranks, 128 + signal.SIGTERM)
        return metrics.read_text().count("\n") if metrics.exists() else 0

    first = stop(start(2, "ae-train", CONFIG, *resume), 1)  # a signal to any of them stops all
    (folder / "config.json").unlink()
    second = stop(start(1, "ae-train", CONFIG, *resume), 0)
    assert first < second < 401
    together(3, "ae-train", CONFIG, *resume)
    alone("ae-train", CONFIG, "--out", "one", *long)
    rows = [[float(line.split(",")[1]) for line in (tmp_path / name / "metrics.csv").read_text().splitlines()[1:]]
            for name in ("run", "one")]  # fmt: skip
    assert len(rows[0]) == len(rows[1]) == 400
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)
    assert together(2, "ae-train", CONFIG, "--out", "run", "--resume", *long[:-1])[0][1].count("already complete") == 1


# Each pair of the three, in half as many runs as there are triples.
@pytest.mark.parametrize("medium, victim, how", [
    ("shared memory", 0, signal.SIGKILL),
    ("shared memory", 2, signal.SIGSTOP),
    ("TCP", 0, signal.SIGSTOP),
    ("TCP", 2, signal.SIGKILL),
])  # fmt: skip
def test_a_lost_rank_ends_the_others(start, run, tmp_path, victim, how, medium):
    ranks = start(3, "ae-train", CONFIG, "--out", "run", *ENDLESS, medium=medium)
    wait_for(lambda: (tmp_path / "run" / "model.safetensors").exists())
    ranks[victim].send_signal(how)
    began = time.monotonic()
    for rank, process in enumerate(ranks):
        if rank == victim:
            continue
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 1, told
        assert told.count("\n") == 1 and f"rank {rank} lost rank {victim} " in told and "--resume" in told, told
    assert time.monotonic() - began < 30  # 3 s of silence and 3 s of asking who is left, on a busy machine
    ranks[victim].kill()
    ranks[victim].communicate()
    assert run("ae-score", "run", WDBC, "-q").code == 0
    # The state can be read too: it is another run's, by its epochs, not damaged.
    one_error(run("ae-train", CONFIG, "--out", "run", "--resume", *FEW), 2, "another config")


def test_a_rank_that_never_comes_is_not_waited_for_forever(bin_folder, tmp_path):
    arguments = [bin_folder / "ae-train", CONFIG, "--out", "run", "-q", "--peer-timeout", "2"]
    for rank in (0, 1):
        done = subprocess.run(arguments, cwd=tmp_path, env=environment(rank, 2, free_port()), capture_output=True,
                              text=True, timeout=60)  # fmt: skip
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "MASTER_PORT" in done.stderr and f"rank {rank}" in done.stderr


def joined(folder, size):
    assert sorted(path.name for path in folder.iterdir()) == ["_SUCCESS", *(f"part-{r:05}.csv" for r in range(size))]
    parts = [(folder / f"part-{rank:05}.csv").read_text() for rank in range(size)]
    header = parts[0].split("\n", 1)[0] + "\n"
    assert all(part.startswith(header) for part in parts)
    return header + "".join(part[len(header) :] for part in parts)


@pytest.mark.parametrize("options", [[], ["--explain", "2", "--alpha", "0.05"]])
def test_parts_put_together_are_what_one_process_writes(alone, together, trained, tmp_path, options):
    lines = WDBC.read_text().splitlines(keepends=True)
    (tmp_path / "long.csv").write_text(lines[0] + "".join(lines[1:]) * 15)
    (tmp_path / "short.csv").write_text("".join(lines[:3]))
    for inputs in (["long.csv"], ["short.csv"], ["short.csv", "long.csv", WDBC]):
        name = f"of-{len(inputs)}-{inputs[0]}"
        alone("ae-score", trained, *inputs, "-o", name + ".csv", *options, "-q")
        together(3, "ae-score", trained, *inputs, "-o", name, *options, "-q")
        assert joined(tmp_path / name, 3) == (tmp_path / (name + ".csv")).read_text()


def test_parts_may_come_one_after_another_and_again(alone, bin_folder, trained, tmp_path):
    def part(rank, *options, size=2):
        variables = {"RANK": str(rank), "WORLD_SIZE": str(size)}  # a job array tells no more
        done = subprocess.run([bin_folder / "ae-score", trained, WDBC, *options, "-q"], cwd=tmp_path,
                              env=plain_environment() | variables, capture_output=True, text=True, timeout=60)  # fmt: skip
        return done.returncode, done.stderr

    parts = tmp_path / "parts"
    assert part(1, "-o", parts) == (0, "")
    assert not (parts / "_SUCCESS").exists()
    assert part(1, "-o", parts)[0] == 2  # it is there
    assert part(0, "-o", parts) == (0, "")
    alone("ae-score", trained, WDBC, "-o", "one.csv", "-q")
    assert joined(parts, 2) == (tmp_path / "one.csv").read_text()
    code, told = part(0, "-o", parts)
    assert code == 2 and "_SUCCESS" in told
    assert part(0, "-o", parts, "--force") == (0, "")
    assert joined(parts, 2) == (tmp_path / "one.csv").read_text()
    (parts / "_SUCCESS").unlink()
    shutil.copy(parts / "part-00001.csv", parts / "part-00002.csv")
    code, told = part(0, "-o", parts, "--force")
    assert code == 2 and "part-00002.csv" in told


@pytest.mark.parametrize("options, word", [([], "-o DIR"), (["-o", "parts", "--fdr", "0.1"], "--fdr")])
def test_what_parts_cannot_do_is_refused(run, monkeypatch, trained, tmp_path, options, word):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    one_error(run("ae-score", trained, WDBC, *options), 2, word)
    one_error(run("ae-score", trained, "-", "-o", "parts", stdin="x\n1\n"), 2, "standard input")
    assert not (tmp_path / "parts").exists() or list((tmp_path / "parts").iterdir()) == []


def job(script, *args, cwd, bin_folder):
    environment = plain_environment()
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "MASTER_PORT": str(free_port())}
    return subprocess.run([SOURCE / "scripts/cluster" / script, *map(str, args)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=120)  # fmt: skip


@pytest.mark.skipif(not shutil.which("mpirun"), reason="needs Open MPI's mpirun")
def test_the_job_file_for_mpirun(alone, bin_folder, tmp_path):
    arguments = ["--oversubscribe", "-np", "2", "--", CONFIG, "--out", "run", *FEW]
    done = job("train-mpirun.sh", *arguments, cwd=tmp_path, bin_folder=bin_folder)
    assert done.returncode == 0, done.stderr
    alone("ae-train", CONFIG, "--out", "one", *FEW)
    same_weights(tmp_path / "run", tmp_path / "one")
    assert job("train-mpirun.sh", "-np", "2", cwd=tmp_path, bin_folder=bin_folder).returncode == 2


@pytest.mark.skipif(not shutil.which("parallel"), reason="needs GNU parallel")
def test_the_job_file_for_gnu_parallel(alone, bin_folder, trained, tmp_path):
    done = job("score-parallel.sh", 3, trained, WDBC, "-o", "parts", "-q", cwd=tmp_path, bin_folder=bin_folder)
    assert done.returncode == 0, done.stderr
    alone("ae-score", trained, WDBC, "-o", "one.csv", "-q")
    assert joined(tmp_path / "parts", 3) == (tmp_path / "one.csv").read_text()


@pytest.mark.parametrize("script", ["train.sbatch", "score-array.sbatch"])
def test_the_job_files_for_slurm(alone, together, bin_folder, trained, tmp_path, script):
    """With stand-ins for Slurm's own programs, which a test cannot have."""
    stand_ins = tmp_path / "bin"
    stand_ins.mkdir()
    (stand_ins / "scontrol").write_text("#!/bin/sh\necho 127.0.0.1\n")
    (stand_ins / "srun").write_text(
        "#!/bin/sh\nwhile [ \"${1#--}\" != \"$1\" ]; do shift; done\n"
        "export SLURM_STEP_ID=0\nSLURM_PROCID=1 \"$@\" & SLURM_PROCID=0 \"$@\" || exit; wait $!\n"
    )
    for path in stand_ins.iterdir():
        path.chmod(0o755)
    environment = plain_environment()
    environment["PATH"] = f"{stand_ins}:{bin_folder}:{environment['PATH']}"

    def submit(**variables):
        arguments = [CONFIG, "--out", "run", *FEW] if script == "train.sbatch" else [trained, WDBC, "-o", "parts", "-q"]
        done = subprocess.run(["bash", SOURCE / "scripts/cluster" / script, *map(str, arguments)], cwd=tmp_path,
                              env=environment | variables, capture_output=True, text=True, timeout=120)  # fmt: skip
        assert done.returncode == 0, done.stderr

    if script == "train.sbatch":
        job_id = str(free_port())
        submit(SLURM_JOB_ID=job_id, SLURM_NTASKS="2", SLURM_JOB_NODELIST="here", SLURM_JOB_NUM_NODES="1")
        alone("ae-train", CONFIG, "--out", "one", *FEW)
        same_weights(tmp_path / "run", tmp_path / "one")
    else:
        for task in range(2):
            submit(SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="2", SLURM_PROCID="0", SLURM_NTASKS="1")
        alone("ae-score", trained, WDBC, "-o", "one.csv", "-q")
        assert joined(tmp_path / "parts", 2) == (tmp_path / "one.csv").read_text()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2")
def test_two_hosts(alone, bin_folder, tmp_path):
    """Two network namespaces, joined by a cable, stand for two hosts."""
    hosts = [f"ae-{os.getpid()}-{i}" for i in range(2)]

    def ip(*args):
        return subprocess.run(["ip", *args], capture_output=True, text=True).returncode == 0

    try:
        if not all(ip("netns", "add", host) for host in hosts):
            pytest.skip("may not make network namespaces")
        cable = ("link", "add", "cable", "netns", hosts[0], "type", "veth", "peer", "name", "cable", "netns", hosts[1])
        assert ip(*cable)
        for i, host in enumerate(hosts):
            assert ip("-n", host, "addr", "add", f"10.99.7.{i + 1}/24", "dev", "cable")
            assert ip("-n", host, "link", "set", "cable", "up") and ip("-n", host, "link", "set", "lo", "up")
        variables = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "10.99.7.1", "MASTER_PORT": "29500"}
        ranks = [
            subprocess.Popen(["ip", "netns", "exec", host, bin_folder / "ae-train", CONFIG, "--out", "run", *FEW],
                             cwd=tmp_path, env=plain_environment() | variables | {"RANK": str(i)})
            for i, host in enumerate(hosts)
        ]  # fmt: skip
        assert [process.wait(timeout=60) for process in ranks] == [0, 0]
    finally:
        for host in hosts:
            ip("netns", "del", host)
    alone("ae-train", CONFIG, "--out", "one", *FEW)
    same_weights(tmp_path / "run", tmp_path / "one")
