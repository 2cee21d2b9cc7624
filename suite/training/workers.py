"""One cell trained by several workers: data parallel, by Ray Train's TorchTrainer, over gloo on CPUs and NCCL on GPUs.

suite.runner.launch schedules cells. Here the cell's process waits while its workers train and passes on what the first of them tells it;
they leave a last checkpoint, from which it measures the network as ever.

    train_together   in the cell's process
    loop             in each worker

Workers hold nothing that a checkpoint does not: where one is lost, or its machine, all begin again from the last. With as many workers as
before the weights are the same bit for bit on CPUs, if there are two; more add up in an order that gloo and NCCL choose. They find each
other through suite.training.rendezvous, and checkpoints in the storage through suite.training.storage. Each loads the training images
where it is; the first loads the other sets, too, checks that none overlap, and tells the cell their checksums.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from suite.core.errors import Exit, SuiteError
from suite.core.paths import go_to_working_folder
from suite.core.redaction import error_text
from suite.core.stop import StopFlag, Stopped
from suite.core.torch_state import SLEEPING, limit_threads, thread_environment
from suite.data.digests import check_same_files
from suite.data.feed.training_set import load_training
from suite.records.cell import SECONDS_BETWEEN_PROGRESS, CellContext, Progress
from suite.records.spec import RunSpec
from suite.study.outside.plugins import install
from suite.study.protocols import protocol
from suite.study.tasks import task
from suite.training import checkpoints, ray_internals, storage
from suite.training import loop as train
from suite.training.prepare import load_data, prepare_training, report_progress
from suite.training.share import Share
from suite.training.start import read_starting_weights

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.train import Result
    from ray.train.torch import TorchTrainer

# Ray is imported in functions: a cell that one worker trains does without it.
LOSSES = 8  # of workers or machines that a training survives; a run of days on rented machines sees some
CONTROLLER_LIVES = 2  # of the process that leads them; the second time the cell has failed
KEPT = 2  # checkpoints: the last, and the one before while the last is being written
PATIENCE_SECONDS = 4 * 3600  # that workers wait for one another: the first alone validates, others lose nothing but time
MAILBOX_SECONDS = 0.5
SECONDS_BETWEEN_LOOKS = 5.0
PEERS = ("gloo", "NCCL", "Connection closed by", "Connection reset by")  # in the errors of those that lost another worker


class Mailbox:
    """What workers tell the cell: an actor on the cell's machine. Latest progress, checksums, and the error that ends the training."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._checksums: dict[str, str] = {}
        self._refusal: tuple[str, int | None] | None = None
        self._stopping = False

    def stop(self) -> None:
        """Note, for the cell, that the workers are to save and end."""
        self._stopping = True

    def stopping(self) -> bool:
        """Return whether the workers are to save and end."""
        return self._stopping

    def tell(self, progress: Progress) -> None:
        """Take progress from the first worker."""
        self._progress = progress

    def tell_checksums(self, checksums: dict[str, str]) -> None:
        """Take the checksums of the sets from the first worker."""
        self._checksums = checksums

    def refuse(self, error: str, exit: int | None) -> None:
        """Take an error that would come again however often the workers begin anew; `exit` where a user can fix it. The first stands."""
        self._refusal = self._refusal or (error, exit)

    def latest(self) -> Progress | None:
        """Return what was told since this was last asked."""
        progress, self._progress = self._progress, None
        return progress

    def outcome(self) -> tuple[dict[str, str], tuple[str, int | None] | None]:
        """Return the checksums, and the error that ends the training, if any."""
        return self._checksums, self._refusal


@dataclass(frozen=True)
class Work:
    """Spec, context and mailbox of a worker."""

    spec: RunSpec
    context: CellContext
    mailbox: ActorHandle
    begin: str = ""  # the checkpoint that is gone on from where Ray knows of none: the name of its folder in the cell's


def train_together(spec: RunSpec, context: CellContext) -> Generator[Progress, None, tuple[train.Training, dict[str, str]]]:
    """Have the cell trained by `context.workers`; return the training as they left it, and the checksums of its sets.

    SuiteError where that cannot be.
    """
    import ray

    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
    flag, names = StopFlag.of(context.work), context.key_of(spec).names
    context = replace(context, stored_as=storage.find_cell(_place(context)[0], (context.work.name, *names)))
    for life in range(CONTROLLER_LIVES):
        storage.prepare(*_place(context))
        begin, said = storage.mend_folder(*_place(context), spec.fingerprint, names)
        fit = _Fit(_trainer(Work(spec, context, mailbox, begin)))
        again = ["Ray's controller was lost, and all begin again;"] if life else []
        yield Progress(spec.fingerprint, "starting", 0, spec.iterations, note=" ".join([*again, f"{context.workers} workers", *said]))
        looked, told = 0.0, ""
        while fit.under_way(MAILBOX_SECONDS):
            if flag.requested():
                mailbox.stop.remote()
            progress = ray.get(mailbox.latest.remote())
            if progress is not None:
                yield progress
            elif time.monotonic() - looked >= SECONDS_BETWEEN_LOOKS:  # it may wait for room that another, which was killed, left taken
                looked = time.monotonic()
                problem = ray_internals.free_abandoned_groups()
                if problem and not told:
                    told = problem
                    yield Progress(spec.fingerprint, "starting", 0, spec.iterations, note=problem)
        if not fit.lost():
            break
    checksums, refusal = ray.get(mailbox.outcome.remote())
    if refusal is not None:
        text, code = refusal
        raise RuntimeError(f"a worker failed: {text}") if code is None else SuiteError(text, exit=Exit(code))
    run = _result(spec, context, fit.result(), begin)
    if run.iteration < spec.iterations:
        raise Stopped(f"{spec.label} was asked to stop at iteration {run.iteration}")
    return run, checksums


@dataclass
class _Fit:
    """A trainer at work in a thread: its `fit` returns when all is done. A daemon, so that a cell that is given up can end."""

    trainer: TorchTrainer
    outcome: list[Result | Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome.append(self.trainer.fit())
        except Exception as error:
            self.outcome.append(error)

    def under_way(self, seconds: float) -> bool:
        """Wait up to `seconds`; return whether it is not done yet."""
        self.thread.join(seconds)
        return self.thread.is_alive()

    def lost(self) -> bool:
        """Return whether the process died that Ray Train leads the workers from: they end with it, and it leaves what it was writing."""
        import ray

        return isinstance(self.outcome[0], ray.exceptions.RayActorError)

    def result(self) -> Result:
        """Return what came of it; SuiteError where too many workers were lost, RuntimeError where Ray Train itself failed."""
        import ray.train

        outcome = self.outcome[0]
        if not isinstance(outcome, Exception):
            return outcome
        if not isinstance(outcome, ray.train.WorkerGroupError):
            raise RuntimeError(f"Ray Train failed: {outcome}") from outcome
        reason = (str(outcome).strip().splitlines() or [type(outcome).__name__])[-1]
        raise SuiteError(
            f"workers were lost more than {LOSSES} times; the last time: {reason} The same command continues from the checkpoint.",
            exit=Exit.INCOMPLETE,
        ) from outcome


def _trainer(work: Work) -> TorchTrainer:
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from suite.training.rendezvous import OneAddress

    context, cuda = work.context, work.spec.device == "cuda"
    place, name = _place(context)
    run = RunConfig(
        name=name,
        storage_path=place,
        failure_config=FailureConfig(max_failures=LOSSES),
        checkpoint_config=CheckpointConfig(num_to_keep=KEPT),
        worker_runtime_env={"env_vars": thread_environment(context.threads) | SLEEPING},
    )
    scaling = ScalingConfig(
        num_workers=context.workers,
        use_gpu=cuda,
        resources_per_worker={"CPU": context.threads} | ({"GPU": context.gpus} if cuda else {}),
    )
    return TorchTrainer(run_worker, train_loop_config={"work": work}, torch_config=OneAddress(), scaling_config=scaling, run_config=run)


def _place(context: CellContext) -> tuple[str, str]:
    """Return the storage, and the name of the cell's folder there."""
    return context.storage or str(context.work.parent), context.stored_as or context.work.name


def run_worker(config: dict[str, Work]) -> None:
    """Train as one of the workers, from the last checkpoint to the end."""
    import ray

    from suite.training.rendezvous import process_group

    go_to_working_folder()
    work = config["work"]
    if ray.get(work.mailbox.outcome.remote())[1] is not None:
        return  # begun anew after an error that would come again
    try:
        install(work.context.plugins)
        limit_threads(work.context.threads)
        rank, backend = ray.train.get_context().get_world_rank(), "nccl" if work.spec.device == "cuda" else "gloo"
        with process_group(rank, work.context.workers, backend, PATIENCE_SECONDS):
            _train(work, rank)
    except Exception as error:
        if not _lost_another(error):
            code = int(error.exit) if isinstance(error, SuiteError) else None
            text = str(error) if isinstance(error, SuiteError) else error_text(error)
            ray.get(work.mailbox.refuse.remote(text, code))
        raise


def _lost_another(error: Exception) -> bool:
    """Return whether a worker failed because another was lost; then all begin anew."""
    import ray

    known = isinstance(error, (torch.distributed.DistError, ray.exceptions.RayError))
    return known or (isinstance(error, RuntimeError) and any(word in str(error) for word in PEERS))


def _train(work: Work, rank: int) -> None:
    import ray

    spec, context, row = work.spec, work.context, task(work.spec.task)
    folder = context.work / f"worker-{rank}"  # on this machine; only the storage outlives a worker
    _check_seen(context)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    validation, files = [], {}
    if rank:
        images = load_training(spec.train_set, row)
    else:
        data = load_data(spec, row, protocol(spec.protocol))
        images, validation, files = data.train, data.validation, data.files
        ray.get(work.mailbox.tell_checksums.remote(data.checksums))
        del data  # the test images with it
    run, sampler = prepare_training(spec, context, Share(rank, context.workers, context.micro_batch), images, files)
    begun = ray.train.get_checkpoint() or storage.open_checkpoint(*_place(context), work.begin)
    if begun is not None:
        with begun.as_directory() as kept:
            state = _state(Path(kept), run)
        place = "/".join(_place(context))
        check_same_files(checkpoints.own_files(state, spec), files, spec.label, f"remove the folder {place}")
        run.restore(state)
    told_at = 0.0
    stop = _Asked(work.mailbox) if rank == 0 else lambda: False
    steps = train.train(run, sampler, validation, folder, stop=stop, keep=lambda run: _keep(run, folder))
    for progress in report_progress(run, steps):
        if rank == 0 and time.monotonic() - told_at >= SECONDS_BETWEEN_PROGRESS:
            told_at = time.monotonic()
            work.mailbox.tell.remote(progress)


@dataclass
class _Asked:
    """The cell's wish that its workers stop: asked of its mailbox now and then, by the first worker alone."""

    mailbox: ActorHandle
    at: float = 0.0
    answer: bool = False

    def __call__(self) -> bool:
        import ray

        if not self.answer and time.monotonic() - self.at >= MAILBOX_SECONDS:
            self.at = time.monotonic()
            self.answer = ray.get(self.mailbox.stopping.remote())
        return self.answer


def _keep(run: train.Training, folder: Path) -> None:
    """Write a checkpoint to the storage; all workers take part, and the first has it."""
    import ray

    done = {"iteration": run.iteration}
    if run.share.rank != 0:
        ray.train.report(done)
        return
    with tempfile.TemporaryDirectory(dir=folder) as made:
        checkpoints.save(Path(made), run.state())
        ray.train.report(done, checkpoint=ray.train.Checkpoint.from_directory(made))


def _check_seen(context: CellContext) -> None:
    """Raise SuiteError where the storage is a folder that this machine does not have."""
    place, name = _place(context)
    if "://" not in place and not Path(place, name).is_dir():  # the cell made it
        raise SuiteError(f"a worker's machine does not see the checkpoints' folder {place}. {storage.STORAGE_ADVICE}", exit=Exit.NOT_READY)


def _state(folder: Path, run: train.Training) -> dict[str, Any]:
    state = checkpoints.load(folder, run.spec.fingerprint, run.key.names)
    if state is None:
        raise SuiteError(f"the checkpoint of {run.spec.label} is gone from the storage. Remove its folder there to train from the start.")
    return state


def _result(spec: RunSpec, context: CellContext, result: Result, begin: str) -> train.Training:
    """Return the training in this process, as the last checkpoint has it; the one of its beginning where all was done before."""
    start = read_starting_weights(spec, context.weights_folder, context.begins_with)
    run = train.begin(spec, start=start, key=context.key_of(spec))
    last = result.checkpoint or storage.open_checkpoint(*_place(context), begin)
    if last is None:
        raise RuntimeError("the workers ended without a checkpoint")
    with last.as_directory() as kept:
        run.restore(_state(Path(kept), run))
    return run
