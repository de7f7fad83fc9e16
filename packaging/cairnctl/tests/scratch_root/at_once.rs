//! Two installers at once, both of the packed file: one installs, whoever else comes is told who does.

use std::process::Stdio;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::site::{Done, Site};

/// Places between two changes, the first one and later ones: one run is held there while another one comes.
const PLACES: [usize; 3] = [0, 20, 40];

#[test]
fn one_installs_and_the_other_names_it() {
    for place in PLACES {
        let site = Site::new();
        let mut first = site.install_command(&[]);
        first.env("CAIRN_FAULT", format!("stop:{place}")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let first = first.spawn().unwrap();
        // The script in front has become the helper by then.
        let pid = Pid::from_child(&first);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        assert!(waitid(WaitId::Pid(pid), options).unwrap().unwrap().stopped(), "there is no place {place}");
        let before = site.listing();

        let owner = format!("another installation or removal (process {}: `", first.id());
        site.install(&[]).expect(5).says(&owner).says("is at work").says("wait for it to end");
        site.uninstall(&[]).expect(5).says(&owner);
        assert_eq!(before.diff(&site.listing()), "", "held at {place}");

        kill_process(pid, Signal::CONT).unwrap();
        Done::from(first.wait_with_output().unwrap()).expect(0).says("is installed");
        site.ctl("verify").expect(0);
        assert!(!site.at("/var/lib/.cairn-journal").exists());
        site.install(&[]).expect(0).says("nothing to do");
    }
}
