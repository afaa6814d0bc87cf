//! The corpus of each fuzz target (`fuzz/README.md`), so that whatever was found once is tried in every run of the tests.

use std::{fs, panic, path::Path};

#[path = "../fuzz/targets/bearer_token.rs"]
mod bearer_token;
#[path = "../fuzz/targets/dpop_proof.rs"]
mod dpop_proof;

#[test]
fn every_file_of_the_corpus_ends_as_its_name_says() {
    for (target, run, outcomes) in [
        ("bearer_token", bearer_token::run as fn(&[u8]) -> &'static str, &["jwt", "encrypted", "opaque"][..]),
        ("dpop_proof", dpop_proof::run, &["accepted", "refused"]),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut seen = Vec::new();
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let input = fs::read(&path).unwrap();
            let outcome = panic::catch_unwind(|| run(&input));
            assert!(outcome.is_ok_and(|outcome| name.starts_with(outcome)), "{target}/{name}");
            seen.push(name.to_owned());
        }
        for outcome in outcomes {
            assert!(seen.iter().any(|name| name.starts_with(outcome)), "nothing of {target} is {outcome}");
        }
    }
}
