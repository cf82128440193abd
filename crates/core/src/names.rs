//! Which model of the prices a name means, as people, libraries and providers write it.
//!
//! A name that is only similar is not accepted: no price is better than a wrong one. [`spellings`] lists what is known.

mod spellings;
#[cfg(test)]
mod tests;

use spellings::{AREAS, MAKERS, PROFILES, PROVIDERS, VENDORS};

/// The models that have prices.
pub trait Models {
    type Error;

    /// The model that a provider sells under a name, as [`comparable`] spells it. Of several, the one that names its provider.
    ///
    /// # Errors
    /// If the models cannot be read; so do the others.
    fn sold(&self, provider: &str, name: &str) -> Result<Option<String>, Self::Error>;
    /// Whether a provider sells anything.
    fn has_provider(&self, provider: &str) -> Result<bool, Self::Error>;
    /// Whether there is a model of this very name; of the provider, if it is given.
    fn has(&self, model: &str, provider: Option<&str>) -> Result<bool, Self::Error>;
}

/// A model that has prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub model: String,
    pub stands_in: Option<StandIn>,
}

/// Why the price of another model is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandIn {
    /// A dated snapshot has no price of its own.
    Snapshot,
    /// An inference profile, or a region, of Bedrock has no price of its own.
    Region,
}

impl StandIn {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            StandIn::Snapshot => "snapshot",
            StandIn::Region => "region",
        }
    }
}

const LOCAL: &str = "local";
const BEDROCK: &str = "bedrock";
/// Longer names mean nothing.
const LONGEST: usize = 300;

/// A name as it is compared: in small letters, with a hyphen for a dot and for @. SQL's `comparable_name` does the same.
#[must_use]
pub fn comparable(name: &str) -> String {
    name.trim_matches(' ')
        .chars()
        .map(|character| match character {
            '.' | '@' => '-',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// The name of a model without the date of its snapshot, if it has one at its end.
#[must_use]
pub fn undated(name: &str) -> Option<&str> {
    let date = |length: usize| {
        let (name, date) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let digits = date.as_bytes();
        let is_digit = |place: usize| digits.get(place).is_some_and(u8::is_ascii_digit);
        let (hyphens, month, day): (&[usize], _, _) = match length {
            10 => (&[4, 7], 5, 8),
            _ => (&[], 4, 6),
        };
        let number = |place: usize| date.get(place..place + 2)?.parse::<u8>().ok();
        let is_date = (0..length).all(|place| {
            if hyphens.contains(&place) {
                digits[place] == b'-'
            } else {
                is_digit(place)
            }
        }) && date.starts_with("20")
            && digits[2] >= b'2'
            && (1..=12).contains(&number(month)?)
            && (1..=31).contains(&number(day)?);
        let name = name.strip_suffix(['-', '@'])?;
        (is_date && !name.is_empty() && !name.ends_with(['-', '@'])).then_some(name)
    };
    date(10).or_else(|| date(8))
}

/// Whether a model bills each request, or each search, beside the tokens. Responses do not say how much.
#[must_use]
pub fn has_request_fee(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    model.starts_with("perplexity/") && name.starts_with("sonar")
        || name.contains("-search-preview")
        || name.contains("-search-api")
}

/// The model of this very name, or else the one that the name means.
///
/// # Errors
/// If the models cannot be read.
pub fn priced<M: Models>(models: &M, name: &str, provider: Option<&str>) -> Result<Option<Found>, M::Error> {
    let lower = provider.map(str::to_ascii_lowercase);
    if models.has(name, lower.as_deref())? {
        return Ok(Some(Found {
            model: name.to_owned(),
            stands_in: None,
        }));
    }
    resolved(models, name, provider)
}

/// The model that a name means. The provider, or the beginning of the name, says who sells it; else its maker does.
///
/// # Errors
/// If the models cannot be read.
pub fn resolved<M: Models>(
    models: &M,
    name: &str,
    provider: Option<&str>,
) -> Result<Option<Found>, M::Error> {
    let asked = name.trim_matches(' ');
    if asked.len() > LONGEST {
        return Ok(None);
    }
    let names = Names { models };
    let given = provider
        .map(|given| given.trim_matches(' '))
        .filter(|given| !given.is_empty());
    let first = match asked.split_once('/') {
        Some((first, rest)) => names.provider(first)?.map(|first| (first, rest.to_owned())),
        None => None,
    };
    // The most frequent form first: provider/model.
    if given.is_none()
        && let Some((seller, rest)) = &first
        && let Some(found) = names.sold(seller, rest)?
    {
        return Ok(Some(found));
    }
    let formed = form(asked).map(|(seller, name)| (seller.to_owned(), name));
    let is_formed = formed.is_some();
    let said = formed.or(first);
    let (seller, found, named) = match (given, said) {
        (Some(given), said) => {
            let Some(seller) = names.provider(given)? else {
                return Ok(None);
            };
            let mut found = names.sold(&seller, asked)?;
            if let (None, Some((_, name))) = (&found, &said) {
                found = names.sold(&seller, name)?;
            }
            (seller, found, asked.to_owned())
        }
        (None, Some((seller, name))) => {
            let found = if is_formed {
                names.sold(&seller, &name)?
            } else {
                None
            };
            (seller, found, name)
        }
        (None, None) if asked.contains('/') => return Ok(None),
        (None, None) => {
            let found = names.of_maker(asked)?;
            if found.is_none() && models.has(asked, None)? {
                return Ok(Some(Found {
                    model: asked.to_owned(),
                    stands_in: None,
                }));
            }
            return Ok(found);
        }
    };
    let resells = PROVIDERS
        .iter()
        .any(|&(provider, resells, _)| resells && provider == seller);
    if found.is_none() && resells {
        return names.of_reseller(&named);
    }
    Ok(found)
}

struct Names<'a, M> {
    models: &'a M,
}

impl<M: Models> Names<'_, M> {
    /// The provider that a spelling means, as the prices spell it.
    fn provider(&self, spelling: &str) -> Result<Option<String>, M::Error> {
        let compared = comparable(spelling);
        let known = PROVIDERS
            .iter()
            .find(|(.., spellings)| spellings.contains(&compared.as_str()));
        if let Some((provider, ..)) = known {
            return Ok(Some((*provider).to_owned()));
        }
        let lower = spelling.trim_matches(' ').to_ascii_lowercase();
        Ok(self.models.has_provider(&lower)?.then_some(lower))
    }

    /// The model that a provider sells under a name, or under the name without its region or its date.
    fn sold(&self, seller: &str, name: &str) -> Result<Option<Found>, M::Error> {
        if name.is_empty() {
            return Ok(None);
        }
        let at = |name: &str, stands_in| -> Result<_, M::Error> {
            let model = self.models.sold(seller, &comparable(name))?;
            Ok(model.map(|model| Found { model, stands_in }))
        };
        let mut found = at(name, None)?;
        if found.is_none() && seller == LOCAL && !is_in_cloud(name) {
            // Whatever runs on the caller's own machine.
            found = Some(Found {
                model: LOCAL.into(),
                stands_in: None,
            });
        }
        if found.is_none()
            && seller == BEDROCK
            && let Some(name) = without_region(name)
        {
            found = at(name, Some(StandIn::Region))?;
        }
        if found.is_none()
            && let Some(name) = undated(name)
        {
            found = at(name, Some(StandIn::Snapshot))?;
        }
        Ok(found)
    }

    /// The model that its maker sells under its name.
    fn of_maker(&self, name: &str) -> Result<Option<Found>, M::Error> {
        let compared = comparable(name);
        let maker = MAKERS.iter().find(|(_, beginnings)| {
            beginnings
                .iter()
                .any(|&beginning| compared.starts_with(beginning))
        });
        for seller in maker.map_or(&[][..], |(providers, _)| providers) {
            if let Some(found) = self.sold(seller, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The model that maker/model means at a reseller that takes the maker's price.
    fn of_reseller(&self, name: &str) -> Result<Option<Found>, M::Error> {
        let Some((maker, rest)) = name.split_once('/') else {
            return self.of_maker(name);
        };
        let Some(maker) = self.provider(maker)? else {
            return Ok(None);
        };
        let makes = MAKERS
            .iter()
            .any(|(providers, _)| providers.contains(&maker.as_str()));
        if makes { self.sold(&maker, rest) } else { Ok(None) }
    }
}

/// Whether a model of Ollama runs on its computers: a tag with "cloud" in it says so.
fn is_in_cloud(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(":cloud") || lower.ends_with("-cloud")
}

/// A name of Bedrock without its region and its inference profile, if it has one.
fn without_region(name: &str) -> Option<&str> {
    let of_region = name.split_once('/').filter(|(region, _)| is_region(region));
    let model = of_region.map_or(name, |(_, model)| model);
    let of_profile = model
        .split_once('.')
        .filter(|(profile, _)| PROFILES.contains(profile));
    let model = of_profile.map_or(model, |(_, model)| model);
    (model.len() < name.len()).then_some(model)
}

/// Whether this is a region of AWS, such as eu-west-1 and us-gov-east-1.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let [area, middle @ .., number] = &parts[..] else {
        return false;
    };
    AREAS.contains(area)
        && !middle.is_empty()
        && middle
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The provider and the name, of names that say their provider in another way than before the first slash.
fn form(asked: &str) -> Option<(&'static str, String)> {
    let lower = asked.to_ascii_lowercase();
    // Bytes of both stand at the same places.
    let after = |beginning: &str| {
        let rest = lower.strip_prefix(beginning)?;
        Some(&asked[asked.len() - rest.len()..]).filter(|rest| !rest.is_empty())
    };
    if let Some(name) = after("models/") {
        return Some(("gemini", name.into()));
    }
    if let Some(name) = of_vertex(asked, &lower) {
        return Some(("vertex_ai", name));
    }
    if is_of_bedrock(&lower) {
        return Some((BEDROCK, asked.into()));
    }
    if let Some(name) = of_arn(asked, &lower) {
        return Some((BEDROCK, name.into()));
    }
    for way in ["converse", "converse_like", "invoke", "mantle"] {
        if let Some(name) = after(&format!("bedrock/{way}/")) {
            return Some((BEDROCK, name.into()));
        }
    }
    for place in ["models", "routers"] {
        if after(&format!("accounts/fireworks/{place}/")).is_some_and(|name| !name.contains('/')) {
            return Some(("fireworks_ai", asked.into()));
        }
    }
    for provider in ["openai", "azure"] {
        if let Some(name) = after(&format!("{provider}/responses/")) {
            return Some((provider, name.into()));
        }
    }
    let (base, id) = after("openai/ft:").or_else(|| after("ft:"))?.split_once(':')?;
    let is_tuned = !base.is_empty() && !base.contains('/') && !id.contains('/');
    is_tuned.then(|| ("openai", format!("ft:{base}")))
}

/// The name in [projects/…/locations/…/]publishers/…/models/….
fn of_vertex(asked: &str, lower: &str) -> Option<String> {
    let is_part = |part: &str| !part.is_empty() && !part.contains('/');
    let mut rest = lower;
    if let Some(project) = lower.strip_prefix("projects/") {
        let (project, place) = project.split_once("/locations/")?;
        let (place, publishers) = place.split_once('/')?;
        if !is_part(project) || !is_part(place) {
            return None;
        }
        rest = publishers;
    }
    let (publisher, name) = rest.strip_prefix("publishers/")?.split_once("/models/")?;
    if !is_part(publisher) || name.is_empty() {
        return None;
    }
    let name = &asked[asked.len() - name.len()..];
    Some(match publisher {
        "google" | "anthropic" => name.into(),
        _ => format!("{publisher}/{name}"),
    })
}

/// Whether this is a model, or an inference profile, of Bedrock: amazon.nova-pro-v1:0, us.amazon.nova-pro-v1:0.
fn is_of_bedrock(lower: &str) -> bool {
    let of_profile = lower
        .split_once('.')
        .filter(|(profile, _)| PROFILES.contains(profile));
    let model = of_profile.map_or(lower, |(_, model)| model);
    model.split_once('.').is_some_and(|(vendor, name)| {
        VENDORS.contains(&vendor) && name.starts_with(|first: char| first.is_ascii_lowercase())
    })
}

/// The model, or inference profile, of an ARN of Bedrock. That of an application says nothing of the model.
fn of_arn<'a>(asked: &'a str, lower: &str) -> Option<&'a str> {
    let parts: Vec<&str> = lower.splitn(6, ':').collect();
    let &["arn", partition, BEDROCK, _, account, resource] = &parts[..] else {
        return None;
    };
    let (kind, name) = resource.split_once('/')?;
    let is_good = partition.starts_with("aws")
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && ["foundation-model", "inference-profile"].contains(&kind)
        && !name.is_empty()
        && !name.contains('/');
    is_good.then(|| &asked[asked.len() - name.len()..])
}
