#!/usr/bin/env bash
# openapi-python-client 0.29.1: two schemas of one union that have the same title.
#
# Guess: a title is a caption for people (JSON Schema, "title" and "description" are annotations): two may share one.
# Seen: with a warning and exit code 0 the whole operation is left out, so that the client has no function for it. With
# different titles, or without any, it is there.
# Why it matters: pydantic gives every model and field a title, so that such documents are common; a build that looks
# at the exit code alone ships a client that cannot ask.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check openapi-python-client==0.29.1 || exit 2
generated() {  # the functions of a client whose operation takes one row or a list of them, with these titles
    cat > "$folder/openapi.json" <<JSON
{
  "openapi": "3.1.0",
  "info": {"title": "Rows", "version": "1"},
  "paths": {"/predict": {"post": {
    "operationId": "predict",
    "requestBody": {"required": true, "content": {"application/json": {"schema": {"anyOf": [
      {"title": "$1", "type": "object", "properties": {"hours": {"type": "number"}}, "required": ["hours"]},
      {"title": "$2", "type": "object", "properties": {"minutes": {"type": "number"}}, "required": ["minutes"]}
    ]}}}},
    "responses": {"200": {"description": "An answer.", "content": {"application/json": {"schema": {"type": "number"}}}}}
  }}}
}
JSON
    rm -rf "$folder/client"
    "$folder/venv/bin/openapi-python-client" generate --path "$folder/openapi.json" --output-path "$folder/client" \
        --meta none > "$folder/said" 2>&1 || return 1
    find "$folder/client" -path '*api*' -name 'predict.py' | wc -l
}
same=$(generated Row Row) different=$(generated Hours Minutes)
echo "same title: $same function(s), exit code 0; different titles: $different"
[ "$same" = 0 ] && [ "$different" = 1 ]
