//! Other cache modes for disks of a running domain: QEMU opens their images anew, which libvirt has no call for. This is the
//! one thing that QEMU's monitor is used for.

use std::path::PathBuf;
use std::time::Duration;

use agent_libvirt::{Connection, XmlFlags};
use uuid::Uuid;

use super::evidence::OpenFiles;
use super::nodes::{Nodes, Report};
use super::refusal::{self, Opened};
use super::{Libvirt, look, since};
use crate::cache::live::{Way, way};
use crate::cache::{self, Decision, Device, Question};
use crate::domain::{Described, DiskAt};
use crate::error::Error;
use crate::spec::{CacheMode, CacheRequest, DiskId};
use crate::state::{Domain, State};

/// How long file systems have to tell whether a name still means the file that QEMU has open.
const PATIENCE: Duration = Duration::from_secs(5);

/// The domain that is worked on.
struct Target<'a> {
    connection: &'a Connection,
    handle: agent_libvirt::Domain,
}

/// A disk that is to go over from one mode to another.
struct Flip {
    target: String,
    now: Decision,
    wanted: Decision,
    /// None: the mode is the same, and only what was asked for is another word.
    nodes: Option<Nodes>,
}

impl Libvirt {
    /// Judges all of it first. Then: the configuration, the note that QEMU is being told, QEMU, and the note that it has done it.
    pub(super) async fn change_modes(
        &self,
        uuid: Uuid,
        disks: &[(DiskId, CacheRequest)],
    ) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let handle = self.ours(&connection, uuid).await?;
        let changing = self.registry.changing(uuid);
        let state = self.state(&connection, &handle).await?;
        if ![State::Running, State::Paused].contains(&state) {
            return Err(Error::NotNow { name: handle.name, verb: "change the cache mode of", state });
        }
        let target = Target { connection: &connection, handle };
        let (mut live, flips) = self.judged(&target, disks).await?;
        let before = self.reconfigure(&connection, &target.handle, disks, None).await?;
        if let Err(error) = self.flip(&target, &mut live, &flips).await {
            if let Some(before) = before
                && let Err(why) = self.put_back(&connection, &target.handle, disks, &before).await
            {
                tracing::warn!("the next start of `{}` is settled all the same: {why}", target.handle.name);
            }
            drop(changing);
            let _ = look::at(&self.registry, &connection, &target.handle).await;
            return Err(error);
        }
        drop(changing);
        self.looked_at(&target.handle).await
    }

    /// What there is to do. Nothing is done by it, unless an agent that died has left something open.
    async fn judged(
        &self,
        target: &Target<'_>,
        disks: &[(DiskId, CacheRequest)],
    ) -> Result<(Described, Vec<Flip>), Error> {
        let Target { connection, handle } = target;
        let xml = connection.domain_xml_desc(handle, XmlFlags::empty()).await;
        let what = || format!("read the description of `{}`", handle.name);
        let xml = xml.map_err(|error| refusal::plain(&error, handle.uuid, what()))?;
        let mut live = self.read(handle, &xml)?;
        let unseen = |cause: String| Error::Failed {
            what: format!("see how QEMU has the disks of `{}` open", handle.name),
            cause,
            remedy: "see that the agent may look at QEMU's process".to_owned(),
        };
        since::find_out(&self.registry, connection, handle, &xml, &mut live).await.map_err(unseen)?;
        let evidence = self.registry.evidence();
        let command_line = evidence.command_line(&live.name, live.uuid).map_err(unseen)?;
        let mut flips = Vec::new();
        for (id, choice) in disks {
            let Some(at) = live.disks.iter().find(|at| at.disk.id == *id) else {
                return Err(Error::NoDisk { name: handle.name.clone(), disk: *id });
            };
            let open = evidence.open_files(&live.name, live.uuid);
            let real = look::real_paths(vec![at.disk.source.clone()]).await;
            let (direct, why) = open.direct(real.get(&at.disk.source).unwrap_or(&at.disk.source));
            let direct = direct.ok_or_else(|| unseen(why))?;
            let now = at.in_force(Some(direct));
            let now = Decision { mode: now.mode.with_direct(direct).unwrap_or(now.mode), ..now.clone() };
            let question = Question::again(*choice, Device::disk(&at.disk), &now);
            let wanted = cache::settle(&self.prober, question).await?;
            let needs_restart = |obstacle: String| Error::NeedsRestart {
                name: handle.name.clone(),
                target: at.target.clone(),
                from: now.mode,
                to: wanted.mode,
                obstacle,
            };
            let nodes = match way(&now, &wanted) {
                Way::Restart(obstacle) => return Err(needs_restart(obstacle.to_string())),
                Way::Same => None,
                Way::Live => {
                    let nodes = since::nodes(&xml, at, &command_line).map_err(needs_restart)?;
                    self.names_hold(open, &nodes.files).await.map_err(needs_restart)?;
                    Some(nodes)
                }
            };
            flips.push(Flip { target: at.target.clone(), now, wanted, nodes });
        }
        Ok((live, flips))
    }

    /// Whether the names of all images still mean what QEMU has open: it opens them by their names.
    async fn names_hold(&self, open: OpenFiles, files: &[PathBuf]) -> Result<(), String> {
        let real = look::real_paths(files.to_vec()).await;
        let files: Vec<PathBuf> = files.iter().map(|file| real.get(file).unwrap_or(file).clone()).collect();
        let compare = move || files.iter().try_for_each(|file| open.is_still(file));
        match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(compare)).await {
            Ok(Ok(compared)) => compared,
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err(format!("its file system did not answer within {} seconds", PATIENCE.as_secs())),
        }
    }

    /// Has QEMU open them anew, all or none of them.
    async fn flip(&self, target: &Target<'_>, live: &mut Described, flips: &[Flip]) -> Result<(), Error> {
        let reopens: Vec<(&Flip, &Nodes)> =
            flips.iter().filter_map(|flip| Some((flip, flip.nodes.as_ref()?))).collect();
        if !reopens.is_empty() {
            let before = since::report(target.connection, &target.handle).await?;
            let fitted: Vec<(&Flip, Nodes)> =
                reopens.iter().map(|(flip, nodes)| (*flip, nodes.fit(&before))).collect();
            let reopens: Vec<(&Flip, &Nodes)> = fitted.iter().map(|(flip, nodes)| (*flip, nodes)).collect();
            for (flip, nodes) in &reopens {
                nodes.known_to(&before).map_err(|why| target.failed(flip, why))?;
            }
            for (flip, _) in &reopens {
                asks(live, flip, |at| at.since.asked = Some(flip.wanted.clone()));
            }
            since::note(target.connection, &target.handle, live).await?;
            for (count, (flip, nodes)) in reopens.iter().enumerate() {
                if let Err(error) = self.reopened(target, flip, nodes, &before).await {
                    return Err(self.taken_back(target, live, &reopens[..=count], &before, error).await);
                }
            }
            if let Err(error) = self.written_out(target, &reopens).await {
                return Err(self.taken_back(target, live, &reopens, &before, error).await);
            }
        }
        for flip in flips {
            asks(live, flip, |at| at.since = since::since(at, flip.wanted.clone()));
        }
        since::note(target.connection, &target.handle, live).await
    }

    async fn reopened(
        &self,
        target: &Target<'_>,
        flip: &Flip,
        nodes: &Nodes,
        before: &Report,
    ) -> Result<(), Error> {
        target.reopen(flip, nodes, flip.wanted.mode).await?;
        let verified = self.verified(target, nodes, flip.wanted.mode, before).await;
        verified.map_err(|why| target.failed(flip, why))
    }

    /// By QEMU's own word, and by its descriptors.
    async fn verified(
        &self,
        target: &Target<'_>,
        nodes: &Nodes,
        mode: CacheMode,
        before: &Report,
    ) -> Result<(), String> {
        let report = since::report(target.connection, &target.handle).await;
        let report = report.map_err(|error| error.to_string())?;
        nodes.are(mode, &report, before)?;
        let real = look::real_paths(nodes.files.clone()).await;
        let open = self.registry.evidence().open_files(&target.handle.name, target.handle.uuid);
        for file in &nodes.files {
            // Two disks may lie on one image, each with a descriptor of its own.
            if !nodes.alone_on(file, &report) {
                continue;
            }
            let (direct, who) = open.direct(real.get(file).unwrap_or(file));
            if direct != Some(mode.is_direct()) {
                return Err(format!("`{}` is not open as it was asked for: {who}", file.display()));
            }
        }
        Ok(())
    }

    /// Puts back the modes of those that were tried. What cannot be put back stays noted as asked, and is found out by whoever
    /// looks next.
    async fn taken_back(
        &self,
        target: &Target<'_>,
        live: &mut Described,
        tried: &[(&Flip, &Nodes)],
        before: &Report,
        error: Error,
    ) -> Error {
        let mut stays: Vec<(&str, String)> = Vec::new();
        for (flip, nodes) in tried.iter().rev() {
            let back = match self.verified(target, nodes, flip.now.mode, before).await {
                Ok(()) => Ok(()),
                Err(_) => match target.reopen(flip, nodes, flip.now.mode).await {
                    Err(error) => Err(error.to_string()),
                    Ok(()) => self.verified(target, nodes, flip.now.mode, before).await,
                },
            };
            if let Err(why) = back {
                stays.push((&flip.target, why));
            }
        }
        let stuck = |at: &DiskAt| stays.iter().any(|(target, _)| *target == at.target);
        for at in live.disks.iter_mut().filter(|at| !stuck(at)) {
            at.since.asked = None;
        }
        if let Err(why) = since::note(target.connection, &target.handle, live).await {
            tracing::warn!("{why}");
        }
        if stays.is_empty() {
            return error;
        }
        let stays: Vec<String> =
            stays.iter().map(|(target, why)| format!("`{target}` may stay changed: {why}")).collect();
        Error::Failed {
            what: format!("change the cache mode of `{}`", target.handle.name),
            cause: format!("{error}; and {}", stays.join(", ")),
            remedy: "look at the mode that is shown, which is the one in force".to_owned(),
        }
    }

    /// What was never flushed is flushed now: from here on the guest is promised that.
    async fn written_out(&self, target: &Target<'_>, flips: &[(&Flip, &Nodes)]) -> Result<(), Error> {
        for (_, nodes) in flips.iter().filter(|(flip, _)| flip.now.mode == CacheMode::Unsafe) {
            let Some(file) = nodes.files.first().cloned() else { continue };
            let sync = |file: PathBuf| std::fs::File::open(file)?.sync_all();
            let path = file.clone();
            let done = tokio::task::spawn_blocking(move || sync(path)).await;
            let cause = match done {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(Error::Failed {
                what: format!(
                    "write out what `unsafe` kept of `{}` of `{}`",
                    file.display(),
                    target.handle.name
                ),
                cause,
                remedy: "have the guest flush its disk".to_owned(),
            });
        }
        Ok(())
    }
}

impl Target<'_> {
    async fn reopen(&self, flip: &Flip, nodes: &Nodes, mode: CacheMode) -> Result<(), Error> {
        let arguments = Some(nodes.reopened(mode));
        let done = self.connection.qemu_monitor_command(&self.handle, "blockdev-reopen", arguments).await;
        let opened = nodes.files.iter().map(|file| Opened { source: file.clone(), cache: mode });
        let opened: Vec<Opened> = opened.collect();
        done.map(drop).map_err(|error| refusal::of_disks(&error, &self.handle, self.what(flip), &opened, ""))
    }

    fn what(&self, flip: &Flip) -> String {
        let Flip { target, now, wanted, .. } = flip;
        format!(
            "change the cache mode of `{target}` of `{}` from `{}` to `{}`",
            self.handle.name, now.mode, wanted.mode
        )
    }

    fn failed(&self, flip: &Flip, cause: String) -> Error {
        let remedy = "settle the mode and turn the domain off and on instead".to_owned();
        Error::Failed { what: self.what(flip), cause, remedy }
    }
}

fn asks(live: &mut Described, flip: &Flip, note: impl Fn(&mut DiskAt)) {
    live.disks.iter_mut().filter(|at| at.target == flip.target).for_each(note);
}
