-- The embedding queue, second half: a worker stores embeddings or gives chunks back.

create or replace function matrice.store_embeddings(model text, chunk_ids uuid[], embeddings jsonb, lease_id uuid default null)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- For the reason given at lease_chunks.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
#variable_conflict use_column
declare
  chosen_model text;
  others uuid[] := array[]::uuid[];
  ours uuid[];
  held integer;
  stored integer;
  refusal text;
  is_member boolean := row_security_active('matrice.embedding_leases');
begin
  perform matrice_private.require_text('model', model);
  chosen_model := matrice_private.embedding_model(model, null);
  perform matrice_private.require_chunks(chunk_ids);
  perform matrice_private.require_given('embeddings', embeddings);
  if jsonb_typeof(embeddings) is distinct from 'array' or jsonb_array_length(embeddings) <> cardinality(chunk_ids) then
    raise exception 'embeddings must be an array with one vector for each of chunk_ids'
      using errcode = '22023',
            detail = format('There are %s chunk_ids. embeddings %s.', cardinality(chunk_ids),
              case when jsonb_typeof(embeddings) = 'array' then 'has ' || jsonb_array_length(embeddings) || ' vectors'
                   else 'is a JSON ' || coalesce(jsonb_typeof(embeddings), 'null') end),
            hint = 'Pass embeddings as a JSON array of arrays of numbers.';
  end if;
  -- Skips chunks that no longer exist, because their source was cut again since the claim; and chunks whose text changed.
  ours := matrice_private.hold_chunks(chunk_ids);
  held := cardinality(ours);
  if is_member then
    ours := matrice_private.own_leases_of_member(ours, chosen_model, store_embeddings.lease_id);
  else
    ours := matrice_private.own_leases(ours, chosen_model, store_embeddings.lease_id, null);
  end if;
  begin
    insert into matrice.chunk_embeddings as e (chunk_id, project_id, model, embedding, template_hash)
    select c.id, c.project_id, chosen_model, given.embedding,
           -- Of the text that was claimed. The template may have changed since.
           coalesce(
             (select l.template_hash
                from (select l.* from matrice.embedding_leases l where l.chunk_id = c.id offset 0) l
               where l.model = chosen_model),
             (select matrice_private.template_hash(p.settings) from matrice.projects p where p.id = c.project_id))
      from (
        select distinct on (g.id) g.id, g.place
          from unnest(chunk_ids) with ordinality as g (id, place) order by g.id, g.place desc
      ) last
      join matrice_private.read_embeddings(embeddings) given on given.place = last.place
      join matrice.source_chunks c on c.id = last.id
     where c.id = any (ours)
     order by c.id
    on conflict on constraint chunk_embeddings_chunk_id_model_key do update
      set embedding = excluded.embedding, template_hash = excluded.template_hash, created_at = now();
    get diagnostics stored = row_count;
    if held < cardinality(chunk_ids) then
      others := matrice_private.not_chunks(chunk_ids);
    end if;
    if others <> '{}' and is_member then
      stored := stored + matrice_private.store_insights_of_member(
        others, chosen_model, chunk_ids, embeddings, store_embeddings.lease_id);
    elsif others <> '{}' then
      stored := stored + matrice_private.store_insights(
        others, chosen_model, chunk_ids, embeddings, store_embeddings.lease_id, null);
    end if;
  exception when data_exception or program_limit_exceeded then
    if sqlstate = '22023' then
      raise;
    end if;
    get stacked diagnostics refusal = message_text;
    refusal := left(refusal, 200);
    raise exception 'an embedding is not a vector of numbers'
      using errcode = '22023', detail = refusal, hint = 'Pass embeddings as a JSON array of arrays of finite numbers.';
  end;
  ours := ours || matrice_private.share_embeddings(chosen_model, ours);
  if is_member then
    perform matrice_private.end_leases_of_member(ours, chosen_model);
  else
    perform matrice_private.end_leases(ours, chosen_model, null);
  end if;
  return stored;
end
$$;
comment on function matrice.store_embeddings is
  'Stores the embeddings of claimed chunks and insights, and ends their leases. The ids of both are in chunk_ids, and what is '
  'said of chunks holds for insights. Returns how many embeddings were stored. Other chunks of the '
  'project whose embedded text is the same get them, too; they are not counted. If it raises an error, nothing is stored. Skips '
  'chunks that no longer exist, chunks whose text changed since they were claimed (they can be claimed again), and chunks that '
  'somebody else leases. embeddings: a JSON array in the order of chunk_ids, of arrays of numbers, or of strings: the text of a '
  'vector, such as "[1, 2.5]", or base64 of little-endian 32-bit floats, as embedding APIs return it. Of a vector of the whole '
  'model, a truncated model keeps the first numbers, scaled to length 1. lease_id: the one that claim_chunks returned; if given, '
  'chunks that this lease no longer holds are skipped too.';

create or replace function matrice.fail_chunks(
  model text, chunk_ids uuid[], error text, lease_id uuid default null, permanent boolean default false
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen_model text;
begin
  perform matrice_private.require_text('model', model);
  perform matrice_private.require_given('error', error);
  perform matrice_private.require_given('permanent', permanent);
  chosen_model := matrice_private.embedding_model(model, null);
  perform matrice_private.require_chunks(chunk_ids);
  perform matrice_private.give_back(chunk_ids, chosen_model, error, lease_id, permanent);
end
$$;
comment on function matrice.fail_chunks is
  'Gives back chunks and insights that the caller leases, with an error. After the first failure they can be claimed again at '
  'once; after each further failure they wait longer, up to an hour. After max_attempts failures (a setting of the project, 8 '
  'by default) they are not claimed any more: failed_chunks lists them. error: its first 2000 characters are kept. lease_id: '
  'the one that claim_chunks returned; if given, only chunks of this lease are given back. permanent: whether the text itself '
  'is at fault, so that it must not be tried again. Defaults: permanent false.';
