"""A worker that Dramatiq's command starts is told what to do by environment variables."""

from __future__ import annotations

import pytest

from hypergraph.worker import environment


def test_names_have_commas_between_and_blanks_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(environment.QUEUES, " gpu, default ,,")

    assert environment.read_names(environment.QUEUES) == ("gpu", "default")


@pytest.mark.parametrize("value", ["", "  ", None])
def test_an_empty_variable_is_one_that_is_not_set(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    for name in (environment.NAMESPACE, environment.QUEUES, environment.URL):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    assert environment.read(environment.NAMESPACE, "default") == "default"
    assert environment.read_names(environment.QUEUES, ["default"]) == ("default",)
    with pytest.raises(ValueError, match=r"Which Redis\? Set HYPERGRAPH_REDIS_URL"):
        environment.read_url()
