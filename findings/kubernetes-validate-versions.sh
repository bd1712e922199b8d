#!/usr/bin/env bash
# kubernetes-validate 1.37.0: which schemas a Kubernetes version chooses, and what becomes of a kind that has none.
#
# Guess: versions are compared as versions (1.3 and 1.9 are too old, 1.29 is newer than both), and a manifest that no
# schema was found for has not been validated, so that the exit code says so.
# Seen: versions are compared as strings. "1.3" is validated by the schemas of 1.29; "1.9" is refused as newer than 1.37.
# A misspelled kind, or an API version that is gone, is a warning and exit code 0, with --strict, too.
# Why it matters: in CI, "every manifest passed" is also what is said of those that were never looked at.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check kubernetes-validate==1.37.0 || exit 2
cat > "$folder/deployment.yaml" <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
YAML
sed 's/Deployment/Deploymnt/' "$folder/deployment.yaml" > "$folder/misspelled.yaml"
sed 's|apps/v1|apps/v1beta1|' "$folder/deployment.yaml" > "$folder/gone.yaml"

as_stated=0
see() { # VERSION FILE EXPECTED-CODE EXPECTED-TEXT
    local said code=0
    said=$("$folder/venv/bin/kubernetes-validate" --strict -k "$1" "$folder/$2" 2>&1) || code=$?
    echo "-k $1 $2: exit code $code, $(sed "s|$folder/||" <<< "$said")"
    [ "$code" = "$3" ] && [[ $said == *"$4"* ]] || as_stated=1
}
see 1.29 deployment.yaml 0 "against version 1.29"
see 1.3 deployment.yaml 0 "against version 1.29"
see 1.9 deployment.yaml 2 "does not support"
see 1.37 misspelled.yaml 0 "Couldn't find schema for kind Deploymnt"
see 1.37 gone.yaml 0 "Couldn't find schema for kind Deployment with api version apps/v1beta1"
exit $as_stated
