"""`make lab`: on the loopback address, with a token, with the kit's kernel, without a question about news."""

import json
import urllib.error
import urllib.request

import psutil
import pytest
from running import TOKEN, laboratory


def ask(port, path, token=""):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_laboratory_is_closed_to_others_and_knows_the_kernel(kit, tmp_path):
    with laboratory(kit.root, kit.environment, tmp_path) as (server, port):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(port, "/api/status")
        assert refused.value.code == 403
        assert ask(port, "/api/kernelspecs", TOKEN)["default"] == "finegrain"
        plugin = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
        assert ask(port, plugin, TOKEN)["schema"]["properties"]["fetchNews"]["default"] == "false"
        listening = psutil.Process(server.pid).net_connections("tcp")
        assert {connection.laddr.ip for connection in listening if connection.status == "LISTEN"} == {"127.0.0.1"}
