"""JSON Schemas, compared by what they allow."""

from typing import Any

Schema = dict[str, Any]


def flat(schema: Schema, names: dict[str, Schema] | None = None) -> Schema:
    """Without references."""
    names = names or schema.get("$defs", {})
    if "$ref" in schema:
        return flat(names[schema["$ref"].rpartition("/")[2]], names)
    return {
        key: {name: flat(item, names) for name, item in value.items()}
        if key == "properties"
        else flat(value, names)
        if isinstance(value, dict) and key != "$defs"
        else [flat(item, names) for item in value]
        if key == "anyOf"
        else value
        for key, value in schema.items()
    }


def is_covered(said: Schema, ours: Schema) -> bool:
    """Whether whatever fits `said` fits `ours`, as far as these say it: types, bounds, fields."""
    choices = said.get("anyOf", [said])
    return all(any(_fits(choice, our) for our in ours.get("anyOf", [ours])) for choice in choices)


def _fits(said: Schema, ours: Schema) -> bool:
    if said.get("type") != ours.get("type"):
        return False
    if any(
        key in ours and said.get(key) != ours[key] for key in ("minimum", "maximum", "enum", "minItems")
    ):
        return False
    if "items" in ours and not is_covered(said["items"], ours["items"]):
        return False
    theirs = said.get("properties", {})
    fields = ours.get("properties") or dict.fromkeys(theirs, ours.get("additionalProperties") or {})
    if not set(ours.get("required", ())) <= set(said.get("required", ())):
        return False
    return all(is_covered(schema, fields[name]) for name, schema in theirs.items())
