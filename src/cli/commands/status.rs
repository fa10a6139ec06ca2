//! `longshore status`: all that is known of one task.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::driver::ResourceUsage;
use crate::runner::{TaskView, View, last_events, rfc3339};
use crate::values::{printable, size};

use crate::cli::args::{Args, Status};
use crate::cli::commands::ps::{exit, since_when, state};
use crate::cli::failure::Failure;
use crate::cli::output::table::age;
use crate::cli::output::told;
use crate::cli::session::Known;
use crate::cli::{print, print_json};

/// How many of its last events are shown.
const EVENTS: usize = 10;
/// A sample takes the Engine about a second; a busy one longer.
const SAMPLE: Duration = Duration::from_secs(5);

pub(in crate::cli) fn status(global: &Args, args: &Status) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let found = known.find(&args.task)?;
    let reached = known.reach(global)?;
    let view = reached.view(&known, &found)?;
    // Without it the rest is worth showing; it may end while it is asked.
    let usage = match view.state {
        View::Running => reached
            .attach(&known, &found)
            .ok()
            .and_then(|_| reached.driver.task_stats(&found.task.config.id, Duration::ZERO).ok())
            .and_then(|samples| samples.recv_timeout(SAMPLE).ok()),
        _ => None,
    };
    let events = last_events(&known.data.alloc(&view.alloc_id), &view.task_name, EVENTS);
    match args.json {
        true => print_json(&format!("{:#}\n", as_json(&view, usage.as_ref(), &events)))?,
        false => print(&for_people(&view, usage.as_ref(), &events, SystemTime::now()))?,
    }
    Ok(0)
}

fn as_json(view: &TaskView, usage: Option<&ResourceUsage>, events: &[Value]) -> Value {
    // Text and numbers only: there is nothing in it that JSON could not say.
    let mut status = serde_json::to_value(view).unwrap_or_default();
    status["resource_usage"] = json!(usage);
    status["events"] = events.into();
    status
}

fn for_people(view: &TaskView, usage: Option<&ResourceUsage>, events: &[Value], now: SystemTime) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{what:10}  {}", printable(value));
    };
    line("task", &format!("{}/{}", view.alloc_id, view.task_name));
    line("job", &format!("{}, group {}[{}]", view.job_id, view.task_group_name, view.alloc_index));
    let since = match view.state {
        View::Running | View::Paused => view.started_at.as_deref(),
        _ => view.completed_at.as_deref(),
    };
    let ago = since.and_then(|since| Some(format!(" since {since} ({})", age(since_when(since, now)?))));
    line("state", &format!("{}{}", state(view), ago.unwrap_or_default()));
    if let Some(health) = &view.health {
        line("health", health);
    }
    if let Some(result) = &view.exit_result {
        let why = result.err.as_ref().map(|why| format!(": {why}"));
        line("exit", &format!("{}{}", exit(result), why.unwrap_or_default()));
    }
    if view.restarts > 0 {
        line("restarts", &view.restarts.to_string());
    }
    if let Some(at) = &view.restart_at {
        line("restart at", at);
    }
    line("image", format!("{} {}", view.image, view.image_id.as_deref().unwrap_or_default()).trim_end());
    line(
        "container",
        format!("{} {}", view.container_name, view.container_id.as_deref().unwrap_or_default()).trim_end(),
    );
    if let Some(network) = &view.network_override {
        line("network", &network.ip);
    }
    if !view.ports.is_empty() {
        line("ports", &view.ports.join(", "));
    }
    line("engine", &view.endpoint);
    match (view.owned, view.owner_pid, view.state) {
        (true, Some(pid), _) => line("owner", &format!("process {pid}")),
        (true, None, _) => line("owner", "a process"),
        (false, _, View::Ended) => {}
        (false, ..) => line("owner", &format!("nobody; `longshore recover {}` takes it up", view.alloc_id)),
    }
    if let Some(usage) = usage {
        line("uses", &used(usage));
    }
    for (number, event) in events.iter().enumerate() {
        let what = if number == 0 { "events" } else { "" };
        line(what, &format!("{}  {}", event["time"].as_str().unwrap_or_default(), told::words(event)));
    }
    text
}

fn used(usage: &ResourceUsage) -> String {
    let memory = &usage.memory_stats;
    format!(
        "CPU {:.1} %, memory {} of {}, {} processes, at {}",
        usage.cpu_stats.percent,
        size::binary(memory.usage),
        size::binary(memory.limit),
        usage.pids,
        rfc3339(SystemTime::UNIX_EPOCH + Duration::from_nanos(usage.timestamp.unsigned_abs())),
    )
}
