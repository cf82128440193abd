-- Import: the lines of an export become a new project, in batches.
--
-- Nothing in a file is trusted. Every row gets the project of the import, whatever it says, so foreign keys refuse rows of other
-- projects. What matrice computes is computed again. A row that was stored is written again as export_project would: if that is
-- not what the line says, the batch is refused. So a project that was imported exports as the same text.

create or replace function matrice_private.require_header(lines text[]) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  header  jsonb;
  unknown text;
begin
  select l.given into header from matrice_private.read_lines(lines[1:1], 1) l where l.part = 'header';
  if not found or not matrice_private.json_within(header, 8192) or header -> 'format' is distinct from '1'
     or jsonb_typeof(header -> 'rows') is distinct from 'object' or jsonb_typeof(header -> 'version') is distinct from 'string'
     or jsonb_typeof(header -> 'with_embeddings') is distinct from 'boolean'
     or coalesce(header ->> 'project_id', '') !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    perform matrice_private.refuse_lines(1, 1, 'It is not the header of an export of format 1.',
                                         'The first line of an export begins with {"part" : "header".');
  end if;
  select r.key into unknown from jsonb_each(header -> 'rows') r
   where r.key not in (select p.part from matrice_private.exported_parts(true) p)
      -- A number such as 6.0 is whole, but no bigint.
      or jsonb_typeof(r.value) <> 'number' or r.value::text !~ '^\d{1,12}$'
   limit 1;
  if found then
    perform matrice_private.refuse_lines(1, 1, format(
      'This version of matrice does not know the part %s, or its number of rows is not a number.',
      quote_literal(left(unknown, 100))),
      'Import with the version of matrice that exported, or a newer one.');
  end if;
  return header;
end
$$;
comment on function matrice_private.require_header is 'Returns the header of an export. Raises unless the first line is one.';

create or replace function matrice_private.begin_import(lines text[], project_id uuid, new_ids boolean) returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  head   jsonb := matrice_private.require_header(lines);
  target uuid := coalesce(project_id, case when new_ids then gen_random_uuid() else (head ->> 'project_id')::uuid end);
  part   text;
  rows   jsonb;
begin
  -- A first batch that is sent again, while it is still imported, waits and finds its import.
  perform pg_advisory_xact_lock(hashtext('matrice.project_imports'), hashtext(target::text));
  perform from matrice.project_imports i
    where i.project_id = target and i.imported_by = matrice_private.current_user_id() and i.header = head;
  if found then
    return target;
  end if;
  select l.part, jsonb_build_array(l.given) into part, rows from matrice_private.read_lines(lines[2:2], 2) l;
  if part is distinct from 'projects' then
    perform matrice_private.refuse_lines(1, 2, 'The second line must be the project, in the same batch as the header.');
  end if;
  perform matrice_private.import_rows(target, 'projects', rows, 2, false);
  insert into matrice.project_imports (
    project_id, source_project_id, has_new_ids, header, next_line, place, taken, hash, imported_by)
  values (target, (head ->> 'project_id')::uuid, new_ids, head, 3, 10, '{"projects": 1}',
          matrice_private.line_hash(lines[1]) + matrice_private.line_hash(lines[2]), matrice_private.current_user_id());
  return target;
end
$$;
comment on function matrice_private.begin_import is
  'Makes the project of an import from the first two lines; the caller becomes its owner. Returns its id. If the same caller '
  'has begun this import already, nothing is made.';

create or replace function matrice_private.end_import(import matrice.project_imports, given jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  budget uuid;
begin
  if given is distinct from jsonb_build_object('lines', import.next_line - 1, 'hash', import.hash::text) then
    perform matrice_private.refuse_lines(import.next_line, import.next_line, format(
      'Lines or their hash differ: %s lines with hash %s came before it.', import.next_line - 1, import.hash),
      'A line of the file was changed or lost, or the project was changed while it was exported. Export it again.');
  end if;
  perform matrice_private.lock_budgets(import.project_id);
  for budget in select b.id from matrice.budgets b where b.project_id = import.project_id order by b.id loop
    perform matrice_private.recount_budget(budget);
  end loop;
end
$$;
comment on function matrice_private.end_import is
  'Compares the last line of an import with what was imported, and counts what the steps spent of the budgets.';

create or replace function matrice_private.require_place(
  import matrice.project_imports, part text, rows integer, first_line bigint
) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  come  integer := coalesce(
    (select p.place from matrice_private.exported_parts(true) p where p.part = require_place.part),
    case part when 'end' then 1000000 end);
  short record;
begin
  if come is null or come < import.place then
    perform matrice_private.refuse_lines(first_line, first_line, format(
      'The part %s is not known, or it comes too late.', quote_literal(left(part, 100))));
  end if;
  select p.part, coalesce((import.header -> 'rows' ->> p.part)::bigint, 0) as promised,
         coalesce((import.taken ->> p.part)::bigint, 0) as taken
    into short
    from matrice_private.exported_parts(true) p
   where case when p.place < come then coalesce((import.taken ->> p.part)::bigint, 0)
                                       <> coalesce((import.header -> 'rows' ->> p.part)::bigint, 0)
              else p.place = come and coalesce((import.taken ->> p.part)::bigint, 0) + rows
                                      > coalesce((import.header -> 'rows' ->> p.part)::bigint, 0) end
   order by p.place limit 1;
  if found then
    perform matrice_private.refuse_lines(first_line, first_line, format(
      'The header promises %s rows of %s. Imported before this line: %s.', short.promised, short.part, short.taken),
      'A line of the file was added or lost, or the project was changed while it was exported. Export it again.');
  end if;
  return come;
end
$$;
comment on function matrice_private.require_place is
  'Returns the place of a part. Raises unless the parts before it are complete, and it has no more rows than the header says.';

create or replace function matrice_private.import_groups(import matrice.project_imports, lines text[])
returns matrice.project_imports
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  given record;
  most  bigint;
begin
  for given in
    select g.part, min(g.number) as first_line, jsonb_agg(g.given order by g.number) as rows
      from (
        select l.*, l.number - row_number() over (partition by l.part order by l.number) as run
          from matrice_private.read_lines(lines, import.next_line) l
      ) g
     group by g.part, g.run
     order by 2
  loop
    if import.finished_at is not null then
      perform matrice_private.refuse_lines(given.first_line, given.first_line, 'It comes after the last line of the export.');
    end if;
    import.place := matrice_private.require_place(import, given.part, jsonb_array_length(given.rows), given.first_line);
    if given.part = 'end' then
      if jsonb_array_length(given.rows) > 1 then
        perform matrice_private.refuse_lines(given.first_line + 1, given.first_line + 1,
                                             'It comes after the last line of the export.');
      end if;
      perform matrice_private.end_import(import, given.rows -> 0);
      import.finished_at := now();
      import.place := 1000000;
    else
      perform matrice_private.import_rows(import.project_id, given.part, given.rows, given.first_line, import.has_new_ids);
      if given.part = 'purged_sums' then
        perform matrice_private.count_purged_sums(import.project_id, given.rows);
      elsif given.part = 'purged_calls' then
        perform matrice_private.note_purged_calls(import.project_id, given.rows, import.has_new_ids);
      end if;
      import.taken := import.taken || jsonb_build_object(
        given.part, coalesce((import.taken ->> given.part)::bigint, 0) + jsonb_array_length(given.rows));
      select (p.options ->> 'most')::bigint into most from matrice_private.project_parts() p where p.part = given.part;
      if (import.taken ->> given.part)::bigint > most then
        raise exception 'this project has too many rows of %', given.part
          using errcode = 'PT402', detail = format('%s are allowed.', most), hint = 'Export the project without some of them.';
      end if;
      import.hash := import.hash + (
        select sum(matrice_private.line_hash(l.line))
          from unnest(lines[given.first_line - import.next_line + 1
                             : given.first_line - import.next_line + jsonb_array_length(given.rows)]) as l (line));
    end if;
    lines := lines[given.first_line - import.next_line + 1 + jsonb_array_length(given.rows):];
    import.next_line := given.first_line + jsonb_array_length(given.rows);
  end loop;
  return import;
end
$$;
comment on function matrice_private.import_groups is
  'Imports lines from the next line of an import on. Returns the import as it then stands.';

create or replace function matrice_private.require_batch(lines text[], project_id uuid, first_line bigint, new_ids boolean)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  bytes bigint;
begin
  perform matrice_private.require_given('lines', lines);
  perform matrice_private.require_given('first_line', first_line);
  perform matrice_private.require_given('new_ids', new_ids);
  if array_ndims(lines) is distinct from 1 or cardinality(lines) > 10000 or array_position(lines, null) is not null then
    raise exception 'lines must be a plain list of 1 to 10000 lines, without null'
      using errcode = '22023', detail = format('There are %s.', cardinality(lines)), hint = 'Import a file in several batches.';
  elsif first_line not between 1 and 1000000000000 then
    raise exception 'first_line must be between 1 and 10^12, not %', first_line
      using errcode = '22023', hint = 'It is the number of the first of these lines in the file, from 1.';
  elsif first_line > 1 and project_id is null then
    raise exception 'project_id must not be null'
      using errcode = '22004', hint = 'Pass the new_project_id that the first batch has returned.';
  end if;
  bytes := (select sum(octet_length(l)) from unnest(lines) l);
  if bytes > (case cardinality(lines) when 1 then 536870912 else 67108864 end) then
    raise exception 'lines are too long'
      using errcode = '22023', detail = format('They have %s bytes; at most 67108864 are allowed.', bytes),
            hint = 'Import fewer lines at once. A line that is longer must come alone.';
  end if;
end
$$;
comment on function matrice_private.require_batch is
  'Raises an error that says what is wrong with the arguments of import_project.';

create or replace function matrice_private.import_as_owner(lines text[], project_id uuid, first_line bigint, new_ids boolean)
returns table (new_project_id uuid, next_line bigint, is_finished boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  import matrice.project_imports;
  target uuid := import_as_owner.project_id;
begin
  perform matrice_private.require_batch(lines, target, first_line, new_ids);
  lines := array(select l.line from unnest(lines) with ordinality as l (line, place) order by l.place);
  if matrice_private.current_user_id() is null then
    raise exception 'only a signed-in user can import a project'
      using errcode = '42501',
            detail = 'The session''s JWT claims have no sub that is a UUID, so the project would have no owner.',
            hint = 'A service can set request.jwt.claims to those of the future owner.';
  end if;
  if first_line = 1 then
    target := matrice_private.begin_import(lines, target, new_ids);
  end if;
  select i.* into import from matrice.project_imports i
    where i.project_id = target and i.imported_by = matrice_private.current_user_id() for update;
  if not found then
    raise exception 'import not found'
      using errcode = 'PT404', detail = format('You have not begun an import into project %s.', target),
            hint = 'Begin with the first lines of the file, and pass the new_project_id that this returns with the next ones.';
  elsif first_line > import.next_line then
    raise exception 'lines are missing'
      using errcode = 'PT409', detail = format('The next line of this import is %s, not %s.', import.next_line, first_line),
            hint = 'Go on with that line.';
  end if;
  -- Lines that came before are not imported again.
  import := matrice_private.import_groups(import, lines[import.next_line - first_line + 1:]);
  update matrice.project_imports i
     set next_line = import.next_line, place = import.place, taken = import.taken, hash = import.hash,
         finished_at = import.finished_at
   where i.project_id = target;
  return query select target, import.next_line, import.finished_at is not null;
end
$$;
comment on function matrice_private.import_as_owner is
  'Does what import_project does. SECURITY DEFINER: no client may write histories, texts of sources, costs and budgets. It '
  'writes only rows of the project that the caller''s import has made.';

create or replace function matrice_private.refuse_members_of_imports() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from matrice.project_imports i
              where i.project_id = new.project_id and i.finished_at is null and i.imported_by <> new.user_id) then
    raise exception 'the import of the project has not ended'
      using errcode = 'PT409', detail = format('Until then, project %s has no other members.', new.project_id),
            hint = 'Import the rest of the file first.';
  end if;
  return new;
end
$$;
comment on function matrice_private.refuse_members_of_imports is
  'Refuses other members while a project is imported. Who imports may write histories, costs and evidence. They must not be '
  'those of others.';

create or replace trigger refuse_members_of_imports before insert on matrice.user_projects
for each row execute function matrice_private.refuse_members_of_imports();

create or replace function matrice.import_project(
  lines text[], project_id uuid default null, first_line bigint default 1, new_ids boolean default false
) returns table (new_project_id uuid, next_line bigint, is_finished boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select * from matrice_private.import_as_owner(lines, import_project.project_id, first_line, new_ids);
end
$$;
comment on function matrice.import_project is
  'Imports lines of export_project, in batches: at most 10,000 lines and 64 MB; a longer line alone. The first batch makes a '
  'new project, of which the caller is the owner. Returns its id, the next line, and whether the import has ended. A batch is '
  'imported as a whole or not at all. A batch that is sent again changes nothing, so an import can go on after an '
  'interruption, at next_line. project_id: with the first batch, the id that the new project shall have; if null, the id in '
  'the file, or any with new_ids. With later batches, the new_project_id that the first one has returned. first_line: the '
  'number of the first of these lines in the file. new_ids: whether all rows get new ids, so that a project can be copied '
  'within a database; only the first batch says it. Raises 22023 for lines that are not exactly those of an export, PT409 for '
  'ids that are in use, PT402 over a quota. Defaults: project_id null, first_line 1, new_ids false.';
