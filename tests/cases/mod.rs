//! Cases that are true of a real Engine and of a recording of one. Each is written once: `tests/live` runs it on the Engine
//! that answers, `tests/replay` on its file in `fixtures/cassettes`, and `make cassettes` makes that file from the Engine.
//!
//! A case asks its [`Bench`](bench::Bench) how much to do: a recording has the short form. It looks at no clock but where
//! the bench is real, and it takes names that change from run to run from the bench, in forms that a recording knows.

pub(crate) mod bench;
pub(crate) mod exits;
pub(crate) mod failures;
pub(crate) mod stops;
pub(crate) mod streams;

/// Calls a macro with all cases, by module.
macro_rules! for_every_case {
    ($run:ident) => {
        $run! {
            exits {
                a_task_of_a_millisecond_ends_with_its_output_and_code
                an_exit_code_is_the_tasks_own
                a_kill_is_137_and_no_oom
                memory_that_runs_out_is_told
                a_container_removed_behind_our_back_is_an_end_without_a_code
                every_waiter_hears_it_and_one_that_leaves_disturbs_nobody
            }
            failures {
                a_command_that_is_not_there
                an_image_that_is_not_there
                a_create_that_the_engine_refuses
                options_that_are_not_built_are_all_named
                a_name_that_a_stranger_has
                our_own_dead_container_is_replaced_and_a_running_one_adopted
            }
            stops {
                a_stop_gives_the_signal
                a_stop_without_grace_kills
                a_stop_kills_after_the_grace
                a_destroy_must_be_forced_while_the_task_runs
                a_shutdown_joins_all_and_touches_no_container
            }
            streams {
                two_streams_of_many_short_lines
                many_short_lines_on_a_terminal
                one_line_longer_than_the_engine_keeps_in_one_piece
                one_long_line_on_a_terminal
                what_has_no_newline_at_the_end
            }
        }
    };
}
