-- The end of the extension's script: it runs as a superuser even where a database's owner installs the extension
-- (trusted = true), so it calls nothing but what it has just made and pg_catalog, by their full names.

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
  'Exact number of tokens of a text, by model or encoding name. <|endoftext|> and the like count as their characters.';
comment on function matrice.tokenize(text, text) is 'The tokens of a text, by model or encoding name.';
comment on function matrice.detokenize(integer[], text) is 'The text that tokens spell: the inverse of tokenize.';
comment on function matrice.truncate_tokens(text, integer, text) is
  'What the first max_tokens tokens of a text spell, in whole characters: at most as many tokens by itself.';
comment on function matrice.chunk_text(text, integer, integer, text, text) is
  'Cuts a text into chunks of at most max_tokens tokens at the best boundaries its format has: text, markdown, go, javascript, python, rust, sql, tsx or typescript. substr(content, start_char + 1, end_char - start_char) is the chunk; metadata.headings is, in markdown, the path of headings that the chunk begins under. overlap_tokens is the most that a chunk repeats of the one before, in whole sections.';
comment on function matrice.nearest_codes(uuid[], text, real[], integer, uuid[]) is
  'For each of some projects the chunks of a model whose bit codes are nearest to a vector, nearest first, ties by id; if given, among some chunks. A code is as far as the vector''s numbers are large whose signs differ from it, in fifteenths of the largest. of_codes is how many codes the project has, about. Reads matrice.idx_embeddings_codes. For match_chunks, as the owner of the tables or another who reads them without row-level security; everybody else is refused.';
comment on function matrice.price_catalogue() is 'The catalogue of model prices that this version ships, a JSON document; the table model_prices holds what is charged.';
comment on function matrice.migrate() is
  'Applies the migrations of the schema that this database has not had yet and returns their names. For the owner of the schema.';

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
    execute pg_catalog.format('revoke all on function %s from public', engine);
    execute pg_catalog.format('grant execute on function %s to authenticated, service_role', engine);
    execute pg_catalog.format('grant execute on function %s to @extowner@', engine);
  end loop;
end
$$;

-- For the owner of the schema. Whether a caller may migrate, or reads embeddings without row-level security, the functions
-- ask themselves.
do $$
declare
  owner pg_catalog.regrole := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) 'matrice');
  tool  text;
begin
  foreach tool in array array[
    'matrice.migrate()',
    'matrice.price_catalogue()',
    'matrice.nearest_codes(uuid[], text, real[], integer, uuid[])'
  ] loop
    execute pg_catalog.format('revoke all on function %s from public', tool);
    execute pg_catalog.format('grant execute on function %s to @extowner@, %s', tool, owner);
  end loop;
end
$$;

select matrice.migrate();
