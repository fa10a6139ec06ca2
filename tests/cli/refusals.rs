//! Starts that fail: one clear line, 125, nothing left, the stranger unharmed.

use longshore::engine::types::ContainerCreate;
use longshore::engine::{RemoveQuery, StartQuery};

use crate::place::{Place, Ran};
use crate::support::IMAGE;

fn one_line(place: &Place, ran: &Ran, words: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{}", ran.err);
    let said: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("longshore: task t: cannot")).collect();
    assert_eq!(said.len(), 1, "{}", ran.err);
    assert!(words.iter().all(|word| said[0].contains(word)), "{}", ran.err);
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn a_command_or_an_image_that_is_not_there() {
    let place = Place::new();
    let text = std::fs::read_to_string(place.job(&[("t", "x")], "", "")).unwrap();
    let file = place.file("command.hcl", &text.replace("command = \"sh\"", "command = \"/no/such\""));
    one_line(&place, &place.run(&file, &[]), &["cannot start", "/no/such"]);
    // Nobody listens at this port: no registry is asked.
    let file = place.file("image.hcl", &text.replace(IMAGE, "127.0.0.1:1/nosuch:1"));
    let mut ran = place.run(&file, &[]);
    let pulling = "longshore: pulling 127.0.0.1:1/nosuch:1\n";
    assert!(ran.err.starts_with(pulling), "{}", ran.err);
    ran.err = ran.err.replacen(pulling, "", 1);
    one_line(&place, &ran, &["cannot pull", "127.0.0.1:1/nosuch:1", "refused"]);
}

#[test]
#[ignore = "needs an Engine"]
fn a_name_that_a_stranger_has() {
    let place = Place::new();
    let (engine, name) = (place.engine(), format!("t-{}", place.name));
    let mut body = ContainerCreate::default();
    body.config.image = IMAGE.into();
    body.config.cmd = vec!["sleep".into(), "1000".into()];
    body.host_config.network_mode = "none".into();
    let stranger = engine.container_create(Some(name.as_str()), &body).unwrap().id;
    engine.container_start(&stranger, &StartQuery::default()).unwrap();
    let file = place.job(&[("t", "true")], "", "");
    let ran = place.run(&file, &["--alloc-id", &place.name]);
    let after = engine.container_inspect(&stranger, &Default::default()).unwrap();
    engine.container_remove(&stranger, &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
    assert!(after.state.running, "it is unharmed");
    one_line(&place, &ran, &[&name, &stranger[..12]]);
}
