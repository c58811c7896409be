"""Facts about paths as a user types them."""

from pathlib import Path

import pytest

from covidnet.errors import UserError
from covidnet.files.home import at_home


def test_a_tilde_is_the_users_home_and_that_of_nobody_is_told():
    assert at_home("~/films") == Path.home() / "films"
    assert at_home("films/~a") == Path("films/~a")
    with pytest.raises(UserError, match="names the home of a user who is not here"):
        at_home("~no user of this name/films")
