"""The reader of what a notebook prints goes on, whatever happens to the file that it writes to."""

from __future__ import annotations

import codecs
import os
import threading
from pathlib import Path

import pytest

from services.databricks.notebook import capture
from services.databricks.notebook.capture import Capture
from services.databricks.notebook.events import Events
from tests.servers.waiting import wait_for


class FullDisk(Events):
    """Events on a disk that is full until `space` is set."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.space, self.refused, self.texts = threading.Event(), threading.Event(), list[str]()

    def text(self, stream: str, text: str, last: bool = False) -> None:
        if not self.space.is_set():
            self.refused.set()
            raise OSError(28, "No space left on device")
        self.texts.append(text)


def test_output_that_could_not_be_kept_is_told_and_what_comes_after_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "RETRY_SECONDS", 0.01)
    events = FullDisk(tmp_path)
    reader = Capture(events)
    end, beginning = os.pipe()
    os.set_blocking(end, False)
    reader._readers[end] = "stdout"
    reader._decoders["stdout"] = codecs.getincrementaldecoder("utf-8")("replace")
    threading.Thread(target=reader._read_forever, daemon=True).start()
    os.write(beginning, b"lost\n")
    assert events.refused.wait(30)
    events.space.set()
    os.write(beginning, b"kept\n")
    wait_for("the text", lambda: "kept\n" in events.texts, 30, every=0.01)
    assert "No space left on device" in events.texts[0]
    assert "Output is missing here" in events.texts[0]
