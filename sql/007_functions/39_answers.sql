-- From an answer back to the search: answers, what members think of them, and the labelled queries that follow.

create or replace function matrice_private.cited_chunks(citations jsonb) returns uuid[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  ids text[];
begin
  perform matrice_private.require_given('citations', citations);
  if jsonb_typeof(citations) = 'array' and pg_column_size(citations) <= 16777216
     and not citations @? 'strict $[*] ? (@.type() != "string" && @.type() != "object")' then
    ids := array(
      select distinct case jsonb_typeof(c.value) when 'string' then c.value #>> '{}' else n.id end
        from jsonb_array_elements(citations) c
        left join lateral (
          select jsonb_array_elements_text(c.value -> 'chunk_ids') as id where jsonb_typeof(c.value -> 'chunk_ids') = 'array'
          union all
          select c.value ->> 'chunk_id' where jsonb_typeof(c.value -> 'chunk_ids') is distinct from 'array'
        ) n on jsonb_typeof(c.value) = 'object'
       where jsonb_typeof(c.value) = 'string' or n.id is not null);
  end if;
  if ids is null or cardinality(ids) > 10000
     or exists (select from unnest(ids) id where id !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$') then
    raise exception 'citations must be the citations of build_context, or an array of chunk ids'
      using errcode = '22023', detail = format('It is %s.', left(citations::text, 200)),
            hint = 'At most 10,000 chunks are allowed. Pass only the passages that the answer used.';
  end if;
  return ids::uuid[];
end
$$;
comment on function matrice_private.cited_chunks is
  'Returns the chunks that citations name. Citations of insights name none.';

create or replace function matrice.record_answer(
  run_id uuid, question text, citations jsonb, query_embedding vector default null, model text default null
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  home         uuid;
  chosen_model text;
  cited        uuid[];
begin
  perform matrice_private.require_given('run_id', record_answer.run_id);
  perform matrice_private.require_text('question', question);
  perform matrice_private.require_bytes('question', question, 65536);
  cited := matrice_private.cited_chunks(citations);
  perform matrice_private.require_recorder_of_run(record_answer.run_id);
  select r.project_id into home from matrice.workflow_runs r where r.id = record_answer.run_id;
  perform matrice_private.hold_project(home);
  if record_answer.query_embedding is not null then
    chosen_model := matrice_private.embedding_model(record_answer.model, home);
    perform matrice_private.query_vector(record_answer.query_embedding, chosen_model);
  end if;
  insert into matrice.answers (project_id, run_id, question, query_embedding, model)
  values (home, record_answer.run_id, record_answer.question, record_answer.query_embedding, chosen_model)
  on conflict on constraint answers_pkey do update
    set question = excluded.question, query_embedding = excluded.query_embedding, model = excluded.model;
  delete from matrice.answer_passages p where p.project_id = home and p.run_id = record_answer.run_id;
  insert into matrice.answer_passages (project_id, run_id, chunk_id, text_hash)
  select home, record_answer.run_id, c.id, matrice_private.text_hash(c.content)
    from unnest(cited) given (id)
   -- OFFSET 0 makes the planner look up each row by its key.
   cross join lateral (select n.id, n.content, n.project_id from matrice.source_chunks n where n.id = given.id offset 0) c
   where c.project_id = home;
end
$$;
comment on function matrice.record_answer is
  'Records which question a run has answered, and which passages it used. A second call replaces the first. citations: those '
  'of build_context that the answer used, or an array of chunk ids; ids that are not in the project are ignored. '
  'query_embedding, model: the embedding of the question, so that evaluation_set can measure semantic search, too. Whoever '
  'may record the run may call it.';

create or replace function matrice.rate_answer(run_id uuid, rating integer, comment text default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  home  uuid;
  rater uuid := matrice_private.current_user_id();
begin
  perform matrice_private.require_given('run_id', rate_answer.run_id);
  perform matrice_private.require_given('rating', rate_answer.rating);
  if rate_answer.rating not between -1 and 1 then
    raise exception 'rating must be -1, 0 or 1, not %', rate_answer.rating
      using errcode = '22023', hint = '1: the answer is good. -1: it is bad. 0: neither.';
  end if;
  perform matrice_private.require_bytes('comment', comment, 65536);
  select a.project_id into home from matrice.answers a where a.run_id = rate_answer.run_id;
  if not found then
    raise exception 'answer not found'
      using errcode = 'PT404', detail = format('There is no answer of a run %s that you can see.', rate_answer.run_id),
            hint = 'Record it first by record_answer.';
  end if;
  if rater is null then
    raise exception 'a rating needs a person'
      using errcode = '22023', detail = 'The JWT claims of the session have no sub that is a UUID.',
            hint = 'Call rate_answer as the user who rates.';
  end if;
  perform matrice_private.require_role(home, 'viewer');
  perform matrice_private.hold_project(home);
  insert into matrice.answer_ratings (project_id, run_id, user_id, rating, comment)
  values (home, rate_answer.run_id, rater, rate_answer.rating, rate_answer.comment)
  on conflict on constraint answer_ratings_pkey do update
    set rating = excluded.rating, comment = excluded.comment, rated_at = now();
end
$$;
comment on function matrice.rate_answer is
  'Rates the answer of a run. rating: 1 good, 0 neither, -1 bad. comment: why. A member has one rating for each answer: a '
  'second call replaces the first. See evaluation_set.';

create or replace function matrice.evaluation_set(project_id uuid, model text default null, match_count integer default 1000)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen_model text;
begin
  perform matrice_private.require_given('match_count', match_count);
  if match_count not between 1 and 1000 then
    raise exception 'match_count of evaluation_set must be between 1 and 1000, not %', match_count
      using errcode = '22023', hint = 'evaluate_search takes at most 1,000 queries.';
  end if;
  perform matrice_private.require_role(project_id, 'viewer');
  chosen_model := matrice_private.embedding_model(evaluation_set.model, evaluation_set.project_id);
  return (
    with good as materialized (
      select a.run_id, a.question, a.query_embedding, a.model, a.created_at
        from matrice.answers a
       where a.project_id = evaluation_set.project_id
         and (select sum(r.rating) from matrice.answer_ratings r
               where r.project_id = a.project_id and r.run_id = a.run_id) > 0
    ), relevant as (
      select g.question, p.chunk_id, count(distinct g.run_id) as answers
        from good g
        join matrice.answer_passages p on p.project_id = evaluation_set.project_id and p.run_id = g.run_id
       -- OFFSET 0 makes the planner look up each row by its key.
       cross join lateral (select n.content from matrice.source_chunks n where n.id = p.chunk_id offset 0) c
       where matrice_private.text_hash(c.content) = p.text_hash
       group by g.question, p.chunk_id
    ), labelled as (
      select r.question, jsonb_object_agg(r.chunk_id, least(r.answers, 1000)) as relevant,
             (select max(g.created_at) from good g where g.question = r.question) as asked_at,
             (select g.query_embedding::text from good g
               where g.question = r.question and g.model = chosen_model
               order by g.created_at desc, g.run_id limit 1) as query_embedding
        from relevant r
       group by r.question
       order by asked_at desc, r.question
       limit match_count
    )
    select coalesce(
             jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'query_text', l.question, 'query_embedding', l.query_embedding, 'relevant', l.relevant))
               order by l.asked_at desc, l.question),
             '[]')
      from labelled l);
end
$$;
comment on function matrice.evaluation_set is
  'Returns the questions of a project with the passages that good answers used, as labelled queries for evaluate_search. An '
  'answer is good if the sum of its ratings is above 0. The grade of a passage is the number of good answers to the question '
  'that used it. Passages that were deleted or changed since then are left out, and so are questions that have no other. '
  'model: whose embeddings of questions to return, the newest of each; without it, the model of the project. match_count: at '
  'most 1,000 questions, the newest first. Defaults: match_count 1000.';
