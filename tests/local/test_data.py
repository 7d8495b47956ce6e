"""The file of `--data`."""

import pathlib
import stat
import subprocess

LOCAL = pathlib.Path(__file__).parents[2] / "target/debug/examples/local"


def test_only_its_owner_can_read_the_data_and_the_next_run_has_it(tmp_path):
    data = tmp_path / "data"
    for created in [True, False]:
        command = [LOCAL, "--port", "0", "--database-port", "0", "--empty", "--data", data]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, umask=0)
        try:
            assert any(line.startswith("listening on") for line in run.stdout)
        finally:
            run.terminate()
            run.wait()
        files = list(tmp_path.iterdir())
        assert data in files and data.stat().st_size > 0, created
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
