"""Ray Serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from environments import FOLDER, python_of
from oip_client import OipClient
from side import Deployment, Launch, environment_of

if TYPE_CHECKING:
    from subprocess import Popen

# What its documentation has for many requests: no detours, and HAProxy, which ray[serve] brings,
# in place of a proxy in Python.
SETTINGS = {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayServeSide:
    """A cluster of its own on this machine, with an actor for each replica."""

    name = "ray_serve"
    title = "Ray Serve"
    settings = (
        "ray 2.60.0: `RAY_SERVE_THROUGHPUT_OPTIMIZED` and `RAY_SERVE_ENABLE_HA_PROXY`, "
        "`num_replicas` = replicas, `max_ongoing_requests` 16, no dashboard, access log off, log "
        "level WARNING; Open Inference Protocol over gRPC; its HAProxy listens on all interfaces"
    )
    environment = "ray_serve"
    joins = True
    copies_weights = True
    loads_while_serving = False
    is_server = True

    def launch(self, deployment: Deployment) -> Launch:
        """`servers/ray_serve_server.py`."""
        port, metrics_port, stats_port = deployment.ports.free(3)

        def connect(_: Popen[str]) -> OipClient:
            return OipClient(port, deployment.workload, deployment.folder)

        proxy = deployment.folder  # Directly: its socket has a path of at most 97 characters.
        variables = {
            **environment_of(self.name, deployment, port),
            **SETTINGS,
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "server-state"),
        }
        return Launch(
            [python_of(self.name), FOLDER / "servers" / "ray_serve_server.py"], variables, connect
        )
