-- Checks of the arguments of searches.

create or replace function matrice_private.search_scope(
  project_id uuid, model text, out project_ids uuid[], out embedding_model text, out dimensions integer
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One query for the ordinary case.
  if project_id is null then
    select array(select p.id from matrice.projects p), m.model, m.dimensions
      into project_ids, embedding_model, dimensions
      from matrice.embedding_models m
     where m.model = coalesce(search_scope.model, (select d.model from matrice.embedding_models d where d.is_default));
  else
    select array[p.id], m.model, m.dimensions
      into project_ids, embedding_model, dimensions
      from matrice.projects p
      join matrice.embedding_models m
        on m.model = coalesce(search_scope.model, p.settings ->> 'embedding_model',
                              (select d.model from matrice.embedding_models d where d.is_default))
     where p.id = search_scope.project_id;
  end if;
  -- One of these says what is missing.
  if not found then
    project_ids := matrice_private.searchable_projects(project_id);
    embedding_model := matrice_private.embedding_model(model, project_id);
  end if;
end
$$;
comment on function matrice_private.search_scope is
  'Returns the projects that a search covers, as searchable_projects, and the model to use with its dimensions, as '
  'embedding_model. Raises what they raise.';

create or replace function matrice_private.query_vector(query_embedding vector, model text) returns vector
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('query_embedding', query_embedding);
  return matrice_private.comparable(query_embedding, model);
end
$$;
comment on function matrice_private.query_vector is
  'Returns a query vector as it is compared with embeddings of the model. Raises an error if it cannot be compared with them.';

create or replace function matrice_private.require_result_options(
  match_count integer, filter jsonb, diversity double precision, max_per_source integer, expand integer
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if match_count between 1 and 10000 and diversity = 0 and max_per_source is null and expand = 0 then
    perform matrice_private.require_filter(filter);
    return;
  end if;
  perform matrice_private.require_match_count(match_count);
  perform matrice_private.require_filter(filter);
  perform matrice_private.require_given('diversity', diversity);
  perform matrice_private.require_given('expand', expand);
  if not diversity between 0 and 1 then
    raise exception 'diversity must be between 0 and 1, not %', diversity
      using errcode = '22023', hint = '0 returns the best results. Towards 1, results differ more from each other.';
  end if;
  if diversity > 0 and match_count > 100 then
    raise exception 'with diversity, match_count must be at most 100, not %', match_count
      using errcode = '22023', hint = 'Each result is compared with all candidates. Pass a smaller match_count, or diversity 0.';
  end if;
  if max_per_source < 1 then
    raise exception 'max_per_source must be at least 1, not %', max_per_source
      using errcode = '22023', hint = 'Leave it out for no limit.';
  end if;
  if expand not between 0 and 100 then
    raise exception 'expand must be between 0 and 100, not %', expand
      using errcode = '22023', hint = 'It is the number of chunks to add before and after each hit.';
  end if;
end
$$;
comment on function matrice_private.require_result_options is
  'Raises an error unless the arguments that choose a set of chunks are valid.';

create or replace function matrice_private.require_least(argument text, least_score double precision) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if least_score in ('NaN', 'Infinity', '-Infinity') then
    raise exception '% must be a finite number, not %', argument, least_score
      using errcode = '22023', hint = 'Leave it out for no limit.';
  end if;
end
$$;
comment on function matrice_private.require_least is 'Raises an error if the lowest score of a result is not a finite number.';

create or replace function matrice_private.require_words(words text) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('words', words);
  perform matrice_private.require_one_of('words', words, array['any', 'all']);
end
$$;
comment on function matrice_private.require_words is 'Raises an error unless words is any or all.';

create or replace function matrice_private.require_highlight(highlight boolean, fragments integer, html boolean) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('highlight', highlight);
  perform matrice_private.require_given('highlight_fragments', fragments);
  perform matrice_private.require_given('highlight_html', html);
  if fragments not between 1 and 10 then
    raise exception 'highlight_fragments must be between 1 and 10, not %', fragments
      using errcode = '22023', hint = 'It is the most excerpts of a chunk.';
  end if;
end
$$;
comment on function matrice_private.require_highlight is 'Raises an error unless the arguments of highlights are valid.';

create or replace function matrice_private.require_fusion(
  full_text_weight double precision, semantic_weight double precision, rrf_k integer, fusion text
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given('full_text_weight', full_text_weight);
  perform matrice_private.require_given('semantic_weight', semantic_weight);
  perform matrice_private.require_given('rrf_k', rrf_k);
  if not (full_text_weight between 0 and 1e6 and semantic_weight between 0 and 1e6)
     or full_text_weight > 0 and full_text_weight < 1e-6 or semantic_weight > 0 and semantic_weight < 1e-6 then
    raise exception 'full_text_weight and semantic_weight must be 0, or between 0.000001 and 1000000'
      using errcode = '22023',
            detail = format('full_text_weight is %s, and semantic_weight is %s.', full_text_weight, semantic_weight),
            hint = 'The default of both is 1. A search with the weight 0 does not count in the score.';
  end if;
  perform matrice_private.require_given('fusion', fusion);
  perform matrice_private.require_one_of('fusion', fusion, array['score', 'rank']);
  if rrf_k not between 1 and 1000000 then
    raise exception 'rrf_k must be between 1 and 1000000, not %', rrf_k
      using errcode = '22023', hint = 'The default is 50. A smaller value favours the first ranks more.';
  end if;
end
$$;
comment on function matrice_private.require_fusion is
  'Raises an error unless the arguments that combine two searches are valid.';

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
comment on function matrice_private.has_chunks is 'Returns whether any chunk in the projects matches a filter.';

create or replace function matrice_private.member_has_chunks(project_ids uuid[], filter jsonb) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice_private.has_chunks(matrice_private.projects_of_member(project_ids), filter);
end
$$;
comment on function matrice_private.member_has_chunks is
  'Calls has_chunks for those of the projects that the caller is a member of. SECURITY DEFINER: policies would keep filters from '
  'using their index.';

create or replace function matrice_private.unmatched(filter jsonb, project_ids uuid[]) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  asked   record;
  matched boolean;
  none    text[] := array[]::text[];
begin
  -- First the whole filter, then each of its keys alone.
  for asked in
    select filter as part, true as is_all
    union all
    select part, false
      from (select jsonb_build_object(e.key, e.value) as part from jsonb_each(filter) e order by e.key limit 10) parts
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
  return case when none = '{}' then 'Each key of the filter matches some chunk, but no chunk matches all of them.'
              else format('No chunk matches %s.', array_to_string(none, ' or ')) end;
end
$$;
comment on function matrice_private.unmatched is
  'Returns a sentence that says which keys of a filter match no chunk in the projects; null if some chunk matches the whole '
  'filter.';

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
      raise notice 'no chunk matches the filter'
        using detail = reason,
              hint = 'A filter is compared with the metadata of a chunk, and with the metadata and the type of its source. '
                     'An array asks for all of its elements. Ids and names of sources are not metadata.';
    end if;
  end if;
end
$$;
comment on function matrice_private.tell_unmatched is
  'Raises a notice if no chunk in the projects matches the filter. Searches that find nothing call it.';

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
    raise exception 'scores must be an object of numbers by chunk_id'
      using errcode = '22023',
            detail = format('The wrong entry is %s: %s.', to_json(left(wrong.key, 100)), left(wrong.value::text, 100)),
            hint = 'Pass {"<chunk_id>": score, …}, with scores between -1e300 and 1e300.';
  end if;
  if (select count(*) from jsonb_object_keys(scores)) > 10000 then
    raise exception 'scores must have at most 10000 entries'
      using errcode = '22023', hint = 'Score only the best results of a search.';
  end if;
end
$$;
comment on function matrice_private.require_scores is 'Raises an error unless scores is an object of numbers by chunk_id.';
