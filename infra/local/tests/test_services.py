"""The services as programs of a cluster."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from parley_local.cluster import Cluster, plan
from parley_local.layout import Layout
from parley_local.ports import Ports
from parley_local.services import Services
from parley_local.settings import ClusterSettings
from parley_local.supervisor import script_path, write_script


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


def planned(layout: Layout) -> Cluster:
    settings = ClusterSettings.load(data_dir=layout.data_dir, gateway_port=Ports()("gateway-1"))
    return plan(settings, gateways=1, workers=1)


def test_a_path_in_the_environment_means_the_same_to_a_service_as_to_up(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as PARLEY_WORKER_MODEL=models/mine, and the files of certificates."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    cluster = planned(layout)
    for service in cluster.services:
        program = service.program()
        write_script(layout, program)
        script = script_path(layout, program)
        script.write_text(script.read_text().replace("exec ", "pwd; exit; "))
        said = subprocess.run(["/bin/sh", script], cwd="/", capture_output=True, text=True, check=True).stdout
        assert said == f"{tmp_path / 'here'}\n"


def test_a_module_in_the_working_folder_is_not_taken_for_a_package(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parley_auth.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    program = planned(layout).auth.program()
    command = [*program.command[:-1], "parley_auth.settings"]
    done = subprocess.run(command, cwd=program.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


EVERYWHERE = "0.0.0.0"  # noqa: S104 - as an operator may set it


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        (EVERYWHERE, "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("::", "http://[::1]:8080"),
    ],
)
def test_a_gateway_is_asked_where_it_listens(host: str, url: str) -> None:
    assert Services({}, Ports()).gateway(1, 8080, host).url == url


@pytest.fixture
def ready() -> Iterator[int]:
    """The port of a service that says 200 to everything."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name of http.server
            del format

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_proxy_of_the_environment_is_not_asked(ready: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    Services({}, Ports()).gateway(1, ready, "127.0.0.1").check()
