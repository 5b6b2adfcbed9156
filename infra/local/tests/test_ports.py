"""Ports: free when chosen, the same after a restart, never where clients' connections may sit."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from parley_kit.settings import ConfigError
from parley_local.ports import Ports, is_free, require_free


def test_a_name_keeps_its_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    chosen = [ports("kafka"), ports("redis")]
    assert len(set(chosen)) == 2
    again = Ports(tmp_path / "ports.json")
    assert [again("kafka"), again("redis")] == chosen


def test_a_port_lies_below_those_of_outgoing_connections() -> None:
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(Ports()("kafka") < first_outgoing for _ in range(50))


def test_a_port_that_somebody_took_meanwhile_is_chosen_anew(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    taken, kept = ports("kafka"), ports("redis")
    with socket.create_server(("127.0.0.1", taken)):
        ports.renew_taken()
        assert ports("kafka") != taken
        assert ports("redis") == kept
        assert not is_free(taken)


def test_a_gateway_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"^gateway-2: port {port} is in use"):
            require_free(port, "gateway-2", "127.0.0.1")


def test_an_address_of_another_machine_is_not_called_a_port_in_use() -> None:
    with pytest.raises(ConfigError, match=r"^gateway-1: cannot listen on 192\.0\.2\.7:8080: "):
        require_free(8080, "gateway-1", "192.0.2.7")
