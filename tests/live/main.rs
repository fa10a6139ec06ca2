//! Tests on a real Engine: the one that `DOCKER_HOST` names, or the machine's. `make test` runs them where one answers.
//! Each names and labels its containers and removes them; `faults` starts a dockerd of its own.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[path = "../cases/mod.rs"]
mod cases;
#[path = "../support/mod.rs"]
mod support;

mod attached;
mod counting;
mod counts;
mod execs;
mod faults;
mod images;
mod lives;
mod outputs;
mod pauses;
mod registries;
mod rows;

macro_rules! on_the_engine {
    ($($module:ident { $($case:ident)* })*) => { $(
        mod $module {
            $(
                #[test]
                #[ignore = "needs an Engine"]
                fn $case() {
                    crate::cases::$module::$case(&crate::cases::bench::Bench::new());
                }
            )*
        }
    )* };
}

for_every_case!(on_the_engine);
