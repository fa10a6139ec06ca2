//! A start that fails says one clear thing and leaves nothing behind, and harms nobody else's container.

use longshore::driver::{Error, TaskConfig};
use longshore::engine::types::ContainerCreate;
use longshore::engine::{RemoveQuery, StartQuery};
use serde_json::json;

use super::bench::{Bench, PATIENCE};
use crate::support::{IMAGE, eventually};

/// Starts a task that cannot be started, and looks for what is left of it.
#[track_caller]
pub(crate) fn fails(bench: &Bench, task: TaskConfig) -> Error {
    let id = task.id.clone();
    let error = bench.driver.start_task(task).expect_err("it must fail");
    assert_eq!(bench.containers(), Vec::<String>::new(), "after: {error}");
    assert!(matches!(bench.driver.wait_task(&id), Err(Error::TaskNotFound { .. })));
    error
}

pub(crate) fn a_command_that_is_not_there(bench: &Bench) {
    let error = fails(bench, bench.with(json!({"image": IMAGE, "command": "/no/such"})));
    assert!(matches!(error, Error::Start { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("/no/such"), "{cause}");
}

pub(crate) fn an_image_that_is_not_there(bench: &Bench) {
    // Nobody listens at this port: no registry is asked.
    let error = fails(bench, bench.with(json!({"image": "127.0.0.1:1/nosuch:1"})));
    assert!(matches!(error, Error::Pull { .. }) && error.is_recoverable(), "{error:?}");
    assert_eq!(error.to_string(), "cannot pull the image 127.0.0.1:1/nosuch:1");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("refused"), "{cause}");
}

pub(crate) fn a_create_that_the_engine_refuses(bench: &Bench) {
    let error = fails(bench, bench.with(json!({"image": IMAGE, "network_mode": "no-such-network-at-all"})));
    // Docker says it at the start, podman at the create.
    assert!(matches!(error, Error::Create { .. } | Error::Start { .. }), "{error:?}");
}

pub(crate) fn options_that_are_not_built_are_all_named(bench: &Bench) {
    let options = json!({"image": IMAGE, "volumes": ["/:/host"], "privileged": true, "nosuch": 1});
    let error = fails(bench, bench.with(options)).to_string();
    assert!(["volumes", "privileged", "nosuch"].iter().all(|name| error.contains(name)), "{error}");
}

pub(crate) fn a_name_that_a_stranger_has(bench: &Bench) {
    let mut task = bench.task("true");
    task.alloc_id = bench.alloc_id();
    let name = format!("{}-{}", task.name, task.alloc_id);
    let mut body = ContainerCreate::default();
    body.config.image = IMAGE.into();
    body.config.cmd = vec!["sleep".into(), "1000".into()];
    body.host_config.network_mode = "none".into();
    let stranger = bench.engine.container_create(Some(name.as_str()), &body).unwrap().id;
    bench.engine.container_start(&stranger, &StartQuery::default()).unwrap();

    let error = fails(bench, task);
    let after = bench.engine.container_inspect(&stranger, &Default::default()).unwrap();
    bench.engine.container_remove(&stranger, &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
    assert!(matches!(error, Error::NameTaken { .. }) && !error.is_recoverable(), "{error:?}");
    assert!(error.to_string().contains(&name) && error.to_string().contains(&stranger[..12]), "{error}");
    assert!(after.state.running && after.name.ends_with(&name), "the stranger is unharmed");
}

pub(crate) fn our_own_dead_container_is_replaced_and_a_running_one_adopted(bench: &Bench) {
    let mut task = bench.task("sleep 0.3; echo fresh; sleep 1000");
    task.alloc_id = bench.alloc_id();
    let name = format!("{}-{}", task.name, task.alloc_id);
    let mut body = ContainerCreate::default();
    body.config.image = IMAGE.into();
    body.config.labels = [
        ("longshore.instance".to_string(), bench.instance.clone()),
        ("longshore.task_id".to_string(), task.id.to_string()),
    ]
    .into();
    let dead = bench.engine.container_create(Some(name.as_str()), &body).unwrap().id;
    let (_, output) = bench.start(task.clone());
    let container = bench.driver.inspect_task(&task.id).unwrap().driver_attributes["container_id"].clone();
    assert_ne!(container, dead);
    // Its wait and its follow are under way by then.
    eventually(PATIENCE, "it is the fresh one", || output.out().contains("fresh"));
    assert!(matches!(bench.driver.start_task(task.clone()), Err(Error::AlreadyStarted { .. })));

    // A driver that knows nothing of it, as after a crash.
    let config = longshore::driver::DriverConfig { instance: bench.instance.clone(), ..Default::default() };
    let other = longshore::driver::Driver::new(bench.engine.clone(), config);
    let (adopted, _) = other.start_task(task.clone()).unwrap();
    assert_eq!(adopted.container_id, container);
    other.shutdown();
    bench.driver.destroy_task(&task.id, true).unwrap();
}
