//! `longshore ping`: what the Engine is, and how quickly it answers.

use std::time::Instant;

use serde_json::json;

use crate::engine::Error;
use crate::engine::types::Version;
use crate::values::printable;

use crate::cli::args::{Args, Ping};
use crate::cli::failure::Failure;
use crate::cli::{context, print, print_json};

pub(in crate::cli) fn ping(global: &Args, args: &Ping) -> Result<u8, Failure> {
    let engine = context::engine(global)?;
    let failed = |error| Failure::engine(engine.endpoint(), &error);
    let version = engine.within(context::PING).version().map_err(|error| match error {
        // Whatever says OK to everything.
        Error::Decode { .. } => Error::NoEngine { endpoint: engine.endpoint().clone() },
        other => other,
    });
    let version = version.map_err(failed)?;
    // The connection stands by now: what is timed is the Engine.
    let begun = Instant::now();
    engine.ping().map_err(failed)?;
    let round_trip = begun.elapsed();
    let negotiated = engine.api_version().map_err(failed)?;
    let name = name(&version);
    if args.json {
        let answer = json!({
            "endpoint": engine.endpoint().to_string(),
            "name": name,
            "version": version.version,
            "api_version": version.api_version,
            "min_api_version": version.min_api_version,
            "negotiated": negotiated.to_string(),
            "round_trip_ns": u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX),
        });
        print_json(&format!("{answer}\n"))?;
    } else {
        let engine = format!("{name} {} at {}", version.version, engine.endpoint());
        let api = format!("API {} to {}, {negotiated} is spoken", version.min_api_version, version.api_version);
        let round_trip = round_trip.as_micros();
        print(&format!("{}\n{}\nround trip {round_trip} µs\n", printable(&engine), printable(&api)))?;
    }
    Ok(0)
}

/// What the Engine is called. Docker calls its first component plainly "Engine", and itself, where its packager did, by the platform.
fn name(version: &Version) -> String {
    let component = version.components.first().map(|component| component.name.as_str()).unwrap_or_default();
    match (component, version.platform.name.as_str()) {
        ("" | "Engine", "") => "Docker Engine".into(),
        ("" | "Engine", platform) => platform.into(),
        (component, _) => component.into(),
    }
}
