//! Labels (driver-spec 4.12): the task's own, and over them those by which a driver knows its containers.

use std::collections::BTreeMap;

use crate::driver::{DriverConfig, TaskConfig, TaskOptions};

/// The label that says whose container it is: [`DriverConfig::instance`].
pub const INSTANCE_LABEL: &str = "longshore.instance";
/// The label that says which task it is: the task's id.
pub const TASK_ID_LABEL: &str = "longshore.task_id";
/// The label that says to Nomad which allocation it is.
const NOMAD_ALLOC_ID: &str = "com.hashicorp.nomad.alloc_id";

/// All labels. Ours win: a task must not take away what it is found by.
pub(super) fn labels(task: &TaskConfig, options: &TaskOptions, config: &DriverConfig) -> BTreeMap<String, String> {
    let mut labels = options.labels.clone();
    labels.insert(INSTANCE_LABEL.into(), config.instance.clone());
    labels.insert(TASK_ID_LABEL.into(), task.id.as_str().into());
    if config.nomad_labels {
        labels.insert(NOMAD_ALLOC_ID.into(), task.alloc_id.clone());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_win() {
        let task = TaskConfig { id: "a/t/1".into(), alloc_id: "a".into(), ..TaskConfig::default() };
        let ours = [("longshore.instance", "x"), ("longshore.task_id", "a/t/1")];
        for (name, user, nomad_labels, more) in [
            ("none", vec![], false, vec![]),
            ("user's", vec![("dotted.key", "v")], false, vec![("dotted.key", "v")]),
            ("forged", vec![("longshore.instance", "y"), ("longshore.task_id", "y")], false, vec![]),
            ("nomad", vec![], true, vec![("com.hashicorp.nomad.alloc_id", "a")]),
            (
                "nomad forged",
                vec![("com.hashicorp.nomad.alloc_id", "b")],
                true,
                vec![("com.hashicorp.nomad.alloc_id", "a")],
            ),
        ] {
            let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            let options = TaskOptions { labels: map(&user), ..TaskOptions::default() };
            let config = DriverConfig { instance: "x".into(), nomad_labels, ..DriverConfig::default() };
            let mut want: BTreeMap<_, _> = map(&ours);
            want.extend(map(&more));
            assert_eq!(labels(&task, &options, &config), want, "{name}");
        }
    }
}
