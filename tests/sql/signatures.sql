begin;
\ir helpers/setup.psql
select no_plan();

-- The contract with clients: names, order, types and defaults of arguments, and the columns of results. Trailing
-- arguments may be added where they are optional. `returns` is a type, or the columns of a table, of which some are
-- promised with their type and some by name. Every function of the API is listed: all of schema matrice but `migrate`
-- and those that begin with an underscore.

create temp table contract (function text, arguments text[], returns text, columns text[]) on commit drop;
insert into contract values
  ('count_tokens', '{content text,"model text DEFAULT ''text-embedding-3-small''"}', 'integer', null),
  ('tokenize', '{content text,"model text DEFAULT ''text-embedding-3-small''"}', 'integer[]', null),
  ('detokenize', '{tokens integer[],"model text DEFAULT ''text-embedding-3-small''"}', 'text', null),
  ('truncate_tokens', '{content text,max_tokens integer,"model text DEFAULT ''text-embedding-3-small''"}', 'text', null),
  ('chunk_text',
   '{content text,max_tokens integer DEFAULT 512,overlap_tokens integer DEFAULT 64,format text DEFAULT ''text'',
     "model text DEFAULT ''text-embedding-3-small''"}',
   'table', '{chunk_index integer,content text,token_count integer,start_char integer,end_char integer,metadata jsonb}'),

  ('analyze_text', '{content text,"language text DEFAULT ''simple''"}', 'table', '{word text,position integer,kind text}'),
  ('reindex_text', '{project_id uuid,batch_size integer DEFAULT 1000}', 'bigint', null),

  ('create_project', '{name text,description text DEFAULT NULL,domain text DEFAULT NULL,"settings jsonb DEFAULT ''{}''"}', 'uuid', null),
  ('set_phase', '{project_id uuid,phase text}', 'void', null),
  ('phase_history', '{project_id uuid}', 'table',
   '{phase text,entered_at timestamp with time zone,left_at timestamp with time zone,duration interval,entered_by uuid}'),
  ('save_pillar', '{project_id uuid,code text,content text,metadata jsonb DEFAULT NULL,expected_version integer DEFAULT NULL}', 'integer', null),
  ('restore_pillar', '{project_id uuid,code text,version integer}', 'integer', null),
  ('pillar_history', '{project_id uuid,code text}', 'table', '{version,content,metadata,saved_at,saved_by}'),
  ('pillar_catalog', '{project_id uuid}', 'table',
   '{code text,name text,purpose text,template text,version integer,updated_at timestamp with time zone,labels text[]}'),
  ('diff_pillar', '{project_id uuid,code text,from_version integer,to_version integer DEFAULT NULL,context_lines integer DEFAULT 3}', 'table',
   '{kind text,old_line integer,new_line integer,content text,words jsonb}'),
  ('diff_pillar_text', '{project_id uuid,code text,from_version integer,to_version integer DEFAULT NULL,context_lines integer DEFAULT 3}', 'text', null),
  ('as_of', '{project_id uuid,at timestamp with time zone}', 'table',
   '{code text,name text,version integer,content text,metadata jsonb,saved_at timestamp with time zone,saved_by uuid,labels text[]}'),
  ('label_pillar', '{project_id uuid,code text,version integer,label text,is_release boolean DEFAULT false}', 'void', null),
  ('unlabel_pillar', '{project_id uuid,code text,label text}', 'void', null),
  ('label_history', '{project_id uuid,only_code text DEFAULT NULL,only_label text DEFAULT NULL}', 'table',
   '{code text,label text,version integer,is_release boolean,set_at timestamp with time zone,set_by uuid,is_current boolean}'),

  ('invite_member', '{project_id uuid,email text,"role text DEFAULT ''viewer''","valid_for interval DEFAULT ''7 days''"}', 'text', null),
  ('accept_invite', '{token text}', 'uuid', null),
  ('list_members', '{project_id uuid}', 'table', '{user_id uuid,role text,member_since timestamp with time zone}'),
  ('set_member_role', '{project_id uuid,user_id uuid,role text}', 'void', null),
  ('remove_member', '{project_id uuid,user_id uuid}', 'void', null),

  ('ingest_source',
   '{project_id uuid,name text,content text,type text DEFAULT ''file'',format text DEFAULT ''text'',
     max_tokens integer DEFAULT 512,overlap_tokens integer DEFAULT 64,storage_path text DEFAULT NULL,
     "metadata jsonb DEFAULT ''{}''",spans jsonb DEFAULT NULL}', 'uuid', null),
  ('chunk_source',
   '{source_id uuid,content text,format text DEFAULT NULL,max_tokens integer DEFAULT NULL,overlap_tokens integer DEFAULT NULL,
     spans jsonb DEFAULT NULL}',
   'table', '{total integer,added integer,kept integer,removed integer}'),
  ('sync_source',
   '{project_id uuid,source_key text,content text,name text DEFAULT NULL,type text DEFAULT NULL,format text DEFAULT NULL,
     max_tokens integer DEFAULT NULL,overlap_tokens integer DEFAULT NULL,storage_path text DEFAULT NULL,metadata jsonb DEFAULT NULL,
     spans jsonb DEFAULT NULL}',
   'table', '{source_id uuid,action text,total integer,added integer,kept integer,removed integer}'),
  ('sync_sources', '{project_id uuid,source_keys text[],prefix text DEFAULT NULL,max_share double precision DEFAULT 1,dry_run boolean DEFAULT false}', 'table', '{source_id uuid,source_key text,name text}'),
  ('set_source_error', '{source_id uuid,error text}', 'void', null),
  ('source_text', '{source_id uuid,version integer DEFAULT NULL}', 'text', null),
  ('source_history', '{source_id uuid}', 'table',
   '{version integer,created_at timestamp with time zone,created_by uuid,characters integer,token_count integer,format text,max_tokens integer,
     overlap_tokens integer,is_current boolean}'),
  ('restore_source', '{source_id uuid,version integer}', 'table', '{total integer,added integer,kept integer,removed integer}'),
  ('rechunk',
   '{project_id uuid,format text DEFAULT NULL,max_tokens integer DEFAULT NULL,overlap_tokens integer DEFAULT NULL,source_ids uuid[] DEFAULT NULL}',
   'table', '{source_id uuid,total integer,added integer,kept integer,removed integer}'),
  ('ingest_chunks',
   '{project_id uuid,name text,chunks jsonb,"type text DEFAULT ''file''",storage_path text DEFAULT NULL,"metadata jsonb DEFAULT ''{}''"}', 'uuid', null),
  ('replace_chunks', '{source_id uuid,chunks jsonb}', 'table', '{total integer,added integer,kept integer,removed integer}'),
  ('source_progress', '{project_id uuid}',
   'table', '{source_id uuid,name text,status text,error text,chunk_count integer,embedded_count integer,failed_count integer}'),
  ('claim_chunks',
   '{model text DEFAULT NULL,batch_size integer DEFAULT 64,lease_seconds integer DEFAULT 300,project_id uuid DEFAULT NULL,
     max_batch_tokens integer DEFAULT NULL,max_inputs integer DEFAULT NULL,max_input_tokens integer DEFAULT NULL}',
   'table', '{chunk_id uuid,project_id uuid,content text,token_count integer,attempt integer,lease_id uuid,model text,source_id uuid,
              source_name text,headings text[],embedding_text text,embedding_tokens integer,request_model text,header text}'),
  ('store_embeddings', '{model text,chunk_ids uuid[],embeddings jsonb,lease_id uuid DEFAULT NULL}', 'integer', null),
  ('fail_chunks', '{model text,chunk_ids uuid[],error text,lease_id uuid DEFAULT NULL,permanent boolean DEFAULT false}', 'void', null),
  ('failed_chunks', '{project_id uuid}',
   'table', '{chunk_id uuid,source_id uuid,source_name text,chunk_index integer,model text,attempts integer,last_error text}'),
  ('retry_failed', '{project_id uuid,model text DEFAULT NULL}', 'integer', null),
  ('waiting_chunks', '{project_id uuid DEFAULT NULL,model text DEFAULT NULL}',
   'table', '{model text,waiting bigint,leased bigint,next_at timestamp with time zone}'),

  ('register_model', '{model text,dimensions integer,is_default boolean DEFAULT false,truncated_from text DEFAULT NULL}', 'void', null),
  ('query_model', '{project_id uuid}', 'table', '{model text,request_model text,dimensions integer}'),
  ('model_coverage', '{project_id uuid}',
   'table', '{model text,is_active boolean,is_next boolean,chunks bigint,embedded bigint,failed bigint}'),
  ('switch_embedding_model', '{project_id uuid,model text}', 'boolean', null),
  ('cancel_model_switch', '{project_id uuid}', 'boolean', null),
  ('truncate_embeddings', '{project_id uuid,model text,batch_size integer DEFAULT 1000}', 'integer', null),
  ('drop_embeddings', '{project_id uuid,model text,batch_size integer DEFAULT 1000}', 'integer', null),
  ('reembed', '{project_id uuid}', 'integer', null),

  ('match_chunks',
   '{query_embedding vector,project_id uuid DEFAULT NULL,match_count integer DEFAULT 10,
     match_threshold double precision DEFAULT NULL,"filter jsonb DEFAULT ''{}''",model text DEFAULT NULL}',
   'table', '{chunk_id uuid,source_id uuid,source_name text,chunk_index integer,content text,token_count integer,metadata jsonb,similarity double precision,
             source_type text,storage_path text,start_char integer,end_char integer}'),
  ('search_chunks',
   '{query_text text,project_id uuid DEFAULT NULL,match_count integer DEFAULT 10,"filter jsonb DEFAULT ''{}''",
     diversity double precision DEFAULT 0,max_per_source integer DEFAULT NULL,expand integer DEFAULT 0,highlight boolean DEFAULT false,
     words text DEFAULT ''any'',min_score double precision DEFAULT NULL,highlight_fragments integer DEFAULT 1,highlight_html boolean DEFAULT false}',
   'table', '{chunk_id uuid,source_id uuid,source_name text,chunk_index integer,content text,token_count integer,metadata jsonb,rank real,
             source_type text,storage_path text,start_char integer,end_char integer,matched_words text[]}'),
  ('hybrid_search',
   '{query_text text,query_embedding vector,project_id uuid DEFAULT NULL,match_count integer DEFAULT 10,
     full_text_weight double precision DEFAULT 1,semantic_weight double precision DEFAULT 1,
     rrf_k integer DEFAULT 50,"filter jsonb DEFAULT ''{}''",model text DEFAULT NULL,
     diversity double precision DEFAULT 0,max_per_source integer DEFAULT NULL,expand integer DEFAULT 0,
     words text DEFAULT ''any'',fusion text DEFAULT ''score'',min_similarity double precision DEFAULT NULL,min_score double precision DEFAULT NULL}',
   'table', '{chunk_id uuid,source_id uuid,source_name text,chunk_index integer,content text,token_count integer,metadata jsonb,score,semantic_rank,full_text_rank,
             source_type text,storage_path text,start_char integer,end_char integer,similarity double precision,rank real,matched_words text[]}'),
  ('find_quote', '{quote text,project_id uuid DEFAULT NULL,source_id uuid DEFAULT NULL,match_count integer DEFAULT 10}',
   'table', '{source_id uuid,source_name text,start_char integer,end_char integer,chunk_ids uuid[],places jsonb}'),
  ('build_context', '{query_text text,query_embedding vector,project_id uuid,token_budget integer DEFAULT 4000}',
   'table', '{context text,token_count integer,citations jsonb}'),
  ('start_conversation', '{project_id uuid,"title text DEFAULT ''''",is_private boolean DEFAULT true}', 'uuid', null),
  ('add_turn', '{conversation_id uuid,role text,content text,run_id uuid DEFAULT NULL,"citations jsonb DEFAULT ''[]''"}', 'integer', null),
  ('conversation_context', '{conversation_id uuid,question text,query_embedding vector,token_budget integer DEFAULT 4000}',
   'table', '{context text,token_count integer,citations jsonb,turns jsonb}'),
  ('record_answer', '{run_id uuid,question text,citations jsonb,query_embedding vector DEFAULT NULL,model text DEFAULT NULL}', 'void', null),
  ('rate_answer', '{run_id uuid,rating integer,comment text DEFAULT NULL}', 'void', null),
  ('evaluation_set', '{project_id uuid,model text DEFAULT NULL,match_count integer DEFAULT 1000}', 'jsonb', null),
  ('match_documents', '{query_embedding vector,match_count integer DEFAULT NULL,"filter jsonb DEFAULT ''{}''"}',
   'table', '{id uuid,content text,metadata jsonb,embedding vector,similarity double precision}'),
  ('rerank_chunks',
   '{scores jsonb,match_count integer DEFAULT 10,diversity double precision DEFAULT 0,max_per_source integer DEFAULT NULL,
     expand integer DEFAULT 0,model text DEFAULT NULL}', 'table',
   '{chunk_id uuid,source_id uuid,source_name text,chunk_index integer,content text,token_count integer,metadata jsonb,
     score double precision}'),
  ('search_recall', '{project_id uuid,sample integer DEFAULT 20,match_count integer DEFAULT 10,model text DEFAULT NULL}',
   'table', '{query_count bigint,recall double precision,least_recall double precision}'),
  ('evaluate_search',
   '{queries jsonb,project_id uuid DEFAULT NULL,match_count integer DEFAULT 10,"filter jsonb DEFAULT ''{}''",model text DEFAULT NULL}',
   'table', '{search text,query_count bigint,recall double precision,mrr double precision,ndcg double precision}'),

  ('record_insight',
   '{project_id uuid,type text,title text,content text,confidence double precision DEFAULT 0.5,
     "tags jsonb DEFAULT ''[]''",source_id uuid DEFAULT NULL,evidence jsonb DEFAULT NULL,subject text DEFAULT NULL,
     attribute text DEFAULT NULL,value text DEFAULT NULL,volatility text DEFAULT NULL,
     valid_from timestamp with time zone DEFAULT NULL,valid_until timestamp with time zone DEFAULT NULL,
     chunk_ids uuid[] DEFAULT NULL,run_id uuid DEFAULT NULL,step_id uuid DEFAULT NULL,url text DEFAULT NULL,
     note text DEFAULT NULL}', 'uuid', null),
  ('confirm_insight',
   '{insight_id uuid,source_id uuid DEFAULT NULL,chunk_ids uuid[] DEFAULT NULL,run_id uuid DEFAULT NULL,
     step_id uuid DEFAULT NULL,url text DEFAULT NULL,note text DEFAULT NULL}', 'double precision', null),
  ('contradict_insight',
   '{insight_id uuid,source_id uuid DEFAULT NULL,chunk_ids uuid[] DEFAULT NULL,run_id uuid DEFAULT NULL,
     step_id uuid DEFAULT NULL,url text DEFAULT NULL,note text DEFAULT NULL}', 'double precision', null),
  ('supersede_insight', '{old_id uuid,new_id uuid,reason text DEFAULT NULL}', 'void', null),
  ('merge_insights', '{kept_id uuid,merged_ids uuid[]}', 'double precision', null),
  ('retract_insight', '{insight_id uuid,reason text DEFAULT NULL}', 'void', null),
  ('insights_review', '{project_id uuid,match_count integer DEFAULT 10}', 'table',
   '{kind text,total bigint,insight_id uuid,title text,other_id uuid,other_title text,detail text,confidence double precision}'),
  ('insight_lineage', '{insight_id uuid}', 'table',
   '{relation text,related_id uuid,related_title text,evidence_id uuid,kind text,is_for boolean,state text,source_id uuid,
     source_name text,chunk_id uuid,start_char integer,end_char integer,text_hash bytea,run_id uuid,workflow_id text,step_id uuid,
     step_name text,user_id uuid,url text,note text,recorded_at timestamp with time zone,recorded_by uuid}'),
  ('known_at', '{project_id uuid,at timestamp with time zone DEFAULT now(),after text DEFAULT NULL,match_count integer DEFAULT NULL}', 'table',
   '{place bigint,insight_id uuid,type text,title text,content text,confidence double precision,seen integer,evidence jsonb,
     record text,record_sha256 text,chain_sha256 text,next_after text}'),
  -- Relationships of PostgREST. Their argument has no name, so that they cannot be called themselves.
  ('evidence_source', '{NULL}', 'matrice.context_sources', null), ('evidence_chunk', '{NULL}', 'matrice.source_chunks', null),
  ('evidence_run', '{NULL}', 'matrice.workflow_runs', null), ('evidence_step', '{NULL}', 'matrice.workflow_steps', null),
  ('source_insights', '{NULL}', 'matrice.insights', null), ('chunk_insights', '{NULL}', 'matrice.insights', null),
  ('run_insights', '{NULL}', 'matrice.insights', null),
  ('search_insights', '{query_text text,project_id uuid,match_count integer DEFAULT 10,include_superseded boolean DEFAULT false,query_embedding vector DEFAULT NULL,model text DEFAULT NULL}', 'table', '{}'),

  ('start_run',
   '{project_id uuid,workflow_id text,event_name text,run_key text DEFAULT NULL,phase text DEFAULT NULL,
     "input_data jsonb DEFAULT ''{}''",started_at timestamp with time zone DEFAULT now(),attempt integer DEFAULT 0,
     parent_run_id uuid DEFAULT NULL,user_key text DEFAULT NULL,session_key text DEFAULT NULL,"tags jsonb DEFAULT ''[]''",
     is_failure_handler boolean DEFAULT false}', 'uuid', null),
  ('record_step',
   '{run_id uuid,step_name text,status text,latency_ms double precision DEFAULT NULL,model text DEFAULT NULL,
     tokens_input integer DEFAULT NULL,tokens_output integer DEFAULT NULL,"usage jsonb DEFAULT ''{}''",
     error jsonb DEFAULT NULL,step_key text DEFAULT NULL,attempt integer DEFAULT 0,cost_usd numeric DEFAULT NULL,
     executed_at timestamp with time zone DEFAULT now(),response jsonb DEFAULT NULL,call_key text DEFAULT NULL,
     project_id uuid DEFAULT NULL,workflow_id text DEFAULT NULL,run_key text DEFAULT NULL,reservation_id uuid DEFAULT NULL}', 'uuid', null),
  ('record_steps', '{steps jsonb,project_id uuid DEFAULT NULL}', 'bigint', null),
  ('finish_run',
   '{run_id uuid,status text,output_data jsonb DEFAULT NULL,error jsonb DEFAULT NULL,attempt integer DEFAULT NULL,
     completed_at timestamp with time zone DEFAULT now(),project_id uuid DEFAULT NULL,workflow_id text DEFAULT NULL,
     run_key text DEFAULT NULL}', 'void', null),
  ('correct_step',
   '{step_id uuid,reason text,cost_usd numeric DEFAULT NULL,tokens_input integer DEFAULT NULL,tokens_output integer DEFAULT NULL,
     usage jsonb DEFAULT NULL}', 'uuid', null),
  ('reap_runs', '{"older_than interval DEFAULT ''1 day''",project_id uuid DEFAULT NULL}', 'bigint', null),
  ('calculate_cost',
   '{model text,tokens_input bigint,tokens_output bigint DEFAULT 0,"usage jsonb DEFAULT ''{}''",
     priced_at timestamp with time zone DEFAULT now()}', 'numeric', null),
  ('price_of',
   '{model text,priced_at timestamp with time zone DEFAULT now(),project_id uuid DEFAULT NULL,provider text DEFAULT NULL}',
   'table', '{source text,model_priced text,service_tier text,above_input_tokens integer,unit text,usd_per_million numeric,is_listed boolean,
              valid_from timestamp with time zone}'),
  ('set_price',
   '{project_id uuid,model text,prices jsonb DEFAULT NULL,same_as text DEFAULT NULL,factor numeric DEFAULT 1,
     valid_from timestamp with time zone DEFAULT now()}', 'void', null),
  ('reprice', '{project_id uuid,since timestamp with time zone}',
   'table', '{step_id uuid,run_id uuid,executed_at timestamp with time zone,model text,cost_before numeric,cost_now numeric,is_filled boolean}'),
  ('load_prices', '{catalogue jsonb,valid_from timestamp with time zone DEFAULT now()}', 'integer', null),
  ('workflow_metrics', '{project_id uuid,since timestamp with time zone,until timestamp with time zone DEFAULT now(),group_by text DEFAULT ''day'',
     time_zone text DEFAULT ''UTC'',fill boolean DEFAULT false,model text DEFAULT NULL,workflow text DEFAULT NULL,phase text DEFAULT NULL,status text DEFAULT NULL}',
   'table', '{bucket text,runs,succeeded,failed,success_rate,steps,tokens_input,tokens_output,cost_usd,p50_ms,p95_ms,p99_ms,
     running,cancelled,failed_steps,skipped_steps,retried_steps,unpriced_steps,cached_tokens,cache_share}'),
  ('rebuild_metrics', '{project_id uuid}', 'void', null),
  ('purge_steps', '{project_id uuid,older_than timestamp with time zone,most integer DEFAULT 10000}', 'bigint', null),
  ('top_runs', '{project_id uuid,since timestamp with time zone,until timestamp with time zone DEFAULT now(),order_by text DEFAULT ''cost'',match_count integer DEFAULT 10}',
   'table', '{run_id uuid,workflow_id,phase,status,started_at,completed_at,steps,tokens_input,tokens_output,cost_usd,unpriced_steps,latency_ms}'),
  ('top_steps', '{project_id uuid,since timestamp with time zone,until timestamp with time zone DEFAULT now(),order_by text DEFAULT ''cost'',match_count integer DEFAULT 10}',
   'table', '{step_id uuid,run_id,step_name,status,attempt,model,executed_at,tokens_input,tokens_output,cost_usd,latency_ms}'),
  ('step_errors', '{project_id uuid,since timestamp with time zone,until timestamp with time zone DEFAULT now(),match_count integer DEFAULT 10}',
   'table', '{error_class text,steps,runs,cost_usd,first_at,last_at,last_step_id,step_names}'),

  ('report',
   '{project_id uuid,since timestamp with time zone DEFAULT (now() - ''30 days''::interval),until timestamp with time zone DEFAULT now(),
     time_zone text DEFAULT ''UTC'',language text DEFAULT ''en''}', 'matrice."text/html"', null),
  ('set_budget',
   '{project_id uuid,limit_usd numeric,period text DEFAULT ''month'',time_zone text DEFAULT ''UTC'',hard boolean DEFAULT true,
     "thresholds numeric[] DEFAULT ''{0.8,1}''",name text DEFAULT ''default'',model text DEFAULT NULL,phase text DEFAULT NULL,
     user_key text DEFAULT NULL}', 'uuid', null),
  ('remove_budget', '{project_id uuid,name text DEFAULT ''default''}', 'void', null),
  ('reserve_budget',
   '{project_id uuid,estimate_usd numeric DEFAULT NULL,model text DEFAULT NULL,tokens_input bigint DEFAULT NULL,max_tokens_output bigint DEFAULT NULL,
     "usage jsonb DEFAULT ''{}''",run_id uuid DEFAULT NULL,phase text DEFAULT NULL,user_key text DEFAULT NULL,
     valid_for interval DEFAULT ''00:15:00''}', 'uuid', null),
  ('settle_budget', '{reservation_id uuid,cost_usd numeric}', 'void', null),
  ('release_budget', '{reservation_id uuid}', 'boolean', null),
  ('budget_status', '{project_id uuid}',
   'table', '{budget_id uuid,name text,model text,phase text,user_key text,period text,time_zone text,is_hard boolean,
              period_start timestamp with time zone,period_end timestamp with time zone,limit_usd numeric,spent_usd numeric,reserved_usd numeric,
              unpriced_steps bigint,fraction double precision,state text,forecast_usd numeric,exhausted_at timestamp with time zone}'),

  ('export_project', '{project_id uuid,with_embeddings boolean DEFAULT false,after text DEFAULT NULL,page_lines integer DEFAULT 1000}',
   'table', '{line text,next_after text}'),
  ('export_lines', '{project_id uuid,with_embeddings boolean DEFAULT false}', 'table', '{line text}'),
  ('import_project', '{"lines text[]",project_id uuid DEFAULT NULL,first_line bigint DEFAULT 1,new_ids boolean DEFAULT false}',
   'table', '{new_project_id uuid,next_line bigint,is_finished boolean}'),
  ('export_markdown', '{project_id uuid,insight_limit integer DEFAULT 1000}', 'text', null),

  ('refuse_planned_counts', '{}', 'void', null);

-- 'name type DEFAULT default' of each argument that goes in.
create function tests.arguments_of(function name) returns text[] language sql as $$
  select coalesce(
    array_agg(p.proargnames[place] || ' ' || format_type(type, null)
              || coalesce(' DEFAULT ' || regexp_replace(pg_get_function_arg_default(p.oid, place::integer), '::[a-z ]+(\[\])?$', ''), '') order by place), '{}')
    from pg_proc p, unnest(p.proargtypes::oid[]) with ordinality as arguments (type, place)
   where p.proname = $1 and p.pronamespace = 'matrice'::regnamespace
$$;

-- 'name type' of each column that comes out.
create function tests.columns_of(function name) returns text[] language sql as $$
  select array_agg(p.proargnames[place] || ' ' || format_type(type, null) order by place)
    from pg_proc p, unnest(p.proallargtypes) with ordinality as arguments (type, place)
   where p.proname = $1 and p.pronamespace = 'matrice'::regnamespace and p.proargmodes[place] = 't'
$$;

select is_empty(
  $$select oid::regprocedure from pg_proc
     where pronamespace = 'matrice'::regnamespace and not starts_with(proname, '_') and proname <> 'migrate'
       and proname not in (select function from contract)$$,
  'Every function of the API is listed in the contract');
select is((tests.arguments_of(function))[:cardinality(arguments)], arguments, function || ' has the arguments of the contract') from contract;
select is(argument ~ ' DEFAULT ', true, format('%s can be called without %s', function, split_part(argument, ' ', 1)))
  from contract, unnest((tests.arguments_of(function))[cardinality(arguments) + 1:]) argument;
select is(format_type(p.prorettype, null), returns, function || ' returns ' || returns)
  from contract left join pg_proc p on p.proname = function and p.pronamespace = 'matrice'::regnamespace where returns <> 'table';
select is(
  array(select case when wanted ~ ' ' then got else split_part(got, ' ', 1) end
          from unnest(tests.columns_of(function), columns) with ordinality as pairs (got, wanted, place)
         where place <= cardinality(columns) order by place),
  columns, function || ' returns the columns of the contract')
  from contract where columns <> '{}';
select isnt(tests.columns_of('search_insights'), null, 'search_insights returns a table');
select is_empty($$select function from contract where columns <> '{}' and cardinality(tests.columns_of(function)) <> cardinality(columns)$$,
                'No function returns more columns than the contract promises');
-- The computed relationships of PostgREST must. They are PL/pgSQL, which returns also a column that was added.
select is_empty($$select oid::regprocedure from pg_proc where pronamespace = 'matrice'::regnamespace and proretset
                     and not coalesce('t' = any (proargmodes), false)
                     and not (pronargs = 1 and proargtypes[0] in (select c.reltype from pg_class c where c.relnamespace = 'matrice'::regnamespace)
                              and prolang = (select oid from pg_language where lanname = 'plpgsql'))$$,
                'No function but those for PostgREST returns rows of a table''s type, which would break with a column that is added');

-- The comments are what PostgREST's OpenAPI document shows.
select ok(obj_description(p.oid, 'pg_proc') like format('%%Defaults: %%%s %s%%', p.proargnames[place],
                                                        regexp_replace(pg_get_function_arg_default(p.oid, place), '::[a-z ]+(\[\])?$', '')),
          format('The comment on %s states the default of %s', p.proname, p.proargnames[place]))
  from pg_proc p, generate_series(p.pronargs - p.pronargdefaults + 1, p.pronargs) place
 where p.pronamespace = 'matrice'::regnamespace and pg_get_function_arg_default(p.oid, place) !~ '^NULL';

select volatility_is('matrice', function, 'immutable', function || ' is immutable')
  from unnest(array['count_tokens', 'tokenize', 'detokenize', 'truncate_tokens', 'chunk_text', '_analysis', '_index_words', '_deletion',
                    '_merge_words', '_live_texts', '_whole_sentences', '_find_quote', '_normal_text', '_likeness', '_sketch', '_read_usage', '_known_usage', '_undated_name', '_has_request_fee', '_sketch_latencies', '_merge_latencies', '_negate_latencies',
                    '_latency_percentiles']::name[]) function;
select is_strict('matrice', function, function || ' is strict')
  from unnest(array['count_tokens', 'tokenize', 'detokenize', 'truncate_tokens', '_text_vector', '_analysis', '_index_words', '_deletion', '_merge_words', '_live_texts',
                    '_query_words', '_highlight', '_whole_sentences', '_find_quote', '_normal_text', '_likeness', '_sketch', '_known_usage', '_undated_name', '_has_request_fee', '_sketch_latencies', '_merge_latencies', '_negate_latencies', '_latency_percentiles', '_report']::name[]) function;
select is(proparallel, 's', proname || ' is safe in parallel') from pg_proc
 where pronamespace = 'matrice'::regnamespace
   and proname in ('count_tokens', 'tokenize', 'detokenize', 'truncate_tokens', 'chunk_text', 'analyze_text', '_text_vector', '_analysis', '_index_words', '_deletion',
                   '_merge_words', '_live_texts', '_query_words', '_rank_words', '_highlight', '_whole_sentences', '_find_quote', '_normal_text', '_likeness', '_sketch', '_read_usage',
                   '_known_usage', '_plain_price', '_find_model', '_undated_name', '_has_request_fee', '_sketch_latencies', '_merge_latencies', '_negate_latencies',
                   '_latency_percentiles', '_report');
select volatility_is('matrice', function, 'stable', function || ' is stable')
  from unnest(array['analyze_text', '_text_vector', '_query_words', '_plain_price', '_find_model', '_rank_words', '_highlight', 'pillar_history', 'pillar_catalog', 'diff_pillar', 'diff_pillar_text',
                    'as_of', 'label_history', 'phase_history', 'match_chunks', 'search_chunks', 'hybrid_search', 'rerank_chunks', 'build_context', 'match_documents',
                    'evaluate_search', 'search_recall', 'search_insights', 'insights_review', 'insight_lineage', 'known_at', 'list_members', 'calculate_cost', 'price_of', 'workflow_metrics', 'top_runs', 'top_steps', 'step_errors', 'source_progress', 'failed_chunks', 'waiting_chunks', 'source_text',
                    'source_history', 'query_model', 'model_coverage', 'budget_status', 'find_quote', 'export_project', 'export_lines', 'export_markdown', 'report', 'conversation_context', 'evaluation_set']::name[]) function;

select * from finish();
rollback;
