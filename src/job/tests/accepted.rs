//! What has no meaning on one machine: taken without a word, or with one notice.

use super::*;

#[test]
fn accepted_without_a_word() {
    // Nothing in them is checked: what would be refused elsewhere stands in each.
    let block = |name: &str| format!("{name} {{\nno_such_thing = var.x\n}}");
    for name in ["affinity", "spread", "update", "migrate", "reschedule", "ui"] {
        assert_eq!(read(&in_job(&block(name))).notices, [], "{name} in a job");
    }
    for line in [
        "priority = 50",
        "all_at_once = true",
        "node_pool = \"x\"",
        "datacenters = [\"a\"]",
        "namespace = \"n\"",
        "region = \"r\"",
    ] {
        assert_eq!(read(&in_job(line)).notices, [], "{line} in a job");
    }
    for name in ["affinity", "spread", "update", "migrate", "reschedule", "disconnect", "ephemeral_disk", "scaling"] {
        assert_eq!(read(&in_group(&block(name))).notices, [], "{name} in a group");
    }
    for name in ["affinity", "scaling \"cpu\"", "schedule", "action \"x\"", "dispatch_payload"] {
        assert_eq!(read(&in_task(&block(name))).notices, [], "{name} in a task");
    }
    for inner in ["disk = 100", "iops = 10", "numa {\naffinity = \"require\"\n}", "cores = 0"] {
        assert_eq!(read(&in_task(&format!("resources {{\n{inner}\n}}"))).notices, [], "{inner} in resources");
    }
    assert_eq!(read(&in_task("shutdown_delay = \"0s\"\nleader = true\nkind = \"x\"")).notices, []);
}

#[test]
fn accepted_with_a_notice() {
    let block = |name: &str| format!("{name} {{\nno_such_thing = var.x\n}}");
    for (text, name) in [
        (in_job(&block("constraint")), "constraint"),
        (in_job(&block("multiregion")), "multiregion"),
        (in_job(&block("vault")), "vault"),
        (in_job(&block("consul")), "consul"),
        (in_job(&block("periodic")), "periodic"),
        (in_group(&block("constraint")), "constraint"),
        (in_group(&block("service")), "service"),
        (in_group(&block("consul")), "consul"),
        (in_group(&block("vault")), "vault"),
        (in_task(&block("constraint")), "constraint"),
        (in_task(&block("service")), "service"),
        (in_task(&block("vault")), "vault"),
        (in_task(&block("consul")), "consul"),
        (in_task(&block("identity")), "identity"),
        (in_task(&block("secret \"x\"")), "secret"),
        (in_task(&block("csi_plugin")), "csi_plugin"),
    ] {
        let notices = read(&text).notices;
        assert_eq!(notices.len(), 1, "{name}");
        assert!(notices[0].message.starts_with(&format!("`{name}` ")), "{}", notices[0]);
        let at = text.find(&format!("{name} ")).expect("it is there");
        assert_eq!(notices[0].line, text[..at].matches('\n').count() + 1, "{name}");
    }
    let text = in_group("service {\ncheck {\n}\ncheck {\n}\nconnect {\n}\n}\nconstraint {\n}\nconstraint {\n}");
    let notices = lines(&read(&text).notices);
    assert_eq!(
        notices,
        "f:3:1: `service` needs a Nomad cluster and has no effect here\n\
         f:4:1: `check` needs a Nomad cluster and has no effect here (2 places)\n\
         f:8:1: `connect` needs a Nomad cluster and has no effect here\n\
         f:11:1: `constraint` is not checked against this machine yet (2 places)"
    );
    let notices = lines(&read(&in_task("kill_timeout = 5")).notices);
    assert_eq!(notices, "f:5:16: `kill_timeout` is 5ns: a number without a unit is in nanoseconds");
}

#[test]
fn tasks_of_other_drivers() {
    let other = "task \"o\" {\ndriver = \"raw_exec\"\ntemplate {\n}\nconfig {\ncommand = file(\"x\")\n}\n}";
    let job = read(&in_group(other));
    let drivers: Vec<&str> = job.groups[0].tasks.iter().map(|t| t.driver.as_str()).collect();
    assert_eq!(drivers, ["raw_exec", "docker"]);
    // What the other task needs is forgiven, what is misspelt is not; the docker task beside it needs what it needs.
    let text = in_group(&other.replace("template", "tempalte"));
    assert_eq!(lines(&refused(&text)), "f:5:1: unknown name `tempalte` in `task`; did you mean `template`?");
    assert_eq!(
        lines(&refused(&in_group(&format!("network {{\n}}\n{other}")))),
        "f:3:1: `network` is not supported yet"
    );
    let alone = format!("job \"j\" {{\ngroup \"g\" {{\nnetwork {{\n}}\n{other}\n}}\n}}\n");
    assert_eq!(read(&alone).groups[0].tasks[0].driver, "raw_exec");
}
