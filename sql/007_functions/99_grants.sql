-- Who may execute which function. Applied last, and at every version.
--
-- PostgreSQL lets everybody execute a new function, and the default privileges of a database may grant it to more roles. So
-- this file lists every function of matrice. First everybody but the owner loses EXECUTE, then the listed roles get it. If
-- a function is missing here, tests/security/test_grants.py fails and names it. Functions that you add to these schemas
-- under other names are yours: this file does not touch them.

do $$
declare
  listed record;
begin
  for listed in
    select grants.roles, grants.home || '.' || name as function
      from (values

    -- The API. These functions run as their caller.
    ('authenticated, service_role', 'matrice', array[
      'create_project', 'set_phase', 'phase_history',
      'invite_member', 'accept_invite', 'list_members', 'set_member_role', 'remove_member',
      'save_pillar', 'restore_pillar', 'pillar_history', 'pillar_catalog', 'diff_pillar', 'diff_pillar_text', 'as_of',
      'label_pillar', 'unlabel_pillar', 'label_history',
      'ingest_source', 'chunk_source', 'sync_source', 'sync_sources', 'set_source_error', 'source_progress',
      'source_text', 'source_history', 'restore_source', 'rechunk', 'ingest_chunks', 'replace_chunks',
      'claim_chunks', 'store_embeddings', 'fail_chunks', 'failed_chunks', 'retry_failed', 'waiting_chunks',
      'register_model', 'query_model', 'model_coverage', 'switch_embedding_model', 'cancel_model_switch',
      'truncate_embeddings', 'drop_embeddings', 'reembed',
      'reindex_text',
      'match_chunks', 'search_chunks', 'hybrid_search', 'rerank_chunks', 'match_documents',
      'build_context', 'find_quote',
      'start_conversation', 'add_turn', 'conversation_context',
      'record_answer', 'rate_answer', 'evaluation_set',
      'evaluate_search', 'search_recall',
      'record_insight', 'confirm_insight', 'contradict_insight', 'supersede_insight', 'merge_insights', 'retract_insight',
      'search_insights', 'insights_review', 'insight_lineage', 'known_at',
      'evidence_source', 'evidence_chunk', 'evidence_run', 'evidence_step', 'source_insights', 'chunk_insights', 'run_insights',
      'start_run', 'record_step', 'record_steps', 'finish_run', 'correct_step', 'reap_runs',
      'calculate_cost', 'reprice', 'price_of', 'set_price', 'load_prices',
      'workflow_metrics', 'rebuild_metrics', 'purge_steps', 'top_runs', 'top_steps', 'step_errors', 'report',
      'set_budget', 'remove_budget', 'reserve_budget', 'settle_budget', 'release_budget', 'budget_status',
      'export_project', 'export_lines', 'import_project', 'export_markdown',
      'refuse_planned_counts'
    ]),

    -- Helpers. The API, triggers, policies, defaults and check constraints call them as the caller, who needs EXECUTE.
    ('authenticated, service_role', 'matrice_private', array[
      'is_trusted', 'has_trusted_identity', 'current_user_id', 'json_within', 'from_parent', 'from_project', 'refuse_row', 'is_bounded_step',
      'require_bytes', 'is_blank', 'require_json', 'require_time', 'require_given', 'require_text', 'require_query',
      'require_object', 'require_filter', 'require_one_of', 'require_match_count', 'require_key',
      'roles', 'role_rank', 'require_role', 'hold_project', 'searchable_projects', 'projects_of_member',
      'has_no_quota', 'require_quota', 'add_usage',
      'known_settings', 'type_of_setting', 'require_template', 'phases', 'require_phase',
      'require_member',
      'trimmed', 'make_invitation',
      'pillar_name', 'require_pillar_at', 'pillar_version', 'pillar_defaults', 'require_pillar_settings', 'described_pillars', 'compared_versions',
      'labels_at', 'require_label', 'set_label', 'require_codes', 'pack_pillars', 'require_exit_criteria_settings', 'missing_for_exit', 'phase_at',
      'text_language',
      'statement_hash', 'normal_value', 'require_statement', 'require_fact', 'known_insight', 'kept_insight', 'holds',
      'ranked_without_index', 'ranked_insights', 'best_insights', 'insight_similarities', 'fused_insights', 'fused_without_index',
      'positive',
      'require_evidence', 'require_origin', 'remember_evidence', 'judge',
      'weighed_insights', 'judged_statements', 'judged_insights',
      'hold_insights', 'lock_insights', 'project_of_insight', 'require_insight_in', 'require_no_circle', 'end_insight',
      'insights_due', 'doubts', 'with_evidence', 'require_no_contradiction', 'quoted', 'evidence_state',
      'insights_as_of', 'evidence_as_of', 'known_cursor', 'known_page',
      'require_metadata_room', 'cut_is_bounded', 'chunk_is_bounded', 'completed_chunks', 'require_spans',
      'names_between', 'places_of', 'content_hash', 'add_source', 'cut_source', 'lay_chunks', 'laid_metadata', 'require_room',
      'keyed_source', 'is_count_of_failures',
      'keeps_texts', 'kept_versions', 'remember_text', 'project_of_source', 'hold_source', 'current_version', 'require_version',
      'require_sources', 'wrong_chunk', 'require_client_chunks', 'lay_client_chunks',
      'is_embedded_alike', 'take_embeddings', 'share_embeddings',
      'dimensions_of', 'norm_of', 'truncated', 'require_model', 'comparable', 'embedding_model',
      'require_unused_model', 'require_batch_size', 'is_covered', 'flip_model', 'flip_whole', 'held_settings',
      'text_hash', 'headings_of', 'header_of', 'embedding_text', 'template_hash', 'wanted_template', 'hold_claimable',
      'lease_of_parts', 'lease_of_project', 'projects_to_claim', 'has_claimable', 'models_to_claim', 'fill_batch', 'batch_of',
      'require_limit', 'require_claim', 'lease_chunks', 'claimable_after', 'give_back', 'not_chunks', 'require_chunks',
      'hold_chunks',
      'insight_text', 'insights_for_batch', 'failed_insights_as_seen', 'leased_insights_as_seen', 'count_waiting',
      'similarities_to', 'chunks_having', 'has_other_policies', 'are_visible', 'nearest_visible', 'vector_candidates',
      'shown_places', 'matching_texts', 'word_candidates', 'reindex_some',
      'similarity_spread', 'fused_candidates', 'candidates', 'similarities', 'on_one_scale', 'diverse_chunks', 'select_chunks', 'ranked_chunks',
      'chunk_ranges', 'continuation', 'pages_of', 'with_pages', 'expanded_passages', 'passages', 'passage_title',
      'passage_heading',
      'search_scope', 'query_vector', 'require_result_options', 'require_least', 'require_words', 'require_highlight', 'require_fusion',
      'has_chunks', 'unmatched',
      'tell_unmatched', 'require_scores', 'scored_chunks', 'document_rows',
      'placed_chunks', 'chunks_of_quotes', 'pieces_of', 'names_in', 'places_in_chunks', 'quotes_in_source', 'quotes',
      'lead_of', 'context_passages', 'rendered_context', 'context_tokens', 'cut_at_sentence', 'pack_chunks', 'pack_insights',
      'project_of_conversation', 'latest_turns', 'cited_chunks', 'require_citations',
      'require_labelled_queries', 'grades_of', 'quality_of', 'labelled_queries', 'require_labelled_query', 'recall_of',
      'sampled_recall', 'require_recall_work',
      'comparable_name', 'name_at_provider', 'standard_rates', 'tier_rates', 'rates_in_proportion', 'sheets_of',
      'rates_of_catalogue', 'wrong_rate', 'require_rates', 'require_catalogue', 'load_catalogue', 'billed_tier',
      'is_off_peak', 'surcharge', 'rates_of_sheets', 'own_price', 'cost_in_project',
      'require_usage', 'bounded_usage', 'cost_of_reading', 'cost_of_column', 'reading_of_step', 'cached_tokens',
      'metric_buckets', 'metric_label', 'is_time_zone', 'require_time_zone', 'metric_filters', 'empty_buckets',
      'require_top', 'error_class', 'is_unpriced',
      'pillars_at', 'projects_recorded_by_viewers', 'require_recorder', 'require_recorder_of_run', 'require_run_arguments',
      'require_run_key', 'run_of_key', 'require_parent_run', 'named_run', 'begin_run',
      'require_step', 'is_good_step', 'with_response', 'recorded_step', 'keys_of_steps', 'require_steps',
      'refuse_step_of', 'runs_of_steps',
      'require_read_committed', 'require_dollars', 'require_budget', 'require_validity', 'estimated_cost', 'spending_forecast',
      'visible_figures',
      'carried_witness', 'project_parts', 'columns_of_part', 'row_of_part', 'rows_of_part', 'key_of_part',
      'values_of_key', 'status_without_counts', 'line_hash', 'lines_of_part', 'exported_parts', 'export_header', 'export_end', 'ranges_of_project', 'export_cursor',
      'under_heading', 'is_underlined', 'end_of_html', 'one_line', 'markdown_of_pillars', 'markdown_of_insights',
      'require_report', 'report_of_days', 'report_of_all', 'report_of_models', 'report_of_steps', 'report_of_budgets',
      'report_data'
    ]),

    -- SECURITY DEFINER: these functions run as the owner of the tables.
    ('authenticated, service_role', 'matrice_private', array[
      -- Run as the caller, it would read user_projects under a policy that calls it again without end. It reads only the
      -- caller's memberships.
      'project_ids',
      -- The policies on projects check whether an id is free. Nobody may read which ids are taken.
      'is_free_project_id',
      -- Locking a row requires the right to change it, which editors do not have. These lock only
      -- projects of the caller.
      'hold_project_of_member',
      -- The holder of a token is not a member yet and may see neither the invitation nor the memberships.
      'accept_invitation',
      -- Clients may not write invitations, so that they cannot choose token, inviter and expiry. It refuses callers who are
      -- not owners.
      'invite_as_owner',
      -- Clients may not write leases. These functions work on the caller's own leases, in projects that the caller may edit.
      'take_leases_of_member', 'own_leases_of_member', 'end_leases_of_member', 'return_leases_of_member', 'free_failed_of_member',
      'lease_insights_of_member', 'store_insights_of_member', 'return_insights_of_member',
      -- Clients may not read leases of insights. These read the caller's own, and failures and ends of leases in
      -- projects of the caller.
      'claimed_insights', 'failed_insights_of_member', 'leased_insights_of_member',
      -- Nobody may write the texts of sources, so that each version is the text that was cut. It writes those of sources that the
      -- caller may edit.
      'keep_text_of_member',
      -- Clients may not write leases either. It forgets those of a model that the caller's own project does not use.
      'forget_model_of_owner',
      -- Editors may not change the settings of a project. It ends a switch of models that the owner has begun.
      'flip_models_of_member',
      -- No client may read or write the index of waiting chunks. These use it for projects that the caller may edit.
      'waiting_projects_of_member', 'next_parts_of_member', 'settle_parts_of_member',
      -- Only the owner may execute the internal functions of the engine. These wrappers use nothing but their arguments.
      'text_vector', 'analysis', 'highlighted', 'ranked_texts', 'whole_sentences', 'quote_places', 'read_embeddings', 'norm_of_dimensions', 'is_sealed',
      'read_usage', 'known_usage', 'plain_price', 'steps_of', 'undated_name', 'base64_of', 'diff_lines', 'unified_diff', 'normal_text',
      'sketch', 'rendered_report',
      -- No client may write histories, texts of sources, costs and budgets. It writes rows of the project that the caller's own
      -- import has made, and no other.
      'import_as_owner',
      -- Clients may not read sums. They return those of purged steps, of projects of the caller.
      'purged_sums', 'purged_calls',
      -- No client may write labels of pillars, so that a release label stays where it is. It refuses callers who are not editors.
      'write_label_as_editor',
      -- No client may change steps, which say what was spent. They end running steps, fill unknown costs and add corrections, in
      -- what the caller may record or edit.
      'end_steps_of_member', 'reprice_of_member', 'write_correction_of_member',
      'complete_chunks_of_member',
      -- No client may read or write source_counts. It adds up what is due, for whoever it is, and says nothing.
      'add_up_due',
      -- No client may read the prepared prices. They are those of model_prices, which everybody may read.
      'priced_model', 'resolve_model', 'unpriced_note', 'cost_of_counts', 'catalogue_rates',
      -- Clients may not write prepared prices. It refuses callers who are not owners.
      'write_price_as_owner',
      -- Nobody may write budgets, what was spent of them, or reservations, so that they follow from what was recorded. These refuse
      -- callers who are not owners, or editors, of the project; the last one works for viewers.
      'hold_owner', 'write_budget_as_owner', 'delete_budget_as_owner', 'admit_member', 'is_reservation_of_member', 'settle_member',
      'release_member', 'budget_figures_of_member',
      -- Nobody may write evidence and candidates, so that an editor cannot make witnesses up. They write those of insights that the
      -- caller may edit.
      'add_evidence_of_member', 'take_over_evidence_of_member', 'link_candidates_of_member',
      -- Under row-level security, filters cannot use their index, and no client may read the word index. These search only the
      -- caller's projects.
      'nearest_to_member', 'matching_of_member', 'fuse_insights_of_member', 'outdated_of_member', 'member_has_chunks',
      -- Under row-level security, they could not use the index of texts either. They find chunks in projects that the caller may
      -- edit. The embeddings are read and written as the caller.
      'embedded_twins_of_member', 'waiting_twins_of_member',
      -- No client may read or write the sums of steps. It reads those of the caller's own projects.
      'metrics_of_member',
      -- These refuse callers who are not owners. Clients may not write sums.
      'rebuild_sums_as_owner', 'purge_as_owner'
    ]),

    -- For services: these do not check whether the caller is a member of the projects. nearest_chunks, matching_chunks,
    -- fuse_insights, outdated_chunks, waiting_projects, next_parts, settle_parts, end_leases, complete_chunks, keep_text,
    -- embedded_twins, waiting_twins, forget_model, flip_models, free_failed, lease_insights, store_insights, return_insights,
    -- failed_insights, leased_insights, write_price, write_label, end_steps and write_correction are SECURITY DEFINER, because only the owner
    -- of the tables may read codes, the word index and the index of waiting chunks, execute the engine's functions, and write
    -- the texts of sources. So are those of budgets, of the evidence of insights, and of metrics: metrics_of, rebuild_sums
    -- and purge_some.
    ('service_role', 'matrice_private', array[
      'nearest_chunks', 'matching_chunks', 'fuse_insights', 'outdated_chunks', 'waiting_projects', 'next_parts', 'settle_parts',
      'complete_chunks', 'keep_text', 'embedded_twins', 'waiting_twins',
      'take_leases', 'is_last_attempt', 'own_leases', 'end_leases', 'return_leases', 'free_failed', 'forget_model', 'flip_models',
      'lease_insights', 'store_insights', 'return_insights', 'failed_insights', 'leased_insights',
      'keep_current_model', 'write_price', 'write_label', 'end_steps', 'reprice_steps', 'write_correction',
      'metrics_of', 'rebuild_sums', 'purge_some',
      'write_budget', 'delete_budget', 'admit', 'require_reservation', 'settle', 'release', 'budget_figures',
      'add_evidence', 'take_over_evidence', 'link_candidates']),

    -- For the owner of the tables.
    (null, 'matrice_private', array[
      'build_embedding_index', 'forget_pillar_versions', 'purge_audit_log', 'recount_usage',
      'load_price_catalogue', 'fill_price_units', 'require_units', 'prepare_prices', 'rebuild_prices', 'rates_of_tier',
      'keep_no_statistics', 'revoke_from_everybody', 'prepared_sheets', 'is_budget', 'vector_of', 'is_step_of_run',
      'is_run_of_project', 'is_purged_sum', 'count_purged_sums', 'note_purged_calls', 'last_fact',
      'has_version', 'leaves_room', 'restore_evidence', 'is_restorable', 'is_carried',
      'renewed_id', 'refuse_lines', 'read_lines', 'require_columns', 'import_write', 'import_statement', 'import_rows',
      'require_header', 'begin_import', 'end_import', 'require_place', 'import_groups', 'require_batch',
      'rebuild_word_index', 'add_segment', 'forget_segments', 'merge_some', 'merge_small', 'merge_words', 'time_to_merge',
      'rebuild_code_index', 'verify_codes', 'add_codes', 'merge_lists', 'merge_small_lists', 'merge_codes', 'discount_deletions',
      'code_places', 'oldest_lists', 'cell_count', 'code_total', 'sample_of_codes', 'train_cells', 'next_batch', 'move_codes', 'fill_cells',
      'begin_cells', 'renew_cells', 'cluster_codes', 'time_left', 'has_time', 'catch_up', 'time_to_code', 'time_to_train', 'code_batch',
      'rebuild_embedding_queue', 'is_listed', 'list_project', 'seems_covered',
      'next_with_insights', 'list_insights_of_project', 'settle_insights', 'hold_claimable_insights', 'has_waiting_insights',
      'take_insight_leases', 'own_insights', 'forget_model_of_insights',
      'quarter', 'is_purging', 'quarters_to_count', 'due_changes', 'sum_of_steps', 'runs_to_count', 'sum_of_runs',
      'fresh_facts', 'cells_of', 'old_cells', 'fresh_cells', 'parts_of_days', 'metric_cells', 'add_cells', 'merge_metrics',
      'merge_waiting', 'kinds_of_metrics', 'may_add_up', 'keep_facts', 'keep_runs', 'require_owner', 'count_part', 'end_of_part', 'count_again',
      'recount_budgets', 'recount_budget', 'period_start', 'period_end', 'is_model_of_budget', 'hold_budgets',
      'lock_budgets', 'reach_thresholds', 'merge_spending', 'say_dollars', 'say_renewal', 'require_budget_room',
      'rebuild_progress', 'texts_of', 'counts_of', 'why_failed', 'add_up',
      'tells_events', 'can_notify', 'realtime_sender', 'send_event', 'told_rows', 'can_deliver', 'realtime_health', 'enable_realtime',
      'near_insights', 'pieces_of_evidence', 'url_without_fragment',
      'schedule_embedding', 'unschedule_embedding', 'schedule_of', 'require_scheduler', 'is_of_extension'
    ]),

    -- Triggers. A trigger fires without EXECUTE on its function.
    (null, 'matrice_private', array[
      'touch_updated_at', 'refuse_change', 'project_from_parent', 'stay_in_project', 'refuse_clients',
      'check_settings', 'require_exit_criteria', 'require_acceptance', 'number_pillar_version', 'reindex_project_text',
      'complete_chunk', 'hold_metadata', 'refilter_chunks', 'keep_progress', 'keep_dimensions', 'check_truncation', 'choose_model',
      'check_embedding', 'complete_lease', 'forget_leases', 'hold_text', 'hold_insight_text',
      'forget_embeddings', 'complete_insight', 'keep_recorded_at', 'note_ending', 'refuse_circle',
      'price_given_step', 'move_corrections', 'complete_run', 'complete_turn', 'refuse_members_of_imports',
      -- SECURITY DEFINER: these write to tables that no client may write.
      'audit', 'keep_pillar_version', 'keep_phase', 'trim_texts', 'forget_usage', 'forget_failures', 'forget_rows', 'forget_rows_of_sources',
      'list_insights', 'unlist_insights', 'forget_leases_of_insights',
      'list_parts', 'is_claimed', 'list_chunk', 'list_freed', 'list_again', 'forget_queues',
      'count_added_chunks', 'count_removed_chunks', 'count_moved_chunk', 'count_embeddings', 'count_lost_embedding',
      'count_failure', 'add_up_added', 'recount_sources', 'recount_all', 'tell_progress',
      'tell_context_sources', 'tell_pillars', 'tell_insights', 'tell_workflow_runs',
      'index_words', 'forget_all_words', 'index_codes', 'prices_changed',
      'take_project_id', 'void_invitations', 'spend_on_budgets', 'move_spending', 'forget_budget',
      'weaken_by_chunks', 'weaken_by_chunk', 'weaken_by_sources', 'weaken_by_texts', 'weaken_by_source', 'weaken_by_words',
      'restore_by_chunks', 'restore_by_chunk', 'restore_by_source',
      'count_context_sources', 'count_source_texts', 'count_source_chunks', 'count_insights', 'count_insight_evidence',
      'keep_insight_version', 'count_insight_versions',
      'count_workflow_runs', 'count_workflow_steps',
      'count_pillar_versions', 'count_pillar_labels', 'count_phase_changes', 'count_project_invitations',
      'note_steps', 'note_changed_steps', 'note_removed_steps', 'note_runs', 'count_conversations', 'count_conversation_turns', 'count_answers',
      'count_answer_passages', 'count_answer_ratings',
      -- SECURITY DEFINER: only the owner may execute the function of the engine, and no client may read the prepared prices.
      'price_step',
      -- SECURITY DEFINER: a new project has no owner yet who could add one.
      'add_first_owner',
      -- SECURITY DEFINER: these count rows that the caller may not see.
      'keep_an_owner', 'limit_projects', 'limit_members', 'limit_invitations'
    ])

    ) as grants (roles, home, names), unnest(grants.names) as name
  loop
    perform matrice_private.revoke_from_everybody('function', listed.function);
    continue when listed.roles is null;
    execute format('grant execute on function %s to %s', listed.function, listed.roles);
  end loop;
end
$$;
