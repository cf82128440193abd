-- For operators of the API.

create or replace function matrice.refuse_planned_counts() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  refused record;
begin
  -- PostgREST sets {"prefer": "return=representation, count=planned", …}. A key may occur twice: json keeps both, jsonb
  -- does not.
  select r.* into refused
    from (values
      (1, 'prefer', 'count\s*=\s*"?(planned|estimated)', 'planned and estimated counts are refused',
       'The planner estimates them from the rows of all users.', 'Use count=exact, which counts the rows that you can see.'),
      (2, 'accept', 'vnd\.pgrst\.plan', 'plans are refused',
       'A plan shows how many rows of all users were read.',
       'Leave db-plan-enabled off, and explain queries as the owner of the tables.')
    ) as r (place, header, pattern, message, detail, hint)
    join json_each_text(nullif(current_setting('request.headers', true), '')::json) sent
      on lower(sent.key) = r.header and sent.value ~* r.pattern
   order by r.place
   limit 1;
  if found then
    raise exception '%', refused.message using errcode = '22023', detail = refused.detail, hint = refused.hint;
  end if;
end
$$;
comment on function matrice.refuse_planned_counts is
  'Refuses requests with Prefer: count=planned or count=estimated, and requests for the plan of a query. Their estimates are '
  'made from the rows of all tenants. To use it, set PostgREST''s db-pre-request to this function.';
