"""A world with two projects and everybody who could try to touch the first."""

import json
import uuid

PERSONAS = ["no claims", "anon", "outsider", "ex-member", "viewer", "editor", "owner", "service_role"]
A, B = str(uuid.UUID(int=0xA)), str(uuid.UUID(int=0xB))
USERS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in [*PERSONAS, "member to change"]}
IDS = {name: str(uuid.uuid5(uuid.NAMESPACE_OID, name)) for name in
       ["source", "chunk", "embedding", "insight", "newer insight", "run", "step", "pillar", "invitation", "budget", "reservation",
        "run without answer", "conversation"]}
TOKEN = "the token of an invitation"


def build(connection):
    """Runs as superuser. Whoever has a role in A has the same one in B: moving a row must fail even so."""
    c = connection.execute
    for project in (A, B):
        c("insert into matrice.projects (id, name, created_by) values (%s, %s, null)", [project, project])
        for role in ("viewer", "editor", "owner"):
            c("insert into matrice.user_projects values (%s, %s, %s)", [USERS[role], project, role])
    c("insert into matrice.projects (name, created_by) values ('outsider''s own', %s)", [USERS["outsider"]])
    c("insert into matrice.user_projects values (%s, %s, 'editor'), (%s, %s, 'viewer')",
      [USERS["ex-member"], A, USERS["member to change"], A])
    c("delete from matrice.user_projects where user_id = %s", [USERS["ex-member"]])
    c("insert into matrice.project_invitations (id, project_id, email, token_hash) values (%s, %s, 'a@b.c', sha256(convert_to(%s, 'UTF8')))",
      [IDS["invitation"], A, TOKEN])
    c("insert into matrice.pillars (id, project_id, code, name) values (%s, %s, 'P1', 'vision')", [IDS["pillar"], A])
    c("insert into matrice.pillar_labels (project_id, pillar_id, label, number, version) values (%s, %s, 'draft', 1, 1)", [A, IDS["pillar"]])
    c("insert into matrice.context_sources (id, project_id, name, format, max_tokens, overlap_tokens) values (%s, %s, 'source', 'text', 512, 64)",
      [IDS["source"], A])
    c("insert into matrice.source_texts (source_id, version, project_id, content, characters, format, max_tokens, overlap_tokens)"
      " values (%s, 1, %s, 'some words', 10, 'text', 512, 64)", [IDS["source"], A])
    c("insert into matrice.source_chunks (id, source_id, chunk_index, content) values (%s, %s, 0, 'some words'), (%s, %s, 1, 'more words')",
      [IDS["chunk"], IDS["source"], str(uuid.uuid4()), IDS["source"]])
    c("insert into matrice.chunk_embeddings (id, chunk_id, embedding) values (%s, %s, array_fill(0.1, array[1536])::extensions.vector)",
      [IDS["embedding"], IDS["chunk"]])
    c("insert into matrice.embedding_leases (chunk_id, model, leased_until) values (%s, 'gte-small', now())", [IDS["chunk"]])
    for name in ("insight", "newer insight"):
        c("insert into matrice.insights (id, project_id, type, title, content) values (%s, %s, 'learning', 'words', 'words')", [IDS[name], A])
    c("insert into matrice.insight_evidence (project_id, insight_id, kind, is_for, evidence_key, witness, source_id, chunk_id, run_id, step_id)"
      " values (%s, %s, 'chunk', true, 'x', 'x', %s, %s, %s, %s)", [A, IDS["insight"], IDS["source"], IDS["chunk"], IDS["run"], IDS["step"]])
    c("insert into matrice.insight_versions (project_id, insight_id, type, title, content, confidence, volatility, is_merged)"
      " values (%s, %s, 't', 't', 'c', 1, 'fast', false)", [A, IDS["insight"]])
    c("insert into matrice.insight_embeddings (insight_id, project_id, model, embedding)"
      " values (%s, %s, 'text-embedding-3-small', array_fill(0.1, array[1536])::extensions.vector)", [IDS["insight"], A])
    c("insert into matrice.insight_candidates (project_id, insight_id, candidate_id, found_by, likeness) values (%s, %s, %s, 'words', 1)",
      [A, IDS["insight"], IDS["newer insight"]])
    c("insert into matrice.workflow_runs (id, project_id, workflow_id) values (%s, %s, 'w')", [IDS["run"], A])
    c("insert into matrice.workflow_steps (id, run_id, step_name, status) values (%s, %s, 's', 'success')", [IDS["step"], IDS["run"]])
    c("insert into matrice.workflow_runs (id, project_id, workflow_id) values (%s, %s, 'w')", [IDS["run without answer"], A])
    c("insert into matrice.answers (project_id, run_id, question) values (%s, %s, 'words')", [A, IDS["run"]])
    c("insert into matrice.answer_passages values (%s, %s, %s, sha256('words'))", [A, IDS["run"], IDS["chunk"]])
    c("insert into matrice.answer_ratings (project_id, run_id, user_id, rating) values (%s, %s, %s, 1)", [A, IDS["run"], USERS["member to change"]])
    # The editor shares it.
    c("insert into matrice.conversations (id, project_id, is_private, created_by) values (%s, %s, false, %s)",
      [IDS["conversation"], A, USERS["editor"]])
    c("insert into matrice.conversation_turns (project_id, conversation_id, role, content) values (%s, %s, 'user', 'words')",
      [A, IDS["conversation"]])
    c("insert into matrice.project_prices (project_id, model, valid_from, same_as) values (%s, 'gpt-4o', now(), 'gpt-4o')", [A])
    c("insert into matrice.budgets (id, project_id, name, limit_usd, period, time_zone, is_hard, thresholds)"
      " values (%s, %s, 'default', 5, 'day', 'UTC', true, '{1}')", [IDS["budget"], A])
    c("insert into matrice.budget_events (project_id, budget_id, period_start, threshold, limit_usd, spent_usd) values (%s, %s, now(), 1, 5, 5)",
      [A, IDS["budget"]])
    c("insert into matrice.project_imports (project_id, source_project_id, has_new_ids, header, next_line, hash, imported_by, finished_at)"
      " values (%s, %s, false, '{}', 3, 1, %s, now())", [A, A, A])
    c("insert into matrice_private.budget_holds (id, project_id, estimate_usd, expires_at) values (%s, %s, 1, now() + interval '1 hour')",
      [IDS["reservation"], A])


def become(connection, persona):
    role = persona if persona in ("anon", "service_role") else "authenticated"
    claims = "" if persona in ("no claims", "anon", "service_role") else json.dumps({"sub": USERS[persona], "role": role})
    connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
    connection.execute(f"set local role {role}")
