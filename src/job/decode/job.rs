//! The job itself.

use std::collections::BTreeSet;

use super::super::model::{Job, JobType};
use super::super::names::JOB;
use super::super::problem::{nearest, shown};
use super::super::tree::{Body, Key, Value};
use super::Reading;

impl Reading {
    pub(super) fn job(&mut self, label: &Key, body: &Body, at: usize) -> Job {
        let found = self.walk(&JOB, body);
        let mut job = Job {
            id: label.text.clone(),
            name: String::new(),
            kind: JobType::default(),
            namespace: "default".into(),
            region: "global".into(),
            datacenters: vec!["*".into()],
            meta: Default::default(),
            groups: vec![],
            notices: vec![],
        };
        let mut id_at = label.at;
        // The type first, wherever it stands: groups have their defaults by it.
        for part in &found {
            let Some(value) = part.attribute() else { continue };
            match part.name {
                "type" => job.kind = self.kind(value).unwrap_or_default(),
                "id" => {
                    job.id = self.text(part.name, value).unwrap_or_default();
                    id_at = value.at;
                }
                "name" => job.name = self.text(part.name, value).unwrap_or_default(),
                "namespace" => self.unless_empty(part.name, value, &mut job.namespace),
                "region" => self.unless_empty(part.name, value, &mut job.region),
                "datacenters" => {
                    let named = self.take(part.name, value.texts()).filter(|list| !list.is_empty());
                    job.datacenters = named.unwrap_or(job.datacenters);
                }
                _ => {}
            }
        }
        self.job_id(&job.id, id_at);
        if job.name.is_empty() {
            job.name.clone_from(&job.id);
        }
        let mut names = BTreeSet::new();
        for part in &found {
            match (part.name, part.labelled()) {
                ("meta", _) => self.text_map(part, &mut job.meta),
                ("group", Some((label, body))) => {
                    self.unique("group", label, &mut names);
                    job.groups.push(self.group(label, body, part.at, job.kind));
                }
                ("task", Some((label, body))) => {
                    self.unique("group", label, &mut names);
                    job.groups.push(self.lone_task(label, body, part.at, job.kind));
                }
                _ => {}
            }
        }
        if !body.entries.iter().any(|entry| matches!(entry.key.as_str(), "group" | "task")) {
            self.fault(at, "the job has no `group`, so there is nothing to run");
        }
        job
    }

    fn kind(&mut self, value: &Value) -> Option<JobType> {
        let text = self.text("type", value)?;
        let names = JobType::NAMES;
        let kind = names.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind);
        // The API's empty text is no type.
        if kind.is_none() && !text.is_empty() {
            let near = nearest(&text, names.map(|(name, _)| name));
            let hint = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
            let message = format!("no job type is called {}{hint}: service, batch, system or sysbatch", shown(&text));
            self.fault(value.at, message);
        }
        kind
    }

    fn unless_empty(&mut self, name: &str, value: &Value, into: &mut String) {
        if let Some(text) = self.text(name, value).filter(|text| !text.is_empty()) {
            *into = text;
        }
    }

    fn job_id(&mut self, id: &str, at: usize) {
        if id.is_empty() {
            self.fault(at, "a `job` needs a name that is not empty");
        } else if id.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.fault(at, format!("the job's name {} has a blank in it", shown(id)));
        }
    }

    /// A name that must be there, and only once among its like.
    pub(super) fn unique(&mut self, what: &str, label: &Key, names: &mut BTreeSet<String>) {
        if label.text.trim().is_empty() {
            self.fault(label.at, format!("a `{what}` needs a name that is not empty"));
        } else if label.text.contains(char::is_control) {
            self.fault(label.at, format!("the name {} has a control character in it", shown(&label.text)));
        } else if !names.insert(label.text.clone()) {
            self.fault(label.at, format!("a second {what} of the name {}", shown(&label.text)));
        }
    }
}
