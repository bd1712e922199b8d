"""`serve run deploy.ray.application:build artifacts=/srv/models`: the service on Ray Serve."""

from typing import Any

import click
from ray import serve
from ray.serve import Application

from deploy.ray.replica import Replica
from service.artifacts.shipped import located
from service.settings import Settings, SettingsUnusable, read_settings

# What a process that listens itself would need: Serve listens, starts replicas and watches over them.
SERVES_OWN = {
    "host": "http_options.host",
    "port": "http_options.port",
    "keep_alive_s": "http_options.keep_alive_timeout_s",
    "root_path": "route_prefix",
    "workers": "num_replicas",
    "start_method": "processes of its own",
    "worker_start_s": "initial_health_check_timeout_s",
    "worker_silence_s": "health_check_timeout_s",
    "grpc_port": "a service of its own, by `python -m service`",
}
# Serve's own queue would have no bound, or answer 503 without Retry-After: the service's limits come first.
ALL_REQUESTS = 1_000_000
# At the least, so long Serve goes on sending requests after it has begun to stop a replica.
SERVE_DRAINS_S = 30


def build(arguments: dict[str, Any]) -> Application:
    """`arguments`: settings by their names, as docs/settings.md has them; SERVICE_<NAME> counts, too.

    What else a deployment has (replicas, processors, GPUs, autoscaling) stands in serve.yaml.
    Raises click.UsageError, which names every argument that is unknown or wrong.
    """
    settings = _settings(arguments)
    deployment = serve.deployment(serve.ingress()(Replica), name="Abacus").options(
        num_replicas=3,
        max_surge_percent=34,  # a successor is ready before a replica is stopped; one at a time, of three
        max_ongoing_requests=ALL_REQUESTS,
        graceful_shutdown_timeout_s=max(SERVE_DRAINS_S, settings.drain_s) + settings.stop_s,
        logging_config={"enable_access_log": False},  # the service writes one, with `access_log=true`
        ray_actor_options={"num_cpus": 1},
    )
    return deployment.bind(settings)


def _settings(arguments: dict[str, Any]) -> Settings:
    theirs = [f"{name} (Serve has {SERVES_OWN[name]})" for name in arguments if name in SERVES_OWN]
    if theirs:
        raise click.UsageError(f"Not under Ray Serve: {', '.join(theirs)}.")
    try:
        return located(read_settings(**arguments), absolute=True)
    except SettingsUnusable as error:
        raise click.UsageError(str(error)) from error
