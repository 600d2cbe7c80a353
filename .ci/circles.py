#!/usr/bin/env python3
"""Circles of imports between the files of src/, without test modules. Prints each; fails if there is one.

An import is a path in the code of a file: one that begins with `crate`, `super` or `self`, or with a
module that the file declares. It leads to the file that defines what is named, also where another file
re-exports it. A `mod` line alone imports nothing. With `--edges`, all imports are printed.
"""
import os, re, sys

SRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src")
USE = r"^\s*(pub(?:\([a-z: ]+\))? )?use ([\w:{},*\s]+);"
TESTS = {"tests", "wycheproof", "model", "oracle"}


def code(text):
    """Without comments, strings, and items under `#[cfg(test)]`."""
    text = re.sub(r"""'"'|r#*".*?"#*|"(?:\\.|[^"\\])*\"""", '""', re.sub(r"^\s*//.*$", "", text, flags=re.M))
    text = re.sub(r"//[^\n]*", "", text)
    out, at = [], 0
    for found in re.finditer(r"#\[cfg\(test\)\]", text):
        if found.start() < at:
            continue
        out.append(text[at:found.start()])
        depth, i = 0, found.end()
        while i < len(text):
            depth += {"{": 1, "}": -1}.get(text[i], 0)
            i += 1
            if depth == 0 and text[i - 1] in ";}":
                break
        at = i
    return "".join(out) + text[at:]


def leaves(tree):
    """The paths of a `use` tree, each with the name that it is known by: `a::{b, c as d}`."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, name = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::")]
        yield parts, name.strip() or parts[-1]
        return
    before = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    depth, start, inner = 0, 0, tree[brace + 1 : tree.rindex("}")]
    for i, char in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            if inner[start:i].strip():
                for parts, name in leaves(inner[start:i]):
                    if parts == ["self"]:
                        parts, name = [], before[-1]
                    yield before + parts, name
            start = i + 1


class File:
    def __init__(self, path, module):
        self.path, self.module = path, module
        self.code = code(open(path, encoding="utf-8").read())
        self.children = set(re.findall(r"\bmod (\w+)\s*;", self.code)) - TESTS
        self.uses = []
        for found in re.finditer(USE, self.code, re.M):
            self.uses += [(bool(found[1]), parts, name) for parts, name in leaves(found[2])]
        self.body = re.sub(USE, "", self.code, flags=re.M)


files = {}


def load(path, module):
    file = files[module] = File(path, module)
    folder = os.path.join(SRC, *module)
    for child in file.children:
        for place in (child + ".rs", os.path.join(child, "mod.rs")):
            if os.path.exists(os.path.join(folder, place)):
                load(os.path.join(folder, place), module + (child,))


def absolute(module, parts):
    """The path from the root of the crate, or None for one that leads out of it."""
    head = parts[0]
    if head == "crate":
        return tuple(parts[1:])
    if head in ("self", "super"):
        base = module
        while parts and parts[0] in ("self", "super"):
            base = base[:-1] if parts[0] == "super" else base
            parts = parts[1:]
        return base + tuple(parts)
    return module + tuple(parts) if head in files[module].children else None


def resolve(path, seen=()):
    """The module whose file defines what the path names."""
    module = ()
    while path and module + (path[0],) in files:
        module, path = module + (path[0],), path[1:]
    if not path or (module, path[0]) in seen:
        return module
    for _, parts, name in files[module].uses:
        target = absolute(module, list(parts))
        if target is None:
            continue
        if name == path[0]:
            return resolve(target, seen + ((module, path[0]),))
        if parts[-1] == "*":
            inner = resolve(target[:-1])
            if re.search(r"\b(struct|enum|trait|fn|const|type|union)\s+%s\b" % re.escape(path[0]), files[inner].body):
                return inner
    return module


load(os.path.join(SRC, "lib.rs"), ())
edges = {}
for module, file in files.items():
    # A re-export is an import where the file itself uses the name.
    paths = [parts for public, parts, name in file.uses if not public or re.search(r"\b%s\b" % re.escape(name), file.body)]
    inline = r"(?<![\w:])((?:crate|super|self|%s)(?:::\w+)+)" % "|".join(sorted(file.children) or ["crate"])
    paths += [found.split("::") for found in re.findall(inline, file.body)]
    for parts in paths:
        target = absolute(module, list(parts))
        to = module if target is None else resolve(target)
        if to != module:
            edges.setdefault(module, {}).setdefault(to, "::".join(parts))


def show(module):
    return os.path.relpath(files[module].path, os.path.join(SRC, ".."))


if "--edges" in sys.argv:
    for module in sorted(edges):
        for to in sorted(edges[module]):
            print(show(module), show(to), edges[module][to])

# Tarjan's components.
index, low, stack, found = {}, {}, [], []


def visit(module):
    index[module] = low[module] = len(index)
    stack.append(module)
    for to in edges.get(module, {}):
        if to not in index:
            visit(to)
            low[module] = min(low[module], low[to])
        elif to in stack:
            low[module] = min(low[module], index[to])
    if low[module] == index[module]:
        component = [stack.pop()]
        while component[-1] != module:
            component.append(stack.pop())
        if len(component) > 1:
            found.append(component)


sys.setrecursionlimit(10_000)
for module in files:
    if module not in index:
        visit(module)
for component in found:
    print("BROKEN: a circle of imports:")
    for module in sorted(component):
        for to in sorted(edges.get(module, {})):
            if to in component:
                print("   ", show(module), "->", show(to), "(" + edges[module][to] + ")")
sys.exit(1 if found else 0)
