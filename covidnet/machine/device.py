"""Which device a command computes on."""

import torch

from covidnet.errors import UserError


def find_device(given: str | None) -> torch.device:
    """Return the device that ``--device`` names, or a GPU where there is one, else the CPU.

    Raises:
        UserError: Where there is no such device here.
    """
    name = given or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # An unknown name is a RuntimeError, a GPU without its driver an AssertionError.
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
