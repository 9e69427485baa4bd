"""`one network-diff` where there is nothing to be asked; with hosts and guests it is in tests/e2e."""

from pathlib import Path

import pytest

from merope.daemon.network_diff import main


@pytest.mark.parametrize("words", [[], ["--group", "100"], ["7", "--rules", "file"]])
def test_it_is_told_which_vms(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--home", str(tmp_path)])
    assert ended.value.code == 2
    assert "name VMs, or a group by --group with --rules" in capsys.readouterr().err


def test_without_a_cloud_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["7", "--home", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "one: there is no cloud here that was started\n"
