-- The end of the extension's script. It runs as a superuser, even if the owner of a database installs the extension
-- (trusted = true). So it calls only functions of the extension and of pg_catalog, by their full names.

-- The tables will belong to the owner of the schema, who must be the role that creates the extension. (A dump brings its
-- own schema and tables.)
do $$
declare
  creator pg_catalog.oid := '@extowner@'::pg_catalog.regrole;
  owner   pg_catalog.oid := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) 'matrice');
begin
  if pg_catalog.current_setting('row_security')::pg_catalog.bool and owner operator(pg_catalog.<>) creator
     and not (select pg_catalog.bool_and(r.rolsuper) from pg_catalog.pg_roles r
               where r.oid operator(pg_catalog.=) any (array[owner, creator])) then
    raise exception 'must be owner of schema matrice'
      using errcode = '42501',
            detail = pg_catalog.format('The schema belongs to %s; the extension would belong to %s.',
                                       owner::pg_catalog.regrole, creator::pg_catalog.regrole),
            hint = pg_catalog.format('Create the extension as %s, or ALTER SCHEMA matrice OWNER TO %s.',
                                     owner::pg_catalog.regrole, creator::pg_catalog.regrole);
  end if;
end
$$;

-- Plain Postgres lacks the API roles of Supabase. With them, it behaves like Supabase.
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

-- The functions of the engine. They compute from their arguments alone. Only _nearest_chunks and
-- _build_codes read tables, and those that analyse texts look up PostgreSQL's dictionaries.
comment on function matrice.count_tokens(text, text) is
  'Counts the tokens of a text. Returns the exact number. model: the name of a model or an encoding. Special tokens, for '
  'example <|endoftext|>, count as the characters that they consist of. Defaults: model ''text-embedding-3-small''.';
comment on function matrice.tokenize(text, text) is
  'Splits a text into tokens. Returns their ids. model: the name of a model or an encoding. Defaults: model '
  '''text-embedding-3-small''.';
comment on function matrice.detokenize(integer[], text) is
  'Joins tokens to a text, the inverse of tokenize. Returns the text. model: the name of a model or an encoding. '
  'Defaults: model ''text-embedding-3-small''.';
comment on function matrice.truncate_tokens(text, integer, text) is
  'Truncates a text to its first max_tokens tokens. A character that is only partly within them is left out. The result never '
  'has more than max_tokens tokens when it is counted again. model: the name of a model or an encoding. Defaults: model '
  '''text-embedding-3-small''.';
comment on function matrice.chunk_text(text, integer, integer, text, text) is
  'Cuts a text into chunks of at most max_tokens tokens, at the best boundaries that its format has. Returns the chunks in '
  'order; none if content is null. Each chunk is substr(content, start_char + 1, end_char - start_char). In markdown and '
  'html, metadata.headings is the path of headings under which the chunk begins. In csv, markdown and html, metadata.header '
  'is the header of the table in which the chunk begins. It is left out if the chunk has the header itself, and if the header '
  'is longer than a quarter of max_tokens, 2000 characters or 4000 bytes. overlap_tokens: a chunk may begin with a repetition '
  'of the end of the chunk before it. The repetition consists of whole parts such as sentences, and has at most this many '
  'tokens. overlap_tokens is at most half of max_tokens. The default of 64 becomes half of max_tokens if that is less. '
  'format: text, markdown, html, csv, go, javascript, python, rust, sql, tsx or typescript. In csv, the first record says '
  'whether a comma, semicolon, tab or bar stands between fields. model: the name of a model or an encoding. Only content may '
  'be null. Defaults: max_tokens 512, overlap_tokens 64, format ''text'', model ''text-embedding-3-small''.';
comment on function matrice._nearest_chunks(uuid[], text, anyelement, integer, uuid[]) is
  'Finds the chunks in the projects whose embeddings are nearest to a vector by cosine similarity, at most match_count. '
  'Returns them nearest first, ties by id. query: a vector of pgvector. among: if not null, only these chunks. Reads the '
  'index of codes, and the embeddings. Internal, for match_chunks: it runs only for roles that read the tables without '
  'row-level security.';
comment on function matrice._build_codes(uuid, text, uuid[]) is
  'Builds a list of codes of those of the chunks that have an embedding in the project. Returns no row if none has. Internal, '
  'for the index of codes: it runs only for roles that read the embeddings without row-level security.';
comment on function matrice._train_cells(uuid, text, uuid[], integer, integer) is
  'Finds cells for the codes of a project that has very many. sample: chunks in any order. cells: how many. total: how many '
  'codes there are. Returns the means of the cells, the last of which is for vectors that are far from all others, and what a '
  'search may leave out. Returns no row if the sample has too few embeddings. Internal, like _build_codes.';
comment on function matrice._cell_codes(uuid, text, uuid[], bytea[], bytea, bytea[]) is
  'Encodes those of the chunks that have an embedding in the project, each for the nearest cell. centroids, bound: as '
  '_train_cells returns them. begun: a page of each cell that may have room; null if there is none. Returns for each cell that '
  'got codes how many, and the pages that take the place of that page. Internal, like _build_codes.';
comment on function matrice._coded_chunks(bytea) is
  'Returns the chunks that have a code in a page. Internal, for the index of codes.';
comment on function matrice.analyze_text(text, text) is
  'Shows the words that matrice reads in a text. Queries are read in the same way. Returns the words in their order; none if '
  'content is null. position: the number of the word in the text, from 1. kind: what the row is. word: the word as it is '
  'written. stop word: a word that queries ignore. stem: the stem of a word, or another spelling of it. compound: several '
  'words that are written as one. bigram: two neighbouring characters of Chinese, Japanese or Korean. language: a text search '
  'configuration of pg_catalog, such as english. Defaults: language ''simple''.';
comment on function matrice._text_vector(text, text) is
  'Returns the words of a text as a tsvector. The weight of a position says what the lexeme is there: A a word that is its '
  'own stem, B a word whose stem differs, C a compound, D a stem or another spelling. A lexeme that begins with a blank says '
  'how the text was analysed. Internal, for the full-text search of the schema.';
comment on function matrice._analysis(text) is
  'Returns how texts of a language are analysed: the language and the version of the analyser. Internal, for the full-text '
  'search of the schema.';
comment on function matrice._index_words(uuid[], tsvector[]) is
  'Builds a segment of the word index for each way that the texts were analysed. Internal, for the word index of the schema.';
comment on function matrice._deletion(uuid, tsvector) is
  'Returns an entry for a list of deleted texts. Internal, for the word index of the schema.';
comment on function matrice._merge_words(bytea[], integer[], bytea[], bytea[]) is
  'Merges segments of the word index, without the deleted texts. segments: the number of the segment of each block, from 1. '
  'Internal, for the word index of the schema.';
comment on function matrice._live_texts(bytea[], bytea[], integer) is
  'Returns the texts of segments that are not deleted, at most most of them. Internal, for the word index of the schema.';
comment on function matrice._query_words(text, text, text) is
  'Returns the words that a query looks up in the word index. Internal, for the full-text search of the schema.';
comment on function matrice._rank_words(text, text, text[], bytea[], integer[], bytea[], bytea[], uuid[], uuid[], integer) is
  'Finds the texts of a project that match a query best by BM25, ties by id. analyses: how the texts of each segment were '
  'analysed; those that were analysed alike have statistics of their own. texts: the list of texts of each segment. segments: '
  'the number of the segment of each block, from 1. deletions: lists of deleted texts. among: only these texts. also: these '
  'too, if they match. mean, deviation: of the scores of all texts that were analysed alike; they also come in a row without '
  'id. Only that row has phrases: what such a text must match because of the phrases in the query, as a tsquery; null if it '
  'has none. Internal, for the full-text search of the schema.';
comment on function matrice._highlight(text, text, text, integer, boolean) is
  'Returns the best excerpts of a text, in which the words of a query are marked. html: escapes the rest for HTML. Internal, '
  'for the full-text search of the schema.';
comment on function matrice._whole_sentences(text, integer) is
  'Returns the longest beginning of a text that has at most most_chars characters and ends with a sentence or a line '
  '(UAX #29). If there is none, it ends with a word, or else anywhere. Internal, for the contexts of the schema.';
comment on function matrice._find_quote(text[], integer[], text, integer) is
  'Returns where a quote stands in a text, in characters, at most most times. White space, case, quotation marks, dashes, '
  'ligatures and soft hyphens may differ. contents: parts of the text in their order, which may overlap. starts: the first '
  'character of each. Internal, for find_quote.';
comment on function matrice._diff_lines(text, text, integer) is
  'Returns the lines that differ between two texts, and context_lines unchanged lines around them. Internal, for diff_pillar.';
comment on function matrice._unified_diff(text, text, integer, text, text) is
  'Returns the difference of two texts in the unified form, with these names in its header; empty if they are equal. '
  'Internal, for diff_pillar_text.';
comment on function matrice._normal_text(text) is
  'Returns what the ways to write a statement have in common: the text in NFKC and lower case, with single blanks, without '
  'quotation marks around it and punctuation behind it. Internal, for the insights of the schema.';
comment on function matrice._likeness(tsvector, tsvector) is
  'Returns the share of the stems of two texts that both have, 0 to 1. Internal, for the insights of the schema.';
comment on function matrice._sketch(tsvector, uuid) is
  'Returns codes of the words of a text. Texts of a project whose words are alike share some of them. Internal, for the '
  'insights of the schema.';
comment on function matrice._read_embeddings(jsonb) is
  'Reads the vectors of a JSON array: arrays of numbers, texts of vectors, or base64 of little-endian 32-bit floats. place: '
  'the number of the vector in the array, from 1. Internal, for store_embeddings.';
comment on function matrice._little_endian(real[]) is
  'Returns numbers as little-endian 32-bit floats, one after the other. Internal, for export_project.';
comment on function matrice._norm(anyelement, integer) is
  'Returns the Euclidean norm of a vector of pgvector; null for other values, and for a vector with another number of '
  'dimensions. Internal, for match_chunks and store_embeddings.';
comment on function matrice._read_usage(jsonb, bigint, bigint) is
  'Reads what a call of a model used, in the shapes in which APIs and libraries report it, and compares it with the tokens '
  'that the caller counted. Returns tokens_input, tokens_output, counts by the unit of a price, the options that a price '
  'depends on, provider_cost_usd, notes, and conflict: whether the counts cannot be priced. It never fails. Internal, for '
  'calculate_cost.';
comment on function matrice._known_usage(jsonb) is
  'Returns those values of usage, or of a response, that _read_usage reads. Internal, for record_step.';
comment on function matrice._plain_price(uuid, text, jsonb, bigint, bigint, timestamptz) is
  'Returns what a call costs in US dollars, its input and output tokens, and its cached tokens. Null if there is anything to say '
  'about them or the price, if the project has prices of its own, or if more than the standard tier decides: then the schema '
  'looks further. Internal, for calculate_cost.';
comment on function matrice._find_model(text, text, boolean) is
  'Returns the model of model_prices that a name means, and, if the price of another model is used, for what: snapshot or '
  'region. Null if it means none. by_itself: a model of this very name comes first. Internal, for resolve_model and '
  'priced_model.';
comment on function matrice._undated_name(text) is
  'Returns the name of a model without the date of its snapshot; null if it has none. Internal, for undated_name.';
comment on function matrice._has_request_fee(text) is
  'Returns whether a model has a fee for each request or search, beside its tokens. Internal, for cost_of_counts.';
comment on function matrice._sketch_latencies(double precision[]) is
  'Returns a sketch of latencies in milliseconds. Internal, for the metrics.';
comment on function matrice._negate_latencies(bytea) is
  'Returns the sketch that takes away what this one counts. Internal, for the metrics.';
comment on function matrice._merge_latencies(bytea[]) is
  'Adds up sketches of latencies. Internal, for the metrics.';
comment on function matrice._latency_percentiles(bytea[], double precision[]) is
  'Returns the latencies at these fractions of all that the sketches count, each within 1 %. Internal, for workflow_metrics.';
comment on function matrice._report(text, text) is
  'Returns an HTML page that shows data, which is JSON as report_data returns it. language: en or fr. Internal, for report.';
comment on function matrice._seal(uuid, uuid, text, integer, jsonb, tsvector, jsonb) is
  'Returns a new id that says that these columns of a chunk were computed in this statement. Internal, for ingest_source.';
comment on function matrice._is_sealed(uuid, uuid, uuid, text, integer, jsonb, tsvector, jsonb) is
  'Returns whether _seal has returned this id for these columns in this statement. Internal, for ingest_source.';
comment on function matrice._price_catalogue() is
  'Returns the catalogue of model prices that this version ships, as JSON. Costs are calculated from the table '
  'model_prices, not from the catalogue. Internal.';
comment on function matrice.migrate() is
  'Applies the files of the schema that this database has not had yet, or has had with another text. Returns their '
  'names. For the owner of the schema.';

-- The default privileges of a database may have granted these functions to anybody.
do $$
declare
  command text;
begin
  for command in
    select pg_catalog.format('revoke all on function %s from %s', p.oid::pg_catalog.regprocedure,
                             case a.grantee when 0 then 'public'
                                            else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end)
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
    'matrice.chunk_text(text, integer, integer, text, text)',
    'matrice.analyze_text(text, text)'
  ] loop
    -- pg_database_owner: SECURITY DEFINER functions call them as the owner of the schema, who may be another one later.
    execute pg_catalog.format('grant execute on function %s to authenticated, service_role, pg_database_owner, @extowner@', engine);
  end loop;
end
$$;

-- These functions are for the owner of the schema. migrate(), _nearest_chunks(), _build_codes() and those of cells check their
-- callers themselves.
-- pg_database_owner: after REASSIGN OWNED the new owner of the database owns the schema, too.
do $$
declare
  owner pg_catalog.regrole := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) 'matrice');
  tool  text;
begin
  foreach tool in array array[
    'matrice.migrate()',
    'matrice._text_vector(text, text)',
    'matrice._analysis(text)',
    'matrice._index_words(uuid[], tsvector[])',
    'matrice._deletion(uuid, tsvector)',
    'matrice._merge_words(bytea[], integer[], bytea[], bytea[])',
    'matrice._live_texts(bytea[], bytea[], integer)',
    'matrice._query_words(text, text, text)',
    'matrice._rank_words(text, text, text[], bytea[], integer[], bytea[], bytea[], uuid[], uuid[], integer)',
    'matrice._highlight(text, text, text, integer, boolean)',
    'matrice._whole_sentences(text, integer)',
    'matrice._find_quote(text[], integer[], text, integer)',
    'matrice._diff_lines(text, text, integer)',
    'matrice._unified_diff(text, text, integer, text, text)',
    'matrice._normal_text(text)',
    'matrice._likeness(tsvector, tsvector)',
    'matrice._sketch(tsvector, uuid)',
    'matrice._read_embeddings(jsonb)',
    'matrice._little_endian(real[])',
    'matrice._norm(anyelement, integer)',
    'matrice._read_usage(jsonb, bigint, bigint)',
    'matrice._known_usage(jsonb)',
    'matrice._plain_price(uuid, text, jsonb, bigint, bigint, timestamptz)',
    'matrice._find_model(text, text, boolean)',
    'matrice._undated_name(text)',
    'matrice._has_request_fee(text)',
    'matrice._sketch_latencies(double precision[])',
    'matrice._merge_latencies(bytea[])',
    'matrice._negate_latencies(bytea)',
    'matrice._latency_percentiles(bytea[], double precision[])',
    'matrice._report(text, text)',
    'matrice._seal(uuid, uuid, text, integer, jsonb, tsvector, jsonb)',
    'matrice._is_sealed(uuid, uuid, uuid, text, integer, jsonb, tsvector, jsonb)',
    'matrice._price_catalogue()',
    'matrice._nearest_chunks(uuid[], text, anyelement, integer, uuid[])',
    'matrice._build_codes(uuid, text, uuid[])',
    'matrice._train_cells(uuid, text, uuid[], integer, integer)',
    'matrice._cell_codes(uuid, text, uuid[], bytea[], bytea, bytea[])',
    'matrice._coded_chunks(bytea)'
  ] loop
    execute pg_catalog.format('grant execute on function %s to @extowner@, pg_database_owner, %s', tool, owner);
  end loop;
end
$$;

select matrice.migrate();
