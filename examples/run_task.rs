//! Runs one task and follows it: `cargo run --example run_task -- IMAGE COMMAND [ARG…]`. What an embedding program copies first.

use std::error::Error;
use std::io::{stderr, stdout};
use std::process::ExitCode;

use longshore::driver::{Driver, DriverConfig, NomadResources, Resources, TaskConfig};
use longshore::engine::Engine;
use longshore::logs::WriteSink;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(image), Some(command)) = (arguments.next(), arguments.next()) else {
        return Err("usage: run_task IMAGE COMMAND [ARG…]".into());
    };
    let task = TaskConfig {
        // Unique among this driver's tasks. A name of its own makes the container's, too.
        id: format!("example-{}", std::process::id()).into(),
        name: "example".into(),
        options: serde_json::json!({"image": image, "command": command, "args": arguments.collect::<Vec<_>>()}),
        resources: Some(Resources {
            nomad: NomadResources { cpu_shares: 100, memory_mb: 64, ..NomadResources::default() },
            ..Resources::default()
        }),
        ..TaskConfig::default()
    };

    let driver =
        Driver::new(Engine::from_env()?, DriverConfig { instance: "example".into(), ..DriverConfig::default() });
    let events = driver.task_events();
    let sinks: Vec<Box<dyn longshore::logs::Sink>> = vec![Box::new(WriteSink::new(stdout(), stderr()))];
    let (handle, _) = driver.start_task_with(task, sinks)?;

    // Blocks until the task has ended, however long its Engine may be away meanwhile.
    let exit = driver.wait_task(&handle.config.id)?.recv()?;
    // Waits until its output is here, too, and removes its container.
    driver.destroy_task(&handle.config.id, false)?;
    for event in events.try_iter() {
        eprintln!("{}", event.message);
    }
    Ok(ExitCode::from(u8::try_from(exit.exit_code).unwrap_or(1)))
}
