//! Searches among many allowed studies, some of them at a time: the core compares each answer with each UID that a query
//! names, so that one query for all would take time with the square of their number.
//!
//! Knows nothing of how the allowed studies are found.

use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::query::Query;
use super::super::scope::Scope;
use super::{
    Allowed, LabelSet, allowed_studies, carriers, count_of, found_by, is_one_of, name_studies, page, paged,
    study_by_study, uids, unpage,
};
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

/// How many answers in order are asked for, where as many studies or more are named at once.
pub(super) const MOST_IN_ORDER: usize = or_in_tests(6_400, 200);

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
    /// With which labels that was listed some time ago; `None`: just now.
    pub(super) kept_for: Option<LabelSet>,
}

impl Parts {
    /// The query's page of the answers, without what may not be known.
    pub(super) fn find(&self, context: &Context<'_>, scope: &Scope, query: &Query) -> Result<Vec<Value>, HostError> {
        let among = |allowed: &Allowed, kept_for: Option<&LabelSet>| {
            Among { context, query, body: &self.body, kept_for }.find(&in_order(allowed))
        };
        let found = match among(&self.allowed, self.kept_for.as_ref())? {
            Ok(found) => found,
            Err(Outdated) => {
                let (allowed, _) = allowed_studies(context, scope, query, true)?;
                among(&allowed, None)?.map_err(|Outdated| HostError::PLUGIN)?
            }
        };
        paged(context, scope, query, found)
    }

    /// How many there are. The query has no page.
    pub(super) fn count(&self, context: &Context<'_>, scope: &Scope, query: &Query) -> Result<usize, HostError> {
        let among = |allowed: &Allowed, kept_for: Option<&LabelSet>| {
            Among { context, query, body: &self.body, kept_for }.count(&in_order(allowed))
        };
        match among(&self.allowed, self.kept_for.as_ref())? {
            Ok(count) => Ok(count),
            Err(Outdated) => {
                let (allowed, _) = allowed_studies(context, scope, query, true)?;
                among(&allowed, None)?.map_err(|Outdated| HostError::PLUGIN)
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
    kept_for: Option<&'a LabelSet>,
}

impl Among<'_> {
    fn find(self, studies: &[&Listed]) -> Result<Result<Vec<Value>, Outdated>, HostError> {
        let (wanted, _) = page(self.query)?;
        let (mut found, mut rest, mut size) = (Vec::new(), studies, FIRST);
        while !rest.is_empty() && found.len() < wanted {
            let (stretch, _) = rest.split_at(end_of_part(rest, CHECKED));
            let limit = (wanted < usize::MAX).then(|| wanted - found.len());
            let (parts, answer) = self.swiftly(stretch, limit, &mut size)?;
            let searched;
            (searched, rest) = rest.split_at(parts.iter().map(|part| part.len()).sum());
            // Asked afterwards, so that what came while it was searched is seen.
            if self.are_alone(searched)? {
                found.extend(answer);
            } else if self.kept_for.is_some() {
                return Ok(Err(Outdated));
            } else {
                // In the same parts, so that what is alone in its part comes in the same order, on whatever page.
                found.extend(self.carefully(&parts)?);
            }
        }
        Ok(Ok(found))
    }

    fn count(self, studies: &[&Listed]) -> Result<Result<usize, Outdated>, HostError> {
        let (mut count, mut rest) = (0, studies);
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at(end_of_part(rest, MOST_NAMED));
            let mut body = self.body.clone();
            name_studies(&mut body, self.query, &uids(part.iter().copied()));
            let counted = count_of(self.context, &Value::Object(body))?;
            if self.are_alone(part)? {
                count += counted;
            } else if self.kept_for.is_some() {
                return Ok(Err(Outdated));
            } else {
                count += self.carefully(&in_parts(part, NEXT))?.len();
            }
        }
        Ok(Ok(count))
    }

    /// Whether nobody else's study carries one of the UIDs.
    fn are_alone(self, studies: &[&Listed]) -> Result<bool, HostError> {
        let list = uids(studies.iter().copied());
        Ok(match self.kept_for {
            Some(own) => carriers(self.context, &list, Some(own))? == 0,
            None => carriers(self.context, &list, None)? == studies.len(),
        })
    }

    /// What is found by UIDs alone, until it is enough; and the parts that were named for it. `size`: of the next part.
    fn swiftly<'s>(
        self,
        studies: &'s [&'s Listed],
        limit: Option<usize>,
        size: &mut usize,
    ) -> Result<(Vec<&'s [&'s Listed]>, Vec<Value>), HostError> {
        let (mut parts, mut found, mut rest) = (Vec::new(), Vec::new(), studies);
        while !rest.is_empty() && limit.is_none_or(|limit| found.len() < limit) {
            let part;
            (part, rest) = rest.split_at(end_of_part(rest, *size));
            parts.push(part);
            let before = found.len();
            let (mut body, can_be_paged) = self.naming(part);
            // A server that answers less than is asked for would not say that there is more.
            if can_be_paged && self.context.gate.resources.finds_all() {
                if let Some(limit) = limit {
                    body.insert("Limit".to_owned(), json!(limit - before));
                } else if self.query.compares_uids_alone() {
                    // UIDs have no case.
                    body.insert("CaseSensitive".to_owned(), json!(true));
                }
            }
            found.extend(found_by(self.context, &Value::Object(body))?);
            *size = self.next_size(*size, found.len() - before, part.len());
        }
        Ok((parts, found))
    }

    /// What is found in these studies and not in others that carry their UIDs.
    fn carefully(self, parts: &[&[&Listed]]) -> Result<Vec<Value>, HostError> {
        let mut found = Vec::new();
        for part in parts {
            let (body, _) = self.naming(part);
            if self.are_alone(part)? {
                found.extend(found_by(self.context, &Value::Object(body))?);
            } else if self.query.level == Level::Study {
                let answer = found_by(self.context, &Value::Object(body))?;
                let is_meant = |id: &str| part.iter().any(|listed| *listed.study.id == *id);
                found.extend(answer.into_iter().filter(|resource| is_one_of(resource, is_meant)));
            } else {
                for body in study_by_study(self.context, self.query, body, part.iter().copied())? {
                    found.extend(found_by(self.context, &body)?);
                }
            }
        }
        Ok(found)
    }

    /// The query for all that is found by the UIDs of some studies; and whether the core pages such a query.
    fn naming(self, studies: &[&Listed]) -> (Map<String, Value>, bool) {
        let mut body = self.body.clone();
        let can_be_paged = name_studies(&mut body, self.query, &uids(studies.iter().copied()));
        unpage(self.context, &mut body);
        (body, can_be_paged)
    }

    /// The same on each page, whatever its limit.
    fn next_size(self, size: usize, found: usize, named: usize) -> usize {
        next_size(size, found, named, if self.query.compares_uids_alone() { NEXT_BY_LETTER } else { NEXT })
    }
}

/// How many are named after a part of this size, when so much was found among so many; `next`: after much.
pub(super) fn next_size(size: usize, found: usize, named: usize, next: usize) -> usize {
    if found * 4 < named { (size * 2).min(MOST) } else { next }
}

/// Studies in parts of this size.
fn in_parts<'s>(mut studies: &'s [&'s Listed], size: usize) -> Vec<&'s [&'s Listed]> {
    let mut parts = Vec::new();
    while !studies.is_empty() {
        let part;
        (part, studies) = studies.split_at(end_of_part(studies, size));
        parts.push(part);
    }
    parts
}

/// Where a part ends: studies with one UID stay together.
fn end_of_part(studies: &[&Listed], size: usize) -> usize {
    let Some(last) = studies.get(size.saturating_sub(1)) else { return studies.len() };
    let more = studies.iter().skip(size).take_while(|listed| listed.study.uid == last.study.uid).count();
    size + more
}
