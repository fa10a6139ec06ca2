//! `longshore ps`: the tasks of this data directory, from what is saved and the Engine's word. Where the Engine does not
//! answer, what is saved is shown all the same, and the exit code says that this is not all.

use std::time::{Duration, SystemTime};

use crate::driver::ExitResult;
use crate::runner::{FAILED, Found, Seen, TaskView, View, look_at, short};
use crate::values::rfc3339;

use crate::cli::args::{Args, Ps};
use crate::cli::failure::Failure;
use crate::cli::output::table::{age, or_dash, table};
use crate::cli::session::{Known, Reached};
use crate::cli::{print, print_json, report};

const HEADINGS: [&str; 9] = ["ALLOC", "TASK", "IMAGE", "STATE", "HEALTH", "EXIT", "PORTS", "AGE", "OWNER"];

pub(in crate::cli) fn ps(global: &Args, args: &Ps) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let tasks: Vec<_> = known.tasks(args.all).collect();
    let mut code = if known.incomplete { FAILED } else { 0 };
    let mut reached = None;
    // Nothing need be asked of an Engine on which there is nothing of these.
    if tasks.iter().any(|found| !found.task.is_cleared_away()) {
        match known.reach(global) {
            Ok(engine) => reached = Some(engine),
            Err(failure) => code = report(&failure, args.json),
        }
    }
    let mut views = Vec::new();
    for found in &tasks {
        let seen = match look(&known, reached.as_ref(), found) {
            Ok(seen) => seen,
            Err(failure) => {
                code = report(&failure, args.json);
                // The others would have to wait for the same.
                reached = None;
                Seen::Unknown
            }
        };
        // Its time is over, and it has not come: the next command that looks after it drops it.
        let may_have_come = found.task.may_be_left() && found.task.container_may_come_until.is_some();
        if may_have_come && !args.all && matches!(seen, Seen::Nothing) && !found.task.may_come(SystemTime::now()) {
            continue;
        }
        views.push(TaskView::new(found, &seen, known.owner(found)));
    }
    match args.json {
        true => print_json(&format!("{}\n", serde_json::to_string_pretty(&views).unwrap_or_default()))?,
        false => print(&table(&HEADINGS, &views.iter().map(|view| row(view, SystemTime::now())).collect::<Vec<_>>()))?,
    }
    Ok(code)
}

fn look(known: &Known, reached: Option<&Reached>, found: &Found<'_>) -> Result<Seen, Failure> {
    let Some(reached) = reached else {
        return Ok(if found.task.is_cleared_away() { Seen::Nothing } else { Seen::Unknown });
    };
    Ok(look_at(&reached.site(known), found)?)
}

fn row(view: &TaskView, now: SystemTime) -> Vec<String> {
    vec![
        short(&view.alloc_id).to_owned(),
        view.task_name.clone(),
        view.image.clone(),
        state(view).to_owned(),
        or_dash(view.health.clone()),
        or_dash(view.exit_result.as_ref().map(exit)),
        or_dash(Some(view.ports.join(", "))),
        or_dash(view.started_at.as_deref().and_then(|since| since_when(since, now)).map(age)),
        owner(view),
    ]
}

/// A state in one word.
pub(in crate::cli) fn state(view: &TaskView) -> &'static str {
    match view.state {
        View::Pending => "pending",
        View::Running => "running",
        View::Paused => "paused",
        View::Restarting => "restarting",
        View::Exited => "exited",
        View::Ended => "ended",
        View::Left => "left",
        View::MayCome => "may come",
        View::Gone => "gone",
        View::Elsewhere => "elsewhere",
        _ => "unknown",
    }
}

/// How a task ended, as short as can be.
pub(in crate::cli) fn exit(result: &ExitResult) -> String {
    match result.oom_killed {
        true => format!("{} (oom)", result.exit_code),
        false => result.exit_code.to_string(),
    }
}

/// Who looks after a task. An ended one needs nobody.
fn owner(view: &TaskView) -> String {
    match (view.owned, view.owner_pid) {
        (true, Some(pid)) => pid.to_string(),
        (true, None) => "yes".into(),
        (false, _) if view.state == View::Ended => "-".into(),
        (false, _) => "nobody".into(),
    }
}

/// How long ago a moment was. The Engine's clock may be ahead of ours.
pub(in crate::cli) fn since_when(since: &str, now: SystemTime) -> Option<Duration> {
    let nanos = u64::try_from(rfc3339::parse(since)?).ok()?;
    Some(now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_by_the_engines_stamps() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        for (stamp, want) in [
            ("1970-01-01T00:00:40Z", Some(60)),
            ("1970-01-01T00:03:00Z", Some(0)),
            ("never", None),
            ("0001-01-01T00:00:00Z", None),
        ] {
            assert_eq!(since_when(stamp, now).map(|age| age.as_secs()), want, "{stamp}");
        }
    }
}
