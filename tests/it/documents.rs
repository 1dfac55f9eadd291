//! The Markdown files: each file, heading and excerpt they name exists, and every document is
//! reached from README.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// Directories without documents of this repository.
const SKIPPED: [&str; 6] = [".git", ".cache", "target", "node_modules", "corpus", "artifacts"];

/// The repository's address on the web: links by this address are resolved, too.
const WEB: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// The beginnings of paths that documents name in code.
const NAMED: [&str; 9] = [
    "src/",
    "tests/",
    "tools/",
    "scripts/",
    "docs/",
    "k8s/",
    "schemas/",
    "examples/",
    "localstack/",
];

/// A Markdown file's links, link targets and inline code.
#[derive(Debug, Default)]
struct Document {
    links: Vec<String>,
    anchors: BTreeSet<String>,
    code: Vec<String>,
}

impl Document {
    fn parse(text: &str) -> Self {
        let mut document = Self::default();
        let mut repeated: BTreeMap<String, usize> = BTreeMap::new();
        for line in prose(text) {
            if let Some(heading) = heading(line) {
                let anchor = anchor(heading);
                let count = repeated.entry(anchor.clone()).or_default();
                let suffix = if *count == 0 { String::new() } else { format!("-{count}") };
                document.anchors.insert(format!("{anchor}{suffix}"));
                *count += 1;
            }
            document.code.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
            let line = without_code(line);
            document.links.extend(line.split("](").skip(1).map(target_of));
            if line.starts_with('[')
                && let Some((_, definition)) = line.split_once("]: ")
            {
                document.links.push(definition.trim().to_owned());
            }
        }
        document
    }
}

/// The lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (1..=6).contains(&level).then(|| text.strip_prefix(' ')).flatten()
}

/// GitHub's anchor of a heading: lower case, without punctuation, with hyphens for spaces.
fn anchor(heading: &str) -> String {
    let without_targets: String = heading
        .split("](")
        .enumerate()
        .map(|(place, part)| match place {
            0 => part,
            _ => part.split_once(')').map_or(part, |(_, rest)| rest),
        })
        .collect();
    without_targets
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The line without its inline code.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The target of a link, from its opening bracket on, without a title.
fn target_of(rest: &str) -> String {
    let target = rest.split_once(')').map_or(rest, |(target, _)| target);
    target.split_whitespace().next().unwrap_or_default().to_owned()
}

fn is_elsewhere(link: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

/// The path with its `..` resolved by text alone.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            component => normal.push(component),
        }
        normal
    })
}

/// Every Markdown file below `root`, by path.
fn documents(root: &Path) -> BTreeMap<PathBuf, Document> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !SKIPPED.contains(&name) {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let document = Document::parse(&fs::read_to_string(&path).unwrap());
                found.insert(path, document);
            }
        }
    }
    found
}

/// The target of a link of the document at `from`: a path and a heading. `None` if it leads out of
/// the repository.
fn resolve(root: &Path, from: &Path, link: &str) -> Option<(PathBuf, Option<String>)> {
    let (base, link) = match link.strip_prefix(WEB) {
        Some(link) => (root, link),
        None if is_elsewhere(link) => return None,
        None => (from.parent().unwrap(), link),
    };
    let (path, fragment) = match link.split_once('#') {
        Some((path, fragment)) => (path, Some(fragment.to_owned())),
        None => (link, None),
    };
    let path = if path.is_empty() { from.to_owned() } else { normal(&base.join(path)) };
    Some((path, fragment))
}

/// Broken links, with the file they are in.
fn broken(root: &Path) -> Vec<String> {
    let documents = documents(root);
    let mut broken = Vec::new();
    for (from, document) in &documents {
        for link in &document.links {
            let Some((path, fragment)) = resolve(root, from, link) else { continue };
            let is_there = path.starts_with(root) && path.exists();
            let has_heading = fragment.is_none_or(|fragment| {
                documents.get(&path).is_some_and(|document| document.anchors.contains(&fragment))
            });
            if !is_there || !has_heading {
                broken.push(format!("{}: {link}", from.strip_prefix(root).unwrap().display()));
            }
        }
    }
    broken
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_relative_link_and_anchor_resolves() {
    let links: usize = documents(repository()).values().map(|found| found.links.len()).sum();
    assert!(links > 100, "only {links} links found");
    assert_eq!(broken(repository()), Vec::<String>::new());
}

#[test]
fn every_document_is_reached_from_the_readme() {
    let root = repository();
    let documents = documents(root);
    let mut reached = BTreeSet::new();
    let mut next = vec![root.join("README.md")];
    while let Some(path) = next.pop() {
        let Some(document) = documents.get(&path) else { continue };
        if reached.insert(path.clone()) {
            let resolved = document.links.iter().filter_map(|link| resolve(root, &path, link));
            next.extend(resolved.map(|(path, _)| path));
        }
    }
    let of_docs = documents.keys().filter(|path| path.starts_with(root.join("docs")));
    let lost: Vec<_> = of_docs.filter(|path| !reached.contains(*path)).collect();
    assert_eq!(lost, Vec::<&PathBuf>::new());
}

/// Whether a path that a document names in code exists: `src/domain*` if any path has that prefix,
/// `tests/it/main.rs::name` if the file exists. Patterns of paths (`k8s/base/<part>/`) name no
/// file.
fn is_there(root: &Path, named: &str) -> bool {
    let path = named.split("::").next().unwrap();
    let is_pattern = path.contains(['<', '…', ' ', '$', '{', ',']);
    if is_pattern || !path.contains('*') {
        return is_pattern || root.join(path).exists();
    }
    let (directory, start) = path.trim_end_matches('*').rsplit_once('/').unwrap();
    let entries = fs::read_dir(root.join(directory)).into_iter().flatten();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.any(|name| name.starts_with(start))
}

#[test]
fn every_path_that_a_document_names_exists() {
    let root = repository();
    let documents = documents(root);
    let named = documents.iter().flat_map(|(from, document)| {
        let paths = document.code.iter().filter(|code| NAMED.iter().any(|n| code.starts_with(n)));
        paths.map(move |path| (from, path))
    });
    let named: Vec<_> = named.collect();
    assert!(named.len() > 200, "only {} paths found", named.len());
    let is_absent = |(from, path): &(&PathBuf, &String)| {
        !is_there(root, path) && !is_there(from.parent().unwrap(), path)
    };
    let absent: Vec<_> = named.into_iter().filter(is_absent).collect();
    assert_eq!(absent, []);
}

/// Code blocks after `<!-- From PATH -->`: the path and the lines.
fn excerpts(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    text.split("<!-- From ").skip(1).map(|rest| {
        let (path, rest) = rest.split_once(" -->\n```").unwrap();
        let lines = rest.lines().skip(1);
        (path, lines.take_while(|line| !line.starts_with("```")).collect())
    })
}

#[test]
fn every_excerpt_of_an_example_is_in_the_example() {
    let mut count = 0;
    for document in ["README.md", "docs/integration.md", "docs/RESERVATIONS.md"] {
        let text = fs::read_to_string(repository().join(document)).unwrap();
        for (path, excerpt) in excerpts(&text) {
            let example = fs::read_to_string(repository().join(path)).unwrap();
            let lines: Vec<&str> = example.lines().map(str::trim).collect();
            let excerpt: Vec<&str> = excerpt.into_iter().map(str::trim).collect();
            let is_in = lines.windows(excerpt.len()).any(|window| window == excerpt);
            assert!(is_in, "{document}: not in {path}: {excerpt:#?}");
            count += 1;
        }
    }
    assert_eq!(count, 7);
}

/// A filter policy that names `command_source`, without spaces and quotes.
const SOURCES: &str = "{command_source:[";

#[test]
fn every_filter_that_is_shown_brings_a_service_the_ends_of_its_own_holds() {
    let shown = [
        "README.md",
        "docs/PRODUCERS.md",
        "docs/integration.md",
        "docs/operations/deploying.md",
        "examples/node/reserve.mjs",
        "examples/python/reserve.py",
        "examples/rust/main.rs",
        "k8s/aws/subscriber/main.tf",
    ];
    for path in shown {
        let text = fs::read_to_string(repository().join(path)).unwrap();
        let is_noise = |letter: char| letter.is_whitespace() || "\"\\".contains(letter);
        let text = text.replace(is_noise, "").replace('=', ":");
        let filters: Vec<_> = text.split(SOURCES).skip(1).collect();
        let is_whole = |rest: &&str| {
            let (source, rest) = rest.split_once("]},").unwrap();
            rest.starts_with(&format!("{{reservation_source:[{source}]}}"))
        };
        let named = text.matches("command_source:[").count();
        assert!(!filters.is_empty() && filters.iter().all(is_whole), "{path}: {filters:?}");
        assert_eq!(filters.len(), named, "{path}: a filter on command_source alone");
    }
    let text = fs::read_to_string(repository().join("schemas/asyncapi.yaml")).unwrap();
    let document: serde_json::Value = serde_yaml_ng::from_str(&text).unwrap();
    let consumer = &document["operations"]["publishResults"]["bindings"]["sns"]["consumers"][0];
    let either = serde_json::json!([
        { "command_source": ["/services/booking"] }, { "reservation_source": ["/services/booking"] },
    ]);
    assert_eq!(consumer["x-filterPolicy"], serde_json::json!({ "$or": either }));
}

#[test]
fn a_dead_link_is_found_and_a_link_in_code_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("other.md", "# Two words, and `code`\n## Again\n## Again\n```\n# no heading\n```\n");
    write(
        "README.md",
        "# Here\n\
         [a](other.md) [b](other.md#two-words-and-code) [c](#here) [d](other.md#again-1)\n\
         `[code](absent-1.md)` [web](https://example.com/absent) ![e](absent-2.svg \"title\")\n\
         ```\n[code](absent-3.md)\n```\n\
         [f](other.md#no-heading) [g](#absent) [h](../outside.md) [i][reference]\n\
         [reference]: absent-4.md\n",
    );
    let expected =
        ["absent-2.svg", "other.md#no-heading", "#absent", "../outside.md", "absent-4.md"];
    assert_eq!(broken(directory.path()), expected.map(|link| format!("README.md: {link}")));
}
