"""What the tests of killed runs share."""

import pytest
from crashes import SCENARIOS, Server, Stage


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module", params=SCENARIOS, ids=str)
def stage(request, tmp_path_factory):
    return Stage(tmp_path_factory.mktemp("stage"), request.param)
