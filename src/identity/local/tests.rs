use super::*;

const NOW: UnixTime = UnixTime(1_700_000_000);

/// Hashes that cost next to nothing, so that the tests need not wait.
fn cheap(password: &str) -> LocalUser {
    let hash = hash_with(Params::new(16, 1, 1, None).unwrap(), password.as_bytes()).unwrap();
    LocalUser { password_hash: hash.to_string(), roles: vec!["doctor-role".to_owned()] }
}

fn users() -> LocalUsers {
    LocalUsers::new([("doctor".to_owned(), cheap("secret"))].into()).unwrap()
}

#[test]
fn the_right_password_is_accepted_and_an_account_has_its_roles() {
    let users = users();
    assert_eq!(users.check("doctor", b"secret", "192.0.2.1", NOW), Ok(()));
    assert_eq!(users.roles("doctor"), Some(["doctor-role".to_owned()].as_slice()));
    assert_eq!(users.roles("Doctor"), None);
}

#[test]
fn wrong_passwords_and_unknown_users_are_told_apart_only_for_us() {
    let users = users();
    for password in ["", "Secret", "secret\0", "secrets"] {
        let error = users.check("doctor", password.as_bytes(), "192.0.2.1", NOW).unwrap_err();
        assert_eq!(error, LocalError::WrongPassword, "{password:?}");
    }
    let unknown = users.check("Doctor", b"secret", "192.0.2.2", NOW).unwrap_err();
    assert_eq!(unknown, LocalError::UnknownUser);
    assert_eq!(unknown.to_string(), LocalError::WrongPassword.to_string());
    assert_eq!(users.check("doctor", &[b'x'; MAX_PASSWORD + 1], "192.0.2.3", NOW), Err(LocalError::WrongPassword));
}

#[test]
fn unknown_users_cost_the_same_hash() {
    let costly = LocalUser {
        password_hash: hash_with(Params::new(64, 2, 1, None).unwrap(), b"x").unwrap().to_string(),
        roles: Vec::new(),
    };
    let users = LocalUsers::new([("a".to_owned(), cheap("x")), ("b".to_owned(), costly)].into()).unwrap();
    let (decoy, costliest) = (users.decoy.as_ref().unwrap(), &users.users["b"].hash);
    assert_eq!(
        (&decoy.algorithm, decoy.version, &decoy.params),
        (&costliest.algorithm, costliest.version, &costliest.params)
    );
    assert_ne!((decoy.salt, decoy.hash), (costliest.salt, costliest.hash));
}

#[test]
fn guessing_is_locked_out_for_known_and_unknown_users_alike_even_with_the_right_password() {
    let users = users();
    for (user, peer) in [("doctor", "192.0.2.1"), ("nobody", "192.0.2.2")] {
        for _ in 0..5 {
            users.check(user, b"guess", peer, NOW).unwrap_err();
        }
        let locked = Err(LocalError::TooManyAttempts { retry_after: 1 });
        assert_eq!(users.check(user, b"secret", peer, NOW), locked, "{user}");
    }
    assert!(users.check("doctor", b"secret", "192.0.2.1", NOW.plus(1)).is_ok(), "over after a second");
    assert_eq!(users.check("doctor", b"guess", "192.0.2.1", NOW.plus(1)), Err(LocalError::WrongPassword), "reset");
}

#[test]
fn a_third_check_at_the_same_time_is_turned_away() {
    let users = users();
    let _running = (users.checks.slots.take(), users.checks.slots.take());
    assert_eq!(users.check("doctor", b"secret", "192.0.2.1", NOW), Err(LocalError::Busy));
}

#[test]
fn pins_of_links_are_checked_in_the_same_slots() {
    let users = users();
    let pins = users.pins();
    let hash = cheap("1234").password_hash;
    assert!(pins.check("link", "1234", &hash, "192.0.2.1", NOW).is_ok());
    assert_eq!(pins.check("link", "4321", &hash, "192.0.2.1", NOW), Err(LocalError::WrongPassword));
    let _running = (users.checks.slots.take(), users.checks.slots.take());
    assert_eq!(pins.check("other", "1234", &hash, "192.0.2.1", NOW), Err(LocalError::Busy));
}

#[test]
fn without_accounts_nothing_is_hashed() {
    let users = LocalUsers::new(BTreeMap::new()).unwrap();
    assert!(users.is_empty());
    assert!(users.decoy.is_none());
    assert_eq!(users.check("doctor", b"", "192.0.2.1", NOW), Err(LocalError::UnknownUser));
}

#[test]
fn hashes_that_cannot_be_verified_are_faults_of_the_configuration() {
    for (hash, fault) in [
        ("secret", "no hash in PHC string format"),
        ("$argon2i$v=19$m=16,t=1,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA", "not an argon2id hash"),
        ("$argon2id$v=19$m=16,t=1,p=1$c29tZXNhbHRzYWx0", "salt or hash is missing"),
        ("$argon2id$v=19$m=2000000,t=1,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA", "more than 1 GiB"),
        ("$argon2id$v=7$m=16,t=1,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA", "unknown version"),
        ("$argon2id$v=19$m=1,t=0,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA", "unusable parameters"),
    ] {
        let user = LocalUser { password_hash: hash.to_owned(), roles: Vec::new() };
        let error = LocalUsers::new([("doctor".to_owned(), user)].into()).err().map(|error| error.to_string());
        let text = error.unwrap_or_default();
        assert!(text.starts_with("Authorization.Users.doctor.PasswordHash: "), "{hash}: {text}");
        assert!(text.contains(fault), "{hash}: {text}");
    }
}

#[test]
fn a_hash_that_we_make_is_salted_has_our_cost_and_logs_in() {
    let (first, second) = (hash_password(b"pass word").unwrap(), hash_password(b"pass word").unwrap());
    assert_ne!(first, second);
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    let user = LocalUser { password_hash: first, roles: Vec::new() };
    let users = LocalUsers::new([("doctor".to_owned(), user)].into()).unwrap();
    assert!(users.check("doctor", b"pass word", "192.0.2.1", NOW).is_ok());
}
