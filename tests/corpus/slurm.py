"""A Slurm of one machine: `sbatch` runs a script's job array at once and waits, so dependencies hold by themselves."""

import os
import stat
import sys
from pathlib import Path

# Jobs that depend on others are submitted after them, so running at submission keeps the order.
_SBATCH = """
import os, re, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
exported = dict(pair.split("=") for arg in sys.argv if arg.startswith("--export=") for pair in arg[9:].split(",")[1:])
array = re.search("#SBATCH --array=0-([0-9]+)", text)
failed = 0
for index in range(int(array[1]) + 1 if array else 1):
    job = {"SLURM_ARRAY_TASK_ID": str(index), "SLURM_NODELIST": "node1", "SLURM_JOB_ID": "1"} if array else {}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = subprocess.run(["bash", script], env=os.environ | exported | job, **quiet)
    failed += run.returncode != 0
with open(os.environ["SLURM_TEST_LOG"], "a") as log:
    log.write(re.search("#SBATCH --job-name=(.*)", text)[1] + f" {failed}\\n")
print("Submitted batch job 1")
"""
_SRUN = """
import os, sys
command = sys.argv[sys.argv.index("launch_pickled_pipeline"):]
os.execvp(command[0], command)
"""
_SCONTROL = 'print("node1")'


def install(folder: Path) -> dict[str, str]:
    """Write the three commands and return the environment in which they are found.

    What ran stands in `folder/log`, a line a job: its name and how many of its tasks failed.
    """
    for name, code in {"sbatch": _SBATCH, "srun": _SRUN, "scontrol": _SCONTROL}.items():
        command = folder / name
        command.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    programs = Path(sys.executable).parent
    return {
        "PATH": f"{folder}{os.pathsep}{programs}{os.pathsep}{os.environ['PATH']}",
        "SLURM_TEST_LOG": str(folder / "log"),
    }
