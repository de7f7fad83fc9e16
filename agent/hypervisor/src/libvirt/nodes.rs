//! The nodes of QEMU that a disk's images are open in, and the options that each was opened with: `blockdev-reopen` wants
//! all of them again, and whatever it is not told goes back to QEMU's default.
//!
//! What QEMU was started with stands on its command line, word for word. What libvirt gave it later is put together as libvirt
//! does it (`qemuBlockStorageSourceGetBackendProps` and `qemuBlockStorageSourceGetFormatProps` in qemu_block.c), and left alone
//! where there is more than that. Before libvirt 10 a raw image has a node for its format over that for its file, later it has
//! the one alone: QEMU says which of them there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::domain::{Chain, Image};
use crate::spec::CacheMode;

/// What a node is opened with.
type Options = Map<String, Value>;

/// The nodes of a disk, as QEMU is told of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Nodes {
    /// The topmost first; each stands before what it lies on.
    options: Vec<Options>,
    /// The files, the disk's own first.
    pub files: Vec<PathBuf>,
    /// The names of nodes for the format of raw images that are put together: QEMU may not have them.
    doubted: Vec<String>,
}

/// What QEMU tells of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cache {
    direct: bool,
    no_flush: bool,
}

/// One entry of `query-named-block-nodes`, the part of it that is looked at.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Told {
    node_name: String,
    drv: String,
    file: String,
    ro: bool,
    cache: Cache,
    #[serde(rename = "detect_zeroes")]
    detect_zeroes: Option<String>,
}

/// What QEMU says of its nodes.
#[derive(Debug, Clone)]
pub struct Report(BTreeMap<String, Told>);

impl Nodes {
    /// The nodes of a chain in a QEMU that was started with `command_line`.
    ///
    /// # Errors
    /// Why they cannot be known, as the end of a sentence.
    pub fn of(chain: &Chain, command_line: &[String]) -> Result<Self, String> {
        let started = started(command_line);
        let mut options: Vec<Options> = Vec::new();
        let mut doubted = Vec::new();
        let mut under: Option<String> = None;
        for (at, image) in chain.images.iter().enumerate().rev() {
            let [format, storage] =
                ["format", "storage"].map(|layer| format!("libvirt-{}-{layer}", image.index));
            let top = [&format, &storage].into_iter().find(|name| started.contains_key(*name));
            let mut nodes = match (top, &chain.odd) {
                (Some(top), _) => followed(top, &started),
                (None, None) => {
                    if image.format == "raw" {
                        doubted.push(format.clone());
                    }
                    built(image, chain, [&format, &storage])
                }
                (None, Some(odd)) => return Err(format!("libvirt gave it `{odd}` while the domain ran")),
            };
            let Some(first) = nodes.first_mut() else { return Err(format!("there is no node `{format}`")) };
            // What lies under an image, and whether it is written to, may be another now than when QEMU was started.
            if image.format == "qcow2" {
                first.insert("backing".to_owned(), under.as_deref().map_or(Value::Null, Value::from));
            } else if under.is_some() {
                return Err(format!("`{}` lies on another image and is no qcow2", image.path.display()));
            }
            if first.contains_key("read-only") {
                first.insert("read-only".to_owned(), (at > 0 || chain.readonly).into());
            }
            under = name(first).map(str::to_owned);
            nodes.extend(options);
            options = nodes;
        }
        Ok(Self { options, files: chain.images.iter().map(|image| image.path.clone()).collect(), doubted })
    }

    /// The same, but for nodes that QEMU does not have: of a raw image it may have that of its file alone, which then takes the
    /// place and the options of the other.
    pub fn fit(&self, report: &Report) -> Self {
        let mut fitted = self.clone();
        let text = |options: &Options, key: &str| options.get(key).and_then(Value::as_str).map(str::to_owned);
        for format in self.doubted.iter().filter(|format| !report.0.contains_key(*format)) {
            let Some(at) = fitted.options.iter().position(|options| name(options) == Some(format)) else {
                continue;
            };
            let over = fitted.options.remove(at);
            let Some(storage) = text(&over, "file") else { continue };
            for options in &mut fitted.options {
                if text(options, "backing").as_ref() == Some(format) {
                    options.insert("backing".to_owned(), storage.as_str().into());
                }
                if name(options) == Some(&storage) {
                    options.remove("auto-read-only");
                    options.remove("discard");
                    let own = ["read-only", "discard"].into_iter();
                    options.extend(own.filter_map(|key| Some((key.to_owned(), over.get(key)?.clone()))));
                }
            }
        }
        fitted
    }

    /// The arguments of `blockdev-reopen` that open all of them in this mode.
    pub fn reopened(&self, mode: CacheMode) -> Value {
        let cache = json!({ "direct": mode.is_direct(), "no-flush": mode == CacheMode::Unsafe });
        let options = self.options.iter().map(|options| {
            let mut options = options.clone();
            options.insert("cache".to_owned(), cache.clone());
            Value::Object(options)
        });
        json!({ "options": options.collect::<Vec<_>>() })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.options.iter().filter_map(name)
    }

    /// Whether QEMU has them as they are thought to be.
    ///
    /// # Errors
    /// What is otherwise, as the end of a sentence.
    pub fn known_to(&self, report: &Report) -> Result<(), String> {
        for options in &self.options {
            let Some(name) = name(options) else { return Err("a node has no name".to_owned()) };
            let Some(told) = report.0.get(name) else { return Err(format!("QEMU has no node `{name}`")) };
            let text = |key: &str| options.get(key).and_then(Value::as_str);
            if text("driver") != Some(&told.drv) {
                return Err(format!("the node `{name}` is `{}` to QEMU", told.drv));
            }
            if text("filename").is_some_and(|file| file != told.file) {
                return Err(format!("the node `{name}` is on `{}`", told.file));
            }
        }
        Ok(())
    }

    /// Whether QEMU has all of them open in this mode now, and nothing else has changed since `before`.
    ///
    /// # Errors
    /// What is otherwise, as the end of a sentence.
    pub fn are(&self, mode: CacheMode, report: &Report, before: &Report) -> Result<(), String> {
        let wanted = Cache { direct: mode.is_direct(), no_flush: mode == CacheMode::Unsafe };
        for name in self.names() {
            let (Some(now), Some(was)) = (report.0.get(name), before.0.get(name)) else {
                return Err(format!("QEMU has no node `{name}` any more"));
            };
            if now.cache != wanted {
                return Err(format!("QEMU has the node `{name}` open with {:?}", now.cache));
            }
            let rest =
                |told: &Told| (told.drv.clone(), told.file.clone(), told.ro, told.detect_zeroes.clone());
            if rest(now) != rest(was) {
                return Err(format!("the node `{name}` changed in more than its mode"));
            }
        }
        Ok(())
    }

    /// Whether flushes are ignored at the top.
    pub fn no_flush(&self, report: &Report) -> Option<bool> {
        Some(report.0.get(self.names().next()?)?.cache.no_flush)
    }

    /// Whether no other node of this QEMU is on the same file.
    pub fn alone_on(&self, file: &Path, report: &Report) -> bool {
        let ours: Vec<&str> = self.names().collect();
        let others = report.0.values().filter(|told| !ours.contains(&told.node_name.as_str()));
        others.into_iter().all(|told| Path::new(&told.file) != file)
    }
}

impl Report {
    /// Reads what `query-named-block-nodes` returns.
    ///
    /// # Errors
    /// What is strange about it.
    pub fn read(answer: Value) -> Result<Self, String> {
        let told: Vec<Told> = serde_json::from_value(answer).map_err(|error| error.to_string())?;
        Ok(Self(told.into_iter().map(|told| (told.node_name.clone(), told)).collect()))
    }
}

fn name(options: &Options) -> Option<&str> {
    options.get("node-name").and_then(Value::as_str)
}

/// What QEMU was started with, by the names of nodes.
fn started(command_line: &[String]) -> BTreeMap<String, Options> {
    let words = command_line.windows(2).filter(|words| words[0] == "-blockdev");
    let options = words.filter_map(|words| serde_json::from_str::<Options>(&words[1]).ok());
    options.filter_map(|options| Some((name(&options)?.to_owned(), options))).collect()
}

/// A node and those that it lies on, but not what lies under its image.
fn followed(top: &str, started: &BTreeMap<String, Options>) -> Vec<Options> {
    let mut nodes: Vec<Options> = Vec::new();
    let mut next = Some(top);
    while let Some(options) = next.and_then(|name| started.get(name)).filter(|_| nodes.len() < started.len())
    {
        nodes.push(options.clone());
        next = options.get("file").and_then(Value::as_str);
    }
    nodes
}

/// What libvirt gives QEMU for an image of a disk that is attached.
fn built(image: &Image, chain: &Chain, [format, storage]: [&str; 2]) -> Vec<Options> {
    let mut top = Options::from_iter([
        ("node-name".to_owned(), format.into()),
        ("read-only".to_owned(), true.into()),
        ("driver".to_owned(), image.format.as_str().into()),
        ("file".to_owned(), storage.into()),
    ]);
    top.extend(chain.discard.iter().map(|word| ("discard".to_owned(), word.as_str().into())));
    let mut bottom = Options::from_iter([
        ("driver".to_owned(), "file".into()),
        ("filename".to_owned(), image.path.display().to_string().into()),
        ("node-name".to_owned(), storage.into()),
        ("auto-read-only".to_owned(), true.into()),
        ("discard".to_owned(), "unmap".into()),
    ]);
    bottom.extend(chain.aio.iter().map(|word| ("aio".to_owned(), word.as_str().into())));
    vec![top, bottom]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(images: &[(u32, &str, &str)]) -> Chain {
        let image = |(index, path, format): &(u32, &str, &str)| Image {
            index: *index,
            path: path.into(),
            format: (*format).to_owned(),
        };
        let images = images.iter().map(image).collect();
        Chain { images, discard: Some("unmap".to_owned()), aio: None, readonly: false, odd: None }
    }

    fn words(nodes: &[Value]) -> Vec<String> {
        nodes.iter().flat_map(|node| ["-blockdev".to_owned(), node.to_string()]).collect()
    }

    fn cold() -> Vec<String> {
        words(&[
            json!({"driver": "file", "filename": "/base", "node-name": "libvirt-2-storage", "aio": "io_uring", "cache": {}}),
            json!({"driver": "raw", "file": "libvirt-2-storage", "node-name": "libvirt-2-format", "read-only": true}),
            json!({"driver": "file", "filename": "/top", "node-name": "libvirt-1-storage", "more": 7}),
            json!({"driver": "qcow2", "file": "libvirt-1-storage", "backing": "gone", "node-name": "libvirt-1-format",
                   "read-only": false}),
        ])
    }

    #[test]
    fn what_qemu_was_started_with_is_told_again_with_another_mode() {
        let nodes = Nodes::of(&chain(&[(1, "/top", "qcow2"), (2, "/base", "raw")]), &cold()).unwrap();
        assert_eq!(nodes.files, [PathBuf::from("/top"), "/base".into()]);
        let cache = json!({"direct": false, "no-flush": true});
        let expected = json!({"options": [
            {"driver": "qcow2", "file": "libvirt-1-storage", "backing": "libvirt-2-format", "node-name": "libvirt-1-format",
             "read-only": false, "cache": cache},
            {"driver": "file", "filename": "/top", "node-name": "libvirt-1-storage", "more": 7, "cache": cache},
            {"driver": "raw", "file": "libvirt-2-storage", "node-name": "libvirt-2-format", "read-only": true, "cache": cache},
            {"driver": "file", "filename": "/base", "node-name": "libvirt-2-storage", "aio": "io_uring", "cache": cache},
        ]});
        assert_eq!(nodes.reopened(CacheMode::Unsafe), expected);
    }

    #[test]
    fn what_was_attached_is_put_together_and_what_is_strange_is_left_alone() {
        let mut attached = chain(&[(7, "/hot", "qcow2"), (2, "/base", "raw")]);
        let nodes = Nodes::of(&attached, &cold()).unwrap();
        let cache = json!({"direct": true, "no-flush": false});
        let options = &nodes.reopened(CacheMode::None)["options"];
        assert_eq!(
            options[0],
            json!({"driver": "qcow2", "file": "libvirt-7-storage", "backing": "libvirt-2-format", "read-only": false,
                   "node-name": "libvirt-7-format", "discard": "unmap", "cache": cache})
        );
        assert_eq!(
            options[1],
            json!({"driver": "file", "filename": "/hot", "node-name": "libvirt-7-storage", "auto-read-only": true,
                   "discard": "unmap", "cache": cache})
        );
        attached.odd = Some("detect_zeroes".to_owned());
        let why = Nodes::of(&attached, &cold()).unwrap_err();
        assert_eq!(why, "libvirt gave it `detect_zeroes` while the domain ran");
        // Of what stands on the command line, all is known.
        let mut started = chain(&[(1, "/top", "qcow2"), (2, "/base", "raw")]);
        started.odd = attached.odd;
        assert!(Nodes::of(&started, &cold()).is_ok());
        // What was written into has become one that is read, and the other way round.
        let turned = Nodes::of(&chain(&[(2, "/base", "raw")]), &cold()).unwrap();
        assert_eq!(turned.reopened(CacheMode::None)["options"][0]["read-only"], false);
    }

    /// What libvirt 11.3 gives QEMU 10.0 for these was read from its log.
    #[test]
    fn a_raw_image_has_the_nodes_that_qemu_has() {
        let node = |name: &str, drv: &str, file: &str| {
            let cache = json!({"direct": true, "no-flush": false, "writeback": true});
            json!({"node-name": name, "drv": drv, "file": file, "ro": false, "detect_zeroes": "off", "cache": cache})
        };
        let report = |nodes: &[Value]| Report::read(nodes.into()).unwrap();
        let new = report(&[
            node("libvirt-5-storage", "file", "/hot"),
            node("libvirt-7-format", "qcow2", "/over"),
            node("libvirt-7-storage", "file", "/over"),
            node("libvirt-8-storage", "file", "/base"),
        ]);
        let cache = json!({"direct": false, "no-flush": false});
        let hot = Nodes::of(&chain(&[(5, "/hot", "raw")]), &cold()).unwrap();
        assert!(hot.known_to(&new).unwrap_err().contains("`libvirt-5-format`"));
        let fitted = hot.fit(&new);
        fitted.known_to(&new).unwrap();
        let alone = json!({"options": [{"driver": "file", "filename": "/hot", "node-name": "libvirt-5-storage",
            "read-only": false, "discard": "unmap", "cache": cache}]});
        assert_eq!((fitted.reopened(CacheMode::Writeback), fitted.no_flush(&new)), (alone, Some(false)));
        let over =
            Nodes::of(&chain(&[(7, "/over", "qcow2"), (8, "/base", "raw")]), &cold()).unwrap().fit(&new);
        over.known_to(&new).unwrap();
        let expected = json!({"options": [
            {"driver": "qcow2", "file": "libvirt-7-storage", "backing": "libvirt-8-storage", "read-only": false,
             "node-name": "libvirt-7-format", "discard": "unmap", "cache": cache},
            {"driver": "file", "filename": "/over", "node-name": "libvirt-7-storage", "auto-read-only": true,
             "discard": "unmap", "cache": cache},
            {"driver": "file", "filename": "/base", "node-name": "libvirt-8-storage", "read-only": true,
             "discard": "unmap", "cache": cache},
        ]});
        assert_eq!(over.reopened(CacheMode::Writeback), expected);
        // Where QEMU has both, both are opened; and what stands on its command line is never another.
        let old =
            report(&[node("libvirt-5-format", "raw", "/hot"), node("libvirt-5-storage", "file", "/hot")]);
        assert_eq!(hot.fit(&old), hot);
        let started = Nodes::of(&chain(&[(2, "/base", "raw")]), &cold()).unwrap();
        assert_eq!(started.fit(&new), started);
    }

    #[test]
    fn qemus_answer_is_held_to_what_was_wanted() {
        let nodes = Nodes::of(&chain(&[(1, "/top", "qcow2")]), &cold()).unwrap();
        let told = |direct: bool, ro: bool| {
            let cache = json!({"direct": direct, "no-flush": false, "writeback": true});
            let node = |name: &str, drv: &str| json!({"node-name": name, "drv": drv, "file": "/top", "ro": ro, "detect_zeroes": "off", "cache": cache});
            let nodes = json!([node("libvirt-1-format", "qcow2"), node("libvirt-1-storage", "file")]);
            Report::read(nodes).unwrap()
        };
        let (before, after) = (told(true, false), told(false, false));
        nodes.known_to(&before).unwrap();
        nodes.are(CacheMode::Writeback, &after, &before).unwrap();
        assert!(nodes.are(CacheMode::None, &after, &before).unwrap_err().contains("libvirt-1-format"));
        assert!(nodes.are(CacheMode::Unsafe, &after, &before).is_err());
        assert!(
            nodes.are(CacheMode::Writeback, &told(false, true), &before).unwrap_err().contains("more than")
        );
        assert_eq!((nodes.no_flush(&after), nodes.alone_on(Path::new("/top"), &after)), (Some(false), true));
        let other = Nodes::of(&chain(&[(2, "/base", "raw")]), &cold()).unwrap();
        assert!(other.known_to(&before).unwrap_err().contains("`libvirt-2-format`"));
        assert!(!other.alone_on(Path::new("/top"), &before));
    }
}
