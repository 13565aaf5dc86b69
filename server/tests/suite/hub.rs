//! Models and sources from the Hugging Face hub: a hub of our own stands in for it.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::fake_hub::{COMMIT, FakeHub};
use crate::harness::{latentdb, text};

fn golden(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../udfs/tests/golden").join(part)
}

/// A machine with a database and a cache, and a hub that it reaches.
struct Machine {
    folder: tempfile::TempDir,
    hub: String,
}

impl Machine {
    fn new(hub: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), hub: hub.to_owned() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        latentdb(arguments)
            .env("LATENTDB_DATA", self.folder.path().join("db"))
            .env("HF_HOME", self.folder.path().join("cache"))
            .env("HF_ENDPOINT", &self.hub)
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_TOKEN")
            .output()
            .unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?} failed:\n{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

const ACTIVATE: [&str; 8] = ["activate", "tiny", "1-res", "The cat's mat", "-k", "3", "--format", "csv"];

#[test]
fn a_model_and_a_source_of_the_hub_are_fetched_once_pinned_and_used_without_it() {
    let hub = FakeHub::start(&[("me/tiny", "", &golden("model")), ("me/saes", "layer_1", &golden("sources/1-res"))]);
    let machine = Machine::new(&hub.url());
    assert!(machine.succeed(&["model", "add", "tiny", "hf:me/tiny"]).contains("tiny: gpt2, 3 layers"));
    assert!(machine.succeed(&["source", "add", "tiny/1-res", "hf:me/saes/layer_1"]).contains("96 features"));
    let listed = machine.succeed(&["source", "list", "--format", "csv"]);
    assert!(listed.contains(&format!("hf:me/saes@{COMMIT}/layer_1")), "{listed}");
    let requests = hub.requests();
    let found = machine.succeed(&ACTIVATE);
    assert_eq!(found.lines().count(), 4, "{found}");
    machine.succeed(&["source", "add", "tiny/1-again", &format!("hf:me/saes@{COMMIT}/layer_1")]);
    assert_eq!(hub.requests(), requests, "what is here whole is not asked for again");
    drop(hub);
    assert_eq!(machine.succeed(&ACTIVATE), found);

    // The same numbers as from a folder.
    let local = Machine::new("http://127.0.0.1:1");
    local.succeed(&["model", "add", "tiny", golden("model").to_str().unwrap()]);
    local.succeed(&["source", "add", "tiny/1-res", golden("sources/1-res").to_str().unwrap()]);
    assert_eq!(local.succeed(&ACTIVATE), found);
}

#[test]
fn a_database_that_moves_to_another_machine_fetches_its_weights_there() {
    let hub = FakeHub::start(&[("me/tiny", "", &golden("model")), ("me/saes", "layer_1", &golden("sources/1-res"))]);
    let machine = Machine::new(&hub.url());
    machine.succeed(&["model", "add", "tiny", "hf:me/tiny"]);
    machine.succeed(&["source", "add", "tiny/1-res", "hf:me/saes/layer_1"]);
    let found = machine.succeed(&ACTIVATE);
    std::fs::remove_dir_all(machine.folder.path().join("cache")).unwrap();
    assert_eq!(machine.succeed(&ACTIVATE), found);
}

#[test]
fn a_download_that_breaks_is_taken_up_again() {
    let hub = FakeHub::start(&[("me/tiny", "", &golden("model"))]);
    let machine = Machine::new(&hub.url());
    hub.break_once();
    machine.succeed(&["model", "add", "tiny", "hf:me/tiny"]);
    assert_eq!(
        machine
            .succeed(&["sql", "--format", "csv", "SELECT token FROM logits('tiny', 'a', top_k => 1)"])
            .lines()
            .count(),
        2
    );
}

#[test]
fn what_is_published_needs_its_name_alone() {
    let hub = FakeHub::start(&[
        ("openai-community/gpt2", "", &golden("model")),
        ("jbloom/GPT2-Small-SAEs-Reformatted", "blocks.1.hook_resid_pre", &golden("sources/1-res")),
    ]);
    let machine = Machine::new(&hub.url());
    machine.succeed(&["model", "add", "gpt2-small"]);
    machine.succeed(&["source", "add", "gpt2-small/1-res-jb"]);
    machine.succeed(&["source", "add", "gpt2-small/1-mine", "saelens:gpt2-small-res-jb/blocks.1.hook_resid_pre"]);
    let listed = machine.succeed(&["source", "list", "--format", "csv"]);
    let place = format!("hf:jbloom/GPT2-Small-SAEs-Reformatted@{COMMIT}/blocks.1.hook_resid_pre");
    assert_eq!(listed.matches(&place).count(), 2, "{listed}");
    let found = machine.succeed(&["source", "find", "gpt2-small/1-", "res-jb"]);
    assert!(found.contains("gpt2-small/1-res-jb  hf:jbloom/GPT2-Small-SAEs-Reformatted/"), "{found}");
}

#[test]
fn what_cannot_be_fetched_says_why() {
    let hub = FakeHub::start(&[("me/saes", "", &golden("sources/1-res"))]);
    let machine = Machine::new(&hub.url());
    let gone = Machine::new("http://127.0.0.1:1");
    for (machine, arguments, said) in [
        (&machine, vec!["model", "add", "x", "hf:me/nothing"], "the hub has no hf:me/nothing"),
        (&machine, vec!["model", "add", "x", "hf:gated/model"], "HF_TOKEN"),
        (&machine, vec!["model", "add", "x", "hf:"], "hf:ORG/REPO"),
        (&machine, vec!["model", "add", "x", "hf:me/saes"], "hf:me/saes holds no weights"),
        (&machine, vec!["model", "add", "no-such-model"], "no model is known as no-such-model"),
        (&gone, vec!["model", "add", "x", "hf:me/tiny"], "HF_ENDPOINT"),
    ] {
        let output = machine.fail(&arguments);
        assert!(output.contains(said), "{arguments:?}: {output}");
    }
    let local = golden("model");
    machine.succeed(&["model", "add", "tiny", local.to_str().unwrap()]);
    for (arguments, said) in [
        (vec!["source", "add", "tiny/1-res"], "latentdb source find tiny"),
        (vec!["source", "add", "tiny/1-res", "saelens:none/such"], "no published source"),
        (vec!["source", "add", "tiny/1-res", "hf:me/saes/nowhere"], "holds no weights"),
        (vec!["source", "add", "1-res", "hf:me/saes"], "MODEL/SOURCE"),
    ] {
        let output = machine.fail(&arguments);
        assert!(output.contains(said), "{arguments:?}: {output}");
    }
}
