#!/usr/bin/env python3
"""Writes docs/settings.md from what the programs declare, so that the page cannot say anything else.

    ae-train --print-schema | scripts/make-settings-page.py > docs/settings.md

Reads the JSON Schema of config files. A test makes the page anew and compares it with the file.
"""

import json
import re
import sys

INTRODUCTION = """# Settings

Every setting that a config file may hold, with what it takes, its default and what it means. A config is a JSON file;
the settings are written here as JSON pointers, as `--set` takes them: `/training/epochs` is the key `epochs` in the
object `training`, and `*` stands for the number of an array's element. What a config leaves out has its default; an
unknown key, a wrong type or a number out of range is an error.

This page is made by `scripts/make-settings-page.py` from what `ae-train --print-schema` prints; `ae-train
--print-settings` prints the same as plain text, and `ae-train CONFIG.json --print-config` all settings of one config."""


def choices(names):
    quoted = [f"`{json.dumps(name)}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def number(value):
    return f"{value:.15g}"


def between(noun, schema):
    """An interval in the usual notation, without the ends that a 64-bit integer has anyway."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and low <= -(2**63):
        low = None
    if high is not None and high >= 2**63 - 1:
        high = None
    start = "(" + number(above) if above is not None else "[" + number(low) if low is not None else ""
    end = number(below) + ")" if below is not None else number(high) + "]" if high is not None else ""
    if start and end:
        return f"{noun} in {start}, {end}"
    if start:
        return f"{noun} {'>' if above is not None else '>='} {start[1:]}"
    if end:
        return f"{noun} {'<' if below is not None else '<='} {end[:-1]}"
    return noun


def value_of(schema):
    """What the setting takes, in words."""
    kind = schema.get("type")
    if "enum" in schema:
        return choices(schema["enum"])
    if kind in ("integer", "number"):
        return between(kind, schema)
    if kind == ["number", "null"]:
        return between("number", schema) + ", or null"
    if kind == "boolean":
        return "true or false"
    if kind == "string":
        return "file name" if "pattern" in schema else "text"
    if kind == "array":
        return "array, each " + value_of(schema["items"])
    if kind == ["array", "null"]:
        return "null or array"
    if kind == "object":
        return "object, each value " + value_of(schema["additionalProperties"])
    return "text, number or boolean, or an array of them"


def escaped(text):
    return re.sub(r"([*<|])", r"\\\1", text)


def meaning_of(schema):
    """The description; choices, which the schema tells a line each, as lines of the cell."""
    first, *others = schema.get("description", "").split("\n")
    lines = [escaped(first)]
    for line in others:
        name, help_text = line.split(": ", 1)
        lines.append(f"`{name}`: {escaped(help_text)}")
    return "<br>".join(line for line in lines if line)


class Page:
    def __init__(self):
        self.blocks = [INTRODUCTION]
        self.told = {}  # a type's declaration to the place that tells it

    def section(self, place, description, variants):
        """A heading and one table. `variants`: [(type or "", its schema)]; what several types share is one row."""
        self.blocks.append(f"## `{place}`")
        names = [name for name, _ in variants if name]
        known = {self.told.get(self.key(schema)) for _, schema in variants}
        if names and len(known) == 1 and None not in known:
            self.blocks.append(f"As `{known.pop()}`, of the types {choices(names)}.")
            return
        if description:
            self.blocks.append(escaped(description))
        if names:
            self.blocks.append("\n".join(self.type_line(name, schema) for name, schema in variants))
        rows, deferred = {}, []
        for name, schema in variants:
            self.told.setdefault(self.key(schema), place)
            self.collect(place, name, schema, rows, deferred)
        if rows:
            head = ["setting", "of type", "value", "default", "meaning"]
            lines = [head, ["---"] * len(head)] + [[row[0], ", ".join(types), *row[1:]] for row, types in rows.items()]
            if not names:
                lines = [line[:1] + line[2:] for line in lines]
            self.blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        for arguments in deferred:
            self.section(*arguments)

    @staticmethod
    def key(schema):
        return json.dumps(schema["properties"], sort_keys=True)

    @staticmethod
    def type_line(name, schema):
        optional = "type" not in schema.get("required", [])
        return f"- `{json.dumps(name)}`{' (default)' if optional else ''}: {escaped(schema['description'])}"

    def collect(self, place, variant, schema, rows, deferred):
        for key, field in schema["properties"].items():
            pointer = f"{place}/{key}"
            if key == "type" and "const" in field:
                continue
            if "oneOf" in field:
                deferred.append((pointer, field["description"], self.variants(field)))
                continue
            if field.get("type") == "object" and "properties" in field:
                self.collect(pointer, variant, field, rows, deferred)
                continue
            default = f"`{json.dumps(field['default'])}`" if "default" in field else "must be given"
            row = (f"`{pointer}`", value_of(field), escaped(default), meaning_of(field))
            rows.setdefault(row, []).append(variant)
            if "oneOf" in field.get("items", {}):
                deferred.append((pointer + "/*", "", self.variants(field["items"])))

    @staticmethod
    def variants(field):
        return [(branch["properties"]["type"]["const"], branch) for branch in field["oneOf"]]

    def sections(self, schema):
        for key, field in schema["properties"].items():
            if key not in ("$schema", "extends"):
                variants = self.variants(field) if "oneOf" in field else [("", field)]
                self.section("/" + key, field["description"], variants)
        return "\n\n".join(self.blocks) + "\n"


if __name__ == "__main__":
    sys.stdout.write(Page().sections(json.load(sys.stdin)))
