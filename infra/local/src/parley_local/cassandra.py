"""Apache Cassandra: a ring of one node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parley_local.folders import copy_resource, make_folder, resource, write
from parley_local.jars import jar_set
from parley_local.java import find_java, quick_options
from parley_local.program import NotReady, Program, require_listener

CHECK_SECONDS = 2.0
AGENT = "jamm-0.4.0.jar"


@dataclass(frozen=True, slots=True)
class Cassandra:
    """An acknowledged write is synced to the commit log first (`batch`): a ring of one has no other replica
    to learn it from after a kill.
    """

    folder: Path
    port: int
    storage_port: int

    @property
    def name(self) -> str:
        return "cassandra"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> Program:
        java, jars = find_java(), jar_set("cassandra")
        folder = jars.install()
        make_folder(self.folder)
        write(self.folder / "cassandra.yaml", self.yaml())
        copy_resource("cassandra", "logback.xml", self.folder)
        write(self.folder / "jvm.options", resource("cassandra", "jvm.options"))
        command = (
            str(java),
            *quick_options(jars.archive),
            f"-javaagent:{folder / AGENT}",
            f"@{self.folder / 'jvm.options'}",
            f"-Dcassandra.storagedir={self.folder}",
            f"-Dcassandra.logdir={self.folder}",
            f"-Dcassandra.config={(self.folder / 'cassandra.yaml').as_uri()}",
            f"-Dlogback.configurationFile={(self.folder / 'logback.xml').as_uri()}",
            "-cp",
            f"{folder}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        )
        return Program(self.name, command, self.folder)

    def yaml(self) -> str:
        """Its configuration: the default data center, one token, small memory, no snapshots of dropped tables."""
        return f"""\
cluster_name: parley
num_tokens: 1
initial_token: "0"
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "127.0.0.1:{self.storage_port}"}}]
listen_address: 127.0.0.1
storage_port: {self.storage_port}
rpc_address: 127.0.0.1
native_transport_port: {self.port}
data_file_directories: [{_quoted(self.folder / "data")}]
commitlog_directory: {_quoted(self.folder / "commitlog")}
saved_caches_directory: {_quoted(self.folder / "saved_caches")}
hints_directory: {_quoted(self.folder / "hints")}
commitlog_sync: batch
commitlog_segment_size: 8MiB
commit_failure_policy: die
disk_failure_policy: die
auto_snapshot: false
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
concurrent_reads: 8
concurrent_writes: 8
concurrent_compactors: 1
"""

    def check(self) -> None:
        """Reads a row as a client does."""
        require_listener(self.port)
        from cassandra import DriverException
        from cassandra.cluster import Cluster, NoHostAvailable
        from cassandra.protocol import ProtocolException

        cluster = Cluster(
            ["127.0.0.1"], port=self.port, connect_timeout=CHECK_SECONDS, control_connection_timeout=CHECK_SECONDS
        )
        try:
            cluster.connect().execute("SELECT release_version FROM system.local", timeout=CHECK_SECONDS)
        except (DriverException, NoHostAvailable, ProtocolException, OSError) as error:
            raise NotReady(f"Cassandra: {error}") from error
        finally:
            cluster.shutdown()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
