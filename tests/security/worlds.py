"""Two worlds that differ in one tenant's data alone.

Everything that another tenant can see, count, provoke or have estimated must be the same in both. The rows of the victim are as many
in both worlds and as long, and nothing else about them is equal: neither ids nor words, numbers, people or times.
"""

import json
import uuid
from dataclasses import dataclass, field

# Each is its own stem, so that fts is as long.
WORDS = {0: ("refund", "parcel", "cobalt", "ledger"), 1: ("harbor", "tariff", "violet", "anchor")}
MODEL = "text-embedding-3-small"


def known(name):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


ATTACKER, FRIEND, OTHER = known("attacker"), known("friend"), known("somebody else")


@dataclass
class Tenant:
    """The ids and texts of one tenant, by what they are."""

    name: str
    words: tuple
    owner: str
    ids: dict = field(default_factory=dict)

    def id(self, what):
        return self.ids.setdefault(what, known(f"{self.name}/{what}"))

    @property
    def project(self):
        return self.id("project")


def victim(world):
    return Tenant(f"victim {world}", WORDS[world], known(f"victim's owner {world}"))


def attacker():
    return Tenant("attacker's own", ("garden", "refund", "harbor", "window"), ATTACKER)


def vector(seed):
    """An expression, which is shorter than its numbers."""
    return f"(select array_agg(sin({seed} * i)) from generate_series(1, 1536) i)::extensions.vector"


def fill(connection, tenant, members, seed):
    """Runs as superuser. `members`: {user: role} besides the owner."""
    c, t, words = connection.execute, tenant, tenant.words
    c("insert into matrice.projects (id, name, description, domain, settings, created_by) values (%s, %s, %s, %s, '{\"language\": \"english\"}', %s)",
      [t.project, words[0], words[1], words[2], t.owner])
    for user, role in members.items():
        c("insert into matrice.user_projects (user_id, project_id, role) values (%s, %s, %s)", [user, t.project, role])
    c("insert into matrice.project_invitations (id, project_id, email, role, token_hash, invited_by) values (%s, %s, %s, 'viewer', sha256(%s), %s)",
      [t.id("invitation"), t.project, f"{words[3]}@example.org", f"secret {t.name}".encode(), t.owner])
    for code in ("P1", "P2"):
        c("insert into matrice.pillars (id, project_id, code, name, content) values (%s, %s, %s, %s, %s)",
          [t.id(f"pillar {code}"), t.project, code, words[0], " ".join(words)])
        c("insert into matrice.pillar_labels (project_id, pillar_id, label, number, version) values (%s, %s, %s, 1, 1)",
          [t.project, t.id(f"pillar {code}"), words[1]])
    for s in range(3):
        source = t.id(f"source {s}")
        c("insert into matrice.context_sources (id, project_id, type, name, storage_path, raw_metadata) values (%s, %s, 'file', %s, %s, %s)",
          [source, t.project, f"{words[s]}.md", f"{words[s]}/path", json.dumps({"tag": words[s]})])
        c("insert into matrice.source_texts (source_id, version, project_id, content, characters, format, max_tokens, overlap_tokens)"
          " values (%s, 1, %s, %s, %s, 'text', 512, 64)", [source, t.project, " ".join(words), len(" ".join(words))])
        for k in range(20):
            chunk = t.id(f"chunk {s} {k}")
            c("insert into matrice.source_chunks (id, source_id, chunk_index, content, metadata, start_char, end_char) values (%s, %s, %s, %s, %s, %s, %s)",
              [chunk, source, k, f"{words[k % 4]} {words[(k + s) % 4]} number {k:02}", json.dumps({"page": k, "word": words[k % 4]}), k * 10, k * 10 + 9])
            if k < 15:
                c(f"insert into matrice.chunk_embeddings (id, chunk_id, model, embedding) values (%s, %s, %s, {vector(seed + 20 * s + k)})",
                  [t.id(f"embedding {s} {k}"), chunk, MODEL])
            elif k < 17:
                c("insert into matrice.embedding_leases (chunk_id, model, leased_until) values (%s, %s, now() + interval '1 day')", [chunk, MODEL])
    for i in range(3):
        c("insert into matrice.insights (id, project_id, source_id, type, title, content) values (%s, %s, %s, 'learning', %s, %s)",
          [t.id(f"insight {i}"), t.project, t.id("source 0"), words[i], " ".join(words[i:])])
        c("insert into matrice.workflow_runs (id, project_id, workflow_id, event_name, run_key) values (%s, %s, %s, %s, %s)",
          [t.id(f"run {i}"), t.project, words[i], words[3], f"{words[i]}-{i}"])
        c("insert into matrice.workflow_steps (id, run_id, step_name, status, step_key, model, tokens_input) values (%s, %s, %s, 'success', %s, 'gpt-4o', 10)",
          [t.id(f"step {i}"), t.id(f"run {i}"), words[i], f"{words[i]}-{i}"])
    # What is no more: its traces must be as hidden as what is there.
    gone = t.id("deleted project")
    c("insert into matrice.projects (id, name, created_by) values (%s, %s, %s)", [gone, words[1], t.owner])
    c("insert into matrice.context_sources (id, project_id, name) values (%s, %s, %s)", [t.id("deleted source"), gone, words[2]])
    c("delete from matrice.projects where id = %s", [gone])


def build(connection, world):
    """The attacker owns a project, with one friend in it, and was once a member of the victim's project."""
    hurt, own = victim(world), attacker()
    fill(connection, hurt, {known(f"victim's viewer {world}"): "viewer", ATTACKER: "editor"}, seed=1000 * (world + 1))
    connection.execute("delete from matrice.user_projects where user_id = %s and project_id = %s", [ATTACKER, hurt.project])
    fill(connection, own, {FRIEND: "viewer"}, seed=7)
    # Statistics are of one moment in both worlds.
    for (table,) in connection.execute("select oid::regclass::text from pg_class where relnamespace = 'matrice'::regnamespace and relkind = 'r'").fetchall():
        connection.execute(f"alter table {table} set (autovacuum_enabled = off)")
    connection.execute("vacuum analyze")
    return hurt, own
