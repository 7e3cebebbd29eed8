//! `run`, which starts a program in a container: it hands on input and signals, keeps exit codes, and asks for health.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for a client of the health check.
const CLIENT_MAX: Duration = Duration::from_secs(30);

/// Starts `script` as the container starts a program.
fn run(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run"));
    command
        .args(["/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_container_with_wrong_settings_ends_as_done_and_any_other_code_is_kept() {
    let wrong = run("exit 2").output().unwrap();
    assert_eq!(code(&wrong), Some(0));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("its settings are wrong"));
    for kept in [0, 1, 3, 4, 101] {
        assert_eq!(code(&run(&format!("exit {kept}")).output().unwrap()), Some(kept));
    }
}

#[test]
fn a_program_in_a_container_reads_its_input_and_hears_term() {
    let mut reading = run("cat").spawn().unwrap();
    reading.stdin.take().unwrap().write_all(b"order\n").unwrap();
    assert_eq!(reading.wait_with_output().unwrap().stdout, b"order\n");

    let script = "trap 'echo finished; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = run(script).spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), &output.stdout[..]), (Some(3), &b"finished\n"[..]));
}

#[test]
fn a_signal_that_ends_a_program_and_one_that_cannot_start_are_told_by_the_code() {
    assert_eq!(code(&run("kill -KILL $$").output().unwrap()), Some(128 + 9));
    let none = Command::new(env!("CARGO_BIN_EXE_run")).arg("/nothing/here").output().unwrap();
    assert_eq!(code(&none), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("/nothing/here cannot be started"));
    assert_eq!(code(&Command::new(env!("CARGO_BIN_EXE_run")).output().unwrap()), Some(1));
}

/// The next client, which is waited for with a limit.
fn accepted(listener: &TcpListener) -> TcpStream {
    let give_up_at = Instant::now() + CLIENT_MAX;
    loop {
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(false).unwrap();
                return client;
            }
            Err(error) => {
                assert!(
                    error.kind() == ErrorKind::WouldBlock && Instant::now() < give_up_at,
                    "{error}"
                );
                thread::yield_now();
            }
        }
    }
}

#[test]
fn the_health_check_tells_200_from_everything_else_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let place = format!("{}/readyz", listener.local_addr().unwrap());
    let probe =
        || Command::new(env!("CARGO_BIN_EXE_run")).args(["--probe", &place]).output().unwrap();
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n{}", Some(0)),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\nthe registry is away\n", Some(1)),
        ("200 200 200", Some(1)),
        ("", Some(1)),
    ] {
        let output = thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let mut client = accepted(&listener);
                let mut request = [0; 256];
                let read = client.read(&mut request).unwrap();
                client.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..read]).into_owned()
            });
            let output = probe();
            let request = asked.join().unwrap();
            assert!(request.starts_with("GET /readyz HTTP/1.0\r\n"), "{request}");
            output
        });
        assert_eq!(code(&output), expected, "{answer:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("the registry is away"), answer.contains("away"), "{said}");
    }
    drop(listener);
    assert_eq!(code(&probe()), Some(1), "nobody listens");
}
