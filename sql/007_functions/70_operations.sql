-- For operators of the API.

create or replace function matrice.refuse_planned_counts() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- PostgREST sets {"prefer": "return=representation, count=planned", …}. A key may occur twice: json keeps both, jsonb
  -- does not.
  if exists (
    select from json_each_text(nullif(current_setting('request.headers', true), '')::json) header
     where lower(header.key) = 'prefer' and header.value ~* 'count\s*=\s*"?(planned|estimated)'
  ) then
    raise exception 'planned and estimated counts are refused'
      using errcode = '22023',
            detail = 'The planner estimates them from the rows of all users.',
            hint = 'Use count=exact, which counts the rows that you can see.';
  end if;
  if exists (
    select from json_each_text(nullif(current_setting('request.headers', true), '')::json) header
     where lower(header.key) = 'accept' and header.value ~* 'vnd\.pgrst\.plan'
  ) then
    raise exception 'plans are refused'
      using errcode = '22023',
            detail = 'A plan shows how many rows of all users were read.',
            hint = 'Leave db-plan-enabled off, and explain queries as the owner of the tables.';
  end if;
end
$$;
comment on function matrice.refuse_planned_counts is
  'Refuses requests with Prefer: count=planned or count=estimated, and requests for the plan of a query. To use it, set '
  'PostgREST''s db-pre-request to this function.';
