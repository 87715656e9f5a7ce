//! Of studies and series that may be seen in part only, through links to what is in them: descriptions and searches,
//! from which nothing can be learnt of the rest, neither that it is there nor how much.

use serde_json::{Map, Value, json};

use super::Context;
use super::answers::strip_each;
use super::query::Query;
use super::scope::Scope;
use super::search::{found_by, is_one_of, visible_labels};
use crate::host::HostError;
use crate::pieces::{Pieces, has_pieces};
use crate::resource::{Level, Located, Named};
use crate::route::tags;

/// How a resource may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of it.
    Whole,
    /// What lies in it and may be seen by itself.
    Part,
    /// Not at all.
    None,
}

impl Scope {
    /// What may be seen of studies that may not be seen as a whole.
    pub(super) fn pieces(&self, context: &Context<'_>) -> Pieces {
        let Self::Limited(identities) = self else { return Pieces::default() };
        let linked = identities.iter().map(|identity| identity.holder());
        let linked = linked.filter(|holder| holder.link.is_some_and(has_pieces));
        Pieces::of(&context.gate.resources, linked).that(|piece| !self.allows(&Located::whole(piece.study.clone())))
    }

    /// How everything that a name stands for may be seen.
    pub(super) fn sight(&self, context: &Context<'_>, pieces: &Pieces, named: &Named<'_>) -> Sight {
        let resources = &context.gate.resources;
        match () {
            () if self.allows_named(resources, named) => Sight::Whole,
            () if pieces.lie_in_named(resources, named) => Sight::Part,
            () => Sight::None,
        }
    }
}

/// Takes out of a description of a resource, or of a list of them, what lies beside the pieces. `level` is that of the
/// answer. Whether anything is left.
pub(super) fn keep(context: &Context<'_>, scope: &Scope, pieces: &Pieces, level: Level, answer: &mut Value) -> bool {
    let sight = |id: &str| scope.sight(context, pieces, &Named::Orthanc(level, id.into()));
    match answer {
        Value::Array(list) => {
            list.retain_mut(|element| keep(context, scope, pieces, level, element));
            true
        }
        Value::String(id) => sight(id) != Sight::None,
        Value::Object(description) => match sight(description.get("ID").and_then(Value::as_str).unwrap_or_default()) {
            Sight::Whole => true,
            Sight::Part => {
                keep_part(context, scope, pieces, level, description);
                true
            }
            Sight::None => false,
        },
        _ => false,
    }
}

/// What may be seen of a description of a study or series that may be seen in part.
fn keep_part(
    context: &Context<'_>,
    scope: &Scope,
    pieces: &Pieces,
    level: Level,
    description: &mut Map<String, Value>,
) {
    // What is said of all that lies in it.
    for member in ["LastUpdate", "IsStable", "Status", "ExpectedNumberOfInstances"] {
        description.remove(member);
    }
    for (member, nothing) in [("Metadata", json!({})), ("Attachments", json!([]))] {
        if let Some(attached) = description.get_mut(member) {
            *attached = nothing;
        }
    }
    let (member, below) =
        if level == Level::Study { ("Series", Level::Series) } else { ("Instances", Level::Instance) };
    if let Some(children) = description.get_mut(member) {
        keep(context, scope, pieces, below, children);
    }
}

/// What a search finds in the pieces, all of it.
///
/// Of a resource that may be seen in part nothing is compared but what Orthanc keeps of the resource itself: any other
/// tag it reads from one of the images, or counts.
pub(super) fn find(
    context: &Context<'_>,
    scope: &Scope,
    pieces: &Pieces,
    query: &Query,
) -> Result<Vec<Value>, HostError> {
    let Ok(labels) = visible_labels(context, query, &scope.labels()) else { return Ok(Vec::new()) };
    let mut body = query.with_labels(labels);
    let is_for_more = ["ParentPatient", "MetadataQuery"].iter().any(|member| body.contains_key(*member));
    if query.level == Level::Patient || is_for_more || compares(&body, tags::is_computed) {
        return Ok(Vec::new());
    }
    for member in ["Since", "Limit"] {
        body.remove(member);
    }
    let mut found = Vec::new();
    for (id, study) in pieces.studies() {
        let parent = query.text("ParentStudy")?;
        if !query.may_mean(&study.study.uid) || parent.is_some_and(|parent| *parent != *id) {
            continue;
        }
        let search = Search { context, scope, pieces, study: &study, body: &body };
        found.extend(match query.level {
            Level::Study => search.study(query)?,
            Level::Series => search.series()?,
            Level::Instance => search.instances(query.text("ParentSeries")?)?,
            Level::Patient => Vec::new(),
        });
    }
    strip_each(context, scope, &mut found);
    Ok(found)
}

/// Whether the query says something of a tag for which this holds.
fn compares(body: &Map<String, Value>, is: impl Fn(&str) -> bool) -> bool {
    let compared = body.get("Query").and_then(Value::as_object).into_iter().flatten();
    let mut said = compared.filter(|(_, value)| !matches!(value.as_str(), Some("" | "*")));
    said.any(|(tag, _)| is(tag))
}

/// A search in one study.
struct Search<'a> {
    context: &'a Context<'a>,
    scope: &'a Scope,
    pieces: &'a Pieces,
    study: &'a Located,
    body: &'a Map<String, Value>,
}

impl Search<'_> {
    fn study(&self, query: &Query) -> Result<Vec<Value>, HostError> {
        let is_above = self.body.contains_key("ParentStudy") || self.body.contains_key("ParentSeries");
        if is_above || compares(self.body, |tag| !tags::is_of_study(tag)) {
            return Ok(Vec::new());
        }
        let mut body = self.only(tags::is_of_study);
        body.remove("OrderBy");
        if let Some(Value::Object(said)) = body.get_mut("Query") {
            if let Some(tag) = &query.uid_tag {
                said.remove(tag);
            }
            said.insert(tags::STUDY_UID.to_owned(), json!(*self.study.study.uid));
        }
        let mut found = found_by(self.context, &Value::Object(body))?;
        found.retain(|study| is_one_of(study, |id| *id == *self.study.study.id));
        self.finish(Level::Study, &mut found, |_study| self.count_study())?;
        Ok(found)
    }

    fn series(&self) -> Result<Vec<Value>, HostError> {
        if self.body.contains_key("ParentSeries") {
            return Ok(Vec::new());
        }
        let all = self.pieces.series_of(&self.study.study.id);
        let (whole, part): (Vec<_>, Vec<_>) = all.into_values().partition(|series| self.scope.allows(series));
        let is_of = |list: &[Located], id: &str| {
            list.iter().any(|located| located.series.as_ref().is_some_and(|series| *series.id == *id))
        };
        let mut found = Vec::new();
        if !whole.is_empty() {
            let mut body = self.wanting(|tag| !tags::is_computed(tag) || tags::is_count_of_series(tag));
            body.insert("ParentStudy".to_owned(), json!(*self.study.study.id));
            let answer = found_by(self.context, &Value::Object(body))?;
            found.extend(answer.into_iter().filter(|series| is_one_of(series, |id| is_of(&whole, id))));
        }
        let is_of_series = |tag: &str| tags::is_of_study(tag) || tags::is_of_series(tag);
        if !part.is_empty() && !compares(self.body, |tag| !is_of_series(tag)) {
            let mut body = self.only(is_of_series);
            body.remove("OrderBy");
            body.insert("ParentStudy".to_owned(), json!(*self.study.study.id));
            let mut answer = found_by(self.context, &Value::Object(body))?;
            answer.retain(|series| is_one_of(series, |id| is_of(&part, id)));
            self.finish(Level::Series, &mut answer, |series| Ok(self.count_series(series)))?;
            found.extend(answer);
        }
        Ok(found)
    }

    fn instances(&self, parent: Option<&str>) -> Result<Vec<Value>, HostError> {
        let mut found = Vec::new();
        for (id, series) in self.pieces.series_of(&self.study.study.id) {
            if parent.is_some_and(|parent| *parent != *id) {
                continue;
            }
            let mut body = self.wanting(|tag| !tags::is_computed(tag));
            body.remove("ParentStudy");
            body.insert("ParentSeries".to_owned(), json!(*id));
            let answer = found_by(self.context, &Value::Object(body))?;
            let is_whole = self.scope.allows(&series);
            let is_own = |instance: &str| self.pieces.instances_of(&id).any(|own| **own == *instance);
            found.extend(answer.into_iter().filter(|instance| is_whole || is_one_of(instance, is_own)));
        }
        Ok(found)
    }

    /// The query with only those of the wanted tags for which this holds.
    fn wanting(&self, is: impl Fn(&str) -> bool) -> Map<String, Value> {
        let mut body = self.body.clone();
        if let Some(Value::Array(wanted)) = body.get_mut("RequestedTags") {
            wanted.retain(|tag| tag.as_str().is_some_and(&is));
        }
        body
    }

    /// The query with only those of all its tags for which this holds.
    fn only(&self, is: impl Fn(&str) -> bool) -> Map<String, Value> {
        let mut body = self.wanting(&is);
        if let Some(Value::Object(said)) = body.get_mut("Query") {
            said.retain(|tag, _| is(tag));
        }
        body
    }

    /// Takes out what may not be seen, and puts in what was wanted of it: counted among what may be seen.
    fn finish(
        &self,
        level: Level,
        found: &mut [Value],
        count: impl Fn(&str) -> Result<Vec<(&'static str, String)>, HostError>,
    ) -> Result<(), HostError> {
        let wanted = self.body.get("RequestedTags").and_then(Value::as_array);
        for resource in found {
            keep(self.context, self.scope, self.pieces, level, resource);
            let Value::Object(description) = resource else { continue };
            let Some(wanted) = wanted else { continue };
            let id = description.get("ID").and_then(Value::as_str).unwrap_or_default().to_owned();
            let counted = count(&id)?;
            let shown = description.entry("RequestedTags").or_insert_with(|| json!({}));
            let Value::Object(shown) = shown else { return Err(HostError::PLUGIN) };
            let is_wanted =
                |name: &str| wanted.iter().filter_map(Value::as_str).any(|tag| tags::computed(tag) == Some(name));
            for (name, value) in counted.into_iter().filter(|(name, _)| is_wanted(name)) {
                let (member, value) = self.written(name, &value);
                shown.insert(member, value);
            }
        }
        Ok(())
    }

    /// A tag as the query wants tags to be written.
    fn written(&self, name: &str, value: &str) -> (String, Value) {
        let is_set = |member: &str| self.body.get(member) == Some(&Value::Bool(true));
        let number = tags::number_of_computed(name);
        match (is_set("Short"), is_set("Full")) {
            (true, _) => (number, json!(value)),
            (_, true) => (number, json!({"Name": name, "Type": "String", "Value": value})),
            _ => (name.to_owned(), json!(value)),
        }
    }

    fn count_study(&self) -> Result<Vec<(&'static str, String)>, HostError> {
        let (mut modalities, mut instances) = (std::collections::BTreeSet::new(), 0);
        let all = self.pieces.series_of(&self.study.study.id);
        for (id, series) in &all {
            let description = self.context.host.get(&format!("/series/{id}"))?;
            let description: Value = crate::host::read_answer(&description)?;
            let modality = description.get("MainDicomTags").and_then(|tags| tags.get("Modality"));
            modalities.extend(modality.and_then(Value::as_str).map(str::to_owned));
            let inside = description.get("Instances").and_then(Value::as_array).map_or(0, Vec::len);
            instances += if self.scope.allows(series) { inside } else { self.pieces.instances_of(id).count() };
        }
        Ok(vec![
            (tags::MODALITIES_IN_STUDY, modalities.into_iter().collect::<Vec<_>>().join("\\")),
            (tags::SERIES_IN_STUDY, all.len().to_string()),
            (tags::INSTANCES_IN_STUDY, instances.to_string()),
        ])
    }

    fn count_series(&self, series: &str) -> Vec<(&'static str, String)> {
        vec![(tags::INSTANCES_IN_SERIES, self.pieces.instances_of(series).count().to_string())]
    }
}
