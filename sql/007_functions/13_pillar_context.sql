-- Pillars at the beginning of a context.

create or replace function matrice_private.require_codes(argument text, codes text[]) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_given(argument, codes);
  if cardinality(codes) > cardinality(matrice_private.phases()) then
    raise exception '% has too many codes', argument
      using errcode = '22023', detail = format('It has %s.', cardinality(codes)), hint = 'Name each pillar once.';
  end if;
  perform matrice_private.require_phase(argument, code) from unnest(codes) code;
end
$$;
comment on function matrice_private.require_codes is
  'Raises an error unless an argument is an array of at most six codes of pillars.';

create or replace function matrice_private.pack_pillars(
  project_id uuid, codes text[], token_budget integer, target_model text
) returns table (context text, citations jsonb, tokens_left integer)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  pillar  record;
  before  text;
  passage text;
  heading text;
  is_cut  boolean;
begin
  context := '';
  citations := '[]';
  tokens_left := token_budget;
  if codes = '{}' then
    return next;
    return;
  end if;
  for pillar in
    select d.code, d.name, d.version, d.content
      from matrice_private.described_pillars(project_id) d
      join lateral (select min(g.place) as place from unnest(codes) with ordinality g (code, place) where g.code = d.code) given
        on given.place is not null
     where not matrice_private.is_blank(d.content)
     order by given.place
  loop
    before := context || case context when '' then '' else E'\n\n' end;
    heading := matrice_private.passage_heading(jsonb_array_length(citations) + 1, format('%s: %s', pillar.code, pillar.name));
    passage := heading || pillar.content;
    is_cut := matrice.count_tokens(before || passage, target_model) > token_budget;
    if is_cut then
      -- The joint may cost a token.
      passage := matrice_private.cut_at_sentence(
        heading, pillar.content, greatest(token_budget - matrice.count_tokens(before, target_model) - 1, 0), target_model);
      exit when passage = '' or matrice.count_tokens(before || passage, target_model) > token_budget;
    end if;
    context := before || passage;
    citations := citations || jsonb_build_array(
      jsonb_build_object('number', jsonb_array_length(citations) + 1, 'pillar', pillar.code, 'title', pillar.name,
                         'version', pillar.version, 'is_cut', is_cut));
    exit when is_cut;
  end loop;
  if context <> '' then
    tokens_left := token_budget - matrice.count_tokens(context || E'\n\n', target_model);
  end if;
  return next;
end
$$;
comment on function matrice_private.pack_pillars is
  'Writes the pillars that are not empty as the first passages of a context, in the order of codes. The first one that does not '
  'fit is cut by whole_sentences, and ends the list. Returns the text, its citations, and how many tokens are left for passages '
  'that follow.';
