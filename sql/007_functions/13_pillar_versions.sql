-- Versions of pillars, compared and as of a time.

create or replace function matrice_private.diff_lines(old_text text, new_text text, context_lines integer)
returns table (kind text, old_line integer, new_line integer, content text, words jsonb)
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select * from matrice._diff_lines(old_text, new_text, context_lines);
end
$$;
comment on function matrice_private.diff_lines is
  'Returns the lines that differ between two texts. SECURITY DEFINER: only the owner may execute the engine''s own functions. '
  'The function computes from its arguments alone.';

create or replace function matrice_private.unified_diff(
  old_text text, new_text text, context_lines integer, old_name text, new_name text
) returns text
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._unified_diff(old_text, new_text, context_lines, old_name, new_name);
end
$$;
comment on function matrice_private.unified_diff is
  'Returns the difference of two texts in the unified form. SECURITY DEFINER: only the owner may execute the engine''s own '
  'functions. The function computes from its arguments alone.';

create or replace function matrice_private.compared_versions(
  project_id uuid, code text, from_version integer, to_version integer, context_lines integer
) returns table (old_version integer, old_content text, new_version integer, new_content text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform matrice_private.require_phase('code', code);
  perform matrice_private.require_given('from_version', from_version);
  perform matrice_private.require_given('context_lines', context_lines);
  perform matrice_private.require_role(project_id, 'viewer');
  select v.version, v.content into old_version, old_content from matrice_private.pillar_version(project_id, code, from_version) v;
  select v.version, v.content into new_version, new_content from matrice_private.pillar_version(project_id, code, to_version) v;
  return next;
end
$$;
comment on function matrice_private.compared_versions is
  'Checks the arguments of a comparison. Returns the two versions. to_version: null means the current one.';

create or replace function matrice.diff_pillar(
  project_id uuid, code text, from_version integer, to_version integer default null, context_lines integer default 3
) returns table (kind text, old_line integer, new_line integer, content text, words jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select d.kind, d.old_line, d.new_line, d.content, d.words
      from matrice_private.compared_versions(project_id, diff_pillar.code, from_version, to_version, context_lines) c
     cross join lateral matrice_private.diff_lines(c.old_content, c.new_content, context_lines) d;
end
$$;
comment on function matrice.diff_pillar is
  'Compares the contents of two versions of a pillar, line by line. Returns the changed lines in order, with unchanged lines '
  'around them; no row if the contents are equal. kind: removed, added or unchanged. old_line, new_line: the numbers of the '
  'line in both versions, from 1; null in the version that does not have it. words: the parts of a line that took the place of '
  'another, as [{"text": …, "changed": true or false}, …], which together are the line; null if it has no counterpart. Lines '
  'that have less than a third of their words in common have none, and neither have changes of more than 1 MB. Only the last '
  'line of a text can lack a line feed; it then differs from the same line with one. code: P1 to P6. to_version: null for the '
  'current version. context_lines: how many unchanged lines to show around each change, 0 to 1,000,000. Raises PT404 if there '
  'is no such version. Needs the role viewer. Defaults: to_version null, context_lines 3.';

create or replace function matrice.diff_pillar_text(
  project_id uuid, code text, from_version integer, to_version integer default null, context_lines integer default 3
) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select matrice_private.unified_diff(
             c.old_content, c.new_content, context_lines,
             format('%s version %s', code, c.old_version), format('%s version %s', code, c.new_version))
      from matrice_private.compared_versions(project_id, code, from_version, to_version, context_lines) c);
end
$$;
comment on function matrice.diff_pillar_text is
  'Compares the contents of two versions of a pillar. Returns a unified diff, as patch and git apply read it; empty if the '
  'contents are equal. Arguments and errors are those of diff_pillar. Defaults: to_version null, context_lines 3.';

create or replace function matrice.as_of(project_id uuid, at timestamptz)
returns table (
  code text, name text, version integer, content text, metadata jsonb, saved_at timestamptz, saved_by uuid, labels text[]
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform matrice_private.require_given('at', at);
  perform matrice_private.require_time('at', at);
  perform matrice_private.require_role(project_id, 'viewer');
  return query
    select d.code, d.name, v.version, v.content, v.metadata, v.saved_at, v.saved_by,
           matrice_private.labels_at(d.id, v.version, as_of.at)
      from matrice_private.described_pillars(as_of.project_id) d
      left join lateral (
        select o.* from matrice.pillar_versions o
         where o.pillar_id = d.id and o.saved_at <= as_of.at
         order by o.version desc limit 1) v on true
     order by d.code;
end
$$;
comment on function matrice.as_of is
  'Returns the six pillars of a project as they stood at a time: the version that was current then, who saved it and when, and '
  'the labels that it had. The columns of a version are null if there was none yet, or if the owner of the tables has deleted '
  'it since. Names are those of today. Needs the role viewer.';
