//! Coming and going: nobody is believed without an authority, and what is remembered is for the user alone.

use std::os::unix::fs::PermissionsExt;

use packaging_service::tls;

use crate::scene::{PASSWORD, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_remembered_for_the_user_alone_and_forgotten() {
    let scene = Scene::new().await;
    let nobody = scene.run(&["vm", "list"]).await;
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""));
    assert_eq!(nobody.err, "cairn: nobody is logged in; run `cairn login https://SERVER:8443`\n");

    let ca = scene.layout.tls("ca.pem").display().to_string();
    let wrong = scene.run_with(&["login", &scene.url(), "--ca", &ca], "wrong").await;
    assert_eq!(wrong.code, Some(8), "{wrong:?}");
    assert!(!scene.login_file().exists());
    let login = scene.run_with(&["login", &scene.url(), "--ca", &ca], PASSWORD).await.ok();
    assert!(login.starts_with("admin is logged in to https://localhost:"), "{login}");
    let mode = scene.login_file().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!std::fs::read_to_string(scene.login_file()).unwrap().contains(PASSWORD));
    scene.run(&["vm", "list"]).await.ok();

    scene.run(&["logout"]).await.ok();
    assert!(!scene.login_file().exists());
    assert_eq!(scene.run(&["vm", "list"]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_pins_the_authority_and_another_one_is_refused() {
    let scene = Scene::new().await;
    let authority = tls::certificates(&scene.layout.tls("ca.pem")).unwrap();
    let digest = sha256(&authority[0]);
    let zeros = "00".repeat(32);
    let refused = scene.run_with(&["login", &scene.url(), "--ca-sha256", &zeros], PASSWORD).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("does not come from the authority"), "{refused:?}");
    // As openssl writes it.
    let pairs: Vec<_> = (0..64).step_by(2).map(|at| digest[at..at + 2].to_uppercase()).collect();
    scene.run_with(&["login", &scene.url(), "--ca-sha256", &pairs.join(":")], PASSWORD).await.ok();
    scene.run(&["host", "list"]).await.ok();

    // The authority of another installation does not open this one.
    let stranger = Scene::new().await;
    let ca = stranger.layout.tls("ca.pem").display().to_string();
    let refused = scene.run(&["host", "list", "--ca", &ca]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(7), ""), "{refused:?}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_in_with_a_token_and_no_file() {
    let scene = Scene::ready().await;
    let made = scene.run(&["token", "create", "ci", "--output", "json"]).await;
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    std::fs::remove_file(scene.login_file()).unwrap();
    let (ca, url) = (scene.layout.tls("ca.pem").display().to_string(), scene.url());
    let listed = scene.run(&["image", "list", "--server", &url, "--ca", &ca, "--token", &secret]).await.ok();
    assert!(listed.contains("debian"), "{listed}");
    let refused = scene.run(&["image", "list", "--server", &url, "--ca", &ca, "--token", "x"]).await;
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (Some(8), "cairn: the session has ended; log in again\n")
    );
}
