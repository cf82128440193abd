-- Who may execute what. Applied last, and at every version.
--
-- A new function is executable by everybody, and the default privileges of a database may grant it to more. So every
-- function of matrice is named here: first everybody loses it, then the roles that stand before it get it. A function that
-- is missing here fails tests/security/test_grants.py, which names it. Functions that you add to these schemas under other names are
-- yours: nothing here touches them.

do $$
declare
  listed record;
begin
  for listed in
    select grants.roles, grants.home || '.' || name as function
      from (values

    -- The API. It runs as its caller.
    ('authenticated, service_role', 'matrice', array[
      'create_project', 'set_phase',
      'invite_member', 'accept_invite', 'list_members', 'set_member_role', 'remove_member',
      'save_pillar', 'restore_pillar', 'pillar_history',
      'ingest_source', 'chunk_source',
      'claim_chunks', 'store_embeddings', 'fail_chunks',
      'match_chunks', 'search_chunks', 'hybrid_search', 'rerank_chunks', 'match_documents',
      'build_context',
      'evaluate_search', 'search_recall',
      'record_insight', 'supersede_insight', 'search_insights',
      'start_run', 'record_step', 'finish_run',
      'calculate_cost',
      'workflow_metrics',
      'refuse_planned_counts'
    ]),

    -- Helpers. The API, triggers, policies, defaults and CHECKs run as the caller, who executes these too.
    ('authenticated, service_role', 'matrice_private', array[
      'is_trusted', 'current_user_id', 'json_within', 'from_parent', 'from_project', 'price_units',
      'require_bytes', 'require_json', 'require_time', 'require_given', 'require_text', 'require_query',
      'require_object', 'require_filter', 'require_one_of', 'require_match_count', 'require_key',
      'role_rank', 'require_role', 'hold_project', 'hold_settings', 'searchable_projects', 'projects_of_member',
      'has_no_quota', 'require_quota', 'add_usage',
      'known_settings', 'require_phase',
      'require_member',
      'trimmed', 'make_invitation',
      'pillar_name',
      'text_vector', 'project_word', 'folded_lexemes', 'prefix_term', 'text_query', 'text_search_config',
      'require_no_circle',
      'require_metadata_room', 'cut_is_bounded', 'cut_source',
      'dimensions_of', 'norm_of', 'to_vector', 'require_model', 'require_comparable', 'embedding_model',
      'text_hash', 'hold_claimable', 'lease_chunks', 'require_chunks', 'hold_chunks',
      'best_count', 'rerank_depth', 'numbers_of', 'similarities_to', 'nearest_of', 'nearest_in', 'chunks_having',
      'doubtful_projects', 'require_nearest_arguments', 'are_visible', 'nearest_visible', 'vector_candidates',
      'matching_chunks', 'word_candidates', 'highlighted',
      'fused_candidates', 'candidates', 'similarities', 'on_one_scale', 'diverse_chunks', 'select_chunks', 'ranked_chunks',
      'chunk_ranges', 'continuation', 'pages_of', 'with_pages', 'expanded_passages', 'passages', 'passage_title',
      'passage_heading',
      'require_embedding', 'require_result_options', 'require_fusion', 'has_chunks', 'unmatched', 'tell_unmatched', 'require_scores',
      'scored_chunks', 'document_rows',
      'context_passages', 'rendered_context', 'context_tokens', 'cut_at_sentence', 'pack_chunks', 'pack_insights',
      'require_labelled_queries', 'grades_of', 'quality_of', 'labelled_queries', 'require_labelled_query', 'recall_of', 'sampled_recall',
      'require_recall_work',
      'priced_model', 'service_tier', 'rates',
      'usage_keys', 'require_usage', 'unknown_usage', 'usage_tokens', 'usage_choice', 'cost_if_known'
    ]),

    -- SECURITY DEFINER: these run as the owner of the tables.
    ('authenticated, service_role', 'matrice_private', array[
      -- The policy on user_projects calls it, and would call itself without end. It reads the caller's memberships alone.
      'project_ids',
      -- The policy on projects asks whether an id is free. Nobody may read which ids are taken.
      'is_free_project_id',
      -- A lock needs the right to change the row, which editors do not have. They lock projects of the caller alone.
      'hold_project_of_member', 'hold_settings_of_member',
      -- Who holds a token is no member yet, and may see neither the invitation nor the memberships.
      'accept_invitation',
      -- No client writes invitations: token, inviter and end are not theirs to choose. Refused unless the caller is an owner.
      'invite_as_owner',
      -- No client writes leases. These three work in the projects that the caller edits, on the caller's leases.
      'take_leases_of_member', 'end_leases_of_member', 'return_leases_of_member',
      -- Only the owner executes the engine's own functions. These compute from their arguments alone.
      'fold', 'pieces', 'read_query', 'whole_sentences',
      -- Row-level security keeps filters and full-text search from their indexes. These search the caller's projects alone.
      'nearest_to_member', 'matching_of_member', 'member_has_chunks'
    ]),

    -- For services: they ask nobody about the projects that they are told. nearest_chunks is SECURITY DEFINER, because the
    -- engine reads codes as the owner of the tables.
    ('service_role', 'matrice_private', array['nearest_chunks', 'take_leases', 'end_leases', 'return_leases']),

    -- For the owner of the tables.
    (null, 'matrice_private', array[
      'build_embedding_index', 'load_price_catalogue', 'forget_pillar_versions', 'purge_audit_log', 'recount_usage',
      'keep_no_statistics', 'revoke_from_everybody'
    ]),

    -- Triggers: a trigger needs no right to execute its function.
    (null, 'matrice_private', array[
      'touch_updated_at', 'refuse_change', 'project_from_parent', 'stay_in_project', 'refuse_clients',
      'check_settings', 'require_acceptance', 'number_pillar_version', 'reindex_project_text',
      'complete_chunk', 'refilter_chunks', 'keep_dimensions', 'check_embedding', 'complete_lease', 'hold_text',
      'forget_embeddings', 'complete_insight', 'refuse_circle', 'refuse_unit', 'price_step',
      -- SECURITY DEFINER: these write what no client may write.
      'audit', 'keep_pillar_version', 'forget_usage', 'forget_failures', 'take_project_id', 'void_invitations',
      'count_context_sources', 'count_source_chunks', 'count_chunk_embeddings', 'count_insights', 'count_workflow_runs', 'count_workflow_steps',
      'count_pillar_versions', 'count_project_invitations',
      -- SECURITY DEFINER: there is no owner yet who could make the first one.
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
