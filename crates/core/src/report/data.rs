//! What a page shows.

use serde_json::Value;

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) project: String,
    pub(super) time_zone: String,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) made: String,
    pub(super) days: Vec<Day>,
    pub(super) models: Vec<Model>,
    pub(super) steps: Vec<Step>,
    pub(super) budgets: Vec<Budget>,
    /// How many there are, of which `budgets` may be only some.
    pub(super) budget_count: f64,
    pub(super) all: Day,
    pub(super) sources: Sources,
}

/// A day, or all of them.
#[derive(Debug, Default)]
pub(super) struct Day {
    pub(super) date: String,
    /// Without handlers of failures.
    pub(super) completed: f64,
    /// Completed handlers of failures.
    pub(super) handled: f64,
    pub(super) failed: f64,
    pub(super) cancelled: f64,
    pub(super) running: f64,
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cached: f64,
    /// p50, p95 and p99 in milliseconds.
    pub(super) latency: [Option<f64>; 3],
}

impl Day {
    pub(super) fn runs(&self) -> f64 {
        self.completed + self.handled + self.failed + self.cancelled + self.running
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// Null for steps that called no model.
    pub(super) name: Option<String>,
    /// Whether it stands for several models.
    pub(super) is_rest: bool,
    pub(super) calls: f64,
    /// How many calls have cost something that nobody knows.
    pub(super) unpriced: f64,
    /// Of the others. Null if there are none.
    pub(super) cost: Option<f64>,
    /// By day.
    pub(super) costs: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) calls: f64,
    pub(super) failed: f64,
    pub(super) cost: Option<f64>,
    pub(super) p95: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Warning,
    Exhausted,
}

#[derive(Debug)]
pub(super) struct Budget {
    pub(super) name: String,
    /// What it counts, if not everything: a model, a phase, a user.
    pub(super) scope: Vec<String>,
    pub(super) is_hard: bool,
    pub(super) state: State,
    pub(super) limit: f64,
    pub(super) spent: f64,
    pub(super) reserved: f64,
    pub(super) unpriced: f64,
    pub(super) forecast: Option<f64>,
    pub(super) ends: Option<String>,
    pub(super) exhausted: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) sources: f64,
    pub(super) chunks: f64,
    pub(super) embedded: f64,
    pub(super) failed: f64,
}

/// How many models have a colour of their own.
const MODELS: usize = 7;

// The schema gives fewer. These bound the memory that JSON from elsewhere can take.
const MOST_DAYS: usize = 400;
const MOST_ROWS: usize = 10_000;

impl Report {
    pub(super) fn of_json(data: &Value) -> Report {
        let days: Vec<Day> = list(data, "days")
            .iter()
            .take(MOST_DAYS)
            .map(Day::of_json)
            .collect();
        Report {
            project: text(data, "project"),
            time_zone: text(data, "time_zone"),
            first: days.first().map_or_else(String::new, |day| day.date.clone()),
            last: days.last().map_or_else(String::new, |day| day.date.clone()),
            made: text(data, "made"),
            models: largest(
                list(data, "models")
                    .iter()
                    .take(MOST_ROWS)
                    .map(|model| Model::of_json(model, days.len()))
                    .collect(),
            ),
            steps: list(data, "steps")
                .iter()
                .take(MOST_ROWS)
                .map(Step::of_json)
                .collect(),
            budgets: list(data, "budgets")
                .iter()
                .take(MOST_ROWS)
                .map(Budget::of_json)
                .collect(),
            budget_count: number(data, "budget_count"),
            all: Day::of_json(&data["all"]),
            sources: Sources::of_json(&data["sources"]),
            days,
        }
    }

    /// Null if there were calls, and the price of none is known.
    pub(super) fn cost(&self) -> Option<f64> {
        let costs = || self.models.iter().filter_map(|model| model.cost);
        (costs().next().is_some() || self.unpriced() == 0.0).then(|| costs().sum())
    }

    pub(super) fn unpriced(&self) -> f64 {
        self.models.iter().map(|model| model.unpriced).sum()
    }
}

impl Day {
    fn of_json(day: &Value) -> Day {
        Day {
            date: text(day, "date"),
            completed: number(day, "completed"),
            handled: number(day, "handled"),
            failed: number(day, "failed"),
            cancelled: number(day, "cancelled"),
            running: number(day, "running"),
            input: number(day, "input"),
            output: number(day, "output"),
            cached: number(day, "cached"),
            latency: ["p50", "p95", "p99"]
                .map(|percentile| known(day, percentile).map(|latency| latency.max(0.0))),
        }
    }
}

impl Model {
    fn of_json(model: &Value, days: usize) -> Model {
        let mut costs = vec![0.0; days];
        for cost in list(model, "costs") {
            let day = cost["day"].as_u64().and_then(|day| usize::try_from(day).ok());
            if let Some(sum) = day.and_then(|day| costs.get_mut(day)) {
                *sum += number(cost, "cost");
            }
        }
        Model {
            name: known_text(model, "name"),
            is_rest: model["is_rest"] == true,
            calls: number(model, "calls"),
            unpriced: number(model, "unpriced"),
            cost: known(model, "cost"),
            costs,
        }
    }

    fn add(&mut self, other: &Model) {
        self.calls += other.calls;
        self.unpriced += other.unpriced;
        if let Some(cost) = other.cost {
            self.cost = Some(self.cost.unwrap_or(0.0) + cost);
        }
        for (sum, cost) in self.costs.iter_mut().zip(&other.costs) {
            *sum += cost;
        }
    }
}

/// The models that cost most, and the rest as one. Those whose cost is not known come last.
fn largest(mut models: Vec<Model>) -> Vec<Model> {
    let rank = |model: &Model| model.cost.unwrap_or(f64::NEG_INFINITY);
    models.sort_by(|one, other| {
        (one.is_rest.cmp(&other.is_rest))
            .then(rank(other).total_cmp(&rank(one)))
            .then(other.calls.total_cmp(&one.calls))
            .then(one.name.cmp(&other.name))
    });
    if models.len() <= MODELS + 1 {
        return models;
    }
    let rest = models.split_off(MODELS);
    let mut sum = Model {
        is_rest: true,
        costs: vec![0.0; rest[0].costs.len()],
        ..Model::default()
    };
    for model in &rest {
        sum.add(model);
    }
    models.push(sum);
    models
}

impl Step {
    fn of_json(step: &Value) -> Step {
        Step {
            name: text(step, "name"),
            calls: number(step, "calls"),
            failed: number(step, "failed"),
            cost: known(step, "cost"),
            p95: known(step, "p95"),
        }
    }
}

impl Budget {
    fn of_json(budget: &Value) -> Budget {
        Budget {
            name: text(budget, "name"),
            scope: ["model", "phase", "user"]
                .iter()
                .filter_map(|key| known_text(budget, key))
                .collect(),
            is_hard: budget["is_hard"] == true,
            state: match budget["state"].as_str() {
                Some("exhausted") => State::Exhausted,
                Some("warning") => State::Warning,
                _ => State::Ok,
            },
            limit: number(budget, "limit"),
            spent: number(budget, "spent"),
            reserved: number(budget, "reserved"),
            unpriced: number(budget, "unpriced"),
            forecast: known(budget, "forecast"),
            ends: known_text(budget, "ends"),
            exhausted: known_text(budget, "exhausted"),
        }
    }
}

impl Sources {
    fn of_json(sources: &Value) -> Sources {
        Sources {
            sources: number(sources, "sources"),
            chunks: number(sources, "chunks"),
            embedded: number(sources, "embedded"),
            failed: number(sources, "failed"),
        }
    }
}

fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object[key].as_array().map_or(&[], Vec::as_slice)
}

fn known_text(object: &Value, key: &str) -> Option<String> {
    object[key].as_str().map(str::to_owned)
}

fn text(object: &Value, key: &str) -> String {
    known_text(object, key).unwrap_or_default()
}

/// A number, which a chart can draw: it is finite, and not beyond what a sum of costs or tokens can be.
fn known(object: &Value, key: &str) -> Option<f64> {
    const MOST: f64 = 1e15;
    let number = object[key].as_f64()?;
    number.is_finite().then(|| number.clamp(-MOST, MOST))
}

fn number(object: &Value, key: &str) -> f64 {
    known(object, key).unwrap_or(0.0)
}
