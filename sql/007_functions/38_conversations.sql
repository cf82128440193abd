-- Conversations: their turns, and the context of the next answer.

create or replace function matrice_private.complete_turn() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
-- Without statistics, the planner would read and sort all turns of the project, and ask their policy for each.
set enable_sort = off
as $$
begin
  perform matrice_private.require_bytes('content', new.content, 1048576);
  -- One writer at a time per conversation, so that its turns have no gaps.
  perform pg_advisory_xact_lock(hashtext('matrice.conversation_turns'), hashtext(new.conversation_id::text));
  -- Not max(), which asks the policy for each turn of the conversation.
  new.turn := 1 + coalesce((
    select t.turn from matrice.conversation_turns t
     where t.project_id = new.project_id and t.conversation_id = new.conversation_id
     order by t.turn desc limit 1), 0);
  new.token_count := matrice.count_tokens(new.content);
  return new;
end
$$;
comment on function matrice_private.complete_turn is 'Numbers a new turn and counts its tokens.';

-- A service may restore turns as they were.
create or replace trigger complete_turn before insert on matrice.conversation_turns
for each row when (new.turn is null or new.token_count is null or row_security_active('matrice.conversation_turns'))
execute function matrice_private.complete_turn();

create or replace trigger keep_created_by before update of created_by on matrice.conversations
for each row when (old.created_by is distinct from new.created_by)
execute function matrice_private.refuse_change('clients', 'created_by');

create or replace function matrice_private.project_of_conversation(conversation_id uuid) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  project_id uuid;
begin
  perform matrice_private.require_given('conversation_id', conversation_id);
  select c.project_id into project_id from matrice.conversations c where c.id = conversation_id;
  if not found then
    raise exception 'conversation not found'
      using errcode = 'PT404', detail = format('There is no conversation %s that you can see.', conversation_id),
            hint = 'Pass the id that start_conversation returned. A private conversation is visible to its creator only.';
  end if;
  return project_id;
end
$$;
comment on function matrice_private.project_of_conversation is
  'Returns the project of a conversation. Raises an error unless the caller can see the conversation.';

create or replace function matrice.start_conversation(project_id uuid, title text default '', is_private boolean default true)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  new_id uuid;
begin
  perform matrice_private.require_given('title', title);
  perform matrice_private.require_given('is_private', is_private);
  perform matrice_private.require_bytes('title', title, 2000);
  perform matrice_private.require_role(project_id, 'viewer');
  perform matrice_private.hold_project(project_id);
  insert into matrice.conversations as c (project_id, title, is_private)
  values (start_conversation.project_id, start_conversation.title, start_conversation.is_private)
  returning c.id into new_id;
  return new_id;
end
$$;
comment on function matrice.start_conversation is
  'Begins a conversation and returns its id. is_private: whether only the caller sees it; otherwise all members of the project '
  'do, and editors may add turns. Defaults: title '''', is_private true.';

create or replace function matrice_private.require_citations(project_id uuid, cited uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  missing uuid;
begin
  select given.id into missing
    from unnest(cited) given (id)
   where not exists (
     select from matrice.source_chunks c where c.id = given.id and c.project_id = require_citations.project_id)
   limit 1;
  if found then
    raise exception 'chunk not found'
      using errcode = 'PT404', detail = format('The citations name chunk %s, which the project does not have.', missing),
            hint = 'Pass the citations of the context that the model got. Leave passages out that have been deleted since.';
  end if;
end
$$;
comment on function matrice_private.require_citations is
  'Raises unless each chunk that citations name is in a project.';

create or replace function matrice.add_turn(
  conversation_id uuid, role text, content text, run_id uuid default null, citations jsonb default '[]'
) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  conversation record;
  cited        uuid[];
  new_turn     integer;
begin
  perform matrice_private.require_one_of('role', role, array['system', 'user', 'assistant', 'tool']);
  perform matrice_private.require_given('content', content);
  perform matrice_private.require_bytes('content', content, 1048576);
  perform matrice_private.require_given('citations', citations);
  perform matrice_private.require_json('citations', citations, 262144);
  -- A turn of a model may only call tools, and a tool may have nothing to say.
  if role in ('system', 'user') then
    perform matrice_private.require_text('content', content);
  end if;
  cited := matrice_private.cited_chunks(citations);
  perform matrice_private.project_of_conversation(add_turn.conversation_id);
  select c.project_id, c.created_by into conversation from matrice.conversations c where c.id = add_turn.conversation_id;
  if conversation.created_by is distinct from matrice_private.current_user_id() then
    perform matrice_private.require_role(conversation.project_id, 'editor');
  end if;
  perform matrice_private.hold_project(conversation.project_id);
  if add_turn.run_id is not null and not exists (
    select from matrice.workflow_runs r where r.id = add_turn.run_id and r.project_id = conversation.project_id
  ) then
    raise exception 'run not found'
      using errcode = 'PT404', detail = format('The project of the conversation has no run %s.', add_turn.run_id),
            hint = 'Leave it out, or pass the id that start_run returned.';
  end if;
  perform matrice_private.require_citations(conversation.project_id, cited);
  insert into matrice.conversation_turns as t (project_id, conversation_id, role, content, run_id, citations)
  values (conversation.project_id, add_turn.conversation_id, add_turn.role, add_turn.content, add_turn.run_id, add_turn.citations)
  returning t.turn into new_turn;
  return new_turn;
end
$$;
comment on function matrice.add_turn is
  'Adds a turn to a conversation and returns its number. role: system, user, assistant or tool. content: at most 1 MB; '
  'of system and user, not blank. run_id: the run that made the turn. citations: those of build_context, for a turn that cites '
  'passages, or an array of chunk ids, all of the project. Needs the conversation''s '
  'creator or, if it is shared, the role editor. Defaults: citations ''[]''.';

create or replace function matrice_private.latest_turns(
  project_id uuid, conversation_id uuid, token_budget integer, target_model text, out turns jsonb, out token_count integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- As in complete_turn.
set enable_sort = off
as $$
declare
  said   record;
  tokens integer;
begin
  turns := '[]';
  token_count := 0;
  for said in
    select t.turn, t.role, t.content
      from matrice.conversation_turns t
     where t.project_id = latest_turns.project_id and t.conversation_id = latest_turns.conversation_id
     order by t.turn desc
  loop
    tokens := matrice.count_tokens(said.content, target_model);
    exit when token_count + tokens > token_budget or jsonb_array_length(turns) = 1000;
    turns := jsonb_build_array(jsonb_build_object('turn', said.turn, 'role', said.role, 'content', said.content)) || turns;
    token_count := token_count + tokens;
  end loop;
end
$$;
comment on function matrice_private.latest_turns is
  'Returns the latest turns of a conversation that fit into a budget, in their order, and how many tokens they have. At most '
  '1,000. A turn that does not fit ends them: what came before it would make no sense.';

create or replace function matrice.conversation_context(
  conversation_id uuid, question text, query_embedding vector, token_budget integer default 4000,
  match_count integer default 50, filter jsonb default '{}', model text default null, target_model text default 'gpt-4o',
  insights integer default 0, min_score double precision default null
) returns table (context text, token_count integer, citations jsonb, turns jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  project_id uuid;
  latest     record;
begin
  perform matrice_private.require_given('token_budget', token_budget);
  if token_budget < 2 then
    raise exception 'token_budget must be at least 2, not %', token_budget
      using errcode = '22023', hint = 'Pass the number of tokens that the target model has left for turns and passages.';
  end if;
  perform matrice_private.require_text('question', question);
  perform matrice_private.require_text('target_model', target_model);
  project_id := matrice_private.project_of_conversation(conversation_context.conversation_id);
  select l.turns, l.token_count into latest
    from matrice_private.latest_turns(project_id, conversation_context.conversation_id, token_budget / 2, target_model) l;
  return query
    select b.context, b.token_count + latest.token_count, b.citations, latest.turns
      from matrice.build_context(
             question, query_embedding, project_id, token_budget - latest.token_count, match_count, filter,
             conversation_context.model, target_model, insights, min_score => conversation_context.min_score) b;
end
$$;
comment on function matrice.conversation_context is
  'Packs the latest turns of a conversation and the best passages for a question into one budget. Returns the passages as '
  'build_context does, and turns: [{"turn": …, "role": …, "content": …}, …], oldest first, as messages for a model. '
  'token_count: of the passages and of the contents of the turns together. It never exceeds token_budget. Turns take at most '
  'half of the budget; what they leave is for passages. Other arguments: as in build_context. Defaults: token_budget 4000, '
  'match_count 50, filter ''{}'', target_model ''gpt-4o'', insights 0.';
