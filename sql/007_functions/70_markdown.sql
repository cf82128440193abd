-- A project as one document for people.

create or replace function matrice_private.end_of_html(line text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select case when line ~ '^ {0,3}<!--' then '-->' when line ~ '^ {0,3}<[?]' then '?>'
              when line ~ '^ {0,3}<!\[CDATA\[' then ']]>' when line ~ '^ {0,3}<![a-zA-Z]' then '>'
              else '</' || lower(substring(line from '(?i)^ {0,3}<(script|pre|style|textarea)(?:\s|>|$)')) || '>' end;
end;
comment on function matrice_private.end_of_html is
  'Returns what ends the block of HTML that a line of Markdown begins, if blank lines do not end it; else null.';

create or replace function matrice_private.is_underlined(above text, line text) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Under anything but a paragraph, it is a rule or text.
  return line ~ '^ {0,3}(=+|-+)\s*$'
         and coalesce(above ~ '\S' and above !~ '^\s{0,3}(#{1,6}(\s|$)|>|[-+*](\s|$)|\d{1,9}[.)](\s|$)|`{3}|~{3}|<)|^( {4}|\t)'
                      and above !~ '^ {0,3}([-*_]\s*){3,}$', false);
end
$$;
comment on function matrice_private.is_underlined is
  'Returns whether a line of Markdown makes a heading of the line above it.';

create or replace function matrice_private.under_heading(content text, level integer) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  lines text[] := string_to_array(replace(content, e'\r\n', e'\n'), e'\n');
  mark  record;
  fence text;
  html  text;
begin
  for mark in
    select l.line, l.place, substring(l.line from '^ {0,3}(`{3,}(?=[^`]*$)|~{3,})') as opens,
           l.line ~ '^ {0,3}#{1,6}(\s|$)' as is_heading,
           -- A line under a paragraph makes a heading of it.
           case when matrice_private.is_underlined(lines[l.place - 1], l.line) then strpos('=-', left(ltrim(l.line), 1)) end
             as underline
      from unnest(lines) with ordinality as l (line, place)
     where l.line ~ '^ {0,3}(#|`{3}|~{3}|<|=+\s*$|-+\s*$)|>'
     order by l.place
  loop
    if fence is null and html is null then
      html := matrice_private.end_of_html(mark.line);
    end if;
    if html is not null then
      if position(lower(html) in lower(mark.line)) > 0 then
        html := null;
      end if;
    elsif fence is not null then
      if btrim(mark.line) ~ format('^%s+$', left(fence, 1)) and length(btrim(mark.line)) >= length(fence) then
        fence := null;
      end if;
    elsif mark.is_heading then
      lines[mark.place] := repeat('#', least(6, level + length(substring(mark.line from '#+')))) || ltrim(ltrim(mark.line), '#');
    elsif mark.underline is not null then
      lines[mark.place - 1] := repeat('#', least(6, level + mark.underline)) || ' ' || btrim(lines[mark.place - 1]);
      lines[mark.place] := null;
    else
      fence := mark.opens;
    end if;
  end loop;
  -- A block of code or a comment that does not end would hold the rest of the document.
  return array_to_string(lines || fence || html, e'\n');
end
$$;
comment on function matrice_private.under_heading is
  'Returns a text in Markdown whose headings are below a heading of this level, and whose blocks of code and HTML end.';

create or replace function matrice_private.one_line(value text) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select btrim(regexp_replace(value, '\s+', ' ', 'g'));
end;
comment on function matrice_private.one_line is 'Returns a text as one line, for a heading.';

create or replace function matrice_private.markdown_of_pillars(project_id uuid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
begin
  return (
    select string_agg(
             format(e'### %s %s\n\n*Version %s, %s*%s', p.code, matrice_private.one_line(p.name), p.version, p.updated_at::date,
                    e'\n\n' || nullif(btrim(matrice_private.under_heading(p.content, 3), e'\n'), '')),
             e'\n\n' order by p.code)
      from matrice_private.described_pillars(markdown_of_pillars.project_id) p where p.version is not null);
end
$$;
comment on function matrice_private.markdown_of_pillars is 'Writes the pillars of a project as sections of Markdown.';

create or replace function matrice_private.markdown_of_insights(project_id uuid, are_decisions boolean, most integer) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
-- The newest come from an index in their order. Without statistics, the planner would sort all insights of the project.
set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  chosen uuid[] := array(
    select i.id
      from (
        select i.id, i.created_at, sum(octet_length(i.content)) over (order by i.created_at desc, i.id) as bytes
          from matrice.insights i
         where i.project_id = markdown_of_insights.project_id and (i.type = 'decision') = are_decisions
           and matrice_private.holds(i.superseded_at, i.retracted_at, i.valid_from, i.valid_until, now())
         order by i.created_at desc, i.id limit most
      ) i
     where i.bytes <= 8388608);
begin
  return (
    select string_agg(
             format(e'### %s\n\n%s\n\n*%s*', matrice_private.one_line(i.title),
                    btrim(matrice_private.under_heading(i.content, 3), e'\n'),
                    concat_ws(' · ', matrice_private.one_line(i.type), 'confidence ' || round(j.confidence::numeric, 2),
                              nullif(array_to_string(
                                matrice_private.doubts(i.id, j.witnesses_against, j.standing, j.is_weakened), ' · '), ''),
                              i.created_at::date, 'until ' || i.valid_until::date, 'from ' || matrice_private.one_line(s.name),
                              (select string_agg(matrice_private.one_line(t.tag), ', ' order by t.place)
                                 from jsonb_array_elements_text(i.tags) with ordinality as t (tag, place)))),
             e'\n\n' order by i.created_at desc, i.id)
      from matrice_private.judged_insights(chosen) j
      join matrice.insights i on i.id = j.insight_id
      left join matrice.context_sources s on s.id = i.source_id);
end
$$;
comment on function matrice_private.markdown_of_insights is
  'Writes the newest insights of a project that hold as sections of Markdown: the decisions, or the others. At most 8 MB.';

create or replace function matrice.export_markdown(project_id uuid, insight_limit integer default 1000) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  project record;
begin
  perform matrice_private.require_given('insight_limit', insight_limit);
  if insight_limit not between 0 and 2000 then
    raise exception 'insight_limit must be between 0 and 2000, not %', insight_limit
      using errcode = '22023', hint = 'export_project writes all insights.';
  end if;
  perform matrice_private.require_role(project_id, 'viewer');
  select p.* into project from matrice.projects p where p.id = export_markdown.project_id;
  return concat_ws(e'\n\n',
    '# ' || matrice_private.one_line(project.name),
    nullif(btrim(matrice_private.under_heading(project.description, 1), e'\n'), ''),
    '*' || concat_ws(' · ', nullif(matrice_private.one_line(project.domain), ''), 'phase ' || project.current_phase) || '*',
    e'## Pillars\n\n' || matrice_private.markdown_of_pillars(project_id),
    e'## Decisions\n\n' || matrice_private.markdown_of_insights(project_id, true, insight_limit),
    e'## Insights\n\n' || matrice_private.markdown_of_insights(project_id, false, insight_limit)) || e'\n';
end
$$;
comment on function matrice.export_markdown is
  'Returns a project as one document in Markdown: its pillars, then its decisions (insights of the type decision), then its '
  'other insights, with their confidence now and what is doubtful about them. What does not hold now is left out. '
  'insight_limit: how many decisions, and how many other insights, at most, and of each 8 MB; the newest come first. Needs '
  'the role viewer. Defaults: insight_limit 1000.';
