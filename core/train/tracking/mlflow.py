"""MLflow: the server that MLFLOW_TRACKING_URI names, else a database in the workspace that `mlflow ui` draws."""

import os
import time
from collections.abc import Mapping
from typing import Any

from core.train.tracking.tracker import About

_MOST_PARAM = 500  # characters of a parameter; MLflow's own limit on most stores


class Mlflow:
    def __init__(self, about: About) -> None:
        # Else MLflow tries for minutes when its server is away.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        about.shared.mkdir(parents=True, exist_ok=True)
        server = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(tracking_uri=server or f"sqlite:///{about.shared / 'mlflow.db'}")
        named = os.environ.get("MLFLOW_EXPERIMENT_NAME", "finetune-studio")
        found = self._client.get_experiment_by_name(named)
        place = None if server else (about.shared.absolute() / "mlflow").as_uri()
        experiment = found.experiment_id if found else self._client.create_experiment(named, artifact_location=place)
        self._run = self._client.create_run(experiment, run_name=about.name).info.run_id
        params = [Param(name, str(value)[:_MOST_PARAM]) for name, value in _flat(about.settings).items()]
        self._client.log_batch(self._run, params=params)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name.replace(":", "."), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, result: Mapping[str, float]) -> None:
        self.log(int(result.get("step", 0)), {f"result/{name}": value for name, value in result.items()})
        self._client.set_terminated(self._run)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {prefix + name: value}
    return found
