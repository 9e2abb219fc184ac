"""No test here asks the hub for anything."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # for transformers and huggingface_hub, if these tests import them first

import huggingface_hub.constants  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
