-- For who runs the API.

create or replace function matrice.refuse_planned_counts() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- As PostgREST tells it: {"prefer": "return=representation, count=planned", …}. As json, which keeps a key that comes twice.
  if exists (
    select from json_each_text(nullif(current_setting('request.headers', true), '')::json) header
     where lower(header.key) = 'prefer' and header.value ~* 'count\s*=\s*"?(planned|estimated)'
  ) then
    raise exception 'planned and estimated counts are not answered'
      using errcode = '22023',
            detail = 'They come from the planner, which counts the rows of everybody.',
            hint = 'Ask for count=exact, which counts the rows that you see.';
  end if;
  if exists (
    select from json_each_text(nullif(current_setting('request.headers', true), '')::json) header
     where lower(header.key) = 'accept' and header.value ~* 'vnd\.pgrst\.plan'
  ) then
    raise exception 'plans are not answered'
      using errcode = '22023',
            detail = 'A plan tells how many rows of everybody were read.',
            hint = 'Leave db-plan-enabled off, and explain queries as the owner of the tables.';
  end if;
end
$$;
comment on function matrice.refuse_planned_counts is
  'Refuses requests with Prefer: count=planned or count=estimated, and requests for a query''s plan. For PostgREST''s db-pre-request.';
