//! Searches among many allowed studies, some of them at a time: the core compares each answer with each UID that a query
//! names, so that one query for all would take time with the square of their number.
//!
//! Knows nothing of how the allowed studies are found.

use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::query::Query;
use super::super::scope::Scope;
use super::{
    Allowed, LabelSet, allowed_studies, carriers, found_by, is_one_of, name_studies, page, paged, study_by_study, uids,
    unpage,
};
use crate::host::HostError;
use crate::resource::{Level, Listed};

/// How many studies are named at first, for an answer that is short.
pub(super) const FIRST: usize = 100;

/// How many are named then, as long as much is found: each query costs something by itself, the more there is to search.
const NEXT: usize = 250;

/// How many are named at most, when little is found.
const MOST: usize = 6_400;

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
    pub(super) fn find(self, context: &Context<'_>, scope: &Scope, query: &Query) -> Result<Vec<Value>, HostError> {
        let found = match among(context, query, &self.body, &self.allowed, self.kept_for.as_ref())? {
            Ok(found) => found,
            Err(Outdated) => {
                let (allowed, _) = allowed_studies(context, scope, query, true)?;
                among(context, query, &self.body, &allowed, None)?.map_err(|Outdated| HostError::PLUGIN)?
            }
        };
        paged(context, scope, query, found)
    }
}

fn among(
    context: &Context<'_>,
    query: &Query,
    body: &Map<String, Value>,
    allowed: &Allowed,
    kept_for: Option<&LabelSet>,
) -> Result<Result<Vec<Value>, Outdated>, HostError> {
    let mut studies: Vec<&Listed> = allowed.values().collect();
    studies.sort_by(|a, b| (&a.study.uid, &a.study.id).cmp(&(&b.study.uid, &b.study.id)));
    let (wanted, _) = page(query)?;
    let (mut found, mut rest, mut size) = (Vec::new(), studies.as_slice(), FIRST);
    while !rest.is_empty() && found.len() < wanted {
        let part;
        (part, rest) = rest.split_at(end_of_part(rest, size));
        let list = uids(part.iter().copied());
        // As for one query: whether nobody else's study carries one of the UIDs.
        let is_alone = match kept_for {
            Some(own) if carriers(context, &list, Some(own))? > 0 => return Ok(Err(Outdated)),
            Some(_) => true,
            None => carriers(context, &list, None)? == part.len(),
        };
        let before = found.len();
        let mut body = body.clone();
        let can_be_paged = name_studies(&mut body, query, &list);
        unpage(context, &mut body);
        if is_alone {
            // A server that answers less than is asked for would not say that there is more.
            if can_be_paged && wanted < usize::MAX && context.gate.resources.finds_all() {
                body.insert("Limit".to_owned(), json!(wanted - before));
            }
            found.extend(found_by(context, &Value::Object(body))?);
        } else if query.level == Level::Study {
            let answer = found_by(context, &Value::Object(body))?;
            let is_meant = |id: &str| part.iter().any(|listed| *listed.study.id == *id);
            found.extend(answer.into_iter().filter(|resource| is_one_of(resource, is_meant)));
        } else {
            for body in study_by_study(context, query, body, part.iter().copied())? {
                found.extend(found_by(context, &body)?);
            }
        }
        size = next_size(size, found.len() - before, part.len());
    }
    Ok(Ok(found))
}

/// How many are named after a part of this size, when so much was found among so many.
pub(super) fn next_size(size: usize, found: usize, named: usize) -> usize {
    if found * 4 < named { (size * 2).min(MOST) } else { NEXT }
}

/// Where a part ends: studies with one UID stay together.
fn end_of_part(studies: &[&Listed], size: usize) -> usize {
    let Some(last) = studies.get(size.saturating_sub(1)) else { return studies.len() };
    let more = studies.iter().skip(size).take_while(|listed| listed.study.uid == last.study.uid).count();
    size + more
}
