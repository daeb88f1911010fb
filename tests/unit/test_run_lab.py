"""`make lab`: on the loopback address, with a token, with the kit's kernel, without a question about news."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil


def ask(port, path, token=""):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def status(server, port):
    """What the server answers to a request without a token, as soon as it answers."""
    while server.poll() is None:
        try:
            return ask(port, "/api/status")
        except urllib.error.HTTPError as refused:
            return refused.code
        except urllib.error.URLError:
            time.sleep(0.2)
    return "the server ended"


def test_the_laboratory_is_closed_to_others_and_knows_the_kernel(kit, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")
    environment = kit.environment | {name: str(tmp_path / name) for name in own} | {"JUPYTER_TOKEN": "secret"}
    command = [
        sys.executable,
        "-m",
        "finegrain.run",
        "lab",
        "--no-browser",
        f"--port={port}",
        "--ServerApp.port_retries=0",
    ]
    command += ["--allow-root"] if os.geteuid() == 0 else []
    server = subprocess.Popen(command, cwd=kit.root, env=environment, stderr=subprocess.DEVNULL)
    try:
        assert status(server, port) == 403
        assert ask(port, "/api/kernelspecs", "secret")["default"] == "finegrain"
        plugin = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
        assert ask(port, plugin, "secret")["schema"]["properties"]["fetchNews"]["default"] == "false"
        listening = psutil.Process(server.pid).net_connections("tcp")
        assert {connection.laddr.ip for connection in listening if connection.status == "LISTEN"} == {"127.0.0.1"}
    finally:
        server.terminate()
        server.wait(timeout=30)
