"""Filter patterns of CloudWatch Logs [page: Filter pattern syntax for metric filters].

Imitated: terms (``ERROR``, ``"a phrase"``, ``?either ?or``, ``-not``), which are case-sensitive,
and JSON patterns with ``=``, ``!=``, ``<``, ``>``, ``<=``, ``>=``, ``IS NULL``, ``IS TRUE``, ``IS
FALSE``, ``NOT EXISTS``, ``&&``, ``||``, parentheses, wildcards and ``%regular expressions%``.
Space-delimited patterns (``[a, b]``) and regular expressions among terms are rejected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

Matcher = Callable[[str], bool]
_Test = Callable[[Any], bool]
_MISSING = object()


class NotUsable(ValueError):
    """The pattern is not valid or not supported; the text has the reason."""


_TOKEN = re.compile(r"""\s*(?:(?P<selector>\$(?:\.[A-Za-z0-9_\-*]+|\[\d+\]|\.?\['[^']*'\])+)|(?P<operator>&&|\|\||!=|<=|>=|=|<|>|\(|\))
                        |(?P<regex>%[^%]*%)|(?P<quoted>"(?:\\.|[^"\\])*")|(?P<word>[^\s()&|=!<>]+))""", re.VERBOSE)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotUsable(f"invalid character at {text[position:position + 10]!r}")
        kind = str(match.lastgroup)
        found.append((kind, match.group(kind)))
        position = match.end()
    return found


def select(value: Any, selector: str) -> Any:
    """The value a selector such as ``$.a.b[0]`` names, ``None`` when it is not there."""
    found = _select(value, selector)
    return None if found is _MISSING else found


def _select(value: Any, selector: str) -> Any:
    for name, index, quoted in re.findall(r"\.([A-Za-z0-9_\-]+)|\[(\d+)\]|\['([^']*)'\]", selector):
        key = name or quoted
        if index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else _MISSING
        else:
            value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
        if value is _MISSING:
            return _MISSING
    return value


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def parse(self) -> _Test:
        found = self._any()
        if self._at != len(self._tokens):
            raise NotUsable(f"unexpected {self._tokens[self._at][1]!r}")
        return found

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise NotUsable("the pattern ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _follows(self, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][1].upper() == text:
            self._at += 1
            return True
        return False

    def _any(self) -> _Test:
        parts = [self._all()]
        while self._follows("||"):
            parts.append(self._all())
        return lambda value: any(part(value) for part in parts)

    def _all(self) -> _Test:
        parts = [self._one()]
        while self._follows("&&"):
            parts.append(self._one())
        return lambda value: all(part(value) for part in parts)

    def _one(self) -> _Test:
        if self._follows("("):
            inner = self._any()
            if not self._follows(")"):
                raise NotUsable("a ) is missing")
            return inner
        kind, selector = self._next()
        if kind != "selector":
            raise NotUsable(f"a selector such as $.field is expected, found {selector!r}")
        if self._follows("NOT"):
            if not self._follows("EXISTS"):
                raise NotUsable("EXISTS is expected after NOT")
            return lambda value: _select(value, selector) is _MISSING
        if self._follows("IS"):
            _, word = self._next()
            wanted = {"NULL": None, "TRUE": True, "FALSE": False}.get(word.upper(), _MISSING)
            if wanted is _MISSING:
                raise NotUsable(f"NULL, TRUE or FALSE is expected after IS, found {word!r}")
            return lambda value: _select(value, selector) is wanted
        _, operator = self._next()
        kind, text = self._next()
        return _comparison(selector, operator, kind, text)


def _comparison(selector: str, operator: str, kind: str, text: str) -> _Test:
    if operator in ("<", ">", "<=", ">="):
        number = float(text)
        compare: dict[str, Callable[[float], bool]] = {
            "<": lambda found: found < number, ">": lambda found: found > number,
            "<=": lambda found: found <= number, ">=": lambda found: found >= number}
        return lambda value: (lambda found: isinstance(found, (int, float)) and not isinstance(found, bool)
                              and compare[operator](found))(_select(value, selector))
    if operator not in ("=", "!="):
        raise NotUsable(f"an operator is expected after {selector}, found {operator!r}")

    def equal(found: Any) -> bool:
        if kind == "regex":
            return isinstance(found, str) and re.search(text[1:-1], found) is not None
        wanted = json.loads(text) if kind == "quoted" else text
        if isinstance(found, bool) or found is None or isinstance(found, (dict, list)):
            return False
        if isinstance(found, (int, float)):
            try:
                return float(wanted) == float(found)
            except ValueError:
                return False
        # Only the asterisk is a wildcard.
        return fnmatchcase(found, re.sub(r"([\[?])", r"[\1]", wanted))

    def test(value: Any) -> bool:
        found = _select(value, selector)
        if found is _MISSING:
            return False
        return equal(found) == (operator == "=")

    return test


def _terms(text: str) -> Matcher:
    wanted: list[str] = []
    either: list[str] = []
    not_wanted: list[str] = []
    for sign, phrase, word in re.findall(r'([?-]?)(?:"((?:\\.|[^"\\])*)"|(\S+))', text):
        if word.startswith("%"):
            raise NotUsable("regular expressions among terms are not imitated")
        term = phrase.replace('\\"', '"') if phrase else word
        {"?": either, "-": not_wanted, "": wanted}[sign].append(term)
    return lambda message: (all(term in message for term in wanted) and not any(term in message for term in not_wanted)
                            and (not either or any(term in message for term in either)))


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Matcher:
    """A matcher for log messages; raises NotUsable."""
    text = pattern.strip()
    if not text:
        return lambda message: True
    if text.startswith("["):
        raise NotUsable("space-delimited filter patterns are not imitated by the local cloud")
    if not text.startswith("{"):
        return _terms(text)
    if not text.endswith("}"):
        raise NotUsable("a } is missing")
    test = _Parser(_tokens(text[1:-1])).parse()

    def matches(message: str) -> bool:
        try:
            value = json.loads(message)
        except ValueError:
            return False
        return isinstance(value, dict) and test(value)

    return matches
