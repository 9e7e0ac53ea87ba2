"""Values of Prometheus' registry, for tests that cause them."""

from prometheus_client import REGISTRY


def value(name: str, **labels: str) -> float:
    """The sample as it is; 0 where there is none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Since:
    """How much a sample has grown since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    @property
    def grown(self) -> float:
        return value(self._name, **self._labels) - self._before
