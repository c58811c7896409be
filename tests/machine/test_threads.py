"""Facts about threads that wait: commands have them sleep, and what a user has set stays."""

import os

from covidnet.commands.main import main
from covidnet.machine.threads import ASLEEP


def test_commands_have_threads_sleep_but_as_a_user_has_set_it(monkeypatch):
    kept, other = ASLEEP
    monkeypatch.setenv(kept, "ACTIVE")
    monkeypatch.setenv(other, "")
    monkeypatch.delenv(other)
    assert main(["--help"]) == 0
    assert (os.environ[kept], os.environ[other]) == ("ACTIVE", ASLEEP[other])
