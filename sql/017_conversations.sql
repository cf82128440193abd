-- Conversations, and the answers that members rate.

create table matrice.conversations (
  id         uuid        not null default gen_random_uuid(),
  project_id uuid        not null,
  title      text        not null default '',
  is_private boolean     not null default true,
  created_by uuid        default matrice_private.current_user_id(),
  created_at timestamptz not null default now(),
  constraint conversations_pkey primary key (id),
  constraint conversations_project_id_id_key unique (project_id, id),
  constraint conversations_project_id_fkey foreign key (project_id) references matrice.projects (id) on delete cascade,
  constraint conversations_title_length check (octet_length(title) <= 2000),
  constraint conversations_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_conversations_project_created on matrice.conversations (project_id, created_at);

comment on table matrice.conversations is 'Conversations of members with a model. Their turns are in conversation_turns.';
comment on column matrice.conversations.id is 'Primary key.';
comment on column matrice.conversations.project_id is 'The project.';
comment on column matrice.conversations.title is 'Short title.';
comment on column matrice.conversations.is_private is
  'Whether only its creator sees it. Otherwise all members of the project do.';
comment on column matrice.conversations.created_by is 'Who began it. Null: a service.';
comment on column matrice.conversations.created_at is 'When it began.';

create table matrice.conversation_turns (
  project_id      uuid        not null,
  conversation_id uuid        not null,
  turn            integer     not null,
  role            text        not null,
  content         text        not null,
  token_count     integer     not null,
  run_id          uuid,
  citations       jsonb       not null default '[]',
  created_by      uuid        default matrice_private.current_user_id(),
  created_at      timestamptz not null default now(),
  constraint conversation_turns_pkey primary key (project_id, conversation_id, turn),
  constraint conversation_turns_conversation_fkey foreign key (project_id, conversation_id)
    references matrice.conversations (project_id, id) on delete cascade,
  constraint conversation_turns_run_fkey foreign key (project_id, run_id)
    references matrice.workflow_runs (project_id, id) on delete set null (run_id),
  constraint conversation_turns_turn_check check (turn between 1 and 10000000),
  constraint conversation_turns_token_count_check check (token_count between 0 and 1048576),
  constraint conversation_turns_role_system_user_assistant_tool check (role in ('system', 'user', 'assistant', 'tool')),
  constraint conversation_turns_content_length check (octet_length(content) <= 1048576),
  constraint conversation_turns_citations_is_array check (jsonb_typeof(citations) = 'array'),
  constraint conversation_turns_citations_size check (matrice_private.json_within(citations, 262144)),
  constraint conversation_turns_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);
create index idx_conversation_turns_run on matrice.conversation_turns (project_id, run_id);

comment on table matrice.conversation_turns is 'What was said in conversations. add_turn writes it. Turns do not change.';
comment on column matrice.conversation_turns.project_id is 'The project.';
comment on column matrice.conversation_turns.conversation_id is 'The conversation.';
comment on column matrice.conversation_turns.turn is 'The place in the conversation, from 1.';
comment on column matrice.conversation_turns.role is 'Who said it: system, user, assistant or tool.';
comment on column matrice.conversation_turns.content is 'What was said.';
comment on column matrice.conversation_turns.token_count is 'How many tokens of gpt-4o the content has.';
comment on column matrice.conversation_turns.run_id is 'The workflow run that made the turn, if any.';
comment on column matrice.conversation_turns.citations is 'The passages that the turn cites, as build_context returns them.';
comment on column matrice.conversation_turns.created_by is 'Who added it. Null: a service.';
comment on column matrice.conversation_turns.created_at is 'When it was added.';

create table matrice.answers (
  project_id      uuid        not null,
  run_id          uuid        not null,
  question        text        not null,
  query_embedding vector,
  model           text,
  created_at      timestamptz not null default now(),
  constraint answers_pkey primary key (project_id, run_id),
  constraint answers_run_fkey foreign key (project_id, run_id) references matrice.workflow_runs (project_id, id)
    on delete cascade,
  constraint answers_question_length check (octet_length(question) between 1 and 65536),
  constraint answers_model_length check (octet_length(model) <= 200),
  constraint answers_created_at_check check (created_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);

comment on table matrice.answers is
  'Questions that runs have answered. record_answer writes it. With the ratings, they become labelled queries: see '
  'evaluation_set.';
comment on column matrice.answers.project_id is 'The project.';
comment on column matrice.answers.run_id is 'The run that answered.';
comment on column matrice.answers.question is 'The question, as it was searched for.';
comment on column matrice.answers.query_embedding is 'The embedding of the question, if it was recorded.';
comment on column matrice.answers.model is 'The embedding model that made query_embedding.';
comment on column matrice.answers.created_at is 'When the answer was recorded.';

create table matrice.answer_passages (
  project_id uuid  not null,
  run_id     uuid  not null,
  chunk_id   uuid  not null,
  text_hash  bytea not null,
  constraint answer_passages_pkey primary key (project_id, run_id, chunk_id),
  constraint answer_passages_answer_fkey foreign key (project_id, run_id)
    references matrice.answers (project_id, run_id) on delete cascade,
  constraint answer_passages_text_hash_length check (octet_length(text_hash) = 32)
);

comment on table matrice.answer_passages is
  'The chunks that answers used. A chunk that has been deleted or changed since then no longer counts. There is no foreign '
  'key: deleting chunks would have to look for it each time.';
comment on column matrice.answer_passages.project_id is 'The project.';
comment on column matrice.answer_passages.run_id is 'The run that answered.';
comment on column matrice.answer_passages.chunk_id is 'The chunk.';
comment on column matrice.answer_passages.text_hash is 'The SHA-256 of the chunk''s text at that time.';

create table matrice.answer_ratings (
  project_id uuid        not null,
  run_id     uuid        not null,
  user_id    uuid        not null,
  rating     smallint    not null,
  comment    text,
  rated_at   timestamptz not null default now(),
  constraint answer_ratings_pkey primary key (project_id, run_id, user_id),
  constraint answer_ratings_answer_fkey foreign key (project_id, run_id)
    references matrice.answers (project_id, run_id) on delete cascade,
  constraint answer_ratings_rating_check check (rating between -1 and 1),
  constraint answer_ratings_comment_length check (octet_length(comment) <= 65536),
  constraint answer_ratings_rated_at_check check (rated_at between '1900-01-01 00:00Z' and '2200-01-01 00:00Z')
);

comment on table matrice.answer_ratings is
  'What members think of answers: one rating per member and answer. rate_answer writes it.';
comment on column matrice.answer_ratings.project_id is 'The project.';
comment on column matrice.answer_ratings.run_id is 'The run that answered.';
comment on column matrice.answer_ratings.user_id is 'Who rated it.';
comment on column matrice.answer_ratings.rating is '1: good. 0: neither. -1: bad.';
comment on column matrice.answer_ratings.comment is 'Why.';
comment on column matrice.answer_ratings.rated_at is 'When it was rated.';

-- The API's roles get what they need, whatever the default privileges of the database are. Turns and passages do not change.
select matrice_private.revoke_from_everybody('table', 'matrice.' || name)
  from unnest(array['conversations', 'conversation_turns', 'answers', 'answer_passages', 'answer_ratings']) name;
grant select, insert, update, delete on matrice.conversations, matrice.answers, matrice.answer_ratings
  to authenticated, service_role;
grant select, insert on matrice.conversation_turns to authenticated, service_role;
grant select, insert, delete on matrice.answer_passages to authenticated, service_role;

alter table matrice.conversations enable row level security;
alter table matrice.conversation_turns enable row level security;
alter table matrice.answers enable row level security;
alter table matrice.answer_passages enable row level security;
alter table matrice.answer_ratings enable row level security;

create policy "viewers read shared ones and their own" on matrice.conversations for select to authenticated
using (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and (not is_private or created_by = (select matrice_private.current_user_id()))
);
create policy "viewers begin their own" on matrice.conversations for insert to authenticated
with check (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and created_by = (select matrice_private.current_user_id())
);
create policy "creators change them" on matrice.conversations for update to authenticated
using (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and created_by = (select matrice_private.current_user_id())
)
with check (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and created_by = (select matrice_private.current_user_id())
);
create policy "creators delete them, owners shared ones" on matrice.conversations for delete to authenticated
using (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and (created_by = (select matrice_private.current_user_id())
       or not is_private and project_id = any ((select matrice_private.project_ids('owner'))::uuid[]))
);

-- The conversations that the subqueries find are those that the caller may see.
create policy "whoever sees the conversation reads" on matrice.conversation_turns for select to authenticated
using (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and exists (select from matrice.conversations c where c.id = conversation_id)
);
create policy "creators add, editors to shared ones" on matrice.conversation_turns for insert to authenticated
with check (
  created_by = (select matrice_private.current_user_id())
  and project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and exists (
    select from matrice.conversations c
     where c.id = conversation_id
       and (c.created_by = (select matrice_private.current_user_id())
            or c.project_id = any ((select matrice_private.project_ids('editor'))::uuid[])))
);

create policy "viewers read" on matrice.answers for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "viewers read" on matrice.answer_passages for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));
create policy "viewers read" on matrice.answer_ratings for select to authenticated
using (project_id = any ((select matrice_private.project_ids('viewer'))::uuid[]));

-- Whoever may record the run: editors, and viewers their own where the project says so.
do $$
declare
  answer_table text;
  may_record   constant text :=
    '(project_id = any ((select matrice_private.project_ids(''editor''))::uuid[])
      or (project_id = any ((select matrice_private.projects_recorded_by_viewers())::uuid[])
          and exists (select from matrice.workflow_runs r
                       where r.id = run_id and r.created_by = (select matrice_private.current_user_id()))))';
begin
  foreach answer_table in array array['answers', 'answer_passages'] loop
    execute format('create policy "recorders insert" on matrice.%I for insert to authenticated with check (%s)',
                   answer_table, may_record);
    execute format('create policy "recorders delete" on matrice.%I for delete to authenticated using (%s)',
                   answer_table, may_record);
  end loop;
  execute format('create policy "recorders update" on matrice.answers for update to authenticated using (%s) with check (%1$s)',
                 may_record);
end
$$;

create policy "viewers rate" on matrice.answer_ratings for insert to authenticated
with check (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and user_id = (select matrice_private.current_user_id())
);
create policy "viewers change their own" on matrice.answer_ratings for update to authenticated
using (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and user_id = (select matrice_private.current_user_id())
)
with check (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and user_id = (select matrice_private.current_user_id())
);
create policy "viewers delete their own" on matrice.answer_ratings for delete to authenticated
using (
  project_id = any ((select matrice_private.project_ids('viewer'))::uuid[])
  and user_id = (select matrice_private.current_user_id())
);
