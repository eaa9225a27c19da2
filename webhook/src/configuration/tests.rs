use std::fs;

use super::*;

const CONFIG: &str =
    "isbsvc:\n  jetstream:\n    versions:\n      - { version: 9.9.9, natsImage: \"nats:9.9.9\", startCommand: /nats-server }\n";

fn versions(files: &Files) -> Vec<String> {
    files.measure().config.jetstream.versions.iter().map(|entry| entry.version.clone()).collect()
}

#[test]
fn a_config_map_that_comes_later_is_taken_up_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("controller-config.yaml");
    let mut files = Files::open(Some(path.clone()), None).unwrap();
    assert_eq!(files.absent_config(), Some(path.as_path()));
    assert_eq!(files.measure().config, ControllerConfig::built_in());
    assert_eq!(files.look().config, Look::Unchanged);

    fs::write(&path, CONFIG).unwrap();
    assert_eq!(files.look().config, Look::Changed);
    assert_eq!(versions(&files), ["9.9.9"]);
    assert!(files.look().config == Look::Unchanged && files.absent_config().is_none());

    fs::write(&path, "isbsvc: [").unwrap();
    assert!(matches!(files.look().config, Look::Failed { repeated: false, .. }));
    assert!(matches!(files.look().config, Look::Failed { repeated: true, .. }));
    fs::write(&path, CONFIG).unwrap();
    assert_eq!(files.look().config, Look::Unchanged, "what held before still does");
}

#[test]
fn wrong_files_are_named_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        Some(path)
    };
    let cases = [
        (Some(directory.path().join("no/such/file")), None, "cannot be read"),
        (Some(directory.path().to_owned()), None, "cannot be read"),
        (None, Some(directory.path().join("no/such/file")), "cannot be read"),
        (file("broken.yaml", b"a: ["), None, "broken.yaml: "),
        (file("binary.yaml", &[0xff, 0xfe]), None, "is not UTF-8 text"),
        (file("large.yaml", &vec![b' '; 1024 * 1024 + 1]), None, "larger than 1 MiB"),
    ];
    for (config, policy, words) in cases {
        let error = Files::open(config, policy).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn without_files_the_built_in_default_holds() {
    let files = Files::open(None, None).unwrap();
    assert!(!files.are_named() && !files.has_policy() && files.policy_is_good());
    assert_eq!(files.measure().config, ControllerConfig::built_in());
    assert_eq!(files.measure().policy, Policy::default());
}

const PRODUCTION: &str = "profile: production\n";

fn production() -> Policy {
    Policy::parse(PRODUCTION).unwrap()
}

#[test]
fn a_policy_comes_stays_while_it_is_bad_and_goes_only_when_it_is_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.yaml");
    let mut files = Files::open(None, Some(path.clone())).unwrap();
    assert_eq!((files.measure().policy, files.policy_fingerprint()), (Policy::default(), 0));

    fs::write(&path, PRODUCTION).unwrap();
    assert_eq!(files.look().policy, Look::Changed);
    assert_eq!((files.measure().policy, files.policy_fingerprint()), (production(), Policy::fingerprint(PRODUCTION)));

    let others = directory.path().join("policy.yml");
    let spoil: [&dyn Fn(); 4] = [
        &|| fs::write(&path, "rules: { encryption-toggle: off }").unwrap(),
        &|| fs::write(&path, "rules: [").unwrap(),
        &|| fs::write(&path, [0xff]).unwrap(),
        // Under another name, which is no way to say that there should be none.
        &|| fs::rename(&path, &others).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        assert!(matches!(files.look().policy, Look::Failed { repeated: false, .. }));
        assert!(matches!(files.look().policy, Look::Failed { repeated: true, .. }));
        assert!(!files.policy_is_good() && files.has_policy());
        assert_eq!((files.measure().policy, files.policy_fingerprint()), (production(), Policy::fingerprint(PRODUCTION)));
    }
    fs::rename(&others, &path).unwrap();
    fs::write(&path, PRODUCTION).unwrap();
    assert!(files.look().policy == Look::Unchanged && files.policy_is_good());

    fs::remove_file(&path).unwrap();
    assert_eq!(files.look().policy, Look::Changed);
    assert_eq!((files.measure().policy, files.has_policy(), files.policy_fingerprint()), (Policy::default(), false, 0));
}

/// Neither ends the program, nor admits what a policy might have refused.
#[test]
fn a_policy_that_is_bad_from_the_start_enforces_every_rule_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.yaml");
    for (mended, policy) in [(Some(PRODUCTION), production()), (None, Policy::default())] {
        fs::write(&path, "rules:\n  no-such: warn\n").unwrap();
        let mut files = Files::open(None, Some(path.clone())).unwrap();
        let in_use = files.measure().policy;
        let because = in_use.stands_in().expect("it stands in");
        assert!(because.ends_with("policy.yaml: rules.no-such: there is no such rule; docs/rules.md lists them"), "{because}");
        assert!(!files.policy_is_good() && files.has_policy() && files.policy_fingerprint() == 1);
        assert!(matches!(files.look().policy, Look::Failed { repeated: true, .. }), "it was said at the start");
        match mended {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        assert_eq!(files.look().policy, Look::Changed);
        assert!(files.policy_is_good());
        assert_eq!(files.measure().policy, policy);
    }
}

#[test]
fn a_bad_file_keeps_no_other_from_being_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let (config, policy) = (directory.path().join("config/controller-config.yaml"), directory.path().join("policy/policy.yaml"));
    for file in [&config, &policy] {
        fs::create_dir(file.parent().unwrap()).unwrap();
    }
    let mut files = Files::open(Some(config.clone()), Some(policy.clone())).unwrap();
    fs::write(&config, "isbsvc: [").unwrap();
    fs::write(&policy, PRODUCTION).unwrap();
    let looks = files.look();
    assert!(matches!(looks.config, Look::Failed { .. }) && looks.policy == Look::Changed, "{looks:?}");
    fs::write(&config, CONFIG).unwrap();
    fs::write(&policy, "rules: [").unwrap();
    let looks = files.look();
    assert!(matches!(looks.policy, Look::Failed { .. }) && looks.config == Look::Changed, "{looks:?}");
    assert_eq!((versions(&files), files.measure().policy), (vec!["9.9.9".to_owned()], production()));
}

/// kubelet renames `..data` onto a new folder, then makes the links of new keys, then removes those of old ones. Whatever moment a look meets, no policy
/// is taken for none.
#[test]
fn in_the_middle_of_a_change_of_the_mount_the_policy_stays() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let path = at("policy.yaml");
    fs::create_dir(at("..1")).unwrap();
    fs::write(at("..1/policy.yaml"), PRODUCTION).unwrap();
    symlink("..1", at("..data")).unwrap();
    symlink("..data/policy.yaml", &path).unwrap();
    let mut files = Files::open(None, Some(path.clone())).unwrap();
    assert_eq!(files.measure().policy, production());

    fs::create_dir(at("..2")).unwrap();
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert!(matches!(files.look().policy, Look::Failed { .. }), "the link leads nowhere yet");
    assert_eq!(files.measure().policy, production());
    fs::remove_file(&path).unwrap();
    assert_eq!(files.look().policy, Look::Changed, "the ConfigMap is gone");
    assert_eq!(files.measure().policy, Policy::default());
}
