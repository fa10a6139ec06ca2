//! The first example of the README, as a program: a task from start to end.

use longshore::driver::{Driver, DriverConfig, NomadResources, Resources, TaskConfig};
use longshore::{engine::Engine, logs::WriteSink};

// Line by line as it stands there.
#[rustfmt::skip]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let driver = Driver::new(Engine::from_env()?, DriverConfig::default());
    let task = TaskConfig {
        id: "hello".into(),
        name: "hello".into(),
        options: serde_json::json!({"image": "busybox:1", "command": "echo", "args": ["hello"]}),
        resources: Some(Resources { nomad: NomadResources { memory_mb: 64, ..Default::default() }, ..Default::default() }),
        ..Default::default()
    };
    let (handle, _) = driver.start_task_with(task, vec![Box::new(WriteSink::new(std::io::stdout(), std::io::stderr()))])?;
    let exit = driver.wait_task(&handle.config.id)?.recv()?;
    driver.destroy_task(&handle.config.id, false)?;
    println!("exit code {}", exit.exit_code);
    Ok(())
}
