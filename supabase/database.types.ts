
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  
  "matrice": {
          Tables: {
            "answer_passages": {
                  Row: {
                    "chunk_id": string,"project_id": string,"run_id": string,"text_hash": string
                  }
                  ComputedFields: never
                  Insert: {
                    "chunk_id": string,"project_id": string,"run_id": string,"text_hash": string
                  }
                  Update: {
                    "chunk_id"?: string,"project_id"?: string,"run_id"?: string,"text_hash"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "answer_passages_answer_fkey"
      columns: ["project_id","run_id"]
isOneToOne: false
      referencedRelation: "answers"
      referencedColumns: ["project_id","run_id"]
    }
                  ]
                },"answer_ratings": {
                  Row: {
                    "comment": string | null,"project_id": string,"rated_at": string,"rating": number,"run_id": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "comment"?: string | null,"project_id": string,"rated_at"?: string,"rating": number,"run_id": string,"user_id": string
                  }
                  Update: {
                    "comment"?: string | null,"project_id"?: string,"rated_at"?: string,"rating"?: number,"run_id"?: string,"user_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "answer_ratings_answer_fkey"
      columns: ["project_id","run_id"]
isOneToOne: false
      referencedRelation: "answers"
      referencedColumns: ["project_id","run_id"]
    }
                  ]
                },"answers": {
                  Row: {
                    "created_at": string,"model": string | null,"project_id": string,"query_embedding": string | null,"question": string,"run_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"model"?: string | null,"project_id": string,"query_embedding"?: string | null,"question": string,"run_id": string
                  }
                  Update: {
                    "created_at"?: string,"model"?: string | null,"project_id"?: string,"query_embedding"?: string | null,"question"?: string,"run_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "answers_run_fkey"
      columns: ["project_id","run_id"]
isOneToOne: true
      referencedRelation: "workflow_runs"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"audit_log": {
                  Row: {
                    "action": string,"actor": string | null,"actor_role": string | null,"created_at": string,"details": NonNullable<Json>,"id": string,"project_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "action": string,"actor"?: string | null,"actor_role"?: string | null,"created_at"?: string,"details"?: NonNullable<Json>,"id"?: string,"project_id": string
                  }
                  Update: {
                    "action"?: string,"actor"?: string | null,"actor_role"?: string | null,"created_at"?: string,"details"?: NonNullable<Json>,"id"?: string,"project_id"?: string
                  }
                  Relationships: [
                    
                  ]
                },"budget_events": {
                  Row: {
                    "budget_id": string,"created_at": string,"limit_usd": number,"period_start": string,"project_id": string,"spent_usd": number,"threshold": number
                  }
                  ComputedFields: never
                  Insert: {
                    "budget_id": string,"created_at"?: string,"limit_usd": number,"period_start": string,"project_id": string,"spent_usd": number,"threshold": number
                  }
                  Update: {
                    "budget_id"?: string,"created_at"?: string,"limit_usd"?: number,"period_start"?: string,"project_id"?: string,"spent_usd"?: number,"threshold"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "budget_events_budget_fkey"
      columns: ["project_id","budget_id"]
isOneToOne: false
      referencedRelation: "budgets"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"budgets": {
                  Row: {
                    "created_at": string,"id": string,"is_hard": boolean,"limit_usd": number,"model": string | null,"name": string,"period": string,"phase": string | null,"project_id": string,"thresholds": (number)[],"time_zone": string,"user_key": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"id"?: string,"is_hard": boolean,"limit_usd": number,"model"?: string | null,"name": string,"period": string,"phase"?: string | null,"project_id": string,"thresholds": (number)[],"time_zone": string,"user_key"?: string | null
                  }
                  Update: {
                    "created_at"?: string,"id"?: string,"is_hard"?: boolean,"limit_usd"?: number,"model"?: string | null,"name"?: string,"period"?: string,"phase"?: string | null,"project_id"?: string,"thresholds"?: (number)[],"time_zone"?: string,"user_key"?: string | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "budgets_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"chunk_embeddings": {
                  Row: {
                    "chunk_id": string,"created_at": string,"embedding": string,"id": string,"model": string,"project_id": string,"template_hash": number | null
                  }
                  ComputedFields: never
                  Insert: {
                    "chunk_id": string,"created_at"?: string,"embedding": string,"id"?: string,"model"?: string,"project_id"?: string,"template_hash"?: number | null
                  }
                  Update: {
                    "chunk_id"?: string,"created_at"?: string,"embedding"?: string,"id"?: string,"model"?: string,"project_id"?: string,"template_hash"?: number | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "chunk_embeddings_chunk_fkey"
      columns: ["project_id","chunk_id"]
isOneToOne: false
      referencedRelation: "source_chunks"
      referencedColumns: ["project_id","id"]
    },{
      foreignKeyName: "chunk_embeddings_model_fkey"
      columns: ["model"]
isOneToOne: false
      referencedRelation: "embedding_models"
      referencedColumns: ["model"]
    }
                  ]
                },"context_sources": {
                  Row: {
                    "chunk_count": number,"content_hash": string | null,"created_at": string,"embedded_count": number,"error": string | null,"failed_count": number,"format": string | null,"id": string,"max_tokens": number | null,"name": string,"overlap_tokens": number | null,"processed_at": string | null,"project_id": string,"raw_metadata": NonNullable<Json>,"source_key": string | null,"status": string,"storage_path": string | null,"token_count": number | null,"type": string,"source_insights": {
              "attribute": string | null,
"confidence": number,
"content": string,
"content_hash": string | null,
"created_at": string,
"evidence": Json | null,
"fts": unknown,
"id": string,
"is_merged": boolean,
"is_recorded": boolean,
"key_hash": string | null,
"project_id": string,
"reason": string | null,
"recorded_at": string,
"retracted_at": string | null,
"sketch": (number)[] | null,
"source_id": string | null,
"subject": string | null,
"superseded_at": string | null,
"superseded_by": string | null,
"tags": NonNullable<Json>,
"text_hash": string | null,
"title": string,
"type": string,
"valid_from": string | null,
"valid_until": string | null,
"value": string | null,
"volatility": string
            } | null
                  }
                  ComputedFields: "source_insights"
                  Insert: {
                    "chunk_count"?: number,"content_hash"?: string | null,"created_at"?: string,"embedded_count"?: number,"error"?: string | null,"failed_count"?: number,"format"?: string | null,"id"?: string,"max_tokens"?: number | null,"name": string,"overlap_tokens"?: number | null,"processed_at"?: string | null,"project_id": string,"raw_metadata"?: NonNullable<Json>,"source_key"?: string | null,"status"?: string,"storage_path"?: string | null,"token_count"?: number | null,"type"?: string
                  }
                  Update: {
                    "chunk_count"?: number,"content_hash"?: string | null,"created_at"?: string,"embedded_count"?: number,"error"?: string | null,"failed_count"?: number,"format"?: string | null,"id"?: string,"max_tokens"?: number | null,"name"?: string,"overlap_tokens"?: number | null,"processed_at"?: string | null,"project_id"?: string,"raw_metadata"?: NonNullable<Json>,"source_key"?: string | null,"status"?: string,"storage_path"?: string | null,"token_count"?: number | null,"type"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "context_sources_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"conversation_turns": {
                  Row: {
                    "citations": NonNullable<Json>,"content": string,"conversation_id": string,"created_at": string,"created_by": string | null,"project_id": string,"role": string,"run_id": string | null,"token_count": number,"turn": number
                  }
                  ComputedFields: never
                  Insert: {
                    "citations"?: NonNullable<Json>,"content": string,"conversation_id": string,"created_at"?: string,"created_by"?: string | null,"project_id": string,"role": string,"run_id"?: string | null,"token_count": number,"turn": number
                  }
                  Update: {
                    "citations"?: NonNullable<Json>,"content"?: string,"conversation_id"?: string,"created_at"?: string,"created_by"?: string | null,"project_id"?: string,"role"?: string,"run_id"?: string | null,"token_count"?: number,"turn"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "conversation_turns_conversation_fkey"
      columns: ["project_id","conversation_id"]
isOneToOne: false
      referencedRelation: "conversations"
      referencedColumns: ["project_id","id"]
    },{
      foreignKeyName: "conversation_turns_run_fkey"
      columns: ["project_id","run_id"]
isOneToOne: false
      referencedRelation: "workflow_runs"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"conversations": {
                  Row: {
                    "created_at": string,"created_by": string | null,"id": string,"is_private": boolean,"project_id": string,"title": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"created_by"?: string | null,"id"?: string,"is_private"?: boolean,"project_id": string,"title"?: string
                  }
                  Update: {
                    "created_at"?: string,"created_by"?: string | null,"id"?: string,"is_private"?: boolean,"project_id"?: string,"title"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "conversations_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"embedding_leases": {
                  Row: {
                    "attempt": number,"chunk_id": string,"is_failed": boolean,"last_error": string | null,"lease_id": string | null,"leased_by": string | null,"leased_until": string,"model": string,"project_id": string,"template_hash": number | null,"text_hash": string | null,"unanswered": number
                  }
                  ComputedFields: never
                  Insert: {
                    "attempt"?: number,"chunk_id": string,"is_failed"?: boolean,"last_error"?: string | null,"lease_id"?: string | null,"leased_by"?: string | null,"leased_until": string,"model": string,"project_id"?: string,"template_hash"?: number | null,"text_hash"?: string | null,"unanswered"?: number
                  }
                  Update: {
                    "attempt"?: number,"chunk_id"?: string,"is_failed"?: boolean,"last_error"?: string | null,"lease_id"?: string | null,"leased_by"?: string | null,"leased_until"?: string,"model"?: string,"project_id"?: string,"template_hash"?: number | null,"text_hash"?: string | null,"unanswered"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "embedding_leases_chunk_fkey"
      columns: ["chunk_id","project_id"]
isOneToOne: false
      referencedRelation: "source_chunks"
      referencedColumns: ["id","project_id"]
    }
                  ]
                },"embedding_models": {
                  Row: {
                    "created_at": string,"dimensions": number,"is_default": boolean,"model": string,"truncated_from": string | null
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"dimensions": number,"is_default"?: boolean,"model": string,"truncated_from"?: string | null
                  }
                  Update: {
                    "created_at"?: string,"dimensions"?: number,"is_default"?: boolean,"model"?: string,"truncated_from"?: string | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "embedding_models_truncated_from_fkey"
      columns: ["truncated_from"]
isOneToOne: false
      referencedRelation: "embedding_models"
      referencedColumns: ["model"]
    }
                  ]
                },"insight_candidates": {
                  Row: {
                    "candidate_id": string,"created_at": string,"found_by": string,"insight_id": string,"likeness": number,"project_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "candidate_id": string,"created_at"?: string,"found_by": string,"insight_id": string,"likeness": number,"project_id": string
                  }
                  Update: {
                    "candidate_id"?: string,"created_at"?: string,"found_by"?: string,"insight_id"?: string,"likeness"?: number,"project_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "insight_candidates_candidate_fkey"
      columns: ["project_id","candidate_id"]
isOneToOne: false
      referencedRelation: "insights"
      referencedColumns: ["project_id","id"]
    },{
      foreignKeyName: "insight_candidates_insight_fkey"
      columns: ["project_id","insight_id"]
isOneToOne: false
      referencedRelation: "insights"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"insight_embeddings": {
                  Row: {
                    "created_at": string,"embedding": string,"insight_id": string,"model": string,"project_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"embedding": string,"insight_id": string,"model": string,"project_id": string
                  }
                  Update: {
                    "created_at"?: string,"embedding"?: string,"insight_id"?: string,"model"?: string,"project_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "insight_embeddings_insight_fkey"
      columns: ["project_id","insight_id"]
isOneToOne: false
      referencedRelation: "insights"
      referencedColumns: ["project_id","id"]
    },{
      foreignKeyName: "insight_embeddings_model_fkey"
      columns: ["model"]
isOneToOne: false
      referencedRelation: "embedding_models"
      referencedColumns: ["model"]
    }
                  ]
                },"insight_evidence": {
                  Row: {
                    "changed_at": string | null,"chunk_id": string | null,"created_at": string,"created_by": string | null,"deleted_at": string | null,"end_char": number | null,"ended_at": string | null,"evidence_key": string,"id": string,"insight_id": string,"is_first": boolean,"is_for": boolean,"kind": string,"merged_from": string | null,"note": string | null,"project_id": string,"run_id": string | null,"source_id": string | null,"source_key": string | null,"source_name": string | null,"start_char": number | null,"step_id": string | null,"text_hash": string | null,"url": string | null,"user_id": string | null,"witness": string,"evidence_chunk": {
              "chunk_index": number,
"content": string,
"end_char": number | null,
"filterable": Json | null,
"fts": unknown,
"id": string,
"metadata": NonNullable<Json>,
"project_id": string,
"source_id": string,
"start_char": number | null,
"token_count": number | null
            } | null,"evidence_run": {
              "attempt": number,
"completed_at": string | null,
"created_by": string | null,
"error": Json | null,
"event_name": string | null,
"id": string,
"input_data": NonNullable<Json>,
"is_failure_handler": boolean,
"output_data": Json | null,
"parent_run_id": string | null,
"phase": string | null,
"pillar_versions": Json | null,
"project_id": string,
"reaped_at": string | null,
"run_key": string | null,
"session_key": string | null,
"started_at": string,
"status": string,
"tags": NonNullable<Json>,
"user_key": string | null,
"workflow_id": string
            } | null,"evidence_source": {
              "chunk_count": number,
"content_hash": string | null,
"created_at": string,
"embedded_count": number,
"error": string | null,
"failed_count": number,
"format": string | null,
"id": string,
"max_tokens": number | null,
"name": string,
"overlap_tokens": number | null,
"processed_at": string | null,
"project_id": string,
"raw_metadata": NonNullable<Json>,
"source_key": string | null,
"status": string,
"storage_path": string | null,
"token_count": number | null,
"type": string
            } | null,"evidence_step": {
              "attempt": number,
"cached_tokens": number,
"call_key": string,
"corrects": string | null,
"cost_note": string | null,
"cost_source": string | null,
"cost_usd": number | null,
"error": Json | null,
"executed_at": string,
"id": string,
"latency_ms": number | null,
"model": string | null,
"project_id": string,
"provider_cost_usd": number | null,
"reason": string | null,
"reservation_id": string | null,
"run_id": string,
"status": string,
"step_key": string | null,
"step_name": string,
"tokens_input": number,
"tokens_output": number,
"usage": NonNullable<Json>
            } | null
                  }
                  ComputedFields: "evidence_chunk" | "evidence_run" | "evidence_source" | "evidence_step"
                  Insert: {
                    "changed_at"?: string | null,"chunk_id"?: string | null,"created_at"?: string,"created_by"?: string | null,"deleted_at"?: string | null,"end_char"?: number | null,"ended_at"?: string | null,"evidence_key": string,"id"?: string,"insight_id": string,"is_first"?: boolean,"is_for": boolean,"kind": string,"merged_from"?: string | null,"note"?: string | null,"project_id": string,"run_id"?: string | null,"source_id"?: string | null,"source_key"?: string | null,"source_name"?: string | null,"start_char"?: number | null,"step_id"?: string | null,"text_hash"?: string | null,"url"?: string | null,"user_id"?: string | null,"witness": string
                  }
                  Update: {
                    "changed_at"?: string | null,"chunk_id"?: string | null,"created_at"?: string,"created_by"?: string | null,"deleted_at"?: string | null,"end_char"?: number | null,"ended_at"?: string | null,"evidence_key"?: string,"id"?: string,"insight_id"?: string,"is_first"?: boolean,"is_for"?: boolean,"kind"?: string,"merged_from"?: string | null,"note"?: string | null,"project_id"?: string,"run_id"?: string | null,"source_id"?: string | null,"source_key"?: string | null,"source_name"?: string | null,"start_char"?: number | null,"step_id"?: string | null,"text_hash"?: string | null,"url"?: string | null,"user_id"?: string | null,"witness"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "insight_evidence_insight_fkey"
      columns: ["project_id","insight_id"]
isOneToOne: false
      referencedRelation: "insights"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"insight_versions": {
                  Row: {
                    "attribute": string | null,"confidence": number,"content": string,"id": string,"insight_id": string,"is_merged": boolean,"project_id": string,"reason": string | null,"replaced_at": string,"replaced_by": string | null,"retracted_at": string | null,"subject": string | null,"superseded_at": string | null,"superseded_by": string | null,"title": string,"type": string,"valid_from": string | null,"valid_until": string | null,"value": string | null,"volatility": string
                  }
                  ComputedFields: never
                  Insert: {
                    "attribute"?: string | null,"confidence": number,"content": string,"id"?: string,"insight_id": string,"is_merged": boolean,"project_id": string,"reason"?: string | null,"replaced_at"?: string,"replaced_by"?: string | null,"retracted_at"?: string | null,"subject"?: string | null,"superseded_at"?: string | null,"superseded_by"?: string | null,"title": string,"type": string,"valid_from"?: string | null,"valid_until"?: string | null,"value"?: string | null,"volatility": string
                  }
                  Update: {
                    "attribute"?: string | null,"confidence"?: number,"content"?: string,"id"?: string,"insight_id"?: string,"is_merged"?: boolean,"project_id"?: string,"reason"?: string | null,"replaced_at"?: string,"replaced_by"?: string | null,"retracted_at"?: string | null,"subject"?: string | null,"superseded_at"?: string | null,"superseded_by"?: string | null,"title"?: string,"type"?: string,"valid_from"?: string | null,"valid_until"?: string | null,"value"?: string | null,"volatility"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "insight_versions_insight_fkey"
      columns: ["project_id","insight_id"]
isOneToOne: false
      referencedRelation: "insights"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"insights": {
                  Row: {
                    "attribute": string | null,"confidence": number,"content": string,"content_hash": string | null,"created_at": string,"evidence": Json | null,"fts": unknown,"id": string,"is_merged": boolean,"is_recorded": boolean,"key_hash": string | null,"project_id": string,"reason": string | null,"recorded_at": string,"retracted_at": string | null,"sketch": (number)[] | null,"source_id": string | null,"subject": string | null,"superseded_at": string | null,"superseded_by": string | null,"tags": NonNullable<Json>,"text_hash": string | null,"title": string,"type": string,"valid_from": string | null,"valid_until": string | null,"value": string | null,"volatility": string
                  }
                  ComputedFields: never
                  Insert: {
                    "attribute"?: string | null,"confidence"?: number,"content": string,"content_hash"?: string | null,"created_at"?: string,"evidence"?: Json | null,"fts"?: unknown,"id"?: string,"is_merged"?: boolean,"is_recorded"?: boolean,"key_hash"?: string | null,"project_id": string,"reason"?: string | null,"recorded_at"?: string,"retracted_at"?: string | null,"sketch"?: (number)[] | null,"source_id"?: string | null,"subject"?: string | null,"superseded_at"?: string | null,"superseded_by"?: string | null,"tags"?: NonNullable<Json>,"text_hash"?: string | null,"title": string,"type": string,"valid_from"?: string | null,"valid_until"?: string | null,"value"?: string | null,"volatility"?: string
                  }
                  Update: {
                    "attribute"?: string | null,"confidence"?: number,"content"?: string,"content_hash"?: string | null,"created_at"?: string,"evidence"?: Json | null,"fts"?: unknown,"id"?: string,"is_merged"?: boolean,"is_recorded"?: boolean,"key_hash"?: string | null,"project_id"?: string,"reason"?: string | null,"recorded_at"?: string,"retracted_at"?: string | null,"sketch"?: (number)[] | null,"source_id"?: string | null,"subject"?: string | null,"superseded_at"?: string | null,"superseded_by"?: string | null,"tags"?: NonNullable<Json>,"text_hash"?: string | null,"title"?: string,"type"?: string,"valid_from"?: string | null,"valid_until"?: string | null,"value"?: string | null,"volatility"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "insights_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    },{
      foreignKeyName: "insights_source_fkey"
      columns: ["project_id","source_id"]
isOneToOne: false
      referencedRelation: "context_sources"
      referencedColumns: ["project_id","id"]
    },{
      foreignKeyName: "insights_superseded_by_fkey"
      columns: ["project_id","superseded_by"]
isOneToOne: false
      referencedRelation: "insights"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"model_price_multipliers": {
                  Row: {
                    "factor": number,"kind": string,"model": string,"value": string
                  }
                  ComputedFields: never
                  Insert: {
                    "factor": number,"kind": string,"model": string,"value": string
                  }
                  Update: {
                    "factor"?: number,"kind"?: string,"model"?: string,"value"?: string
                  }
                  Relationships: [
                    
                  ]
                },"model_price_windows": {
                  Row: {
                    "from_utc": string,"iso_weekdays": (number)[],"model": string,"until_utc": string
                  }
                  ComputedFields: never
                  Insert: {
                    "from_utc": string,"iso_weekdays": (number)[],"model": string,"until_utc": string
                  }
                  Update: {
                    "from_utc"?: string,"iso_weekdays"?: (number)[],"model"?: string,"until_utc"?: string
                  }
                  Relationships: [
                    
                  ]
                },"model_prices": {
                  Row: {
                    "above_input_tokens": number,"model": string,"provider": string,"service_tier": string,"unit": string,"usd_per_million": number | null,"valid_from": string
                  }
                  ComputedFields: never
                  Insert: {
                    "above_input_tokens"?: number,"model": string,"provider": string,"service_tier"?: string,"unit": string,"usd_per_million"?: number | null,"valid_from"?: string
                  }
                  Update: {
                    "above_input_tokens"?: number,"model"?: string,"provider"?: string,"service_tier"?: string,"unit"?: string,"usd_per_million"?: number | null,"valid_from"?: string
                  }
                  Relationships: [
                    
                  ]
                },"phase_changes": {
                  Row: {
                    "entered_at": string,"entered_by": string | null,"number": number,"phase": string,"project_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "entered_at": string,"entered_by"?: string | null,"number": number,"phase": string,"project_id": string
                  }
                  Update: {
                    "entered_at"?: string,"entered_by"?: string | null,"number"?: number,"phase"?: string,"project_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "phase_changes_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"pillar_labels": {
                  Row: {
                    "is_release": boolean,"label": string,"number": number,"pillar_id": string,"project_id": string,"set_at": string,"set_by": string | null,"version": number | null
                  }
                  ComputedFields: never
                  Insert: {
                    "is_release"?: boolean,"label": string,"number": number,"pillar_id": string,"project_id": string,"set_at"?: string,"set_by"?: string | null,"version"?: number | null
                  }
                  Update: {
                    "is_release"?: boolean,"label"?: string,"number"?: number,"pillar_id"?: string,"project_id"?: string,"set_at"?: string,"set_by"?: string | null,"version"?: number | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "pillar_labels_pillar_fkey"
      columns: ["project_id","pillar_id"]
isOneToOne: false
      referencedRelation: "pillars"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"pillar_versions": {
                  Row: {
                    "content": string,"metadata": NonNullable<Json>,"pillar_id": string,"project_id": string,"restored_from": number | null,"saved_at": string,"saved_by": string | null,"version": number
                  }
                  ComputedFields: never
                  Insert: {
                    "content": string,"metadata": NonNullable<Json>,"pillar_id": string,"project_id": string,"restored_from"?: number | null,"saved_at"?: string,"saved_by"?: string | null,"version": number
                  }
                  Update: {
                    "content"?: string,"metadata"?: NonNullable<Json>,"pillar_id"?: string,"project_id"?: string,"restored_from"?: number | null,"saved_at"?: string,"saved_by"?: string | null,"version"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "pillar_versions_pillar_fkey"
      columns: ["project_id","pillar_id"]
isOneToOne: false
      referencedRelation: "pillars"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"pillars": {
                  Row: {
                    "code": string,"content": string,"id": string,"metadata": NonNullable<Json>,"name": string,"project_id": string,"updated_at": string,"version": number
                  }
                  ComputedFields: never
                  Insert: {
                    "code": string,"content"?: string,"id"?: string,"metadata"?: NonNullable<Json>,"name": string,"project_id": string,"updated_at"?: string,"version"?: number
                  }
                  Update: {
                    "code"?: string,"content"?: string,"id"?: string,"metadata"?: NonNullable<Json>,"name"?: string,"project_id"?: string,"updated_at"?: string,"version"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "pillars_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"project_imports": {
                  Row: {
                    "finished_at": string | null,"has_new_ids": boolean,"hash": number,"header": NonNullable<Json>,"imported_by": string,"next_line": number,"place": number,"project_id": string,"source_project_id": string,"started_at": string,"taken": NonNullable<Json>
                  }
                  ComputedFields: never
                  Insert: {
                    "finished_at"?: string | null,"has_new_ids": boolean,"hash": number,"header": NonNullable<Json>,"imported_by": string,"next_line": number,"place"?: number,"project_id": string,"source_project_id": string,"started_at"?: string,"taken"?: NonNullable<Json>
                  }
                  Update: {
                    "finished_at"?: string | null,"has_new_ids"?: boolean,"hash"?: number,"header"?: NonNullable<Json>,"imported_by"?: string,"next_line"?: number,"place"?: number,"project_id"?: string,"source_project_id"?: string,"started_at"?: string,"taken"?: NonNullable<Json>
                  }
                  Relationships: [
                    {
      foreignKeyName: "project_imports_project_id_fkey"
      columns: ["project_id"]
isOneToOne: true
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"project_invitations": {
                  Row: {
                    "accepted_at": string | null,"accepted_by": string | null,"created_at": string,"email": string,"expires_at": string,"id": string,"invited_by": string | null,"project_id": string,"role": string,"token_hash": string
                  }
                  ComputedFields: never
                  Insert: {
                    "accepted_at"?: string | null,"accepted_by"?: string | null,"created_at"?: string,"email": string,"expires_at"?: string,"id"?: string,"invited_by"?: string | null,"project_id": string,"role"?: string,"token_hash": string
                  }
                  Update: {
                    "accepted_at"?: string | null,"accepted_by"?: string | null,"created_at"?: string,"email"?: string,"expires_at"?: string,"id"?: string,"invited_by"?: string | null,"project_id"?: string,"role"?: string,"token_hash"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "project_invitations_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"project_prices": {
                  Row: {
                    "factor": number,"model": string,"prices": Json | null,"project_id": string,"same_as": string | null,"sheets": Json | null,"valid_from": string
                  }
                  ComputedFields: never
                  Insert: {
                    "factor"?: number,"model": string,"prices"?: Json | null,"project_id": string,"same_as"?: string | null,"sheets"?: Json | null,"valid_from": string
                  }
                  Update: {
                    "factor"?: number,"model"?: string,"prices"?: Json | null,"project_id"?: string,"same_as"?: string | null,"sheets"?: Json | null,"valid_from"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "project_prices_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"project_usage": {
                  Row: {
                    "bytes": number,"id": string,"project_id": string,"sources": number
                  }
                  ComputedFields: never
                  Insert: {
                    "bytes": number,"id"?: string,"project_id": string,"sources": number
                  }
                  Update: {
                    "bytes"?: number,"id"?: string,"project_id"?: string,"sources"?: number
                  }
                  Relationships: [
                    
                  ]
                },"projects": {
                  Row: {
                    "created_at": string,"created_by": string | null,"current_phase": string,"description": string | null,"domain": string | null,"id": string,"name": string,"reembed_template": number | null,"settings": NonNullable<Json>,"updated_at": string
                  }
                  ComputedFields: never
                  Insert: {
                    "created_at"?: string,"created_by"?: string | null,"current_phase"?: string,"description"?: string | null,"domain"?: string | null,"id"?: string,"name": string,"reembed_template"?: number | null,"settings"?: NonNullable<Json>,"updated_at"?: string
                  }
                  Update: {
                    "created_at"?: string,"created_by"?: string | null,"current_phase"?: string,"description"?: string | null,"domain"?: string | null,"id"?: string,"name"?: string,"reembed_template"?: number | null,"settings"?: NonNullable<Json>,"updated_at"?: string
                  }
                  Relationships: [
                    
                  ]
                },"quotas": {
                  Row: {
                    "allowed": number,"allowed_anonymous": number,"comment": string,"quota": string
                  }
                  ComputedFields: never
                  Insert: {
                    "allowed": number,"allowed_anonymous": number,"comment": string,"quota": string
                  }
                  Update: {
                    "allowed"?: number,"allowed_anonymous"?: number,"comment"?: string,"quota"?: string
                  }
                  Relationships: [
                    
                  ]
                },"source_chunks": {
                  Row: {
                    "chunk_index": number,"content": string,"end_char": number | null,"filterable": Json | null,"fts": unknown,"id": string,"metadata": NonNullable<Json>,"project_id": string,"source_id": string,"start_char": number | null,"token_count": number | null,"chunk_insights": {
              "attribute": string | null,
"confidence": number,
"content": string,
"content_hash": string | null,
"created_at": string,
"evidence": Json | null,
"fts": unknown,
"id": string,
"is_merged": boolean,
"is_recorded": boolean,
"key_hash": string | null,
"project_id": string,
"reason": string | null,
"recorded_at": string,
"retracted_at": string | null,
"sketch": (number)[] | null,
"source_id": string | null,
"subject": string | null,
"superseded_at": string | null,
"superseded_by": string | null,
"tags": NonNullable<Json>,
"text_hash": string | null,
"title": string,
"type": string,
"valid_from": string | null,
"valid_until": string | null,
"value": string | null,
"volatility": string
            } | null
                  }
                  ComputedFields: "chunk_insights"
                  Insert: {
                    "chunk_index": number,"content": string,"end_char"?: number | null,"filterable"?: Json | null,"fts"?: unknown,"id"?: string,"metadata"?: NonNullable<Json>,"project_id"?: string,"source_id": string,"start_char"?: number | null,"token_count"?: number | null
                  }
                  Update: {
                    "chunk_index"?: number,"content"?: string,"end_char"?: number | null,"filterable"?: Json | null,"fts"?: unknown,"id"?: string,"metadata"?: NonNullable<Json>,"project_id"?: string,"source_id"?: string,"start_char"?: number | null,"token_count"?: number | null
                  }
                  Relationships: [
                    {
      foreignKeyName: "source_chunks_source_fkey"
      columns: ["project_id","source_id"]
isOneToOne: false
      referencedRelation: "context_sources"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"source_texts": {
                  Row: {
                    "characters": number,"content": string,"created_at": string,"created_by": string | null,"format": string,"max_tokens": number,"overlap_tokens": number,"project_id": string,"source_id": string,"spans": Json | null,"token_count": number | null,"version": number
                  }
                  ComputedFields: never
                  Insert: {
                    "characters": number,"content": string,"created_at"?: string,"created_by"?: string | null,"format": string,"max_tokens": number,"overlap_tokens": number,"project_id": string,"source_id": string,"spans"?: Json | null,"token_count"?: number | null,"version": number
                  }
                  Update: {
                    "characters"?: number,"content"?: string,"created_at"?: string,"created_by"?: string | null,"format"?: string,"max_tokens"?: number,"overlap_tokens"?: number,"project_id"?: string,"source_id"?: string,"spans"?: Json | null,"token_count"?: number | null,"version"?: number
                  }
                  Relationships: [
                    {
      foreignKeyName: "source_texts_source_fkey"
      columns: ["project_id","source_id"]
isOneToOne: false
      referencedRelation: "context_sources"
      referencedColumns: ["project_id","id"]
    }
                  ]
                },"user_projects": {
                  Row: {
                    "accepted_at": string | null,"created_at": string,"project_id": string,"role": string,"user_id": string
                  }
                  ComputedFields: never
                  Insert: {
                    "accepted_at"?: string | null,"created_at"?: string,"project_id": string,"role"?: string,"user_id": string
                  }
                  Update: {
                    "accepted_at"?: string | null,"created_at"?: string,"project_id"?: string,"role"?: string,"user_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "user_projects_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"workflow_runs": {
                  Row: {
                    "attempt": number,"completed_at": string | null,"created_by": string | null,"error": Json | null,"event_name": string | null,"id": string,"input_data": NonNullable<Json>,"is_failure_handler": boolean,"output_data": Json | null,"parent_run_id": string | null,"phase": string | null,"pillar_versions": Json | null,"project_id": string,"reaped_at": string | null,"run_key": string | null,"session_key": string | null,"started_at": string,"status": string,"tags": NonNullable<Json>,"user_key": string | null,"workflow_id": string,"run_insights": {
              "attribute": string | null,
"confidence": number,
"content": string,
"content_hash": string | null,
"created_at": string,
"evidence": Json | null,
"fts": unknown,
"id": string,
"is_merged": boolean,
"is_recorded": boolean,
"key_hash": string | null,
"project_id": string,
"reason": string | null,
"recorded_at": string,
"retracted_at": string | null,
"sketch": (number)[] | null,
"source_id": string | null,
"subject": string | null,
"superseded_at": string | null,
"superseded_by": string | null,
"tags": NonNullable<Json>,
"text_hash": string | null,
"title": string,
"type": string,
"valid_from": string | null,
"valid_until": string | null,
"value": string | null,
"volatility": string
            } | null
                  }
                  ComputedFields: "run_insights"
                  Insert: {
                    "attempt"?: number,"completed_at"?: string | null,"created_by"?: string | null,"error"?: Json | null,"event_name"?: string | null,"id"?: string,"input_data"?: NonNullable<Json>,"is_failure_handler"?: boolean,"output_data"?: Json | null,"parent_run_id"?: string | null,"phase"?: string | null,"pillar_versions"?: Json | null,"project_id": string,"reaped_at"?: string | null,"run_key"?: string | null,"session_key"?: string | null,"started_at"?: string,"status"?: string,"tags"?: NonNullable<Json>,"user_key"?: string | null,"workflow_id": string
                  }
                  Update: {
                    "attempt"?: number,"completed_at"?: string | null,"created_by"?: string | null,"error"?: Json | null,"event_name"?: string | null,"id"?: string,"input_data"?: NonNullable<Json>,"is_failure_handler"?: boolean,"output_data"?: Json | null,"parent_run_id"?: string | null,"phase"?: string | null,"pillar_versions"?: Json | null,"project_id"?: string,"reaped_at"?: string | null,"run_key"?: string | null,"session_key"?: string | null,"started_at"?: string,"status"?: string,"tags"?: NonNullable<Json>,"user_key"?: string | null,"workflow_id"?: string
                  }
                  Relationships: [
                    {
      foreignKeyName: "workflow_runs_parent_fkey"
      columns: ["project_id","parent_run_id"]
isOneToOne: false
      referencedRelation: "workflow_runs"
      referencedColumns: ["project_id","id"]
    },{
      foreignKeyName: "workflow_runs_project_id_fkey"
      columns: ["project_id"]
isOneToOne: false
      referencedRelation: "projects"
      referencedColumns: ["id"]
    }
                  ]
                },"workflow_steps": {
                  Row: {
                    "attempt": number,"cached_tokens": number,"call_key": string,"corrects": string | null,"cost_note": string | null,"cost_source": string | null,"cost_usd": number | null,"error": Json | null,"executed_at": string,"id": string,"latency_ms": number | null,"model": string | null,"project_id": string,"provider_cost_usd": number | null,"reason": string | null,"reservation_id": string | null,"run_id": string,"status": string,"step_key": string | null,"step_name": string,"tokens_input": number,"tokens_output": number,"usage": NonNullable<Json>
                  }
                  ComputedFields: never
                  Insert: {
                    "attempt"?: number,"cached_tokens"?: number,"call_key"?: string,"corrects"?: string | null,"cost_note"?: string | null,"cost_source"?: string | null,"cost_usd"?: number | null,"error"?: Json | null,"executed_at"?: string,"id"?: string,"latency_ms"?: number | null,"model"?: string | null,"project_id"?: string,"provider_cost_usd"?: number | null,"reason"?: string | null,"reservation_id"?: string | null,"run_id": string,"status": string,"step_key"?: string | null,"step_name": string,"tokens_input"?: number,"tokens_output"?: number,"usage"?: NonNullable<Json>
                  }
                  Update: {
                    "attempt"?: number,"cached_tokens"?: number,"call_key"?: string,"corrects"?: string | null,"cost_note"?: string | null,"cost_source"?: string | null,"cost_usd"?: number | null,"error"?: Json | null,"executed_at"?: string,"id"?: string,"latency_ms"?: number | null,"model"?: string | null,"project_id"?: string,"provider_cost_usd"?: number | null,"reason"?: string | null,"reservation_id"?: string | null,"run_id"?: string,"status"?: string,"step_key"?: string | null,"step_name"?: string,"tokens_input"?: number,"tokens_output"?: number,"usage"?: NonNullable<Json>
                  }
                  Relationships: [
                    {
      foreignKeyName: "workflow_steps_run_fkey"
      columns: ["project_id","run_id"]
isOneToOne: false
      referencedRelation: "workflow_runs"
      referencedColumns: ["project_id","id"]
    }
                  ]
                }
          }
          Views: {
            [_ in never]: never
          }
          Functions: {
            "_analysis":
{ Args: { "language": string }; Returns: string
                           },
"_build_codes":
{ Args: { "chunk_ids": (string)[],"model": string,"project_id": string }; Returns: {
              "centroid": string,"code_count": number,"pages": (string)[]
            }[]
                           },
"_cell_codes":
{ Args: { "begun": (string)[],"bound": string,"centroids": (string)[],"chunk_ids": (string)[],"model": string,"project_id": string }; Returns: {
              "cell": number,"code_count": number,"pages": (string)[]
            }[]
                           },
"_coded_chunks":
{ Args: { "codes": string }; Returns: (string)[]
                           },
"_deletion":
{ Args: { "id": string,"vector": unknown }; Returns: string
                           },
"_diff_lines":
{ Args: { "context_lines": number,"new_text": string,"old_text": string }; Returns: {
              "content": string,"kind": string,"new_line": number,"old_line": number,"words": Json
            }[]
                           },
"_find_model":
{ Args: { "by_itself": boolean,"model": string,"provider": string }; Returns: (string)[]
                           },
"_find_quote":
{ Args: { "contents": (string)[],"most": number,"quote": string,"starts": (number)[] }; Returns: {
              "end_char": number,"start_char": number
            }[]
                           },
"_has_request_fee":
{ Args: { "model": string }; Returns: boolean
                           },
"_highlight":
{ Args: { "content": string,"fragments": number,"html": boolean,"language": string,"query_text": string }; Returns: string
                           },
"_index_words":
{ Args: { "ids": (string)[],"vectors": (unknown)[] }; Returns: {
              "analysis": string,"blocks": (string)[],"first_words": (string)[],"text_count": number,"texts": string
            }[]
                           },
"_is_sealed":
{ Args: { "content": string,"filterable": Json,"fts": unknown,"id": string,"metadata": Json,"project_id": string,"source_id": string,"token_count": number }; Returns: boolean
                           },
"_known_usage":
{ Args: { "given": Json }; Returns: Json
                           },
"_latency_percentiles":
{ Args: { "fractions": (number)[],"sketches": (string)[] }; Returns: (number)[]
                           },
"_likeness":
{ Args: { "one": unknown,"other": unknown }; Returns: number
                           },
"_little_endian":
{ Args: { "numbers": (number)[] }; Returns: string
                           },
"_live_texts":
{ Args: { "deletions": (string)[],"most": number,"texts": (string)[] }; Returns: (string)[]
                           },
"_merge_latencies":
{ Args: { "sketches": (string)[] }; Returns: string
                           },
"_merge_words":
{ Args: { "blocks": (string)[],"deletions": (string)[],"segments": (number)[],"texts": (string)[] }; Returns: {
              "blocks": (string)[],"deletions": string,"first_words": (string)[],"text_count": number,"texts": string
            }[]
                           },
"_nearest_chunks":
{ Args: { "among"?: (string)[],"match_count": number,"model": string,"project_ids": (string)[],"query": unknown }; Returns: {
              "chunk_id": string,"similarity": number
            }[]
                           },
"_negate_latencies":
{ Args: { "sketch": string }; Returns: string
                           },
"_norm":
{ Args: { "dimensions": number,"embedding": unknown }; Returns: number
                           },
"_normal_text":
{ Args: { "content": string }; Returns: string
                           },
"_plain_price":
{ Args: { "model": string,"priced_at": string,"project_id": string,"tokens_input": number,"tokens_output": number,"usage": Json }; Returns: (number)[]
                           },
"_price_catalogue":
{ Args: Record<PropertyKey, never>; Returns: string
                           },
"_query_words":
{ Args: { "analysis": string,"query_text": string,"words": string }; Returns: {
              "is_prefix": boolean,"word": string
            }[]
                           },
"_rank_words":
{ Args: { "also": (string)[],"among": (string)[],"analyses": (string)[],"blocks": (string)[],"deletions": (string)[],"match_count": number,"query_text": string,"segments": (number)[],"texts": (string)[],"words": string }; Returns: {
              "analysis": string,"deviation": number,"id": string,"matched": (string)[],"mean": number,"phrases": string,"score": number
            }[]
                           },
"_read_embeddings":
{ Args: { "given": Json }; Returns: {
              "embedding": (number)[],"place": number
            }[]
                           },
"_read_usage":
{ Args: { "tokens_input": number,"tokens_output": number,"usage": Json }; Returns: Json
                           },
"_report":
{ Args: { "data": string,"language": string }; Returns: string
                           },
"_seal":
{ Args: { "content": string,"filterable": Json,"fts": unknown,"metadata": Json,"project_id": string,"source_id": string,"token_count": number }; Returns: string
                           },
"_sketch":
{ Args: { "project_id": string,"words": unknown }; Returns: (number)[]
                           },
"_sketch_latencies":
{ Args: { "latencies": (number)[] }; Returns: string
                           },
"_text_vector":
{ Args: { "content": string,"language": string }; Returns: unknown
                           },
"_train_cells":
{ Args: { "cells": number,"model": string,"project_id": string,"sample": (string)[],"total": number }; Returns: {
              "bound": string,"centroids": (string)[]
            }[]
                           },
"_undated_name":
{ Args: { "name": string }; Returns: string
                           },
"_unified_diff":
{ Args: { "context_lines": number,"new_name": string,"new_text": string,"old_name": string,"old_text": string }; Returns: string
                           },
"_whole_sentences":
{ Args: { "content": string,"most_chars": number }; Returns: string
                           },
"accept_invite":
{ Args: { "token": string }; Returns: string
                           },
"add_turn":
{ Args: { "citations"?: Json,"content": string,"conversation_id": string,"role": string,"run_id"?: string }; Returns: number
                           },
"analyze_text":
{ Args: { "content": string,"language"?: string }; Returns: {
              "kind": string,"position": number,"word": string
            }[]
                           },
"as_of":
{ Args: { "at": string,"project_id": string }; Returns: {
              "code": string,"content": string,"labels": (string)[],"metadata": Json,"name": string,"saved_at": string,"saved_by": string,"version": number
            }[]
                           },
"budget_status":
{ Args: { "project_id": string }; Returns: {
              "budget_id": string,"exhausted_at": string,"forecast_usd": number,"fraction": number,"is_hard": boolean,"limit_usd": number,"model": string,"name": string,"period": string,"period_end": string,"period_start": string,"phase": string,"reserved_usd": number,"spent_usd": number,"state": string,"time_zone": string,"unpriced_steps": number,"user_key": string
            }[]
                           },
"build_context":
{ Args: { "filter"?: Json,"insights"?: number,"match_count"?: number,"min_score"?: number,"model"?: string,"pillars"?: (string)[],"project_id": string,"query_embedding": string,"query_text": string,"scores"?: Json,"target_model"?: string,"token_budget"?: number }; Returns: {
              "citations": Json,"context": string,"token_count": number
            }[]
                           },
"calculate_cost":
{ Args: { "model": string,"priced_at"?: string,"tokens_input": number,"tokens_output"?: number,"usage"?: Json }; Returns: number
                           },
"cancel_model_switch":
{ Args: { "project_id": string }; Returns: boolean
                           },
"chunk_insights":
{ Args: { "": Database["matrice"]['Tables']["source_chunks"]['Row'] }; Returns: { error: true } & "the function matrice.chunk_insights with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.source_chunks"
        to: "insights"
        isOneToOne: false
        isSetofReturn: true
      } },
"chunk_source":
{ Args: { "content": string,"format"?: string,"max_tokens"?: number,"overlap_tokens"?: number,"source_id": string,"spans"?: Json }; Returns: {
              "added": number,"kept": number,"removed": number,"total": number
            }[]
                           },
"chunk_text":
{ Args: { "content": string,"format"?: string,"max_tokens"?: number,"model"?: string,"overlap_tokens"?: number }; Returns: {
              "chunk_index": number,"content": string,"end_char": number,"metadata": Json,"start_char": number,"token_count": number
            }[]
                           },
"claim_chunks":
{ Args: { "batch_size"?: number,"lease_seconds"?: number,"max_batch_tokens"?: number,"max_input_tokens"?: number,"max_inputs"?: number,"model"?: string,"project_id"?: string }; Returns: {
              "attempt": number,"chunk_id": string,"content": string,"embedding_text": string,"embedding_tokens": number,"header": string,"headings": (string)[],"lease_id": string,"model": string,"project_id": string,"request_model": string,"source_id": string,"source_name": string,"token_count": number
            }[]
                           },
"confirm_insight":
{ Args: { "chunk_ids"?: (string)[],"insight_id": string,"note"?: string,"run_id"?: string,"source_id"?: string,"step_id"?: string,"url"?: string }; Returns: number
                           },
"contradict_insight":
{ Args: { "chunk_ids"?: (string)[],"insight_id": string,"note"?: string,"run_id"?: string,"source_id"?: string,"step_id"?: string,"url"?: string }; Returns: number
                           },
"conversation_context":
{ Args: { "conversation_id": string,"filter"?: Json,"insights"?: number,"match_count"?: number,"min_score"?: number,"model"?: string,"query_embedding": string,"question": string,"target_model"?: string,"token_budget"?: number }; Returns: {
              "citations": Json,"context": string,"token_count": number,"turns": Json
            }[]
                           },
"correct_step":
{ Args: { "cost_usd"?: number,"reason": string,"step_id": string,"tokens_input"?: number,"tokens_output"?: number,"usage"?: Json }; Returns: string
                           },
"count_tokens":
{ Args: { "content": string,"model"?: string }; Returns: number
                           },
"create_project":
{ Args: { "description"?: string,"domain"?: string,"name": string,"settings"?: Json }; Returns: string
                           },
"detokenize":
{ Args: { "model"?: string,"tokens": (number)[] }; Returns: string
                           },
"diff_pillar":
{ Args: { "code": string,"context_lines"?: number,"from_version": number,"project_id": string,"to_version"?: number }; Returns: {
              "content": string,"kind": string,"new_line": number,"old_line": number,"words": Json
            }[]
                           },
"diff_pillar_text":
{ Args: { "code": string,"context_lines"?: number,"from_version": number,"project_id": string,"to_version"?: number }; Returns: string
                           },
"drop_embeddings":
{ Args: { "batch_size"?: number,"model": string,"project_id": string }; Returns: number
                           },
"evaluate_search":
{ Args: { "filter"?: Json,"match_count"?: number,"model"?: string,"project_id"?: string,"queries": Json }; Returns: {
              "mrr": number,"ndcg": number,"query_count": number,"recall": number,"search": string
            }[]
                           },
"evaluation_set":
{ Args: { "match_count"?: number,"model"?: string,"project_id": string }; Returns: Json
                           },
"evidence_chunk":
{ Args: { "": Database["matrice"]['Tables']["insight_evidence"]['Row'] }; Returns: { error: true } & "the function matrice.evidence_chunk with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.insight_evidence"
        to: "source_chunks"
        isOneToOne: true
        isSetofReturn: true
      } },
"evidence_run":
{ Args: { "": Database["matrice"]['Tables']["insight_evidence"]['Row'] }; Returns: { error: true } & "the function matrice.evidence_run with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.insight_evidence"
        to: "workflow_runs"
        isOneToOne: true
        isSetofReturn: true
      } },
"evidence_source":
{ Args: { "": Database["matrice"]['Tables']["insight_evidence"]['Row'] }; Returns: { error: true } & "the function matrice.evidence_source with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.insight_evidence"
        to: "context_sources"
        isOneToOne: true
        isSetofReturn: true
      } },
"evidence_step":
{ Args: { "": Database["matrice"]['Tables']["insight_evidence"]['Row'] }; Returns: { error: true } & "the function matrice.evidence_step with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.insight_evidence"
        to: "workflow_steps"
        isOneToOne: true
        isSetofReturn: true
      } },
"export_lines":
{ Args: { "project_id": string,"with_embeddings"?: boolean }; Returns: {
              "line": string
            }[]
                           },
"export_markdown":
{ Args: { "insight_limit"?: number,"project_id": string }; Returns: string
                           },
"export_project":
{ Args: { "after"?: string,"page_lines"?: number,"project_id": string,"with_embeddings"?: boolean }; Returns: {
              "line": string,"next_after": string
            }[]
                           },
"fail_chunks":
{ Args: { "chunk_ids": (string)[],"error": string,"lease_id"?: string,"model": string,"permanent"?: boolean }; Returns: undefined
                           },
"failed_chunks":
{ Args: { "project_id": string }; Returns: {
              "attempts": number,"chunk_id": string,"chunk_index": number,"last_error": string,"model": string,"source_id": string,"source_name": string
            }[]
                           },
"find_quote":
{ Args: { "match_count"?: number,"project_id"?: string,"quote": string,"source_id"?: string }; Returns: {
              "chunk_ids": (string)[],"end_char": number,"places": Json,"source_id": string,"source_name": string,"start_char": number
            }[]
                           },
"finish_run":
{ Args: { "attempt"?: number,"completed_at"?: string,"error"?: Json,"output_data"?: Json,"project_id"?: string,"run_id": string,"run_key"?: string,"status": string,"workflow_id"?: string }; Returns: undefined
                           },
"hybrid_search":
{ Args: { "diversity"?: number,"expand"?: number,"filter"?: Json,"full_text_weight"?: number,"fusion"?: string,"match_count"?: number,"max_per_source"?: number,"min_score"?: number,"min_similarity"?: number,"model"?: string,"project_id"?: string,"query_embedding": string,"query_text": string,"rrf_k"?: number,"semantic_weight"?: number,"words"?: string }; Returns: {
              "chunk_id": string,"chunk_index": number,"content": string,"end_char": number,"full_text_rank": number,"matched_words": (string)[],"metadata": Json,"rank": number,"score": number,"semantic_rank": number,"similarity": number,"source_id": string,"source_name": string,"source_type": string,"start_char": number,"storage_path": string,"token_count": number
            }[]
                           },
"import_project":
{ Args: { "first_line"?: number,"lines": (string)[],"new_ids"?: boolean,"project_id"?: string }; Returns: {
              "is_finished": boolean,"new_project_id": string,"next_line": number
            }[]
                           },
"ingest_chunks":
{ Args: { "chunks": Json,"metadata"?: Json,"name": string,"project_id": string,"storage_path"?: string,"type"?: string }; Returns: string
                           },
"ingest_source":
{ Args: { "content": string,"format"?: string,"max_tokens"?: number,"metadata"?: Json,"name": string,"overlap_tokens"?: number,"project_id": string,"spans"?: Json,"storage_path"?: string,"type"?: string }; Returns: string
                           },
"insight_lineage":
{ Args: { "insight_id": string }; Returns: {
              "chunk_id": string,"end_char": number,"evidence_id": string,"is_for": boolean,"kind": string,"note": string,"recorded_at": string,"recorded_by": string,"related_id": string,"related_title": string,"relation": string,"run_id": string,"source_id": string,"source_name": string,"start_char": number,"state": string,"step_id": string,"step_name": string,"text_hash": string,"url": string,"user_id": string,"workflow_id": string
            }[]
                           },
"insights_review":
{ Args: { "match_count"?: number,"project_id": string }; Returns: {
              "confidence": number,"detail": string,"insight_id": string,"kind": string,"other_id": string,"other_title": string,"title": string,"total": number
            }[]
                           },
"invite_member":
{ Args: { "email": string,"project_id": string,"role"?: string,"valid_for"?: string }; Returns: string
                           },
"known_at":
{ Args: { "after"?: string,"at"?: string,"match_count"?: number,"project_id": string }; Returns: {
              "chain_sha256": string,"confidence": number,"content": string,"evidence": Json,"insight_id": string,"next_after": string,"place": number,"record": string,"record_sha256": string,"seen": number,"title": string,"type": string
            }[]
                           },
"label_history":
{ Args: { "only_code"?: string,"only_label"?: string,"project_id": string }; Returns: {
              "code": string,"is_current": boolean,"is_release": boolean,"label": string,"set_at": string,"set_by": string,"version": number
            }[]
                           },
"label_pillar":
{ Args: { "code": string,"is_release"?: boolean,"label": string,"project_id": string,"version": number }; Returns: undefined
                           },
"list_members":
{ Args: { "project_id": string }; Returns: {
              "member_since": string,"role": string,"user_id": string
            }[]
                           },
"load_prices":
{ Args: { "catalogue": Json,"valid_from"?: string }; Returns: number
                           },
"match_chunks":
{ Args: { "diversity"?: number,"expand"?: number,"filter"?: Json,"match_count"?: number,"match_threshold"?: number,"max_per_source"?: number,"model"?: string,"project_id"?: string,"query_embedding": string }; Returns: {
              "chunk_id": string,"chunk_index": number,"content": string,"end_char": number,"metadata": Json,"similarity": number,"source_id": string,"source_name": string,"source_type": string,"start_char": number,"storage_path": string,"token_count": number
            }[]
                           },
"match_documents":
{ Args: { "filter"?: Json,"match_count"?: number,"query_embedding": string }; Returns: {
              "content": string,"embedding": string,"id": string,"metadata": Json,"similarity": number
            }[]
                           },
"merge_insights":
{ Args: { "kept_id": string,"merged_ids": (string)[] }; Returns: number
                           },
"migrate":
{ Args: Record<PropertyKey, never>; Returns: (string)[]
                           },
"model_coverage":
{ Args: { "project_id": string }; Returns: {
              "chunks": number,"embedded": number,"failed": number,"is_active": boolean,"is_next": boolean,"model": string
            }[]
                           },
"phase_history":
{ Args: { "project_id": string }; Returns: {
              "duration": string,"entered_at": string,"entered_by": string,"left_at": string,"phase": string
            }[]
                           },
"pillar_catalog":
{ Args: { "project_id": string }; Returns: {
              "code": string,"labels": (string)[],"name": string,"purpose": string,"template": string,"updated_at": string,"version": number
            }[]
                           },
"pillar_history":
{ Args: { "code": string,"project_id": string }; Returns: {
              "content": string,"metadata": Json,"saved_at": string,"saved_by": string,"version": number
            }[]
                           },
"price_of":
{ Args: { "model": string,"priced_at"?: string,"project_id"?: string,"provider"?: string }; Returns: {
              "above_input_tokens": number,"is_listed": boolean,"model_priced": string,"service_tier": string,"source": string,"unit": string,"usd_per_million": number,"valid_from": string
            }[]
                           },
"purge_steps":
{ Args: { "most"?: number,"older_than": string,"project_id": string }; Returns: number
                           },
"query_model":
{ Args: { "project_id": string }; Returns: {
              "dimensions": number,"model": string,"request_model": string
            }[]
                           },
"rate_answer":
{ Args: { "comment"?: string,"rating": number,"run_id": string }; Returns: undefined
                           },
"reap_runs":
{ Args: { "older_than"?: string,"project_id"?: string }; Returns: number
                           },
"rebuild_metrics":
{ Args: { "project_id": string }; Returns: undefined
                           },
"rechunk":
{ Args: { "format"?: string,"max_tokens"?: number,"overlap_tokens"?: number,"project_id": string,"source_ids"?: (string)[] }; Returns: {
              "added": number,"kept": number,"removed": number,"source_id": string,"total": number
            }[]
                           },
"record_answer":
{ Args: { "citations": Json,"model"?: string,"query_embedding"?: string,"question": string,"run_id": string }; Returns: undefined
                           },
"record_insight":
{ Args: { "attribute"?: string,"chunk_ids"?: (string)[],"confidence"?: number,"content": string,"evidence"?: Json,"note"?: string,"project_id": string,"run_id"?: string,"source_id"?: string,"step_id"?: string,"subject"?: string,"tags"?: Json,"title": string,"type": string,"url"?: string,"valid_from"?: string,"valid_until"?: string,"value"?: string,"volatility"?: string }; Returns: string
                           },
"record_step":
{ Args: { "attempt"?: number,"call_key"?: string,"cost_usd"?: number,"error"?: Json,"executed_at"?: string,"latency_ms"?: number,"model"?: string,"project_id"?: string,"reservation_id"?: string,"response"?: Json,"run_id": string,"run_key"?: string,"status": string,"step_key"?: string,"step_name": string,"tokens_input"?: number,"tokens_output"?: number,"usage"?: Json,"workflow_id"?: string }; Returns: string
                           },
"record_steps":
{ Args: { "project_id"?: string,"steps": Json }; Returns: number
                           },
"reembed":
{ Args: { "project_id": string }; Returns: number
                           },
"refuse_planned_counts":
{ Args: Record<PropertyKey, never>; Returns: undefined
                           },
"register_model":
{ Args: { "dimensions": number,"is_default"?: boolean,"model": string,"truncated_from"?: string }; Returns: undefined
                           },
"reindex_text":
{ Args: { "batch_size"?: number,"project_id": string }; Returns: number
                           },
"release_budget":
{ Args: { "reservation_id": string }; Returns: boolean
                           },
"remove_budget":
{ Args: { "name"?: string,"project_id": string }; Returns: undefined
                           },
"remove_member":
{ Args: { "project_id": string,"user_id": string }; Returns: undefined
                           },
"replace_chunks":
{ Args: { "chunks": Json,"source_id": string }; Returns: {
              "added": number,"kept": number,"removed": number,"total": number
            }[]
                           },
"report":
{ Args: { "language"?: string,"project_id": string,"since"?: string,"time_zone"?: string,"until"?: string }; Returns: unknown
                           },
"reprice":
{ Args: { "project_id": string,"since": string }; Returns: {
              "cost_before": number,"cost_now": number,"executed_at": string,"is_filled": boolean,"model": string,"run_id": string,"step_id": string
            }[]
                           },
"rerank_chunks":
{ Args: { "diversity"?: number,"expand"?: number,"match_count"?: number,"max_per_source"?: number,"model"?: string,"scores": Json }; Returns: {
              "chunk_id": string,"chunk_index": number,"content": string,"metadata": Json,"score": number,"source_id": string,"source_name": string,"token_count": number
            }[]
                           },
"reserve_budget":
{ Args: { "estimate_usd"?: number,"max_tokens_output"?: number,"model"?: string,"phase"?: string,"project_id": string,"run_id"?: string,"tokens_input"?: number,"usage"?: Json,"user_key"?: string,"valid_for"?: string }; Returns: string
                           },
"restore_pillar":
{ Args: { "code": string,"project_id": string,"version": number }; Returns: number
                           },
"restore_source":
{ Args: { "source_id": string,"version": number }; Returns: {
              "added": number,"kept": number,"removed": number,"total": number
            }[]
                           },
"retract_insight":
{ Args: { "insight_id": string,"reason"?: string }; Returns: undefined
                           },
"retry_failed":
{ Args: { "model"?: string,"project_id": string }; Returns: number
                           },
"run_insights":
{ Args: { "": Database["matrice"]['Tables']["workflow_runs"]['Row'] }; Returns: { error: true } & "the function matrice.run_insights with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.workflow_runs"
        to: "insights"
        isOneToOne: false
        isSetofReturn: true
      } },
"save_pillar":
{ Args: { "code": string,"content": string,"expected_version"?: number,"metadata"?: Json,"project_id": string }; Returns: number
                           },
"search_chunks":
{ Args: { "diversity"?: number,"expand"?: number,"filter"?: Json,"highlight"?: boolean,"highlight_fragments"?: number,"highlight_html"?: boolean,"match_count"?: number,"max_per_source"?: number,"min_score"?: number,"project_id"?: string,"query_text": string,"words"?: string }; Returns: {
              "chunk_id": string,"chunk_index": number,"content": string,"end_char": number,"matched_words": (string)[],"metadata": Json,"rank": number,"source_id": string,"source_name": string,"source_type": string,"start_char": number,"storage_path": string,"token_count": number
            }[]
                           },
"search_insights":
{ Args: { "include_superseded"?: boolean,"match_count"?: number,"model"?: string,"project_id": string,"query_embedding"?: string,"query_text": string }; Returns: {
              "confidence": number,"content": string,"created_at": string,"insight_id": string,"rank": number,"retracted_at": string,"seen": number,"source_id": string,"superseded_by": string,"tags": Json,"title": string,"type": string,"valid_from": string,"valid_until": string
            }[]
                           },
"search_recall":
{ Args: { "match_count"?: number,"model"?: string,"project_id": string,"sample"?: number }; Returns: {
              "least_recall": number,"query_count": number,"recall": number
            }[]
                           },
"set_budget":
{ Args: { "hard"?: boolean,"limit_usd": number,"model"?: string,"name"?: string,"period"?: string,"phase"?: string,"project_id": string,"thresholds"?: (number)[],"time_zone"?: string,"user_key"?: string }; Returns: string
                           },
"set_member_role":
{ Args: { "project_id": string,"role": string,"user_id": string }; Returns: undefined
                           },
"set_phase":
{ Args: { "phase": string,"project_id": string }; Returns: undefined
                           },
"set_price":
{ Args: { "factor"?: number,"model": string,"prices"?: Json,"project_id": string,"same_as"?: string,"valid_from"?: string }; Returns: undefined
                           },
"set_source_error":
{ Args: { "error": string,"source_id": string }; Returns: undefined
                           },
"settle_budget":
{ Args: { "cost_usd": number,"reservation_id": string }; Returns: undefined
                           },
"source_history":
{ Args: { "source_id": string }; Returns: {
              "characters": number,"created_at": string,"created_by": string,"format": string,"is_current": boolean,"max_tokens": number,"overlap_tokens": number,"token_count": number,"version": number
            }[]
                           },
"source_insights":
{ Args: { "": Database["matrice"]['Tables']["context_sources"]['Row'] }; Returns: { error: true } & "the function matrice.source_insights with parameter or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache"
                          SetofOptions: {
        from: "matrice.context_sources"
        to: "insights"
        isOneToOne: false
        isSetofReturn: true
      } },
"source_progress":
{ Args: { "project_id": string }; Returns: {
              "chunk_count": number,"embedded_count": number,"error": string,"failed_count": number,"name": string,"source_id": string,"status": string
            }[]
                           },
"source_text":
{ Args: { "source_id": string,"version"?: number }; Returns: string
                           },
"start_conversation":
{ Args: { "is_private"?: boolean,"project_id": string,"title"?: string }; Returns: string
                           },
"start_run":
{ Args: { "attempt"?: number,"event_name": string,"input_data"?: Json,"is_failure_handler"?: boolean,"parent_run_id"?: string,"phase"?: string,"project_id": string,"run_key"?: string,"session_key"?: string,"started_at"?: string,"tags"?: Json,"user_key"?: string,"workflow_id": string }; Returns: string
                           },
"step_errors":
{ Args: { "match_count"?: number,"project_id": string,"since": string,"until"?: string }; Returns: {
              "cost_usd": number,"error_class": string,"first_at": string,"last_at": string,"last_step_id": string,"runs": number,"step_names": (string)[],"steps": number
            }[]
                           },
"store_embeddings":
{ Args: { "chunk_ids": (string)[],"embeddings": Json,"lease_id"?: string,"model": string }; Returns: number
                           },
"supersede_insight":
{ Args: { "new_id": string,"old_id": string,"reason"?: string }; Returns: undefined
                           },
"switch_embedding_model":
{ Args: { "model": string,"project_id": string }; Returns: boolean
                           },
"sync_source":
{ Args: { "content": string,"format"?: string,"max_tokens"?: number,"metadata"?: Json,"name"?: string,"overlap_tokens"?: number,"project_id": string,"source_key": string,"spans"?: Json,"storage_path"?: string,"type"?: string }; Returns: {
              "action": string,"added": number,"kept": number,"removed": number,"source_id": string,"total": number
            }[]
                           },
"sync_sources":
{ Args: { "dry_run"?: boolean,"max_share"?: number,"prefix"?: string,"project_id": string,"source_keys": (string)[] }; Returns: {
              "name": string,"source_id": string,"source_key": string
            }[]
                           },
"tokenize":
{ Args: { "content": string,"model"?: string }; Returns: (number)[]
                           },
"top_runs":
{ Args: { "match_count"?: number,"order_by"?: string,"project_id": string,"since": string,"until"?: string }; Returns: {
              "completed_at": string,"cost_usd": number,"latency_ms": number,"phase": string,"run_id": string,"started_at": string,"status": string,"steps": number,"tokens_input": number,"tokens_output": number,"unpriced_steps": number,"workflow_id": string
            }[]
                           },
"top_steps":
{ Args: { "match_count"?: number,"order_by"?: string,"project_id": string,"since": string,"until"?: string }; Returns: {
              "attempt": number,"cost_usd": number,"executed_at": string,"latency_ms": number,"model": string,"run_id": string,"status": string,"step_id": string,"step_name": string,"tokens_input": number,"tokens_output": number
            }[]
                           },
"truncate_embeddings":
{ Args: { "batch_size"?: number,"model": string,"project_id": string }; Returns: number
                           },
"truncate_tokens":
{ Args: { "content": string,"max_tokens": number,"model"?: string }; Returns: string
                           },
"unlabel_pillar":
{ Args: { "code": string,"label": string,"project_id": string }; Returns: undefined
                           },
"waiting_chunks":
{ Args: { "model"?: string,"project_id"?: string }; Returns: {
              "leased": number,"model": string,"next_at": string,"waiting": number
            }[]
                           },
"workflow_metrics":
{ Args: { "fill"?: boolean,"group_by"?: string,"model"?: string,"phase"?: string,"project_id": string,"since": string,"status"?: string,"time_zone"?: string,"until"?: string,"workflow"?: string }; Returns: {
              "bucket": string,"cache_share": number,"cached_tokens": number,"cancelled": number,"cost_usd": number,"failed": number,"failed_steps": number,"p50_ms": number,"p95_ms": number,"p99_ms": number,"retried_steps": number,"running": number,"runs": number,"skipped_steps": number,"steps": number,"succeeded": number,"success_rate": number,"tokens_input": number,"tokens_output": number,"unpriced_steps": number
            }[]
                           }
          }
          Enums: {
            [_ in never]: never
          }
          CompositeTypes: {
            [_ in never]: never
          }
        }
}

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "matrice">]

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
  ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R
    }
    ? R
    : never
  : never

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I
    }
    ? I
    : never
  : never

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
  ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U
    }
    ? U
    : never
  : never

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
  ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
  ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never

export const Constants = {
  "matrice": {
          Enums: {
            
          }
        }
} as const
