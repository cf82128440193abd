-- Chunks of a project with the same text share their embeddings, so that a text is embedded once.
--
-- New chunks take the embeddings of equal chunks that have some. When an embedding is stored, equal chunks that wait for one get
-- it, too. Equal means: the same text is embedded. If the project has a template, title and headings count as well. The project
-- is the limit: embeddings never come from another one, because their existence would tell that it has the text.

create or replace function matrice_private.texts_of(chunk_ids uuid[], project_ids uuid[])
returns table (project_id uuid, hash bigint, ids uuid[])
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select c.project_id, hashtextextended(c.content, 0), array_agg(c.id)
      from unnest(texts_of.chunk_ids) as g (id)
     cross join lateral (select c.* from matrice.source_chunks c where c.id = g.id offset 0) c
     where texts_of.project_ids is null or c.project_id = any (texts_of.project_ids)
     group by 1, 2;
end
$$;
comment on function matrice_private.texts_of is
  'Groups chunks by project and text. project_ids: only in these projects; null: in all. For the functions below.';

create or replace function matrice_private.embedded_twins(chunk_ids uuid[], project_ids uuid[])
returns table (chunk_id uuid, twin_id uuid)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select own.id, twin.id
      from matrice_private.texts_of(embedded_twins.chunk_ids, embedded_twins.project_ids) t
     cross join lateral (
       select d.id, d.content from matrice.source_chunks d
        where d.project_id = t.project_id and hashtextextended(d.content, 0) = t.hash
          and exists (select from matrice.chunk_embeddings e where e.project_id = d.project_id and e.chunk_id = d.id)
        -- Some may have another title, or an embedding of another model.
        limit 8
     ) twin
     cross join lateral unnest(t.ids) as own (id)
      join matrice.source_chunks c on c.id = own.id and c.content = twin.content
     where own.id <> twin.id;
end
$$;
comment on function matrice_private.embedded_twins is
  'Finds chunks with the same text that have an embedding, a few for each of the given chunks. project_ids: only in these '
  'projects; null: in all. SECURITY DEFINER: under row-level security, the hash could not use its index. Checks no roles: for '
  'services and embedded_twins_of_member.';

create or replace function matrice_private.embedded_twins_of_member(chunk_ids uuid[]) returns table (chunk_id uuid, twin_id uuid)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.embedded_twins(chunk_ids, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.embedded_twins_of_member is
  'Calls embedded_twins for the projects that the caller may edit. SECURITY DEFINER: under row-level security, the hash could '
  'not use its index.';

create or replace function matrice_private.waiting_twins(chunk_ids uuid[], model text, project_ids uuid[])
returns table (chunk_id uuid, twin_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select own.id, twin.id
      from matrice_private.texts_of(waiting_twins.chunk_ids, waiting_twins.project_ids) t
     cross join lateral (
       select d.id, d.content from matrice.source_chunks d
        where d.project_id = t.project_id and hashtextextended(d.content, 0) = t.hash
          and not exists (
            select from (select e.model from matrice.chunk_embeddings e where e.chunk_id = d.id offset 0) e
             where e.model = waiting_twins.model)
     ) twin
      join matrice.projects p on p.id = t.project_id
     -- With a template, some may have another title.
     cross join lateral unnest(t.ids[1:case when p.settings ? 'embedding_template' then 8 else 1 end]) as own (id)
      join matrice.source_chunks c on c.id = own.id and c.content = twin.content
     -- One call copies a limited number. The next claims offer the others.
     limit 500;
end
$$;
comment on function matrice_private.waiting_twins is
  'Finds chunks with the same text as one of the given chunks that have no embedding of a model, at most 500. '
  'project_ids: only in these projects; null: in all. SECURITY DEFINER: under row-level security, the hash could not use its '
  'index. Checks no roles: for services and waiting_twins_of_member.';

create or replace function matrice_private.waiting_twins_of_member(chunk_ids uuid[], model text)
returns table (chunk_id uuid, twin_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice_private.waiting_twins(chunk_ids, model, matrice_private.project_ids('editor'));
end
$$;
comment on function matrice_private.waiting_twins_of_member is
  'Calls waiting_twins for the projects that the caller may edit. SECURITY DEFINER: under row-level security, the hash could not '
  'use its index.';

create or replace function matrice_private.is_embedded_alike(template text, chunk_id uuid, twin_id uuid) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select count(distinct case when template is null then c.content
                               else matrice_private.embedding_text(template, s.name, c.metadata, c.content) end) = 1
           and count(*) = 2
      from matrice.source_chunks c join matrice.context_sources s on s.id = c.source_id
     where c.id in (is_embedded_alike.chunk_id, is_embedded_alike.twin_id));
end
$$;
comment on function matrice_private.is_embedded_alike is
  'Returns whether the caller can see two chunks, and the text of both that is embedded is the same.';

create or replace function matrice_private.take_embeddings(project_id uuid, chunk_ids uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  template text := (select p.settings ->> 'embedding_template' from matrice.projects p where p.id = take_embeddings.project_id);
  chunks   uuid[];
  twins    uuid[];
begin
  -- The first documents of a project need no look at each of their chunks.
  if not exists (select from matrice.chunk_embeddings e where e.project_id = take_embeddings.project_id) then
    return;
  end if;
  if row_security_active('matrice.chunk_embeddings') then
    select array_agg(t.chunk_id), array_agg(t.twin_id) into chunks, twins
      from matrice_private.embedded_twins_of_member(take_embeddings.chunk_ids) t;
  else
    select array_agg(t.chunk_id), array_agg(t.twin_id) into chunks, twins
      from matrice_private.embedded_twins(take_embeddings.chunk_ids, null) t;
  end if;
  -- As the caller, who may not see all chunks if somebody has added policies.
  insert into matrice.chunk_embeddings (chunk_id, project_id, model, embedding, template_hash)
  select distinct on (g.chunk_id, e.model) g.chunk_id, take_embeddings.project_id, e.model, e.embedding, e.template_hash
    from unnest(chunks, twins) as g (chunk_id, twin_id)
   cross join lateral (
     select e.model, e.embedding, e.template_hash from matrice.chunk_embeddings e where e.chunk_id = g.twin_id offset 0) e
   where matrice_private.is_embedded_alike(template, g.chunk_id, g.twin_id)
   order by g.chunk_id, e.model, g.twin_id
  on conflict on constraint chunk_embeddings_chunk_id_model_key do nothing;
end
$$;
comment on function matrice_private.take_embeddings is
  'Gives new chunks of a project the embeddings of other chunks whose embedded text is the same. The caller has just inserted '
  'them.';

create or replace function matrice_private.share_embeddings(model text, chunk_ids uuid[]) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set jit = off
-- Less than it takes to find a deadlock: a client's own insert of the same embedding may be waiting for the chunk.
set lock_timeout = '100ms'
as $$
#variable_conflict use_column
declare
  chunks uuid[];
  twins  uuid[];
  held   uuid[];
  shared uuid[];
begin
  -- With an older snapshot, it could not see that a text has changed.
  if current_setting('transaction_isolation') <> 'read committed' then
    return array[]::uuid[];
  end if;
  if row_security_active('matrice.chunk_embeddings') then
    select array_agg(t.chunk_id), array_agg(t.twin_id) into chunks, twins
      from matrice_private.waiting_twins_of_member(share_embeddings.chunk_ids, share_embeddings.model) t;
  else
    select array_agg(t.chunk_id), array_agg(t.twin_id) into chunks, twins
      from matrice_private.waiting_twins(share_embeddings.chunk_ids, share_embeddings.model, null) t;
  end if;
  if twins is null then
    return array[]::uuid[];
  end if;
  -- FOR UPDATE, so that nobody claims them, changes their text, or stores their embedding meanwhile. It waits for nobody.
  held := array(select c.id from matrice.source_chunks c where c.id = any (twins) order by c.id for update skip locked);
  with shared as (
    insert into matrice.chunk_embeddings (chunk_id, project_id, model, embedding, template_hash)
    select g.twin_id, e.project_id, share_embeddings.model, e.embedding, e.template_hash
      from unnest(chunks, twins) as g (chunk_id, twin_id)
     cross join lateral (select e.* from matrice.chunk_embeddings e where e.chunk_id = g.chunk_id offset 0) e
      join matrice.projects p on p.id = e.project_id
     where g.twin_id = any (held) and e.model = share_embeddings.model
       -- Another text may be embedded there, or somebody works on it.
       and matrice_private.is_embedded_alike(p.settings ->> 'embedding_template', g.chunk_id, g.twin_id)
       and not exists (
         select from (select l.* from matrice.embedding_leases l where l.chunk_id = g.twin_id offset 0) l
          where l.model = share_embeddings.model and l.lease_id is not null and l.leased_until > now())
     order by g.twin_id
    on conflict on constraint chunk_embeddings_chunk_id_model_key do nothing
    returning chunk_id
  )
  select coalesce(array_agg(s.chunk_id), '{}') into shared from shared s;
  return shared;
exception when lock_not_available then
  return array[]::uuid[];
end
$$;
comment on function matrice_private.share_embeddings is
  'Copies embeddings that the caller has just stored to other chunks whose embedded text is the same, unless they have one or '
  'somebody leases them. Returns the chunks that got one. Skips chunks that others have locked.';
