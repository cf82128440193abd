-- The end of the extension's script: it runs as a superuser even where a database's owner installs the extension
-- (trusted = true), so it calls nothing but what it has just made and pg_catalog, by their full names.

-- The tables will belong to the owner of the schema: no one else than the role that creates the extension. (A dump brings its
-- schema, and tables, with it.)
do $$
declare
  creator pg_catalog.oid := '@extowner@'::pg_catalog.regrole;
  owner   pg_catalog.oid := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) 'matrice');
begin
  if pg_catalog.current_setting('row_security')::pg_catalog.bool and owner operator(pg_catalog.<>) creator
     and not (select pg_catalog.bool_and(r.rolsuper) from pg_catalog.pg_roles r where r.oid operator(pg_catalog.=) any (array[owner, creator])) then
    raise exception 'must be owner of schema matrice'
      using errcode = '42501',
            detail = pg_catalog.format('It belongs to %s, the extension would belong to %s.', owner::pg_catalog.regrole, creator::pg_catalog.regrole),
            hint = pg_catalog.format('Create the extension as %s, or ALTER SCHEMA matrice OWNER TO %s.', owner::pg_catalog.regrole, creator::pg_catalog.regrole);
  end if;
end
$$;

-- Supabase's API roles, where they are missing: plain Postgres then behaves like Supabase.
do $$
begin
  if pg_catalog.to_regrole('anon') is null then
    create role anon nologin noinherit;
  end if;
  if pg_catalog.to_regrole('authenticated') is null then
    create role authenticated nologin noinherit;
  end if;
  if pg_catalog.to_regrole('service_role') is null then
    create role service_role nologin noinherit bypassrls;
  end if;
end
$$;

-- The engine's functions compute from their arguments and, but for one, read no table.
comment on function matrice.count_tokens(text, text) is
  'Exact number of tokens of a text, by model or encoding name. <|endoftext|> and the like count as their characters. Defaults: model ''text-embedding-3-small''.';
comment on function matrice.tokenize(text, text) is 'The tokens of a text, by model or encoding name. Defaults: model ''text-embedding-3-small''.';
comment on function matrice.detokenize(integer[], text) is 'The text that tokens spell: the inverse of tokenize. Defaults: model ''text-embedding-3-small''.';
comment on function matrice.truncate_tokens(text, integer, text) is
  'What the first max_tokens tokens of a text spell, in whole characters: at most as many tokens by itself. Defaults: model ''text-embedding-3-small''.';
comment on function matrice.chunk_text(text, integer, integer, text, text) is
  'Cuts a text into chunks of at most max_tokens tokens at the best boundaries its format has: text, markdown, go, javascript, python, rust, sql, tsx or typescript. substr(content, start_char + 1, end_char - start_char) is the chunk; metadata.headings is, in markdown, the path of headings that the chunk begins under. overlap_tokens is the most that a chunk repeats of the one before, in whole sections: at most half of max_tokens; the default, 64, is as much of that as may be. A null content has no chunks; the other arguments must not be null. Defaults: max_tokens 512, overlap_tokens 64, format ''text'', model ''text-embedding-3-small''.';
comment on function matrice._nearest_codes(uuid[], text, real[], integer, uuid[]) is
  'For each of some projects the chunks of a model whose bit codes are nearest to a vector, nearest first, ties by id; if given, among some chunks. A code is as far as the vector''s numbers are large whose signs differ from it, in fifteenths of the largest. of_codes is how many codes the project has, about. Reads matrice.idx_embeddings_codes. For match_chunks, as the owner of the tables or another who reads them without row-level security; everybody else is refused.';
comment on function matrice._fold(text) is
  'A text in lower case without accents, œ as oe, æ as ae, ß as ss. For the schema''s full-text search.';
comment on function matrice._pieces(text, integer) is
  'A text as Postgres''s parser reads it in time that grows with its length, in pieces of little more than most_bytes: letters are composed; runs without white space are broken by the character 31 at 256 bytes; a < that begins no tag of less than 1 kB is the character 26. For the schema''s full-text search.';
comment on function matrice._read_query(text) is
  'A query for websearch_to_tsquery: the first twenty beginnings, as in begin*, are taken out and a number stands in for each; hyphens in a row exclude nothing. For the schema''s full-text search.';
comment on function matrice._whole_sentences(text, integer) is
  'The longest beginning of a text that has at most most_chars characters and ends with a sentence or a line (UAX #29); else with a word. For the schema''s contexts.';
comment on function matrice._price_catalogue() is 'The catalogue of model prices that this version ships, a JSON document; the table model_prices holds what is charged.';
comment on function matrice.migrate() is
  'Applies the migrations of the schema that this database has not had yet and returns their names. For the owner of the schema.';

-- A database's default privileges may have granted them to anybody.
do $$
declare
  command text;
begin
  for command in
    select pg_catalog.format('revoke all on function %s from %s', p.oid::pg_catalog.regprocedure,
                             case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end)
      from pg_catalog.pg_depend d
      join pg_catalog.pg_extension e on e.oid operator(pg_catalog.=) d.refobjid
      join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) d.objid
     cross join lateral pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
     where e.extname operator(pg_catalog.=) 'matrice'
       and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
       and d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
       and a.grantee operator(pg_catalog.<>) p.proowner
  loop
    execute command;
  end loop;
end
$$;

do $$
declare
  engine text;
begin
  foreach engine in array array[
    'matrice.count_tokens(text, text)',
    'matrice.tokenize(text, text)',
    'matrice.detokenize(integer[], text)',
    'matrice.truncate_tokens(text, integer, text)',
    'matrice.chunk_text(text, integer, integer, text, text)'
  ] loop
    execute pg_catalog.format('grant execute on function %s to authenticated, service_role, @extowner@', engine);
  end loop;
end
$$;

-- For the owner of the schema. Whether a caller may migrate, or reads embeddings without row-level security, the functions
-- ask themselves. pg_database_owner: after REASSIGN OWNED the new owner of the database owns the schema, too.
do $$
declare
  owner pg_catalog.regrole := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) 'matrice');
  tool  text;
begin
  foreach tool in array array[
    'matrice.migrate()',
    'matrice._fold(text)',
    'matrice._pieces(text, integer)',
    'matrice._read_query(text)',
    'matrice._whole_sentences(text, integer)',
    'matrice._price_catalogue()',
    'matrice._nearest_codes(uuid[], text, real[], integer, uuid[])'
  ] loop
    execute pg_catalog.format('grant execute on function %s to @extowner@, pg_database_owner, %s', tool, owner);
  end loop;
end
$$;

select matrice.migrate();
