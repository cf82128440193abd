"""A signed-in user with raw SQL, who once was a member of the victim's project and knows every id and word of it, runs random statements
over all tables and functions in two worlds that differ in the victim's data alone. No row, count, error or estimate may differ.

ATTACKS says how many statements (4,000), ATTACK_SEED which. Not among them: a row of one's own with an id that the victim's row has (a primary
key is unique over all projects, so whoever knows a random id can learn whether it is taken; is_free_project_id says the same of
projects), and claims of somebody else (it is the server that sets claims).
"""

import datetime
import json
import os
import random
import re

import psycopg
import pytest

import worlds

ATTACKS = int(os.environ.get("ATTACKS", 4_000))
SEED = os.environ.get("ATTACK_SEED", "matrice")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00(?::00)?|Z)?")
# A time is written out: now() differs between the worlds, and what a function computes from it would too.
NOW = datetime.datetime.now(datetime.UTC)
TOKEN = re.compile(r"\b[0-9a-f]{64}\b")
# Of the lines of an export, which have times.
HASH = re.compile(r'(\\*"hash\\*": ?\\*")\d+')
# An attacker's statement that runs longer than this ends alike in both worlds.
SETTINGS = "set statement_timeout = '20s'; set timezone = 'UTC'; set jit = off"


class Grammar:
    """Statements over what the catalogue of a world holds. The same seed gives the same statements."""

    def __init__(self, connection, hurt, own, seed):
        self.random = random.Random(seed)
        self.explained = False
        self.tables = {}
        for table, column, type_ in connection.execute(
                "select c.relname, a.attname, format_type(a.atttypid, null) from pg_class c join pg_attribute a on a.attrelid = c.oid"
                " where c.relnamespace = 'matrice'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''"
                " order by c.relname, a.attnum").fetchall():
            self.tables.setdefault(table, {})[column] = type_
        self.unique = {}
        for table, columns in connection.execute(
                "select c.relname, array_agg(a.attname::text order by k.place) from pg_index i join pg_class c on c.oid = i.indrelid"
                " cross join unnest(i.indkey::int2[]) with ordinality k (number, place) join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number"
                " where c.relnamespace = 'matrice'::regnamespace and i.indisunique and i.indpred is null and i.indimmediate and k.place <= i.indnkeyatts"
                " group by i.indexrelid, c.relname order by c.relname, 2").fetchall():
            self.unique.setdefault(table, []).append(columns)
        self.functions = connection.execute(
            "select p.oid::regproc::text, array(select format_type(t, null) from unnest(p.proargtypes) t),"
            "       p.proargnames[1:p.pronargs]::text[], p.pronargdefaults"
            "  from pg_proc p where p.pronamespace in ('matrice'::regnamespace, 'matrice_private'::regnamespace)"
            "   and has_function_privilege('authenticated', p.oid, 'execute') and p.prorettype <> 'trigger'::regtype"
            "   and p.proname <> 'is_free_project_id' order by p.oid::regprocedure::text").fetchall()
        foreign = [*hurt.ids.values(), hurt.owner, worlds.known("victim's viewer 0")]
        mine = [*own.ids.values(), worlds.ATTACKER, worlds.FRIEND]
        # Of the own and the foreign ones one of each kind, so that each is met often.
        few = lambda ids: ids[:6] + self.random.sample(ids[6:], 14)
        self.foreign, self.mine = few(foreign) + [hurt.project] * 4, few(mine) + [own.project] * 4
        self.words = [*hurt.words, *own.words, "file", "viewer", "editor", "owner", "P1", "P2", "running", "success", "failed", worlds.MODEL,
                      "gpt-4o", "markdown", "", "x", "number", "learning", "english", hurt.project, f"{hurt.words[3]}@example.org", f"{hurt.words[0]}.md",
                      f"{hurt.words[0]}-0", "diversity", "day"]

    def pick(self, options):
        return self.random.choice(options)

    def uuid(self):
        return self.pick(self.foreign if self.random.random() < 0.6 else self.mine)

    def value(self, type_, column=""):
        if self.random.random() < 0.03:
            return "null"
        quoted = lambda text, cast: "'" + str(text).replace("'", "''") + f"'::{cast}"
        if type_.endswith("[]") and type_ != "text[]" or type_ == "text[]":
            inner = type_[:-2]
            return f"array[{', '.join(self.value(inner) for _ in range(self.random.randrange(4)))}]::{type_}"
        match type_:
            case "uuid":
                return quoted(self.pick(self.mine) if column == "id" else self.uuid(), "uuid")
            case "text" | "name" | "character varying":
                return quoted(self.pick(self.words), "text")
            case "jsonb" | "json":
                key = self.pick(["tag", "word", "page", "type", "matrice.project", "language", "embedding_model", self.uuid()])
                item = self.pick([self.pick(self.words), self.random.randrange(20), [self.pick(self.words)], {}])
                return quoted(self.pick([json.dumps({key: item}), "{}", "[]", json.dumps([[0.1] * 1536])]), type_)
            case "integer" | "bigint" | "smallint" | "numeric" | "double precision" | "real":
                return f"{self.pick([0, 1, 2, 3, 7, 10, 20, -1, 100, 0.5 if type_ not in ('integer', 'bigint', 'smallint') else 5, 10000])}::{type_}"
            case "boolean":
                return self.pick(["true", "false"])
            case "timestamp with time zone":
                hours = self.pick([0, -24, 1, None])
                moment = "2026-01-01Z" if hours is None else (NOW + datetime.timedelta(hours=hours)).isoformat()
                return quoted(moment, "timestamptz")
            case "interval":
                return "interval '1 hour'"
            case "bytea":
                return quoted("\\x" + self.pick(["00", "0011", "ff"]), "bytea")
            case "vector" | "extensions.vector":
                return worlds.vector(self.random.randrange(2000))
            case "tsvector":
                return f"to_tsvector('english', {self.value('text')})"
            case "tsquery":
                return f"plainto_tsquery('english', {self.value('text')})"
            case "regconfig":
                return "'english'::regconfig"
            case "oid":
                return "'matrice.idx_embeddings_vector'::regclass::oid"
            case _:
                return f"null::{type_}"

    def condition(self, columns, prefix=""):
        terms = []
        # The order of ids that are made anew in each world is chance.
        ordered = ["=", "<>"] if not self.explained else ["=", "<>", "<", ">", ">="]
        for _ in range(self.random.randrange(3)):
            column = self.pick(list(columns))
            type_, name = columns[column], prefix + column
            operators = ordered if type_ == "uuid" else ["=", "<>", "<", ">", ">="]
            if type_ == "jsonb":
                operators = ["=", "@>", "?"]
            elif type_ == "tsvector":
                operators = ["@@"]
            elif type_ in ("vector", "extensions.vector"):
                operators = ["operator(extensions.<=>)"]
            elif type_ == "text":
                operators += ["like", "~"]
            operator = self.pick(operators)
            right = self.value({"@@": "tsquery", "?": "text"}.get(operator, type_))
            if operator == "operator(extensions.<=>)":
                terms.append(f"{name} {operator} {right} < {self.pick([0.1, 0.5, 1.0])}")
            elif self.random.random() < 0.1:
                terms.append(f"{name} is not null")
            else:
                terms.append(f"{name} {operator} {right}")
        return " and ".join(terms) or "true"

    def select(self):
        table = self.pick(list(self.tables))
        columns = self.tables[table]
        what = self.pick(["*", "count(*)", self.pick(list(columns)), "1"])
        if "project_id" in columns and self.random.random() < 0.2:
            other = self.pick([t for t, c in self.tables.items() if "project_id" in c])
            return f"select count(*) from matrice.{table} a join matrice.{other} b using (project_id) where {self.condition(columns, 'a.')}"
        tail = self.pick(["", "", " for update", " for share"]) if what in ("*", "1") else ""
        return f"select {what} from matrice.{table} where {self.condition(columns)}{tail}"

    def insert(self):
        table = self.pick(list(self.tables))
        columns = self.tables[table]
        chosen = [c for c in columns if self.random.random() < (0.15 if c == "id" else 0.8)] or ["project_id" if "project_id" in columns else next(iter(columns))]
        values = ", ".join(self.value(columns[c], c) for c in chosen)
        conflict = ""
        if self.random.random() < 0.4:
            target = self.pick(self.unique.get(table, [["id"]]))
            change = self.pick([c for c in columns if c != "id"])
            conflict = self.pick([" on conflict do nothing", f" on conflict ({', '.join(target)}) do update set {change} = excluded.{change}"])
        return f"insert into matrice.{table} ({', '.join(chosen)}) values ({values}){conflict}{self.pick(['', ' returning *'])}"

    def update(self):
        table = self.pick(list(self.tables))
        columns = self.tables[table]
        changed = self.random.sample([c for c in columns if c != "id"], self.pick([1, 1, 2]))
        return (f"update matrice.{table} set {', '.join(f'{c} = {self.value(columns[c], c)}' for c in changed)}"
                f" where {self.condition(columns)}{self.pick(['', ' returning *'])}")

    def delete(self):
        table = self.pick(list(self.tables))
        return f"delete from matrice.{table} where {self.condition(self.tables[table])}"

    def call(self):
        name, types, names, defaults = self.pick(self.functions)
        arguments = []
        for place, (type_, argument) in enumerate(zip(types, names or [None] * len(types))):
            if place >= len(types) - defaults and self.random.random() < 0.6:
                continue
            given = self.value(type_)
            if argument in ("relevant", "queries"):
                given = "'" + json.dumps([{"query_text": self.pick(self.words) or "x", "relevant": {self.uuid(): 1}}]).replace("'", "''") + "'::jsonb"
            if argument == "scores":
                given = f"'{json.dumps({self.uuid(): 1, self.uuid(): 2})}'::jsonb"
            arguments.append(f"{argument} => {given}" if argument else given)
        return f"select * from {name}({', '.join(arguments)})"

    def statement(self):
        kind = self.random.choices([self.call, self.select, self.insert, self.update, self.delete], [40, 25, 18, 12, 5])[0]
        self.explained = self.random.random() < 0.2
        return f"explain (format json) {kind()}" if self.explained else kind()


def estimates(plan):
    """What a plan tells of the data: its shape and how many rows it expects. Costs follow from these and from the tables' sizes."""
    return {"node": plan["Node Type"], "rows": plan["Plan Rows"], "plans": [estimates(p) for p in plan.get("Plans", [])]}


def blurred(text, known):
    """What is new in each world is different by chance: ids, times, tokens, hashes of times."""
    text = UUID.sub(lambda match: match[0] if match[0] in known else "<id>", text)
    return HASH.sub(r"\1<hash>", TOKEN.sub("<token>", TIME.sub("<time>", text)))


def answer(connection, statement, keep, known):
    try:
        with connection.transaction(force_rollback=not keep):
            cursor = connection.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            if statement.startswith("explain"):
                return json.dumps(estimates(rows[0][0][0]["Plan"]))
            return f"{cursor.rowcount}: {sorted(blurred(str([str(value) for value in row]), known) for row in rows)}"
    except psycopg.Error as error:
        return blurred(f"{error.sqlstate}: {error.diag.message_primary} {error.diag.message_detail} {error.diag.message_hint}", known)


@pytest.fixture
def two_worlds(matrice_database):
    connections, tenants = [], None
    for world in (0, 1):
        database = matrice_database()
        database.psql("grant usage on schema extensions to public")
        with database.connect() as owner:
            hurt, own = worlds.build(owner, world)
            tenants = tenants or (hurt, own)
        connection = database.connect()
        connection.execute(SETTINGS)
        connection.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": worlds.ATTACKER, "role": "authenticated"})])
        connection.execute("set role authenticated")
        connections.append(connection)
    yield (*connections, *tenants)
    for connection in connections:
        connection.close()


def test_statements_of_an_attacker_answer_the_same_in_two_worlds(two_worlds):
    one, two, hurt, own = two_worlds
    grammar = Grammar(one, hurt, own, SEED)
    known = {*hurt.ids.values(), *own.ids.values(), hurt.owner, worlds.ATTACKER, worlds.FRIEND}
    outcomes, leaks = {}, []
    for number in range(ATTACKS):
        statement = grammar.statement()
        # Some of what is done stays, so that later statements start from there.
        keep = grammar.random.random() < 0.05
        in_one, in_two = (answer(connection, statement, keep, known) for connection in (one, two))
        outcomes[in_one[:5]] = outcomes.get(in_one[:5], 0) + 1
        if in_one != in_two or in_one.startswith(("XX000", "58")):
            leaks.append(f"{number}: {statement[:1500]}\n    one: {in_one[:600]}\n    two: {in_two[:600]}")
    # Most statements must do something, or nothing was tried.
    failed = sum(count for code, count in outcomes.items() if code in ("42883", "42601", "42703", "42804"))
    assert failed < ATTACKS / 10, outcomes
    assert not leaks, f"{len(leaks)} leaks (ATTACK_SEED={SEED}):\n" + "\n".join(leaks[:20])
