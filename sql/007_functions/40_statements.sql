-- Insights: recording and searching them. docs/insights.md says how they compound.

-- The engine's functions for statements.

create or replace function matrice_private.normal_text(content text) returns text
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._normal_text(content);
end
$$;
comment on function matrice_private.normal_text is
  'Returns what the ways to write a statement have in common: without case, white space, and quotation marks and punctuation '
  'around it. SECURITY DEFINER: only the owner may execute the engine''s functions. The result depends on the argument alone.';

create or replace function matrice_private.sketch(words tsvector, project_id uuid) returns integer[]
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._sketch(words, project_id);
end
$$;
comment on function matrice_private.sketch is
  'Returns codes of the words of a text. Texts of a project whose words are alike share some. SECURITY DEFINER: only the owner '
  'may execute the engine''s functions. The result depends on the arguments alone.';

create or replace function matrice_private.statement_hash(variadic parts text[]) returns bytea
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return sha256(convert_to(
    (select jsonb_agg(matrice_private.normal_text(p.part) order by p.place)
       from unnest(parts) with ordinality as p (part, place))::text, 'UTF8'));
end
$$;
comment on function matrice_private.statement_hash is
  'Returns the SHA-256 of a JSON array of texts, each as normal_text returns it.';

create or replace function matrice_private.complete_insight() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- PostgreSQL checks constraints after this trigger, which would already have read a value that is too large.
  perform matrice_private.require_bytes('type', new.type, 200);
  perform matrice_private.require_bytes('title', new.title, 2000);
  perform matrice_private.require_bytes('content', new.content, 65536);
  perform matrice_private.require_bytes('subject', new.subject, 2000);
  perform matrice_private.require_bytes('attribute', new.attribute, 2000);
  perform matrice_private.require_bytes('value', new.value, 2000);
  -- The words of the title count twice.
  new.fts := matrice_private.text_vector(
    concat_ws(E'\n\n', new.title, new.title, new.content), matrice_private.text_language(new.project_id));
  new.content_hash := matrice_private.statement_hash(
    new.type, new.title, new.content, new.subject, new.attribute, new.value);
  new.text_hash := matrice_private.statement_hash(new.type, new.title, new.content);
  new.key_hash := case when new.subject is not null then matrice_private.statement_hash(new.subject, new.attribute) end;
  new.sketch := matrice_private.sketch(new.fts, new.project_id);
  -- A client changed the text. Nobody has looked whether there is another insight with the new one.
  if tg_op = 'UPDATE' and new.content_hash <> old.content_hash then
    new.is_recorded := false;
  end if;
  return new;
end
$$;
comment on function matrice_private.complete_insight is
  'Computes the full-text index (fts) of an insight, its hashes and its codes. The title weighs more than the content.';

create or replace trigger complete_insight
before insert or update of type, title, content, subject, attribute, value, fts, content_hash, text_hash, key_hash, sketch,
                           project_id
on matrice.insights for each row execute function matrice_private.complete_insight();

create or replace function matrice_private.keep_recorded_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- An import runs as the owner, and a restore as a superuser.
  if not pg_has_role(current_user, (select c.relowner from pg_class c where c.oid = tg_relid), 'usage') then
    new.recorded_at := case tg_op when 'INSERT' then clock_timestamp() else old.recorded_at end;
  end if;
  return new;
end
$$;
comment on function matrice_private.keep_recorded_at is
  'Sets recorded_at of an insight and ignores what the client wrote.';

create or replace trigger keep_recorded_at before insert or update of recorded_at on matrice.insights
for each row execute function matrice_private.keep_recorded_at();

create or replace function matrice_private.note_ending() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.superseded_by is not null and new.superseded_at is null then
    new.superseded_at := now();
  end if;
  -- The insight holds again. There may be another one with its text by now.
  if tg_op = 'UPDATE' and new.superseded_at is null and new.retracted_at is null
     and (old.superseded_at is not null or old.retracted_at is not null) then
    new.is_recorded := false;
  end if;
  return new;
end
$$;
comment on function matrice_private.note_ending is
  'Sets superseded_at of an insight that a client replaced. Lets an insight hold again although another one has its text.';

create or replace trigger note_ending before insert or update of superseded_by, superseded_at, retracted_at on matrice.insights
for each row execute function matrice_private.note_ending();

create or replace function matrice_private.require_statement(
  type text, title text, content text, confidence double precision, tags jsonb, evidence jsonb
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_text('type', type);
  perform matrice_private.require_text('title', title);
  perform matrice_private.require_text('content', content);
  perform matrice_private.require_given('confidence', confidence);
  if not confidence between 0 and 1 then
    raise exception 'confidence must be between 0 and 1, not %', confidence
      using errcode = '22023', hint = 'Leave it out to use 0.5.';
  end if;
  perform matrice_private.require_bytes('type', type, 200);
  perform matrice_private.require_bytes('title', title, 2000);
  perform matrice_private.require_bytes('content', content, 65536);
  perform matrice_private.require_given('tags', tags);
  perform matrice_private.require_json('tags', tags, 16384);
  perform matrice_private.require_json('evidence', evidence, 65536);
  if jsonb_typeof(tags) <> 'array' then
    raise exception 'tags must be a JSON array'
      using errcode = '22023', detail = format('It is a JSON %s.', jsonb_typeof(tags)),
            hint = 'Pass the array itself, not a string that contains it.';
  end if;
end
$$;
comment on function matrice_private.require_statement is 'Raises unless the arguments can be an insight.';

create or replace function matrice_private.require_fact(
  subject text, attribute text, value text, volatility text, valid_from timestamptz, valid_until timestamptz
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if num_nulls(subject, attribute, value) not in (0, 3) then
    raise exception 'subject, attribute and value belong together'
      using errcode = '22023', detail = format('%s of them are null.', num_nulls(subject, attribute, value)),
            hint = 'Pass all three, such as "invoices", "payment term" and "30 days", or none.';
  end if;
  if subject is not null then
    perform matrice_private.require_text('subject', subject);
    perform matrice_private.require_text('attribute', attribute);
    perform matrice_private.require_text('value', value);
  end if;
  perform matrice_private.require_bytes('subject', subject, 2000);
  perform matrice_private.require_bytes('attribute', attribute, 2000);
  perform matrice_private.require_bytes('value', value, 2000);
  if volatility is not null then
    perform matrice_private.require_one_of('volatility', volatility, array['permanent', 'slow', 'normal', 'fast']);
  end if;
  perform matrice_private.require_time('valid_from', valid_from);
  perform matrice_private.require_time('valid_until', valid_until);
  if valid_until < valid_from then
    raise exception 'valid_until must not be before valid_from'
      using errcode = '22023', detail = format('%s is before %s.', valid_until, valid_from), hint = 'Exchange them.';
  end if;
end
$$;
comment on function matrice_private.require_fact is 'Raises unless the optional arguments of record_insight fit together.';

create or replace function matrice_private.kept_insight(insight_id uuid) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with recursive kept as (
      select i.id, i.is_merged, i.superseded_by, 0 as depth from matrice.insights i where i.id = kept_insight.insight_id
      union all
      -- No circle can close, so this ends.
      select i.id, i.is_merged, i.superseded_by, k.depth + 1
        from kept k join matrice.insights i on i.id = k.superseded_by where k.is_merged
    )
    select k.id from kept k order by k.depth desc limit 1);
end
$$;
comment on function matrice_private.kept_insight is
  'Returns the insight that an insight was merged into, directly or through others; itself, if it was not.';

create or replace function matrice_private.known_insight(
  project_id uuid, text_hash bytea, key_hash bytea, value text, valid_from timestamptz
) returns uuid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  known record;
begin
  -- Those that hold first, then the one that ended last.
  select i.id, i.is_merged, least(i.superseded_at, i.retracted_at, i.valid_until) as ended_at into known
    from matrice.insights i
   where i.project_id = known_insight.project_id and i.text_hash = known_insight.text_hash
     -- Whoever names no subject says the same as who does.
     and (i.key_hash is null or known_insight.key_hash is null
          or i.key_hash = known_insight.key_hash
             and matrice_private.normal_value(i.value) = matrice_private.normal_value(known_insight.value))
   order by least(i.superseded_at, i.retracted_at, i.valid_until) desc nulls first,
            (i.key_hash is null) = (known_insight.key_hash is null) desc, i.created_at, i.id
   limit 1;
  -- Merged insights count for the one that was kept.
  if known.is_merged then
    select i.id, i.is_merged, least(i.superseded_at, i.retracted_at, i.valid_until) as ended_at into known
      from matrice.insights i where i.id = matrice_private.kept_insight(known.id);
  end if;
  -- A statement about a later time is another one: what was so once can become so again. And what was merged was not wrong: if
  -- the one that was kept is deleted, the statement is new.
  return case when not known.is_merged and (known.ended_at is null or valid_from is null or valid_from < known.ended_at)
              then known.id end;
end
$$;
comment on function matrice_private.known_insight is
  'Returns the insight of a project that states the same in the same words, and no other value: the one that holds; else the '
  'one that ended last, unless the new statement is about a time after its end. Null if there is none, or if it was merged into '
  'one that is deleted.';
