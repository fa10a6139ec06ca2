//! `longshore plan`: what would be asked of the Engine. Talks to no Engine, and gives the same each time.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::driver::create::{self, Facts};
use crate::driver::{DriverConfig, Host, options};
use crate::replay::mask_secrets;
use crate::runner::{Machine, uuid_of};
use crate::values::{printable, printable_json};

use crate::cli::args::{Args, Plan};
use crate::cli::commands::job_file;
use crate::cli::failure::Failure;
use crate::cli::{context, eprint, print, print_json};

/// Environment variables that we make ourselves and whose names sound like secrets.
const OURS: &[&str] = &["NOMAD_SECRETS_DIR"];

pub(in crate::cli) fn plan(global: &Args, args: &Plan) -> Result<u8, Failure> {
    let file = job_file::read(&args.job.file)?;
    let data = context::data_dir(global)?;
    // Without one yet, the first run makes it; a plan makes nothing.
    let instance = data.known_instance()?.unwrap_or_default();
    let mut host = Host::of_this_machine();
    if let Some(mhz) = args.cpu_total {
        host.total_compute_mhz = Some(mhz);
    }
    let facts = Facts::new(host.clone());
    let machine = Machine::of(host, &instance);
    let mut new_id = |group: &str, index: u32| Ok(uuid_of(&[&file.job.id, group, &index.to_string()]));
    let placement = file.place(&args.job, &machine, &data, &mut new_id)?;
    for notice in file.notices(&placement) {
        eprint(&format!("longshore: {notice}"));
    }
    let config = DriverConfig { instance, ..DriverConfig::default() };
    let mut tasks = Vec::new();
    for alloc in &placement.allocs {
        for task in &alloc.tasks {
            let options = options::decode(&task.config.options).map_err(|problems| {
                Failure::new("options", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            })?;
            let plan = create::build(&task.config, &options, &config, &facts)?;
            let mut body = json!(plan.body);
            if !args.show_secrets {
                mask_secrets(&mut body, OURS);
            }
            tasks.push(json!({
                "alloc": alloc.id,
                "group": alloc.group,
                "task": task.config.name,
                "image": options.image,
                "container": {"name": plan.name, "body": body},
            }));
        }
    }
    match args.json {
        true => print_json(&format!("{:#}\n", Value::Array(tasks)))?,
        false => print(&for_people(&tasks))?,
    }
    Ok(0)
}

fn for_people(tasks: &[Value]) -> String {
    let mut text = String::new();
    for task in tasks {
        let part = |pointer| printable(task.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
        let body = format!("{:#}", task.pointer("/container/body").unwrap_or(&Value::Null));
        let body = printable_json(&body);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "group {}, task {}, allocation {}\ncreate container {}:\n{body}\n",
            part("/group"),
            part("/task"),
            part("/alloc"),
            part("/container/name"),
        );
    }
    text
}
