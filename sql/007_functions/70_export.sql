-- Export: a project as lines of JSON. The first line is the header, the last one says how many lines there are.
--
-- export_project writes a page, for PostgREST. export_lines writes everything, for COPY. A line does not depend on the
-- settings of the session. Exporting runs as the caller: row-level security decides what is in the file.

create or replace function matrice_private.values_of_key(part text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(format('($2 ->> %s)::%s', k.place - 1, format_type(a.atttypid, a.atttypmod)), ', ' order by k.place)
    from matrice_private.project_parts() p
   cross join lateral unnest(p.key) with ordinality as k (name, place)
    join pg_class c on c.relname = p.tab and c.relnamespace = coalesce(p.options ->> 'home', 'matrice')::regnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = k.name
   where p.part = values_of_key.part;
end;
comment on function matrice_private.values_of_key is
  'Returns SQL for the values of a key of a part, which $2 has as a JSON array.';

create or replace function matrice_private.lines_of_part(project_id uuid, part text, after jsonb, most integer)
returns table (line text, key jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex' set intervalstyle = 'postgres'
-- The rows come from an index in their order. Without statistics, the planner would sort all rows of the project for each page.
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
declare
  keys text := matrice_private.key_of_part(part);
begin
  for line, key in execute format(
    $sql$select %L || row_to_json(r)::text || '}', k.key
           from (select t.* from %s %s order by %s limit $3) t
          cross join lateral (select %s) r
          cross join lateral (select jsonb_build_array(%s) as key) k$sql$,
    format('{"part":%s,"row":', to_json(part)),
    matrice_private.rows_of_part(part),
    case when after is not null then format('and (%s) > (%s)', keys, matrice_private.values_of_key(part)) end,
    keys, matrice_private.row_of_part(part), keys)
  using project_id, after, most loop
    return next;
  end loop;
end
$$;
comment on function matrice_private.lines_of_part is
  'Writes rows of a part as lines, in the order of their keys: at most so many after a key. after: null for the first ones.';

create or replace function matrice_private.exported_parts(with_embeddings boolean)
returns table (place integer, part text, key text[])
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select p.place, p.part, p.key from matrice_private.project_parts() p
   where p.place > 0 and (with_embeddings or not coalesce((p.options -> 'optional')::boolean, false))
   order by p.place;
end;
comment on function matrice_private.exported_parts is 'Returns the parts that an export has, in their order.';

create or replace function matrice_private.export_header(project_id uuid, with_embeddings boolean) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rows  jsonb := jsonb_build_object();
  part  text;
  count bigint;
begin
  perform matrice_private.require_given('with_embeddings', with_embeddings);
  -- A viewer can read each row by itself, so a higher role would protect nothing.
  perform matrice_private.require_role(project_id, 'viewer');
  for part in select p.part from matrice_private.exported_parts(with_embeddings) p loop
    execute format('select count(*) from %s', matrice_private.rows_of_part(part)) into count using project_id;
    rows := rows || jsonb_build_object(part, count);
  end loop;
  return format('{"part":"header","row":%s}', jsonb_build_object(
    'format', 1,
    'version', (select e.extversion from pg_extension e where e.extname = 'matrice'),
    'project_id', project_id, 'with_embeddings', with_embeddings, 'rows', rows));
end
$$;
comment on function matrice_private.export_header is
  'Returns the first line of an export: the version of the format and of matrice, and how many rows each part has. Raises '
  'unless the caller may read the project.';

create or replace function matrice_private.export_end(lines bigint, hash numeric) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select format('{"part":"end","row":{"lines":%s,"hash":"%s"}}', lines, hash);
end;
comment on function matrice_private.export_end is
  'Returns the last line of an export. lines: how many lines come before it. hash: the sum of their hashes.';

create or replace function matrice_private.ranges_of_project(project_id uuid, with_embeddings boolean)
returns table (part text, after jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
declare
  given record;
begin
  for given in select p.part from matrice_private.exported_parts(with_embeddings) p loop
    part := given.part;
    after := null;
    return next;
    return query execute format(
      'select %1$L::text, jsonb_build_array(%2$s)
         from (select *, row_number() over (order by %3$s) as nth from (select %2$s from %4$s) t) t
        where nth %% 1000 = 0',
      part, matrice_private.key_of_part(part),
      matrice_private.key_of_part(part), matrice_private.rows_of_part(part))
    using project_id;
  end loop;
end
$$;
comment on function matrice_private.ranges_of_project is
  'Divides the rows of a project into ranges of 1000, in the order of their export. after: the key before the range.';

create or replace function matrice.export_lines(project_id uuid, with_embeddings boolean default false) returns table (line text)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Each range is read when its lines are fetched, and forgotten then. A window that begins with the first row needs no other.
  select coalesce(l.line, matrice_private.export_end(
           count(l.line) over (rows unbounded preceding), -- noqa: PRS
           coalesce(sum(matrice_private.line_hash(l.line)) over (rows unbounded preceding), 0))) -- noqa: PRS
    from (
      select matrice_private.export_header(project_id, with_embeddings) as line
      union all
      select lines.line
        from matrice_private.ranges_of_project(project_id, with_embeddings) r
       cross join lateral matrice_private.lines_of_part(project_id, r.part, r.after, 1000) lines
      union all
      select null::text
    ) l;
end;
comment on function matrice.export_lines is
  'Exports a project: returns the lines of export_project, all at once. For COPY: copy (select matrice.export_lines(…)) to '
  'stdout. In the select list, lines are sent as they are read; in FROM, PostgreSQL first writes all of them to a temporary '
  'file. Needs the role viewer. Defaults: with_embeddings false.';

create or replace function matrice_private.export_cursor(cursor text, with_embeddings boolean)
returns table (place integer, key jsonb, lines bigint, hash numeric)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  part text;
begin
  if cursor is null then
    return query select 0, null::jsonb, 0::bigint, 0::numeric;
    return;
  end if;
  perform matrice_private.require_bytes('after', cursor, 10000);
  begin
    select p.place, p.part, c.key, c.lines, c.hash into place, part, key, lines, hash
      from jsonb_to_record(cursor::jsonb) as c (part text, key jsonb, lines bigint, hash numeric, with_embeddings boolean)
      join matrice_private.project_parts() p on p.part = c.part and p.place > 0
     where c.lines between 1 and 1000000000000 and c.hash between 0 and 1e36 and c.hash % 1 = 0
       and jsonb_typeof(c.key) = 'array' and jsonb_array_length(c.key) = cardinality(p.key)
       and c.with_embeddings = export_cursor.with_embeddings;
    execute 'select ' || matrice_private.values_of_key(part) using null::uuid, key;
  exception when data_exception or program_limit_exceeded or null_value_not_allowed then
    place := null;
  end;
  if place is null then
    raise exception 'after is not the next_after of an export like this'
      using errcode = '22023', detail = format('It is %s.', quote_literal(left(cursor, 100))),
            hint = 'Pass the next_after of the last line of the page before, and the same with_embeddings.';
  end if;
  return next;
end
$$;
comment on function matrice_private.export_cursor is
  'Reads where a page of an export ended: the part, the key of the last row, the number of lines so far and the sum of their '
  'hashes. Without a cursor: the beginning.';

create or replace function matrice.export_project(
  project_id uuid, with_embeddings boolean default false, after text default null, page_lines integer default 1000
) returns table (line text, next_after text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  reached integer;
  key     jsonb;
  lines   bigint;
  hash    numeric;
  given   record;
  room    bigint := 8388608;
  longest bigint;
  most    bigint;
  rows    bigint;
begin
  perform matrice_private.require_given('page_lines', page_lines);
  if page_lines not between 1 and 10000 then
    raise exception 'page_lines must be between 1 and 10000, not %', page_lines
      using errcode = '22023', hint = 'A page ends earlier when it has 8 MB.';
  end if;
  perform matrice_private.require_given('with_embeddings', with_embeddings);
  perform matrice_private.require_role(project_id, 'viewer');
  select c.* into reached, key, lines, hash from matrice_private.export_cursor(after, with_embeddings) c;
  if after is null then
    line := matrice_private.export_header(project_id, with_embeddings);
    return next;
    lines := 1;
    hash := matrice_private.line_hash(line);
  end if;
  for given in select p.* from matrice_private.exported_parts(with_embeddings) p where p.place >= reached loop
    if given.place > reached then
      key := null;
    end if;
    -- The first row says how many are read at once: texts have up to 64 MB, steps 500 bytes.
    longest := room;
    loop
      most := greatest(1, least(1000, page_lines, room / longest));
      rows := 0;
      for line, key in select l.* from matrice_private.lines_of_part(project_id, given.part, key, most::integer) l loop
        lines := lines + 1;
        hash := hash + matrice_private.line_hash(line);
        rows := rows + 1;
        page_lines := page_lines - 1;
        room := room - octet_length(line);
        longest := case when rows = 1 and most = 1 then octet_length(line) else greatest(longest, octet_length(line)) end;
        if page_lines <= 0 or room <= 0 then
          next_after := jsonb_build_object('part', given.part, 'key', key, 'lines', lines, 'hash', hash::text,
                                           'with_embeddings', with_embeddings);
          return next;
          return;
        end if;
        return next;
      end loop;
      exit when rows < most;
    end loop;
  end loop;
  line := matrice_private.export_end(lines, hash);
  return next;
end
$$;
comment on function matrice.export_project is
  'Exports a project as lines of JSON, for import_project: a page of at most page_lines lines and about 8 MB. next_after: in '
  'the last line of a page, where the next page begins; pass it as after. It is null in the last page, whose last line has '
  'the number of lines and a hash. Members, invitations, the audit trail, conversations, answers, ratings, users'' ids and '
  'what matrice computes are not in it. A row that somebody adds or deletes meanwhile makes the file wrong, and '
  'import_project says so; export_lines reads all at one moment. with_embeddings: whether the embeddings are exported, too. '
  'Needs the role viewer. Defaults: with_embeddings false, after null, page_lines 1000.';
