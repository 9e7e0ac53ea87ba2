"""What a reader's statement may name: judged on its syntax tree, before anything of it is run.

The lists say what is allowed; what they do not know is refused. The engine gives the tree by `parseQueryToJSON`,
which refuses what it cannot write down faithfully.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sql.embedded.errors import ACCESS_DENIED, READONLY, Refused

Tree = dict[str, Any]

#: The read views of DESIGN.md, and the table that explains their columns.
VIEWS = frozenset(path.stem for path in (Path(__file__).parents[1] / "views").glob("*.sql")) | {"columns_help"}
_SYSTEM = "system"
_INFORMATION = "information_schema"
#: Tables of the engine that tell of nobody: what it can do, and the reader's own settings.
_ABOUT_THE_ENGINE = {
    *("one", "numbers", "numbers_mt", "zeros", "zeros_mt", "functions", "aggregate_function_combinators", "formats"),
    *("data_type_families", "table_functions", "table_engines", "time_zones", "keywords", "collations", "settings"),
}
#: Those of which a reader sees the rows about what it may read (`catalogue_filters`).
_CATALOGUE = {"databases": "name", "tables": "database", "columns": "database"}
_INFORMED = {"schemata", "tables", "views", "columns"}

_GENERATORS = {
    *("numbers", "numbers_mt", "zeros", "zeros_mt", "generate_series", "generateseries", "generaterandom"),
    *("values", "sqlstandardvalues"),
}
_CATEGORIES = {
    *("Aggregate Functions", "Arithmetic", "Arrays", "Bit", "Bitmap", "Comparison", "Conditional", "Dates and Times"),
    *("Decimal", "Distance", "Encoding", "Financial", "Hash", "IP Address", "JSON", "Logical"),
    *("Map", "Mathematical", "Null", "Nullable", "Random Number", "Rounding", "String", "String Replacement"),
    *("String Search", "String Splitting", "Time Window", "Tuple", "Type Conversion", "ULID", "URL", "UUID", "Window"),
}
#: Of the category Other, and of the parser's own.
_MORE_FUNCTIONS = {
    *("bar", "bytesize", "casewithexpression", "connectionid", "countdigits", "currentdatabase", "currentqueryid"),
    *("currentroles", "currentschemas", "currentuser", "defaultvalueofargumenttype", "defaultvalueoftypename"),
    *("displayname", "enabledroles", "errorcodetoname", "exists", "finalizeaggregation", "formatreadabledecimalsize"),
    *("formatreadablequantity", "formatreadablesize", "formatreadabletimedelta", "getsizeofenumtype", "grouping"),
    *("identity", "ignore", "indexhint", "isconstant", "isdecimaloverflow", "lambda"),
    *("lowcardinalityindices", "lowcardinalitykeys", "materialize", "neighbor", "parsereadablesize", "queryid"),
    *("parsereadablesizeornull", "parsereadablesizeorzero", "parsetimedelta", "rownumberinallblocks"),
    *("rownumberinblock", "runningaccumulate", "runningdifference", "runningdifferencestartingwithfirstvalue"),
    *("throwif", "tocolumntypename", "totypename", "transform", "untuple", "variantelement", "varianttype"),
    *("version", "visiblewidth"),
}
#: Of the categories, but out: their work for one row grows by the square of its length, or they call a function by a
#: text, and the engine looks at the time only between blocks of rows. So nothing would end them for hours.
_ENDLESS = re.compile(
    r"(?:edit|dameraulevenshtein|arraylevenshtein)distance\w*|arraysimilarity|jaro\w*similarity|has(?:all|any)"
    r"|arrayfold|arrayreduce\w*|initializeaggregation|kolmogorovsmirnovtest|json(?:_value|_query|_exists|mergepatch)"
    r"|extractall\w*|countmatches\w*|replaceregexpall|splitbyregexp|extracttextfromhtml"
    r"|(?:not)?ilike|(?:position|countsubstrings|multisearch)\w*caseinsensitive\w*"
)
_COMBINATOR = re.compile(
    "(?:simplestate|mergestate|state|merge|foreach|ordefault|ornull|distinct|resample|argmin|argmax|array|map|if|null)$"
)
_IN = {
    prefix + name + suffix
    for prefix in ("", "global")
    for name in ("in", "notin", "nullin", "notnullin")
    for suffix in ("", "ignoreset")
}
_NODES = {
    *("SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "ExpressionList", "Function", "Identifier"),
    *("Literal", "QueryParameter", "Subquery", "WithElement", "TablesInSelectQuery", "TablesInSelectQueryElement"),
    *("TableExpression", "TableIdentifier", "TableJoin", "ArrayJoin", "OrderByElement", "InterpolateElement"),
    *("WindowListElement", "WindowDefinition", "SampleRatio", "Asterisk", "QualifiedAsterisk"),
    *("ColumnsListMatcher", "ColumnsRegexpMatcher", "QualifiedColumnsListMatcher", "QualifiedColumnsRegexpMatcher"),
    *("ColumnsTransformerList", "ColumnsApplyTransformer", "ColumnsExceptTransformer", "ColumnsReplaceTransformer"),
    *("ColumnsReplaceTransformerReplacement", "ShowTablesQuery", "ShowColumnsQuery"),
}
_SHOWN = {"clusters", "cluster", "dictionaries", "merges", "changed", "temporary", "caches"}


def functions(rows: Iterable[list[str]]) -> frozenset[str]:
    """The names, lower case, of the functions that a reader may use.

    `rows` are name, alias_to, origin and categories of system.functions.
    """
    known = {name: (origin, categories) for name, _, origin, categories in rows}
    aliases = {name: alias_to for name, alias_to, _, _ in rows if alias_to}
    found = {name for name in known if _is_harmless(aliases.get(name, name), known)}
    named = {name for name in known if aliases.get(name, name).lower() in _MORE_FUNCTIONS}
    return frozenset(name.lower() for name in found | named) | _MORE_FUNCTIONS


def _is_harmless(name: str, known: Mapping[str, tuple[str, str]]) -> bool:
    origin, categories = known.get(name, ("", ""))
    listed = {each.strip() for each in categories.split(",")}
    return origin == "System" and listed <= _CATEGORIES and not _ENDLESS.fullmatch(name.lower())


def catalogue_filters() -> dict[str, str]:
    """The conditions, by table, on the rows of the engine's catalogue: the views, and what `judge` allows of system."""
    views = ", ".join(f"'{name}'" for name in sorted(VIEWS))
    own = ", ".join(f"'{name}'" for name in sorted(_ABOUT_THE_ENGINE | set(_CATALOGUE)))
    catalogues = f"lower(database) IN ('{_SYSTEM}', '{_INFORMATION}')"
    seen = f"(({catalogues} AND name IN ({own})) OR (NOT {catalogues} AND name IN ({views})))"
    return {"system.tables": seen, "system.columns": re.sub(r"\bname\b", "table", seen)}


class Judge:
    """Decides whether a statement's tree may run for a reader.

    `is_there(table)` says whether the reader's database has a table of that name: a name without a database that
    it does not have is one that the statement itself gives (WITH), or an error.
    """

    def __init__(self, functions: frozenset[str], database: str, is_there: Callable[[str], bool]) -> None:
        self._functions = functions
        self._database = database
        self._is_there = is_there

    def judge(self, tree: Tree) -> None:
        """Refused (497, or 164 for a change) unless all that the tree names is allowed."""
        for node in _nodes(tree):
            kind = node["type"]
            if kind == "SetQuery":
                raise Refused(READONLY, "Cannot modify settings in readonly mode. (READONLY)")
            if kind not in _NODES or "out_file" in node or _SHOWN & node.keys():
                raise denied(f"use {kind}")
            self._names(kind, node)

    def _names(self, kind: str, node: Tree) -> None:
        if kind == "TableExpression" and "table_function" in node:
            self._table_function(node["table_function"])
        elif kind == "TableIdentifier":
            self._table(_parts(node))
        elif kind == "ShowColumnsQuery":
            self._table([each for each in (node.get("database"), node["table"]) if each])
        elif kind == "Function" and not node.get("judged"):
            self._function(node["name"])
            self._right_of_in(node)
        elif "func_name" in node:
            self._function(node["func_name"])
        elif kind == "QueryParameter" and "identifier" in str(node.get("param_type")).lower():
            raise denied("take a name from a parameter")

    def _right_of_in(self, node: Tree) -> None:
        """`x IN name` reads a table of that name, if there is one."""
        arguments = node.get("arguments", {}).get("children", [])
        if node["name"].lower() in _IN and len(arguments) > 1 and arguments[1]["type"] == "Identifier":
            self._table(_parts(arguments[1]))

    def _table_function(self, node: Tree) -> None:
        node["judged"] = True
        name = node["name"]
        if name.lower() not in _GENERATORS:
            self._view(name.split(".") if node.get("is_compound_name") else [name])

    def _view(self, parts: list[str]) -> None:
        if parts[-1] not in VIEWS or len(parts) > 2 or self._database_of(parts) in (_SYSTEM, _INFORMATION):
            raise denied(f"call {'.'.join(parts)}")

    def _table(self, parts: list[str]) -> None:
        if not all(parts):  # a name that comes by a parameter
            raise denied("take a name from a parameter")
        database, name = self._database_of(parts), parts[-1]
        allowed = {_SYSTEM: _ABOUT_THE_ENGINE | set(_CATALOGUE), _INFORMATION: _INFORMED}.get(database, VIEWS)
        written = name.lower() if database == _INFORMATION else name
        if len(parts) > 2 or (written not in allowed and (len(parts) > 1 or self._is_there(name))):
            raise denied(f"read {'.'.join(parts)}")

    def _database_of(self, parts: list[str]) -> str:
        database = parts[0] if len(parts) > 1 else self._database
        return database.lower() if database.lower() == _INFORMATION else database

    def _function(self, name: str) -> None:
        lowered = name.lower()
        if lowered in self._functions:
            return
        while found := _COMBINATOR.search(lowered):
            lowered = lowered[: found.start()]
            if lowered in self._functions:
                return
        raise denied(f"use the function {name}")


def denied(what: str) -> Refused:
    """The refusal of something that a reader asked for."""
    return Refused(
        ACCESS_DENIED, f"reader: Not enough privileges to {what}: a reader has the views of Turnpath. (ACCESS_DENIED)"
    )


def _parts(node: Tree) -> list[str]:
    return list(node.get("name_parts") or [node["name"]])


def _nodes(tree: Tree) -> Iterator[Tree]:
    """All nodes of a tree, each before those in it."""
    waiting: list[Any] = [tree]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "type" in here:
                yield here
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
