-- Import, the rows: lines are read, and stored exactly as they say. 70_import.sql says why nothing in them is trusted.

create or replace function matrice_private.renewed_id(project_id uuid, id uuid) returns uuid
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  -- A UUID of version 8.
  select overlay(overlay(encode(substr(sha256(uuid_send(project_id) || uuid_send(id)), 1, 16), 'hex')
                         placing '8' from 13) placing 'a' from 17)::uuid;
end;
comment on function matrice_private.renewed_id is
  'Returns the new id of a row in an import with new ids. It depends on the new project and the old id alone, so batches '
  'agree.';

create or replace function matrice_private.refuse_lines(first_line bigint, last_line bigint, reason text, hint text default null)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '% cannot be imported',
      case when first_line = last_line then 'line ' || first_line else format('lines %s to %s', first_line, last_line) end
    using errcode = '22023', detail = left(reason, 500),
          hint = coalesce(hint,
            'Nothing of this batch was imported. Pass the lines as export_project wrote them, in their order.');
end
$$;
comment on function matrice_private.refuse_lines is 'Raises an error that says which lines of an import are wrong, and why.';

create or replace function matrice_private.read_lines(lines text[], first_line bigint)
returns table (number bigint, part text, given jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  line   text;
  parsed jsonb;
  reason text;
begin
  number := first_line;
  foreach line in array lines loop
    begin
      parsed := line::jsonb;
      part := parsed ->> 'part';
      given := parsed -> 'row';
    exception when data_exception or program_limit_exceeded then
      get stacked diagnostics reason = message_text;
      perform matrice_private.refuse_lines(number, number, reason);
    end;
    if part is null or coalesce(jsonb_typeof(given), '') <> 'object' or parsed - '{part,row}'::text[] <> '{}' then
      perform matrice_private.refuse_lines(number, number, 'It must be an object with a "part" and a "row".');
    end if;
    return next;
    number := number + 1;
  end loop;
end
$$;
comment on function matrice_private.read_lines is
  'Reads lines of an import. Raises an error that names the first one that is no line.';

create or replace function matrice_private.require_columns(part text, rows jsonb, first_line bigint) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  names text[] := array(select c.name from matrice_private.columns_of_part(part) c);
  wrong record;
begin
  select r.place, r.given into wrong
    from jsonb_array_elements(rows) with ordinality as r (given, place)
   where not r.given ?& names or r.given - names <> '{}'
   order by r.place limit 1;
  if found then
    perform matrice_private.refuse_lines(first_line + wrong.place - 1, first_line + wrong.place - 1, format(
      'Rows of %s have the columns %s. Missing: %s. Unknown: %s.', part, array_to_string(names, ', '),
      coalesce((select string_agg(n, ', ') from unnest(names) n where not wrong.given ? n), 'none'),
      coalesce((select string_agg(left(k, 100), ', ') from jsonb_object_keys(wrong.given - names) k), 'none')));
  end if;
end
$$;
comment on function matrice_private.require_columns is
  'Raises an error unless rows of an import have exactly the columns of their part.';

create or replace function matrice_private.import_write(part text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select case when p.options ? 'only' then format(
      'update matrice.%I t set %s from wanted g where t.project_id = $2 and %s', p.tab,
      (select string_agg(format('%1$I = g.%1$I', c.name), ', ')
         from matrice_private.columns_of_part(p.part) c where c.name <> all (p.key)),
      (select string_agg(format('t.%1$I = g.%1$I', k.name), ' and ') from unnest(p.key) as k (name)))
    else format(
      'insert into %I.%I as t (%s) select %s from wanted t order by t.place %s', coalesce(p.options ->> 'home', 'matrice'), p.tab,
      concat_ws(', ', case p.tab when 'projects' then 'id' else 'project_id' end,
                (select string_agg(quote_ident(c.name), ', ') from matrice_private.columns_of_part(p.part) c),
                (select string_agg(quote_ident(c.key), ', ' order by c.key) from jsonb_each_text(p.options -> 'computed') c)),
      concat_ws(', ', '$2', (select string_agg(c.read, ', ') from matrice_private.columns_of_part(p.part) c),
                (select string_agg(c.value, ', ' order by c.key) from jsonb_each_text(p.options -> 'computed') c)),
      -- Only rows of this import: a file can name the rows of others.
      case when p.options ? 'replaces' then format(
        'on conflict (%s) do update set %s where t.project_id = excluded.project_id',
        p.options ->> 'replaces',
        (select string_agg(format('%1$I = excluded.%1$I', c.name), ', ') from matrice_private.columns_of_part(p.part) c)) end)
    end
    from matrice_private.project_parts() p
   where p.part = import_write.part;
end;
comment on function matrice_private.import_write is
  'Returns SQL that writes the rows wanted of a part into its table, as a row t of the project $2.';

create or replace function matrice_private.import_statement(part text, has_new_ids boolean) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select format($sql$
    with given as materialized (
      select g.place, g.raw || jsonb_build_object(%s) as raw, %s, $2 as %s
        from jsonb_array_elements($1) with ordinality as g (raw, place)
       cross join lateral jsonb_to_record(g.raw) as r (%s)
    ), wanted as materialized (
      select t.* from given t where %s and %s
    ), stored as (
      %s
      returning jsonb_build_array(%s) as key, (select to_jsonb(w) from (select %s) w) as raw
    )
    select t.place, t.raw as wanted, s.raw as stored
      from given t left join stored s on s.key = jsonb_build_array(%s)
     where s.raw is distinct from t.raw
     order by t.place limit 1
    $sql$,
    string_agg(format('%L, matrice_private.renewed_id($2, r.%I)', c.name, c.name), ', ') filter (where c.is_id and has_new_ids),
    string_agg(case when c.is_id and has_new_ids then format('matrice_private.renewed_id($2, r.%1$I) as %1$I', c.name)
                    else format('r.%I', c.name) end, ', '),
    case p.tab when 'projects' then 'id' else 'project_id' end,
    string_agg(format('%I %s', c.name, c.type), ', '),
    case when p.options ? 'only' then p.options ->> 'filter' else 'true' end, coalesce(p.options ->> 'check', 'true'),
    matrice_private.import_write(p.part),
    matrice_private.key_of_part(p.part), matrice_private.row_of_part(p.part), matrice_private.key_of_part(p.part))
    from matrice_private.project_parts() p
   cross join lateral matrice_private.columns_of_part(p.part) c
   where p.part = import_statement.part
   group by p.part, p.tab, p.options;
end;
comment on function matrice_private.import_statement is
  'Returns SQL that imports the rows $1 of a part, a JSON array, into the project $2. It returns the first row that is stored '
  'differently, or not at all.';

create or replace function matrice_private.import_rows(
  project_id uuid, part text, rows jsonb, first_line bigint, has_new_ids boolean
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set extra_float_digits = 1 set bytea_output = 'hex' set intervalstyle = 'postgres' set jit = off
as $$
declare
  last_line bigint := first_line + jsonb_array_length(rows) - 1;
  place     bigint;
  wanted    jsonb;
  stored    jsonb;
  column_   text;
  reason    text;
  broken    text;
begin
  perform matrice_private.require_columns(part, rows, first_line);
  begin
    execute matrice_private.import_statement(part, has_new_ids) into place, wanted, stored using rows, project_id;
  exception
    when unique_violation then
      get stacked diagnostics broken = constraint_name;
      raise exception 'an id or key in lines % to % is already in use', first_line, last_line
        using errcode = 'PT409', detail = format('Constraint %s of part %s.', broken, part),
              hint = 'Ids of rows that exist, also in other projects, cannot be used again. Import with new_ids => true.';
    when data_exception or integrity_constraint_violation or program_limit_exceeded then
      get stacked diagnostics reason = message_text, broken = constraint_name;
      perform matrice_private.refuse_lines(first_line, last_line, format('Part %s: %s', part, reason));
  end;
  if place is null then
    return;
  end if;
  first_line := first_line + place - 1;
  if stored is null then
    perform matrice_private.refuse_lines(first_line, first_line, format(
      'Part %s: what the row refers to is not in the project, or it belongs to another part.', part));
  end if;
  select k.key into column_ from jsonb_object_keys(stored) as k (key)
   where stored -> k.key is distinct from wanted -> k.key order by k.key limit 1;
  perform matrice_private.refuse_lines(first_line, first_line, format(
    'Part %s, column %s: the line says %s, and it must be %s.', part, column_,
    left(coalesce(wanted ->> column_, 'null'), 100), left(coalesce(stored ->> column_, 'null'), 100)));
end
$$;
comment on function matrice_private.import_rows is
  'Stores rows of a part. Raises an error that names the line, or the lines, if one cannot be stored exactly as it says.';
