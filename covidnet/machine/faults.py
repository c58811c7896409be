"""What a machine does to a command -> one message that says what to do; what is not known keeps its traceback."""

import errno
import re

from covidnet.errors import MachineError, UserError, short

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)  # names that the user gave
BROKEN = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
CUT = re.compile(r"inline_container.*unexpected pos|PytorchStreamWriter failed|iostream error")  # torch on a full disk
NO_MEMORY = re.compile(r"out of memory|can't allocate memory|STATUS_ALLOC_FAILED")
DEAD_WORKER = re.compile(
    r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) (is killed by signal: [^.]*|exited unexpectedly)"
)
ONE_IMAGE = "Expected more than 1 value per channel when training"  # torch's BatchNorm
IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process.*\n\S*UserError: ", re.DOTALL)


def explain(error: BaseException, batch_size: int | None = None, go_on: str = "") -> UserError | None:
    """Return what to tell the user of an error whose cause is known, or None.

    Args:
        error: What ended the command.
        batch_size: ``data.batch_size`` of a training.
        go_on: How to go on with what is kept, once the cause is mended.
    """
    link: BaseException | None = error
    while link is not None:
        known = _explain_one(link, batch_size, go_on)
        if known:
            return known
        # A cause is given on purpose; a mere context only where torch hides the disk's own error in it.
        link = link.__cause__ or (link.__context__ if CUT.search(str(link)) else None)
    return _full("A checkpoint", "the disk took only a part of it", go_on) if CUT.search(str(error)) else None


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that there is no memory left."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def _explain_one(error: BaseException, batch_size: int | None, go_on: str) -> UserError | None:
    if isinstance(error, UserError):
        return type(error)(IN_WORKER.sub("", str(error)))  # a worker's comes with its traceback
    if isinstance(error, OSError):
        return _explain_disk(error, go_on)
    if is_out_of_memory(error):
        return _explain_memory(error, batch_size, go_on)
    if isinstance(error, RuntimeError):
        return _explain_worker(str(error), go_on)
    if ONE_IMAGE in str(error):
        return UserError(
            "A batch of one image is too few for a network with BatchNorm whose last maps are one pixel wide. Give a "
            f"data.batch_size (now {batch_size}) that leaves more at the end of an epoch, or a larger data.image_size."
        )
    return None


def _explain_disk(error: OSError, go_on: str) -> UserError | None:
    file = short(error.filename) if error.filename else "A file"
    reason = error.strerror or str(error)
    if error.errno == errno.EISDIR:
        taken = short(error.filename2) if error.filename2 else file
        return UserError(f"{taken} is a folder, but a file is to be written there. Move it away.{go_on}")
    if error.errno == errno.EEXIST and error.filename:
        return UserError(
            f"{file} is there already, as a file or a link that leads nowhere, but something new is to be made there. "
            f"Move it away, or give another path.{go_on}"
        )
    if error.errno in FULL:
        return _full(file, reason, go_on)
    if error.errno in REFUSED:
        return UserError(
            f"{file} cannot be opened, made or changed: {reason}. Allow it, or give another folder: --out of a "
            "command, trainer.default_root_dir for runs, data.cache_dir for decoded images, data.root for "
            f"radiographs.{go_on}"
        )
    if error.errno in IMPOSSIBLE and error.filename:
        return UserError(f"{file} cannot be opened: {reason}. Give another path.")
    if error.errno in BROKEN:
        return MachineError(
            f"{file} cannot be read or written: {reason}. The disk is failing, or the network folder does not answer. "
            f"What was finished is kept.{go_on}"
        )
    if error.errno == errno.ENOENT and error.filename:
        return MachineError(
            f"{file} cannot be opened: {reason}. Its folder is missing, or was removed or renamed while the command "
            f"ran.{go_on}"
        )
    return None


def _full(file: str, reason: str, go_on: str) -> MachineError:
    return MachineError(
        f"{file} cannot be written: {reason}. What was finished is kept, and nothing half-written takes its place. "
        "Make room there, or give another folder: --out of a command, trainer.default_root_dir for runs, "
        f"data.cache_dir for decoded images.{go_on}"
    )


def _explain_memory(error: BaseException, batch_size: int | None, go_on: str) -> MachineError:
    on_gpu = type(error).__name__ == "OutOfMemoryError" or "CU" in str(error)
    what = "The GPU's memory is full" if on_gpu else "This machine's memory is full"
    smaller = "a smaller data.image_size, or trainer.precision=bf16-mixed" if on_gpu else "a smaller data.image_size"
    workers = "" if on_gpu else ", or fewer data.num_workers"
    if batch_size is None:
        return MachineError(f"{what}. Try fewer or smaller images at once, or end what else uses it.")
    if batch_size > 1:
        smaller = f"data.batch_size={batch_size // 2} (now {batch_size}); else {smaller}"
    return MachineError(f"{what}. Try {smaller}{workers}; or end what else uses it.{go_on}")


def _explain_worker(message: str, go_on: str) -> MachineError | None:
    dead = DEAD_WORKER.search(message)
    if dead:
        how = dead[2].removeprefix("is ")
        return MachineError(
            f"A process that loads batches ended (process {dead[1]}, {how}). Where memory runs out, the system kills "
            f"the largest process: try fewer data.num_workers, 0 for none, or a smaller data.batch_size.{go_on}"
        )
    late = re.search(r"DataLoader timed out after ([\d.]+) seconds", message)
    if late:
        return MachineError(
            f"No batch came from the processes that load them for {float(late[1]):.0f} seconds. Does the disk or the "
            f"network folder of data.root answer? data.num_workers=0 loads without such processes.{go_on}"
        )
    return None
