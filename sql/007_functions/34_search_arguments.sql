-- Checks of the arguments of searches.

create or replace function matrice_private.require_embedding(query_embedding vector, model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('query_embedding', query_embedding);
  perform matrice_private.require_comparable(query_embedding, model);
end
$$;
comment on function matrice_private.require_embedding is 'Raises unless a query vector can be compared with embeddings of the model.';

create or replace function matrice_private.require_result_options(match_count integer, filter jsonb, diversity double precision, max_per_source integer, expand integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_filter(filter);
  perform matrice_private.require_given('diversity', diversity);
  perform matrice_private.require_given('expand', expand);
  if not diversity between 0 and 1 then
    raise exception 'diversity must be between 0 and 1, not %', diversity
      using errcode = '22023', hint = '0 takes the best, 1 the most different from each other.';
  end if;
  if diversity > 0 and match_count > 100 then
    raise exception 'diversity is for a match_count of at most 100, not %', match_count
      using errcode = '22023', hint = 'Each result is compared with all candidates for the next.';
  end if;
  if max_per_source < 1 then
    raise exception 'max_per_source must be at least 1, not %', max_per_source
      using errcode = '22023', hint = 'Leave it out for no limit.';
  end if;
  if expand not between 0 and 100 then
    raise exception 'expand must be between 0 and 100, not %', expand
      using errcode = '22023', hint = 'How many chunks before and after each hit are to come with it.';
  end if;
end
$$;
comment on function matrice_private.require_result_options is
  'Raises unless the arguments that say which set of chunks is wanted are reasonable.';

create or replace function matrice_private.require_fusion(full_text_weight double precision, semantic_weight double precision, rrf_k integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('full_text_weight', full_text_weight);
  perform matrice_private.require_given('semantic_weight', semantic_weight);
  perform matrice_private.require_given('rrf_k', rrf_k);
  if not (full_text_weight between 0 and 1e6 and semantic_weight between 0 and 1e6)
     or full_text_weight > 0 and full_text_weight < 1e-6 or semantic_weight > 0 and semantic_weight < 1e-6 then
    raise exception 'weights must be numbers between 0 and 1000000'
      using errcode = '22023', hint = 'The default of both is 1; 0 leaves a search out of the score. Smaller ones than 0.000001 are refused.';
  end if;
  if rrf_k not between 1 and 1000000 then
    raise exception 'rrf_k must be between 1 and 1000000, not %', rrf_k
      using errcode = '22023', hint = 'The default is 50; less favours the first ranks more.';
  end if;
end
$$;
comment on function matrice_private.require_fusion is
  'Raises unless the arguments of reciprocal rank fusion are reasonable.';

create or replace function matrice_private.has_chunks(project_ids uuid[], filter jsonb) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  return exists (
    select from unnest(project_ids) as p (id)
      join matrice.source_chunks c
        on c.filterable @> (filter || jsonb_build_object('matrice.project', p.id)) and (c.project_id = p.id) is true
  );
end
$$;
comment on function matrice_private.has_chunks is 'Whether a filter is contained in any chunk of the projects.';

create or replace function matrice_private.member_has_chunks(project_ids uuid[], filter jsonb) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.has_chunks(matrice_private.projects_of_member(project_ids), filter);
end
$$;
comment on function matrice_private.member_has_chunks is
  'has_chunks in those projects that the caller is a member of. SECURITY DEFINER: policies keep filters from their index.';

create or replace function matrice_private.unmatched(filter jsonb, project_ids uuid[]) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  asked   record;
  matched boolean;
  none    text[] := array[]::text[];
begin
  -- By itself, of each that it asks for.
  for asked in
    select filter as part, true as is_all
    union all
    select part, false from (select jsonb_build_object(e.key, e.value) as part from jsonb_each(filter) e order by e.key limit 10) parts
  loop
    if row_security_active('matrice.source_chunks') then
      matched := matrice_private.member_has_chunks(project_ids, asked.part);
    else
      matched := matrice_private.has_chunks(project_ids, asked.part);
    end if;
    if matched and asked.is_all then
      return null;
    elsif not matched and not asked.is_all then
      none := none || left(asked.part::text, 200);
    end if;
  end loop;
  return case when none = '{}' then 'Some have each of what it asks for, and none has all.'
              else format('None has %s.', array_to_string(none, ', nor ')) end;
end
$$;
comment on function matrice_private.unmatched is
  'What of a filter no chunk has; null where some chunk has all of it.';

create or replace function matrice_private.tell_unmatched(filter jsonb, project_ids uuid[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  reason text;
begin
  if filter <> '{}' then
    reason := matrice_private.unmatched(filter, project_ids);
    if reason is not null then
      raise notice 'no chunk has what filter asks for'
        using detail = reason,
              hint = 'A filter is contained in the metadata of the chunk, or of its source, or is its type. An array asks for all of its elements. Ids and names of sources are no metadata.';
    end if;
  end if;
end
$$;
comment on function matrice_private.tell_unmatched is
  'Tells by a notice that a search found nothing because of its filter.';

create or replace function matrice_private.require_scores(scores jsonb) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong record;
begin
  perform matrice_private.require_object('scores', scores);
  select s.key, s.value into wrong from jsonb_each(scores) s
   where jsonb_typeof(s.value) <> 'number' or abs((case jsonb_typeof(s.value) when 'number' then s.value end)::numeric) > 1e300
      or s.key !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
   limit 1;
  if found then
    raise exception 'scores must be numbers by chunk_id'
      using errcode = '22023', detail = format('There is %s: %s.', to_json(left(wrong.key, 100)), left(wrong.value::text, 100)),
            hint = 'Pass {"<chunk_id>": score, …}.';
  end if;
  if (select count(*) from jsonb_object_keys(scores)) > 10000 then
    raise exception 'scores must be at most 10000' using errcode = '22023', hint = 'Score the best that a search found.';
  end if;
end
$$;
comment on function matrice_private.require_scores is 'Raises unless an argument holds scores by chunk.';
