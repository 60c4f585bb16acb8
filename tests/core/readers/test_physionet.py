"""Fetching ECG-ID: what is asked of the client, and what its failures become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import wfdb

from core.errors import Cancelled, UserError
from core.progress import Progress
from core.readers.physionet import download_ecgid

RECORDS = ["Person_01/rec_1", "Person_01/rec_2", "Person_02/rec_1"]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stand in for the network: what is fetched is noted."""
    fetched: list[list[str]] = []

    def fetch(database: str, folder: str, records: list[str], **_: Any) -> None:
        assert database == "ecgiddb" and Path(folder).is_dir()
        print("Downloading files...")  # noqa: T201 - as the client does
        fetched.append(records)

    monkeypatch.setattr(wfdb, "get_record_list", lambda _: RECORDS)
    monkeypatch.setattr(wfdb, "dl_database", fetch)
    return fetched


def test_fetches_a_person_at_a_time(
    client: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Progress] = []
    assert download_ecgid(tmp_path / "new" / "ecgid", seen.append) == tmp_path / "new" / "ecgid"
    assert client == [RECORDS[:2], RECORDS[2:]]
    assert [(progress.done, progress.total) for progress in seen] == [(0, 3), (2, 3), (3, 3)]
    assert capsys.readouterr().out == ""


def test_can_be_cancelled(client: list[list[str]], tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise Cancelled

    with pytest.raises(Cancelled):
        download_ecgid(tmp_path, stop)
    assert client == [RECORDS[:2]]


@pytest.mark.parametrize("failing", ["get_record_list", "dl_database"])
def test_no_network_is_one_sentence(
    failing: str, client: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise requests.exceptions.ConnectionError("Max retries exceeded\nwith url")

    monkeypatch.setattr(wfdb, failing, fail)
    with pytest.raises(UserError) as caught:
        download_ecgid(tmp_path)
    assert str(caught.value) == (
        "ECG-ID: cannot be fetched from physionet.org (ConnectionError, 0 done). "
        "Check the connection and try again; what is fetched already is kept."
    )


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made"):
        download_ecgid(tmp_path / "file" / "ecgid")
