#!/usr/bin/env bash
# mlflow-skinny 3.17.2: start_run() as it is installed, without any setting.
#
# Guess: a run in ./mlruns, as the package is for logging without a database, or a message that names what is missing.
# Seen: the default is sqlite:///mlflow.db, which the package has no means to open (SQLAlchemy is not among what it needs); the
# error speaks of the model registry, which nobody asked for. Given a folder instead, it refuses that as being in maintenance and
# advises SQLite. With MLFLOW_ALLOW_FILE_STORE=true the folder works.
# Why it matters: a training job in a small image stops at its first line of logging; the two errors send one from one store to
# the other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check mlflow-skinny==3.17.2 || exit 2
cat > "$folder/log.py" <<'PYTHON'
import mlflow

try:
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
    print("logged")
except mlflow.exceptions.MlflowException as error:
    print(f"{type(error).__name__}: {error}".partition("\n")[0])
PYTHON

as_stated=0
see() { # EXPECTED-TEXT [SETTING...]
    local expected=$1 said
    shift
    mkdir -p "$folder/empty"
    said=$(cd "$folder/empty" && env -u MLFLOW_TRACKING_URI -u MLFLOW_REGISTRY_URI -u MLFLOW_ALLOW_FILE_STORE "$@" \
        "$folder/venv/bin/python" "$folder/log.py" 2> /dev/null) || true
    rm -rf "$folder/empty"
    said=${said//$folder/}
    echo "${*:-no setting}: ${said:0:160}"
    [[ $said == *"$expected"* ]] || as_stated=1
}
see "Model registry functionality is unavailable; got unsupported URI 'sqlite:///"
see "Please migrate to a database backend (e.g., 'sqlite:///mlflow.db')" MLFLOW_TRACKING_URI=./mlruns
see logged MLFLOW_TRACKING_URI=./mlruns MLFLOW_ALLOW_FILE_STORE=true
exit $as_stated
