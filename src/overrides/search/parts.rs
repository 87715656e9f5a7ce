//! Searches among many allowed studies, some of them at a time: the core compares each answer with each UID that a query
//! names, so that one query for all would take time with the square of their number.
//!
//! Knows nothing of how the allowed studies are found.

use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::query::Query;
use super::super::scope::Scope;
use super::allowed::{Allowed, Listing, allowed_studies};
use super::naming::{are_alone, candidates, count_of, name_studies, study_by_study, uids, unpage};
use super::{found_by, id_of, is_one_of, page, paged};
use crate::host::HostError;
use crate::resource::{Level, Listed};

/// How many studies are named at first, for an answer that is short.
pub(super) const FIRST: usize = 100;

/// How many are named then, as long as much is found: each query costs something by itself, the more there is to search.
pub(super) const NEXT: usize = 250;

/// As many where the core compares letter by letter, which takes it a fourth of the time.
const NEXT_BY_LETTER: usize = 500;

/// How many are named at most, when little is found.
const MOST: usize = 6_400;

/// For how many it is asked at once whether they are alone with their UIDs.
const CHECKED: usize = or_in_tests(12_800, 400);

/// How many UIDs any query names at most: SQLite takes 32,766 values, where it is not built for more.
pub(super) const MOST_NAMED: usize = or_in_tests(30_000, 300);

/// How often a UID of an answer may be compared with one that is named, where all are named at once: a microsecond each.
pub(super) const MOST_COMPARED: usize = or_in_tests(20_000_000, 80_100);

/// The tests have fewer studies.
const fn or_in_tests(many: usize, few: usize) -> usize {
    if cfg!(test) { few } else { many }
}

/// What was read before does not hold any more.
struct Outdated;

/// A search among many studies.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    /// The query, its labels already put right.
    pub(super) body: Map<String, Value>,
    /// Where something may be found.
    pub(super) allowed: Allowed,
    /// How these were found.
    pub(super) listing: Listing,
}

impl Parts {
    /// The query's page of the answers, without what may not be known.
    pub(super) fn find(&self, context: &Context<'_>, scope: &Scope, query: &Query) -> Result<Vec<Value>, HostError> {
        let among = |allowed: &Allowed, listing: &Listing| {
            Among { context, query, body: &self.body, listing }.find(&in_order(allowed))
        };
        let found = match among(&self.allowed, &self.listing)? {
            Ok(found) => found,
            Err(Outdated) => {
                let (allowed, listing) = allowed_studies(context, scope, query, true)?;
                among(&allowed, &listing)?.map_err(|Outdated| HostError::PLUGIN)?
            }
        };
        paged(context, scope, query, found)
    }

    /// How many there are. The query has no page.
    pub(super) fn count(&self, context: &Context<'_>, scope: &Scope, query: &Query) -> Result<usize, HostError> {
        let among = |allowed: &Allowed, listing: &Listing| {
            Among { context, query, body: &self.body, listing }.count(&in_order(allowed))
        };
        match among(&self.allowed, &self.listing)? {
            Ok(count) => Ok(count),
            Err(Outdated) => {
                let (allowed, listing) = allowed_studies(context, scope, query, true)?;
                among(&allowed, &listing)?.map_err(|Outdated| HostError::PLUGIN)
            }
        }
    }
}

fn in_order(allowed: &Allowed) -> Vec<&Listed> {
    let mut studies: Vec<&Listed> = allowed.values().collect();
    studies.sort_by(|a, b| (&a.study.uid, &a.study.id).cmp(&(&b.study.uid, &b.study.id)));
    studies
}

/// A search among studies that come in the order of their UIDs.
#[derive(Clone, Copy)]
struct Among<'a> {
    context: &'a Context<'a>,
    query: &'a Query,
    body: &'a Map<String, Value>,
    listing: &'a Listing,
}

/// Some of the studies, and what was found by their UIDs.
struct Part<'a> {
    studies: &'a [&'a Listed],
    found: Vec<Value>,
    /// How many were to be named, and how many are to be named next.
    size: usize,
    next: usize,
}

impl<'a> Among<'a> {
    /// Where a part ends, and so in which order things are found, depends on what is found in the allowed studies, and not
    /// on how much of it is wanted or what others have: the pages of a search fit together.
    fn find(self, studies: &'a [&'a Listed]) -> Result<Result<Vec<Value>, Outdated>, HostError> {
        let (wanted, _) = page(self.query)?;
        let (mut found, mut rest, mut size, mut stretch) = (Vec::new(), studies, FIRST, CHECKED);
        while !rest.is_empty() && found.len() < wanted {
            let limit = (wanted < usize::MAX).then(|| wanted - found.len());
            let parts = self.swiftly(rest, stretch, limit, size)?;
            let (searched, after) = rest.split_at(parts.iter().map(|part| part.studies.len()).sum());
            // Asked afterwards, so that what came while it was searched is seen.
            if self.are_alone(searched)? {
                rest = after;
                stretch = (2 * searched.len()).min(CHECKED);
                for part in parts {
                    size = part.next;
                    found.extend(part.found);
                }
                continue;
            }
            if self.listing.is_kept {
                return Ok(Err(Outdated));
            }
            let is_one = parts.len() == 1;
            for part in parts {
                (_, rest) = rest.split_at(part.studies.len());
                if !is_one && self.are_alone(part.studies)? {
                    size = part.next;
                    found.extend(part.found);
                    continue;
                }
                let answer = self.carefully(part.studies)?;
                size = next_size(part.size, answer.len(), part.studies.len(), self.next());
                found.extend(answer);
                // How many are named after it was decided by what was found of others too.
                stretch = 1;
                break;
            }
        }
        Ok(Ok(found))
    }

    fn count(self, studies: &[&Listed]) -> Result<Result<usize, Outdated>, HostError> {
        let (mut count, mut rest) = (0, studies);
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at(end_of_part(rest, MOST_NAMED));
            let counted = self.count_among(part)?;
            if self.are_alone(part)? {
                count += counted;
                continue;
            }
            if self.listing.is_kept {
                return Ok(Err(Outdated));
            }
            for slice in slices(part) {
                let counted = self.count_among(slice)?;
                count += if self.are_alone(slice)? { counted } else { self.carefully(slice)?.len() };
            }
        }
        Ok(Ok(count))
    }

    /// How many are found by the UIDs of these studies.
    fn count_among(self, studies: &[&Listed]) -> Result<usize, HostError> {
        let mut body = self.body.clone();
        name_studies(&mut body, self.query, &uids(studies.iter().copied()));
        count_of(self.context, &Value::Object(body))
    }

    /// Whether nobody else's study carries one of the UIDs.
    fn are_alone(self, studies: &[&Listed]) -> Result<bool, HostError> {
        are_alone(self.context, studies, self.listing)
    }

    /// Whether nothing but UIDs is compared, and so may be letter by letter: they have no case.
    fn by_letter(self) -> bool {
        // A server that answers less than is asked for is told so in a way that it does not take with this.
        self.context.gate.resources.finds_all() && self.query.compares_uids_alone()
    }

    /// How many are named at a time where much is found.
    fn next(self) -> usize {
        if self.by_letter() { NEXT_BY_LETTER } else { NEXT }
    }

    /// Whether so much is found among these studies that less of them is to be named at a time.
    fn is_much(self, studies: &[&Listed]) -> Result<bool, HostError> {
        let found = candidates(self.context, self.query, self.body, &uids(studies.iter().copied()))?;
        Ok(found * studies.len() > 4 * self.next() * self.next())
    }

    /// What is found by UIDs alone, among so many studies or until it is enough. `size`: how many are named at first.
    fn swiftly(
        self,
        studies: &'a [&'a Listed],
        stretch: usize,
        limit: Option<usize>,
        mut size: usize,
    ) -> Result<Vec<Part<'a>>, HostError> {
        let (mut parts, mut rest, mut count) = (Vec::new(), studies, 0);
        while !rest.is_empty() && studies.len() - rest.len() < stretch && limit.is_none_or(|limit| count < limit) {
            let (mut part, _) = rest.split_at(end_of_part(rest, size));
            // Little was found so far; here may be much, all at once.
            if size > 2 * self.next() && self.is_much(part)? {
                size = self.next();
                (part, _) = rest.split_at(end_of_part(rest, size));
            }
            (_, rest) = rest.split_at(part.len());
            let mut body = self.body.clone();
            let can_be_paged = name_studies(&mut body, self.query, &uids(part.iter().copied()));
            unpage(self.context, &mut body);
            match limit {
                // A server that answers less than is asked for would not say that there is more.
                Some(limit) if can_be_paged && self.context.gate.resources.finds_all() => {
                    body.insert("Limit".to_owned(), json!(limit - count));
                }
                None if self.by_letter() => {
                    body.insert("CaseSensitive".to_owned(), json!(true));
                }
                _ => {}
            }
            let found = found_by(self.context, &Value::Object(body))?;
            count += found.len();
            let next = next_size(size, found.len(), part.len(), self.next());
            parts.push(Part { studies: part, found, size, next });
            size = next;
        }
        Ok(parts)
    }

    /// What is found in these studies and not in others that carry their UIDs, all of it.
    fn carefully(self, studies: &[&Listed]) -> Result<Vec<Value>, HostError> {
        let mut found = Vec::new();
        for slice in slices(studies) {
            let mut body = self.body.clone();
            name_studies(&mut body, self.query, &uids(slice.iter().copied()));
            unpage(self.context, &mut body);
            if self.query.level == Level::Study {
                let answer = found_by(self.context, &Value::Object(body))?;
                let is_meant = |id: &str| slice.iter().any(|listed| *listed.study.id == *id);
                found.extend(answer.into_iter().filter(|resource| is_one_of(resource, is_meant)));
                continue;
            }
            let (bodies, alone) = study_by_study(self.context, self.query, body, slice.iter().copied(), self.listing)?;
            for body in &bodies {
                found.extend(found_by(self.context, body)?);
            }
            if !alone.holds(self.context)? {
                log::info!("a search is given up: a study outside the labels came in with the UID of one inside");
                return Err(HostError::FORBIDDEN);
            }
        }
        // As the core has them, when all are named at once.
        found.sort_by(|one, other| id_of(one).cmp(id_of(other)));
        Ok(found)
    }
}

/// Studies some at a time.
fn slices<'a>(studies: &'a [&'a Listed]) -> impl Iterator<Item = &'a [&'a Listed]> {
    let mut rest = studies;
    std::iter::from_fn(move || {
        let slice;
        (slice, rest) = rest.split_at(end_of_part(rest, NEXT));
        (!slice.is_empty()).then_some(slice)
    })
}

/// How many are named after a part of this size, when so much was found among so many; `next`: after much.
pub(super) fn next_size(size: usize, found: usize, named: usize, next: usize) -> usize {
    if found * 4 < named { (size * 2).min(MOST) } else { next }
}

/// Where a part ends: studies with one UID stay together.
fn end_of_part(studies: &[&Listed], size: usize) -> usize {
    let Some(last) = studies.get(size.saturating_sub(1)) else { return studies.len() };
    let more = studies.iter().skip(size).take_while(|listed| listed.study.uid == last.study.uid).count();
    size + more
}
