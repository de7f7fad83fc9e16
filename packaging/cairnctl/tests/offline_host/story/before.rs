//! Release 0.9: the machine does not start, and whoever asks is told why and what to do.

use super::{CREATE, QEMU, RAM, Story, page};
use crate::host::expect;

pub fn tell(story: &Story) {
    let host = &story.host;
    let settings = story.api("config").to_string();
    assert!(!settings.contains("acheMode"), "{settings}");

    let refused = host.cairn_cli(CREATE);
    let said = expect(&refused, 3, QEMU);

    // By the API: the step that failed, what QEMU said, and what to do.
    let task = story.last_task();
    assert_eq!(task["state"], "failed", "{task}");
    let error = &task["error"];
    assert_eq!(error["code"], "direct_io", "{task}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(QEMU) && message.contains(RAM), "{message}");
    assert!(error["cause"].as_str().unwrap().starts_with("in the step `start it`"), "{task}");
    let next = error["next"].as_str().expect("the next command");
    assert!(next.contains("cairn storage create"), "{next}");
    // By the command line, then and later.
    let id = task["id"].as_str().unwrap();
    let shown = host.user(["task", "show", id]);
    for text in [&said, &shown] {
        for part in ["start it", QEMU, RAM, next] {
            assert!(text.contains(part), "`{part}` is not said:\n{text}");
        }
    }
    // By the page.
    page::tells(
        host,
        &format!("#/tasks/{id}"),
        "Tasks",
        "failed in 0.9",
        &["In the step start it", QEMU, RAM, "cairn storage create"],
    );

    // Everything was put back.
    assert_eq!(host.says(["virsh", "list", "--all", "--name"]).trim(), "");
    let files = host.says(["find", RAM, "-type", "f"]);
    assert_eq!(files.lines().count(), 1, "the image alone: {files}");
}
