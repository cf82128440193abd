// The types of matrice for supabase-js: database.types.ts, and what its generator cannot see in the schema. That is which words
// a column takes, what is in a JSON value, which results and arguments may be null, and that vectors may be arrays.
// A test compares this file with the database.
// It needs only database.types.ts beside it. MergeDeep of type-fest, which Supabase advises, would be a dependency of each
// application, for what a few lines at the end of this file do.

import type { Database as Generated, Json } from './database.types.ts'

export type { Json }
export type JsonObject = { [key: string]: Json | undefined }

// Words ---------------------------------------------------------------------------------------------------------------
// Open lists, which another version or a row of a table can extend, take every string; editors still propose the known ones.

type Open<Known extends string> = Known | (string & {})

export type Role = 'owner' | 'editor' | 'viewer'
export type Phase = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6'
export type SourceStatus = 'pending' | 'processing' | 'ready' | 'error'
export type RunStatus = 'running' | 'completed' | 'failed' | 'cancelled'
export type StepStatus = 'running' | 'success' | 'failed' | 'skipped'
/** A step of record_steps: with the id of its run, or with its workflow and run_key. */
export type RecordedStep = ({ run_id: string } | { workflow_id: string, run_key: string }) & {
  project_id?: string, step_name: string, status: StepStatus, latency_ms?: number, model?: string, tokens_input?: number,
  tokens_output?: number, usage?: ReportedUsage, response?: object, error?: Json, step_key?: string, attempt?: number,
  call_key?: string, cost_usd?: number, executed_at?: string
}
export type BudgetPeriod = 'day' | 'week' | 'month' | 'year' | 'total'
export type CostSource = 'provided' | 'calculated' | 'correction'
export type PriceUnit = Open<
  | 'input' | 'output' | 'cache_read' | 'cache_write' | 'cache_write_1h' | 'cache_write_12h' | 'reasoning' | 'input_audio'
  | 'output_audio' | 'cache_read_audio' | 'input_image' | 'output_image' | 'input_video' | 'image' | 'second' | 'character'
  | 'page' | 'query' | 'web_search'>
export type Format = Open<
  'text' | 'markdown' | 'html' | 'csv' | 'go' | 'javascript' | 'python' | 'rust' | 'sql' | 'tsx' | 'typescript'>
export type Encoding = 'o200k_base' | 'o200k_harmony' | 'cl100k_base' | 'p50k_base' | 'p50k_edit' | 'r50k_base' | 'gpt2'
/** A model, or the encoding that it uses. */
export type TokenModel = Open<Encoding>
export type EmbeddingModel = Open<
  | 'text-embedding-3-small' | 'text-embedding-3-large' | 'text-embedding-ada-002' | 'gte-small' | 'voyage-3.5'
  | 'gemini-embedding-001'>
export type ServiceTier = Open<'standard' | 'batch' | 'flex' | 'priority' | 'off_peak'>
export type InsightType = Open<'pattern' | 'learning' | 'decision'>
export type Volatility = 'permanent' | 'slow' | 'normal' | 'fast'
/** A text search configuration of PostgreSQL. */
export type Language = Open<'simple' | 'english' | 'french' | 'german' | 'spanish' | 'italian' | 'portuguese' | 'dutch'>
export type AuditAction = Open<
  | 'member added' | 'member changed' | 'member removed' | 'invitation made' | 'invitation accepted' | 'invitation changed'
  | 'invitation withdrawn' | 'project deleted' | 'project imported' | 'source deleted' | 'pillar restored'>

// Values --------------------------------------------------------------------------------------------------------------

/** A vector that goes in: numbers, or its text such as "[1, 2.5]". PostgREST returns vectors as texts. */
export type Vector = readonly number[] | string

/** projects.settings. Other keys are refused: those of your application belong in `app`. */
export type ProjectSettings = {
  language?: Language
  embedding_model?: EmbeddingModel
  next_embedding_model?: EmbeddingModel
  embedding_template?: string
  max_attempts?: number
  keep_source_texts?: boolean
  keep_source_versions?: number
  pillars?: { [code in Phase]?: { name?: string, purpose?: string, template?: string } }
  exit_criteria?: {
    [phase in Phase]?: { filled?: Phase[], labelled?: { [code in Phase]?: string }, sources?: number, insights?: number }
  }
  viewers_record_runs?: boolean
  events?: boolean
  app?: JsonObject
}

/** The name of a page, sheet or slide, such as 27 or "iv". */
export type PlaceName = number | string

/** Where a page, sheet or slide begins in the text of a source. */
export type Span = { start_char: number } & (
  | { page: PlaceName, sheet?: never, slide?: never }
  | { sheet: PlaceName, page?: never, slide?: never }
  | { slide: PlaceName, page?: never, sheet?: never })

/** Of find_quote: where a quote stands. */
export type Places = { pages?: PlaceName[], sheets?: PlaceName[], slides?: PlaceName[] }

/** What matrice writes into the metadata of chunks, and your own keys. */
export type ChunkMetadata = {
  headings?: string[]
  page?: PlaceName
  pages?: PlaceName[]
  sheets?: PlaceName[]
  slides?: PlaceName[]
  /** Of search_chunks with highlight. */
  highlight?: string
  /** Of searches with expand: what the row covers. */
  expanded?: { first_index: number, last_index: number, start_char: number | null, end_char: number | null }
  [key: string]: Json | undefined
}

/** A chunk that the client has cut itself. matrice counts the tokens. */
export type ClientChunk = {
  content: string
  start_char?: number | null
  end_char?: number | null
  metadata?: ChunkMetadata | null
  token_count?: number | null
}

export type ChunkCitation = {
  number: number
  chunk_id: string
  chunk_ids: string[]
  source_id: string
  source_name: string
  start_char: number | null
  end_char: number | null
  metadata: ChunkMetadata
  insight_id?: undefined
  pillar?: undefined
}
export type InsightCitation = {
  number: number
  insight_id: string
  title: string
  confidence: number
  seen: number
  /** What insights_review says of it. */
  doubts: ('contradicted' | 'unsupported' | 'source changed')[]
  /** The latest five pieces, those for it first. */
  evidence: CitedEvidence[]
  chunk_id?: undefined
  pillar?: undefined
}
export type PillarCitation = {
  number: number
  pillar: Phase
  title: string
  version: number
  is_cut: boolean
  chunk_id?: undefined
  insight_id?: undefined
}
export type EvidenceKind = 'chunk' | 'source' | 'url' | 'step' | 'run' | 'person' | 'service'
export type EvidenceState = 'stands' | 'text changed' | 'source deleted' | 'replaced'

/** Of known_at. */
export type KnownEvidence = {
  kind: EvidenceKind
  is_for: boolean
  witness: string
  source_id?: string
  chunk_id?: string
  start_char?: number
  end_char?: number
  /** Of the chunk's text, in hexadecimal. */
  text_sha256?: string
  run_id?: string
  step_id?: string
  user_id?: string
  url?: string
  note?: string
  recorded_at: string
  recorded_by?: string
  state: Exclude<EvidenceState, 'replaced'>
}

export type CitedEvidence = Omit<KnownEvidence, 'witness' | 'text_sha256' | 'user_id' | 'note' | 'recorded_at' | 'recorded_by'>

/** What speaks for or against an insight. */
type InsightEvidence = {
  source_id: string | null, chunk_ids: string[] | null, run_id: string | null, step_id: string | null, url: string | null,
  note: string | null
}
/** Of build_context. Which of `chunk_id`, `insight_id` and `pillar` is there tells them apart. */
export type Citation = ChunkCitation | InsightCitation | PillarCitation

export type TurnRole = 'system' | 'user' | 'assistant' | 'tool'
/** Of conversation_context. */
export type ConversationTurn = { turn: number, role: TurnRole, content: string }

/** Your own scores of chunks, by their ids. */
export type Scores = { [chunk_id: string]: number }

/** Grades of chunks or sources, by their ids. */
export type LabelledQuery = { relevant: { [id: string]: number } } & (
  | { query_text: string, query_embedding?: Vector | null }
  | { query_text?: null, query_embedding: Vector })

/** matrice's own keys of a usage. */
export type OwnUsage = {
  cached_tokens?: number | null
  cache_write_tokens?: number | null
  cache_write_5m_tokens?: number | null
  cache_write_1h_tokens?: number | null
  cache_write_12h_tokens?: number | null
  input_audio_tokens?: number | null
  input_image_tokens?: number | null
  reasoning_tokens?: number | null
  output_audio_tokens?: number | null
  output_image_tokens?: number | null
  service_tier?: ServiceTier | null
  inference_geo?: string | null
  data_residency?: string | null
  speed?: string | null
  provider?: string | null
}
/** The usage of a step: matrice's own keys, and those of vendors. */
export type Usage = OwnUsage & JsonObject
/** A usage that goes in, as an API or a library reports it. `object`, because their types are interfaces and classes. */
export type ReportedUsage = OwnUsage | object

/** US dollars per million of a unit. A key is a unit, such as "input", "input>200000", "input:batch" or "input>200000:batch". */
export type Rates = { [rate: string]: number }
/** What `make prices` writes. */
export type PriceCatalogue = { models: { [model: string]: [provider: string, rates: Rates] }, [key: string]: Json | undefined }

/** What the channel `matrice:<project_id>` sends. `sources` is empty if more than thirty changed. */
export type SourceProgressEvent = {
  event: 'source_progress'
  project_id: string
  source_count: number
  sources: { id: string, status: SourceStatus, chunk_count: number, embedded_count: number, failed_count: number }[]
}

// Columns -------------------------------------------------------------------------------------------------------------
// The generator knows which are null.

type Columns = {
  audit_log: { action: AuditAction, details: { before?: JsonObject, after?: JsonObject } }
  budgets: { period: BudgetPeriod, phase: Phase }
  context_sources: { status: SourceStatus, format: Format, raw_metadata: JsonObject }
  insight_candidates: { found_by: Open<'words'> }
  insight_evidence: { kind: EvidenceKind }
  insight_versions: { type: InsightType, volatility: Volatility }
  insights: { type: InsightType, tags: Json[], volatility: Volatility }
  conversation_turns: { role: TurnRole, citations: Json[] }
  answer_ratings: { rating: -1 | 0 | 1 }
  model_price_multipliers: { kind: 'inference_geo' | 'data_residency' | 'speed' }
  model_prices: { service_tier: ServiceTier, unit: PriceUnit }
  phase_changes: { phase: Phase }
  pillar_versions: { metadata: JsonObject }
  pillars: { code: Phase, metadata: JsonObject }
  project_invitations: { role: Role }
  project_prices: { prices: Rates }
  projects: { current_phase: Phase, settings: ProjectSettings }
  source_chunks: { metadata: ChunkMetadata }
  source_texts: { format: Format, spans: Span[] }
  user_projects: { role: Role }
  workflow_runs: { phase: Phase, status: RunStatus, tags: Json[] }
  workflow_steps: { cost_source: CostSource, status: StepStatus, usage: Usage }
}

/** Columns that take more than they return. */
type WrittenColumns = {
  answers: { query_embedding: Vector | null }
  chunk_embeddings: { embedding: Vector }
  insight_embeddings: { embedding: Vector }
  workflow_steps: { usage: ReportedUsage }
}

// Functions -----------------------------------------------------------------------------------------------------------
// An argument whose default is null may be null. A result is null where it says so.

type Functions = {
  // Tokens and chunks
  analyze_text: { args: { language: Language }, row: { kind: 'word' | 'stem' | 'stop word' | 'compound' | 'bigram' } }
  chunk_text: { args: { format: Format, model: TokenModel }, row: { metadata: ChunkMetadata } }
  count_tokens: { args: { model: TokenModel } }
  detokenize: { args: { model: TokenModel } }
  tokenize: { args: { model: TokenModel } }
  truncate_tokens: { args: { model: TokenModel } }

  // Projects, pillars, members
  as_of: {
    row: {
      code: Phase, version: number | null, content: string | null, metadata: JsonObject | null, saved_at: string | null,
      saved_by: string | null
    }
  }
  create_project: { args: { description: string | null, domain: string | null, settings: ProjectSettings } }
  diff_pillar: {
    args: { code: Phase, to_version: number | null }
    row: {
      kind: 'unchanged' | 'removed' | 'added', old_line: number | null, new_line: number | null,
      words: { text: string, changed: boolean }[] | null
    }
  }
  diff_pillar_text: { args: { code: Phase, to_version: number | null } }
  invite_member: { args: { role: Role } }
  label_history: {
    args: { only_code: Phase | null, only_label: string | null }
    row: { code: Phase, version: number | null, set_by: string | null }
  }
  label_pillar: { args: { code: Phase } }
  list_members: { row: { role: Role } }
  phase_history: { row: { phase: Phase, left_at: string | null, entered_by: string | null } }
  pillar_catalog: { row: { code: Phase, version: number | null, updated_at: string | null } }
  pillar_history: { args: { code: Phase }, row: { metadata: JsonObject, saved_by: string | null } }
  restore_pillar: { args: { code: Phase } }
  save_pillar: { args: { code: Phase, metadata: JsonObject | null, expected_version: number | null } }
  set_member_role: { args: { role: Role } }
  set_phase: { args: { phase: Phase } }
  unlabel_pillar: { args: { code: Phase } }

  // Documents
  chunk_source: { args: CutOptions & { spans: Span[] | null } }
  ingest_chunks: { args: { chunks: ClientChunk[], metadata: JsonObject, storage_path: string | null } }
  ingest_source: { args: { format: Format, metadata: JsonObject, spans: Span[] | null, storage_path: string | null } }
  rechunk: {
    args: CutOptions & { source_ids: string[] | null }
    row: { total: number | null, added: number | null, kept: number | null, removed: number | null }
  }
  replace_chunks: { args: { chunks: ClientChunk[] } }
  source_history: { row: { created_by: string | null, format: Format, token_count: number | null } }
  source_progress: { row: { error: string | null, status: SourceStatus } }
  source_text: { args: { version: number | null } }
  sync_source: {
    args: CutOptions & {
      name: string | null, type: string | null, storage_path: string | null, metadata: JsonObject | null, spans: Span[] | null
    }
    row: { action: 'added' | 'updated' | 'unchanged' }
  }
  sync_sources: { args: { prefix: string | null } }

  // Embeddings
  claim_chunks: {
    args: {
      model: EmbeddingModel | null, project_id: string | null, max_batch_tokens: number | null, max_inputs: number | null,
      max_input_tokens: number | null
    }
    /** Of an insight, chunk_id is its id, and there is no source. */
    row: { model: EmbeddingModel, request_model: EmbeddingModel, header: string | null, source_id: string | null, source_name: string | null }
  }
  drop_embeddings: { args: { model: EmbeddingModel } }
  fail_chunks: { args: { lease_id: string | null, model: EmbeddingModel } }
  /** Of an insight, chunk_id is its id, and there is no source. */
  failed_chunks: {
    row: { model: EmbeddingModel, source_id: string | null, source_name: string | null, chunk_index: number | null }
  }
  model_coverage: { row: { model: EmbeddingModel } }
  query_model: { row: { model: EmbeddingModel, request_model: EmbeddingModel } }
  register_model: { args: { truncated_from: EmbeddingModel | null } }
  retry_failed: { args: { model: EmbeddingModel | null } }
  store_embeddings: {
    /** Texts are vectors such as "[1, 2.5]", or base64 of little-endian 32-bit floats. */
    args: { embeddings: readonly Vector[], lease_id: string | null, model: EmbeddingModel }
  }
  switch_embedding_model: { args: { model: EmbeddingModel } }
  truncate_embeddings: { args: { model: EmbeddingModel } }
  waiting_chunks: { args: { project_id: string | null, model: EmbeddingModel | null }, row: { model: EmbeddingModel } }

  // Search
  build_context: {
    args: {
      query_embedding: Vector, filter: JsonObject, model: EmbeddingModel | null, target_model: TokenModel, scores: Scores | null,
      min_score: number | null, pillars: Phase[]
    }
    row: { citations: Citation[] }
  }
  conversation_context: {
    args: {
      query_embedding: Vector, filter: JsonObject, model: EmbeddingModel | null, target_model: TokenModel, min_score: number | null
    }
    row: { citations: Citation[], turns: ConversationTurn[] }
  }
  add_turn: { args: { role: TurnRole, run_id: string | null, citations: readonly Json[] } }
  record_answer: {
    args: { citations: readonly (string | { chunk_ids: string[] } | { chunk_id: string } | Citation)[], query_embedding: Vector | null, model: EmbeddingModel | null }
  }
  rate_answer: { args: { rating: -1 | 0 | 1, comment: string | null } }
  evaluation_set: { args: { model: EmbeddingModel | null }, returns: LabelledQuery[] }
  evaluate_search: {
    args: { queries: LabelledQuery[], project_id: string | null, filter: JsonObject, model: EmbeddingModel | null }
    row: { search: 'semantic' | 'full_text' | 'hybrid' }
  }
  find_quote: {
    args: { project_id: string | null, source_id: string | null }
    row: { start_char: number | null, end_char: number | null, places: Places }
  }
  hybrid_search: {
    args: {
      query_embedding: Vector, project_id: string | null, filter: JsonObject, model: EmbeddingModel | null,
      max_per_source: number | null, words: 'any' | 'all', fusion: 'score' | 'rank', min_similarity: number | null,
      min_score: number | null
    }
    row: Origin & {
      metadata: ChunkMetadata, semantic_rank: number | null, full_text_rank: number | null, similarity: number | null,
      rank: number | null
    }
  }
  match_chunks: {
    args: {
      query_embedding: Vector, project_id: string | null, match_threshold: number | null, filter: JsonObject,
      model: EmbeddingModel | null, max_per_source: number | null
    }
    row: Origin & { metadata: ChunkMetadata }
  }
  match_documents: {
    args: { query_embedding: Vector, match_count: number | null, filter: JsonObject }
    row: { metadata: ChunkMetadata & { source_id: string, source_name: string, chunk_index: number } }
  }
  rerank_chunks: {
    args: { scores: Scores, max_per_source: number | null, model: EmbeddingModel | null }
    row: { metadata: ChunkMetadata }
  }
  search_chunks: {
    args: {
      project_id: string | null, filter: JsonObject, max_per_source: number | null, words: 'any' | 'all', min_score: number | null
    }
    row: Origin & { metadata: ChunkMetadata }
  }
  search_recall: { args: { model: EmbeddingModel | null }, row: { recall: number | null, least_recall: number | null } }

  // Insights
  confirm_insight: { args: InsightEvidence }
  contradict_insight: { args: InsightEvidence }
  insight_lineage: {
    row: {
      relation: 'itself' | 'merged' | 'superseded' | 'merged into' | 'superseded by', evidence_id: string | null,
      kind: EvidenceKind | null, is_for: boolean | null, state: EvidenceState | null, source_id: string | null,
      source_name: string | null, chunk_id: string | null, start_char: number | null, end_char: number | null,
      text_hash: string | null, run_id: string | null, workflow_id: string | null, step_id: string | null, step_name: string | null,
      user_id: string | null, url: string | null, note: string | null, recorded_at: string | null, recorded_by: string | null
    }
  }
  insights_review: {
    row: {
      kind: 'contradicted' | 'unsupported' | 'source changed' | 'stale' | 'duplicate' | 'fragment' | 'told again' | 'without successor', insight_id: string | null,
      title: string | null, other_id: string | null, other_title: string | null, detail: string | null, confidence: number | null
    }
  }
  known_at: {
    args: { after: string | null, match_count: number | null }
    row: { type: InsightType, evidence: KnownEvidence[], next_after: string | null }
  }
  record_insight: {
    args: InsightEvidence & {
      type: InsightType, tags: Json[], evidence: Json, subject: string | null, attribute: string | null, value: string | null,
      volatility: Volatility | null, valid_from: string | null, valid_until: string | null
    }
  }
  retract_insight: { args: { reason: string | null } }
  search_insights: {
    args: { query_embedding: Vector | null, model: EmbeddingModel | null }
    row: {
      source_id: string | null, superseded_by: string | null, tags: Json[], type: InsightType, valid_from: string | null,
      valid_until: string | null, retracted_at: string | null
    }
  }
  supersede_insight: { args: { reason: string | null } }

  // Taking a project along
  export_project: { args: { after: string | null }, row: { next_after: string | null } }
  import_project: { args: { project_id: string | null } }

  // Runs and cost
  budget_status: {
    row: {
      model: string | null, phase: Phase | null, user_key: string | null, period: BudgetPeriod, period_start: string | null,
      period_end: string | null, fraction: number | null, state: 'ok' | 'warning' | 'exhausted', forecast_usd: number | null,
      exhausted_at: string | null
    }
  }
  calculate_cost: {
    args: { tokens_input: number | null, tokens_output: number | null, usage: ReportedUsage }
    returns: number | null
  }
  correct_step: {
    args: { cost_usd: number | null, tokens_input: number | null, tokens_output: number | null, usage: ReportedUsage | null }
  }
  finish_run: {
    args: {
      run_id: string | null, status: Exclude<RunStatus, 'running'>, output_data: Json, error: Json, attempt: number | null,
      project_id: string | null, workflow_id: string | null, run_key: string | null
    }
  }
  load_prices: { args: { catalogue: PriceCatalogue } }
  price_of: {
    args: { project_id: string | null, provider: string | null }
    row: { source: 'project' | 'catalogue', service_tier: ServiceTier, unit: PriceUnit, valid_from: string | null }
  }
  record_step: {
    args: {
      run_id: string | null, status: StepStatus, latency_ms: number | null, model: string | null, tokens_input: number | null,
      tokens_output: number | null, usage: ReportedUsage, error: Json, step_key: string | null, cost_usd: number | null,
      response: object | null, call_key: string | null, project_id: string | null, workflow_id: string | null,
      run_key: string | null, reservation_id: string | null
    }
  }
  reap_runs: { args: { project_id: string | null } }
  record_steps: { args: { steps: RecordedStep[], project_id: string | null } }
  report: { args: { language: 'en' | 'fr' }, returns: string }
  reprice: { row: { cost_before: number | null, cost_now: number | null } }
  reserve_budget: {
    args: {
      estimate_usd: number | null, model: string | null, tokens_input: number | null, max_tokens_output: number | null,
      usage: ReportedUsage, run_id: string | null, phase: Phase | null, user_key: string | null
    }
  }
  set_budget: { args: { period: BudgetPeriod, model: string | null, phase: Phase | null, user_key: string | null } }
  set_price: { args: { prices: Rates | null, same_as: string | null } }
  start_run: {
    args: {
      run_key: string | null, phase: Phase | null, input_data: NonNullable<Json>, parent_run_id: string | null,
      user_key: string | null, session_key: string | null, tags: Json[]
    }
  }
  step_errors: { row: { error_class: string | null, cost_usd: number | null } }
  top_runs: {
    args: { order_by: TopOrder }
    row: {
      phase: Phase | null, status: RunStatus, completed_at: string | null, cost_usd: number | null, latency_ms: number | null
    }
  }
  top_steps: {
    args: { order_by: TopOrder }
    row: { status: StepStatus, model: string | null, cost_usd: number | null, latency_ms: number | null }
  }
  workflow_metrics: {
    args: {
      group_by: 'hour' | 'day' | 'week' | 'month' | 'workflow' | 'phase' | 'model' | 'provider' | 'step' | 'user'
      model: string | null, workflow: string | null, phase: Phase | null, status: Exclude<StepStatus, 'running'> | null
    }
    row: {
      bucket: string | null, success_rate: number | null, cost_usd: number | null, p50_ms: number | null, p95_ms: number | null,
      p99_ms: number | null, cache_share: number | null
    }
  }
}

type CutOptions = { format: Format | null, max_tokens: number | null, overlap_tokens: number | null }
type Origin = { storage_path: string | null, start_char: number | null, end_char: number | null }
type TopOrder = 'cost' | 'tokens' | 'latency'

// The database --------------------------------------------------------------------------------------------------------

type Schema = Generated['matrice']
type Of<Corrections, Name> = Name extends keyof Corrections ? Corrections[Name] : unknown

/** Replaces types of columns, and leaves them null where they may be. */
type ReplaceColumns<Row, Corrections> = {
  [Name in keyof Row]: Name extends keyof Corrections ? Corrections[Name] | Extract<Row[Name], null> : Row[Name]
}
/** Replaces types of arguments or results, and leaves arguments optional that have a default. */
type Replace<Row, Corrections> = { [Name in keyof Row]: Name extends keyof Corrections ? Corrections[Name] : Row[Name] }

type Written<Name> = Omit<Of<Columns, Name>, keyof Of<WrittenColumns, Name>> & Of<WrittenColumns, Name>
type CorrectedTable<Name extends keyof Schema['Tables']> = Omit<Schema['Tables'][Name], 'Row' | 'Insert' | 'Update'> & {
  Row: ReplaceColumns<Schema['Tables'][Name]['Row'], Of<Columns, Name>>
  Insert: ReplaceColumns<Schema['Tables'][Name]['Insert'], Written<Name>>
  Update: ReplaceColumns<Schema['Tables'][Name]['Update'], Written<Name>>
}
type CorrectedFunction<Name extends keyof Schema['Functions'], Corrections = Of<Functions, Name>> = {
  Args: Replace<Schema['Functions'][Name]['Args'], Of<Corrections, 'args'>>
  Returns: Corrections extends { returns: infer Result } ? Result
    : Schema['Functions'][Name]['Returns'] extends (infer Row)[] ? Replace<Row, Of<Corrections, 'row'>>[]
      // For a function that returns nothing, supabase-js has null.
      : Schema['Functions'][Name]['Returns'] extends undefined ? null : Schema['Functions'][Name]['Returns']
}

export type Database = {
  matrice: Omit<Schema, 'Tables' | 'Functions'> & {
    Tables: { [Name in keyof Schema['Tables']]: CorrectedTable<Name> }
    // Those with an underscore are the engine's own. PostgREST does not offer them.
    Functions: { [Name in keyof Schema['Functions'] as Name extends `_${string}` ? never : Name]: CorrectedFunction<Name> }
  }
}

type Matrice = Database['matrice']
export type Tables<Name extends keyof Matrice['Tables']> = Matrice['Tables'][Name]['Row']
export type TablesInsert<Name extends keyof Matrice['Tables']> = Matrice['Tables'][Name]['Insert']
export type TablesUpdate<Name extends keyof Matrice['Tables']> = Matrice['Tables'][Name]['Update']
/** The arguments of a function. */
export type Args<Name extends keyof Matrice['Functions']> = Matrice['Functions'][Name]['Args']
/** What a function returns; of a table, one row. */
export type Result<Name extends keyof Matrice['Functions']> = RowOf<Matrice['Functions'][Name]['Returns']>
type RowOf<Returns> = Returns extends (infer Row)[] ? Row : Returns

/** What is corrected above, but is not in database.types.ts. A test checks that it is `never`. */
export type Stale =
  | StaleIn<Columns, { [Name in keyof Schema['Tables']]: Schema['Tables'][Name]['Row'] }>
  | StaleIn<WrittenColumns, { [Name in keyof Schema['Tables']]: Schema['Tables'][Name]['Insert'] }>
  | StaleIn<PartOf<Functions, 'args'>, { [Name in keyof Schema['Functions']]: Schema['Functions'][Name]['Args'] }>
  | StaleIn<PartOf<Functions, 'row'>, { [Name in keyof Schema['Functions']]: RowOf<Schema['Functions'][Name]['Returns']> }>
type PartOf<Corrections, Part> = { [Name in keyof Corrections]: Of<Corrections[Name], Part> }
type StaleIn<Corrections, Known> = {
  [Name in keyof Corrections]: Name extends keyof Known
    ? `${Name & string}.${Exclude<keyof Corrections[Name], keyof Known[Name]> & string}` : Name
}[keyof Corrections]
