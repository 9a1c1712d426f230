//! The command line: what it prints, writes, and exits with.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

fn midihook(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_midihook"))
        .args(arguments)
        .env_remove("MIDIHOOK_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may end before it has read all of its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn outcome(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let output = midihook(arguments, input);
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// An empty directory for one test.
fn directory(test: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn render_writes_the_song_and_says_what_is_in_it() {
    let song = directory("render").join("song.mid");
    let (code, out, err) = outcome(
        &[
            "render",
            "../../events/callback-success.json",
            "-o",
            song.to_str().unwrap(),
        ],
        b"",
    );
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.contains("6 notes, 7.9 s, 120 BPM") && out.contains("Electric Bass (finger)"),
        "{out}"
    );
    assert!(std::fs::read(song).unwrap().starts_with(b"MThd"));
}

#[test]
fn render_takes_a_record_info_answer_from_a_pipe_and_writes_to_one() {
    let input = std::fs::read("../../events/record-info.json").unwrap();
    let output = midihook(&["render", "-", "-o", "-"], &input);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"MThd"));
}

#[test]
fn render_names_the_file_after_the_task() {
    let directory = directory("names");
    let sample = std::fs::canonicalize("../../events/callback-success.json").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_midihook"))
        .arg("render")
        .arg(sample)
        .current_dir(&directory)
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    assert!(directory.join("5c79c0ffeebe8e.mid").exists());
}

#[test]
fn render_says_why_there_is_no_song() {
    for (input, code, words) in [
        (
            &include_bytes!("../../../events/callback-failure.json")[..],
            3,
            "the provider reported a failure (code 500): Internal Error",
        ),
        (b"not json", 3, "not JSON (line 1, column 2)"),
        (br#"{"data":{"instruments":1}}"#, 3, "members: data, data.instruments"),
        (
            br#"{"taskId":"a\u001b[31m","task_id":"b"}"#,
            3,
            "more than one task id: a\\u{1b}[31m, b",
        ),
        (br#"{"code":200,"data":{"successFlag":0}}"#, 1, "had not ended yet"),
    ] {
        let (got, out, err) = outcome(&["render", "-", "-o", "-"], input);
        assert_eq!((got, out.as_str()), (Some(code), ""), "{err}");
        assert!(err.contains(words), "{err}");
    }
    let (code, _, err) = outcome(&["render", "no/such/file.json"], b"");
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot read no/such/file.json: No such file"), "{err}");
}

#[test]
fn render_prints_the_result_document() {
    let song = directory("json").join("song.mid");
    let (code, out, _) = outcome(
        &[
            "render",
            "../../events/callback-success.json",
            "--json",
            "-o",
            song.to_str().unwrap(),
        ],
        b"",
    );
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["state"]), (Some(0), &"rendered".into()));
    // The document names every file of a song, written or not.
    assert!(document["files"]["pianoRoll"].is_string(), "{out}");
    let (code, out, _) = outcome(&["render", "../../events/callback-failure.json", "--json"], b"");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["failure"]["code"]), (Some(3), &500.into()));
}

#[test]
fn render_draws_the_song_and_takes_a_tempo() {
    let directory = directory("svg");
    let [song, picture] = ["song.mid", "song.svg"].map(|name| directory.join(name).to_str().unwrap().to_owned());
    let arguments = [
        "render",
        "../../events/callback-success.json",
        "-o",
        &song,
        "--svg",
        &picture,
        "--bpm",
        "98",
    ];
    let (code, out, _) = outcome(&arguments, b"");
    assert_eq!(code, Some(0));
    assert!(
        out.contains("98 BPM") && out.contains(&format!("wrote {picture}")),
        "{out}"
    );
    assert!(std::fs::read_to_string(picture).unwrap().starts_with("<svg"));
    let (code, _, err) = outcome(&["render", "../../events/callback-success.json", "--bpm", "fast"], b"");
    assert_eq!(code, Some(2));
    assert!(
        err.contains("\"auto\", \"off\", a number of beats per minute from 20 to 400"),
        "{err}"
    );
}

/// The names of the files in a directory.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn render_writes_the_files_that_are_asked_for_beside_the_song() {
    let directory = directory("beside");
    let song = directory.join("my song.mid");
    let render = |more: &[&str]| {
        let arguments = [
            "render",
            "../../events/callback-success.json",
            "-o",
            song.to_str().unwrap(),
        ];
        let (code, out, err) = outcome(&[&arguments, more].concat(), b"");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        out
    };
    render(&[]);
    let plain = std::fs::read(&song).unwrap();
    assert_eq!(names(&directory), ["my song.mid"]);
    let out = render(&["--split", "--quantize", "1/16", "--quantize-strength", "0.5"]);
    assert_eq!(
        names(&directory),
        [
            "my song-01-drums.mid",
            "my song-02-electric-bass-finger.mid",
            "my song-quantized.mid",
            "my song.mid"
        ]
    );
    assert!(out.contains("my song-01-drums.mid"), "{out}");
    assert_eq!(std::fs::read(&song).unwrap(), plain, "the first file stays as it is");
    assert!(std::fs::read(directory.join("my song-quantized.mid")).unwrap() != plain);
}

#[test]
fn render_to_a_pipe_is_one_file() {
    for more in ["--split", "--quantize=1/16"] {
        let (code, out, err) = outcome(&["render", "../../events/callback-success.json", "-o", "-", more], b"");
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains("give it a name with -o"), "{err}");
    }
    let off = [
        "render",
        "../../events/callback-success.json",
        "-o",
        "-",
        "--split=false",
        "--quantize=off",
    ];
    assert_eq!(midihook(&off, b"").status.code(), Some(0));
}

#[test]
fn render_does_what_the_musician_decides() {
    let song = directory("decides").join("song.mid");
    let render = |more: &[&str]| {
        let arguments = [
            "render",
            "../../events/callback-success.json",
            "--json",
            "-o",
            song.to_str().unwrap(),
        ];
        let (code, out, err) = outcome(&[&arguments, more].concat(), b"");
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["song"].clone()
    };
    let asked = render(&["--bpm", "92", "--meter", "3/4", "--downbeat", "1.23", "--key", "Ebm"]);
    assert_eq!(
        (&asked["tempo"]["meter"], &asked["key"]["name"]),
        (&"3/4".into(), &"Ebm".into())
    );
    assert!((asked["tempo"]["bpm"].as_f64().unwrap() - 92.0).abs() < 0.01, "{asked}");
    let hinted = render(&["--bpm-hint", "92", "--steady"]);
    assert!(
        (65.0..131.0).contains(&hinted["tempo"]["bpm"].as_f64().unwrap()),
        "{hinted}"
    );
    for (wrong, words) in [
        (&["--bpm", "92", "--bpm-hint", "92"][..], "cannot be used with"),
        (&["--bpm-hint", "auto"], "from 20 to 400"),
        (&["--meter", "4/3"], "2/4 to 7/4"),
        (&["--downbeat=-1"], "0 to 21600"),
        (&["--key", "H"], "note name"),
        (&["--quantize", "1/17"], "1/16"),
        (&["--quantize-strength", "0.5"], "--quantize <GRID>"),
        (&["--quantize", "1/16", "--quantize-strength", "2"], "from 0 to 1"),
    ] {
        let (code, _, err) = outcome(&[&["render", "-"], wrong].concat(), b"");
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(words), "{err}");
    }
}

#[test]
fn render_says_what_it_found() {
    let found = |more: &[&str]| {
        let song = directory("found").join("song.mid");
        let arguments = [
            "render",
            "../../events/callback-success.json",
            "-o",
            song.to_str().unwrap(),
        ];
        outcome(&[&arguments, more].concat(), b"").1
    };
    let withheld = found(&[]);
    assert!(
        withheld.contains("120 BPM, 4/4, ") && withheld.contains("no steady beat was found"),
        "{withheld}"
    );
    let told = found(&["--bpm", "92", "--key", "F#m"]);
    assert!(
        told.contains("92 BPM, 4/4, F#m\n") && !told.contains("no steady beat"),
        "{told}"
    );
}

#[test]
fn help_has_examples_and_a_wrong_command_line_exits_with_2() {
    let commands: &[&str] = match cfg!(feature = "stack") {
        true => &[
            "render",
            "send",
            "get",
            "status",
            "list",
            "replay",
            "redrive",
            "completions",
        ],
        false => &["render", "send", "completions"],
    };
    for &command in commands {
        let (code, out, _) = outcome(&[command, "--help"], b"");
        assert_eq!(code, Some(0));
        assert!(
            out.contains("Examples:") && out.contains(&format!("midihook {command}")),
            "{out}"
        );
    }
    assert_eq!(outcome(&["render"], b"").0, Some(2));
    assert_eq!(
        outcome(&["send", "http://127.0.0.1:1/callback", "-"], b"").0,
        Some(2),
        "no key"
    );
}

#[test]
fn shells_and_man_know_the_commands() {
    for (shell, words) in [
        ("bash", "complete -F _midihook"),
        ("zsh", "#compdef midihook"),
        ("fish", "complete -c midihook"),
    ] {
        let (code, out, _) = outcome(&["completions", shell], b"");
        assert_eq!(code, Some(0));
        assert!(out.contains(words) && out.contains("bpm-hint"), "{shell}");
    }
    assert_eq!(outcome(&["completions", "tin"], b"").0, Some(2));

    let pages = directory("man").join("man1");
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert_eq!(outcome(&["man", pages.to_str().unwrap()], b"").0, Some(0));
    assert!(page("midihook.1").contains("Exit codes"), "{}", page("midihook.1"));
    let render = page("midihook-render.1");
    assert!(
        render.contains(".nf\nExamples:\n  midihook render callback.json"),
        "{render}"
    );
    let (code, _, err) = outcome(&["man", "Cargo.toml/man1"], b"");
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot make Cargo.toml/man1"), "{err}");
}

/// The lines of the head of a request, and its body.
type Asked = (Vec<String>, Vec<u8>);

/// Starts a server that answers one request with `status`. Returns its URL, and the request.
fn server(status: &'static str) -> (String, thread::JoinHandle<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/callback", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let head: Vec<String> = (&mut reader)
            .lines()
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .collect();
        let length = head
            .iter()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        )
        .unwrap();
        (head, body)
    });
    (url, asked)
}

#[test]
fn send_signs_and_posts_the_file_byte_for_byte() {
    let (url, asked) = server("200 OK");
    let (code, out, err) = outcome(
        &["send", &url, "../../events/callback-success.json", "--key", "-secret"],
        b"",
    );
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "200 OK  {}\n", ""));
    let (head, body) = asked.join().unwrap();
    assert_eq!(body, std::fs::read("../../events/callback-success.json").unwrap());
    let header = |name: &str| {
        head.iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap()
            .to_owned()
    };
    assert_eq!(head[0], "POST /callback HTTP/1.1");
    assert_eq!(header("content-type"), "application/json");
    let key = suno_midi::provider::signature::SigningKey::new("-secret").unwrap();
    assert_eq!(
        header("x-webhook-signature"),
        key.sign("5c79c0ffeebe8e", &header("x-webhook-timestamp"))
    );
}

#[test]
fn the_exit_code_of_send_says_whether_trying_again_helps() {
    for (status, code, words) in [
        (
            "401 Unauthorized",
            3,
            "The key is not one of the two that the stack accepts",
        ),
        ("400 Bad Request", 3, "400"),
        ("503 Service Unavailable", 1, "try again"),
    ] {
        let (url, asked) = server(status);
        let (got, _, err) = outcome(
            &["send", &url, "../../events/callback-success.json", "--key", "secret"],
            b"",
        );
        assert_eq!(got, Some(code), "{err}");
        assert!(err.contains(words) && !err.contains("secret"), "{err}");
        asked.join().unwrap();
    }
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, err) = outcome(
        &[
            "send",
            &format!("http://{unused}/callback"),
            "../../events/callback-success.json",
            "--key",
            "k",
        ],
        b"",
    );
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot post to"), "{err}");
    assert_eq!(
        outcome(&["send", "http://127.0.0.1:1/", "-", "--key", "k"], b"{}").0,
        Some(3),
        "no task id to sign"
    );
}

#[cfg(feature = "stack")]
#[test]
fn a_command_for_a_stack_says_what_is_missing_before_it_does_anything() {
    let said = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_midihook"))
            .args(arguments)
            .env_clear()
            .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "us-east-1")])
            .envs([
                ("MIDIHOOK_BUCKET", "bucket"),
                ("MIDIHOOK_RENDER_QUEUE_URL", "http://127.0.0.1:1/render"),
            ])
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Without names in the environment, the commands ask CloudFormation; nothing listens there.
    let no_names = [
        ("MIDIHOOK_BUCKET", ""),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ];
    for (arguments, environment, code, words) in [
        (
            &["replay", "t"][..],
            &no_names[..],
            1,
            "cannot look for the stack midihook in us-east-1 (cloudformation:DescribeStacks)",
        ),
        (&["get", "t", "--bucket", ""], &[], 2, "--bucket"),
        (
            &["replay", "--since", "1d", "--until", "2d"],
            &[],
            3,
            "--since is not before --until",
        ),
        (&["replay", "t"], &[], 1, "no usable AWS credentials"),
        (&["get", "t"], &[], 1, "no usable AWS credentials"),
        (&["get", "t", "--stack", "x"], &[], 1, "no usable AWS credentials"),
    ] {
        let (got, err) = said(arguments, environment);
        assert_eq!(got, Some(code), "{err}");
        assert!(err.contains(words), "{err}");
    }
}

/// Bodies that an earlier release took for empty songs, or did not read.
#[test]
fn render_says_what_each_body_is() {
    for (case, code, state, words) in [
        ("f01-lambda-event.json", 0, "rendered", ""),
        ("f01-state-failed.json", 3, "failed", "it gave no reason"),
        ("f01-state-running.json", 1, "pending", "ask the provider again"),
        (
            "f01-unknown-task-answer.json",
            3,
            "invalid",
            "the provider's answer that it does not know the task",
        ),
        ("f06-n8n-array.json", 0, "rendered", ""),
        ("f10-masked-id.json", 0, "rendered", ""),
        ("f11-utf16-from-powershell.json", 0, "rendered", ""),
        ("jobs-failure.json", 3, "failed", "(code 500): Internal server error"),
        (
            "jobs-other-product.json",
            3,
            "unsupported",
            "(grok-imagine/text-to-image)",
        ),
        ("jobs-success.json", 0, "rendered", ""),
    ] {
        let song = directory("cases").join("song.mid");
        let path = song.to_str().unwrap();
        let found = outcome(&["render", &format!("tests/cases/{case}"), "-o", path], b"");
        assert_eq!(found.0, Some(code), "{case}: {}", found.2);
        assert!(found.2.contains(words), "{case}: {}", found.2);
        assert_eq!(song.exists(), code == 0, "{case}");
        let (also, out, _) = outcome(&["render", &format!("tests/cases/{case}"), "--json", "-o", path], b"");
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((also, &document["state"]), (Some(code), &state.into()), "{case}");
    }
}

#[test]
fn render_names_what_it_cannot_read() {
    for (body, words) in [
        (&b""[..], "the body is empty"),
        (b"<html></html>", "a web page"),
        (b"MThd\0\0\0\x06", "a MIDI file"),
        (b"\x1f\x8b\x08\0", "compressed"),
        (
            b"{\"message\":\"Endpoint request timed out\"}",
            "web server: Endpoint request timed out",
        ),
        (
            b"{\"code\":200,\"data\":{\"state\":\"complete\",\"tracks\":[{\"title\":\"secret\"}]}}",
            "\n  members: code, data, data.state, data.tracks, data.tracks[].title\n",
        ),
    ] {
        let (code, out, err) = outcome(&["render", "-", "-o", "-"], body);
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(err.contains(words) && !err.contains("secret"), "{err}");
    }
}

#[test]
fn a_task_id_that_cannot_name_a_file_does_not_hide_the_song() {
    let here = directory("masked");
    let case = std::fs::canonicalize("tests/cases/f10-masked-id.json").unwrap();
    let found = Command::new(env!("CARGO_BIN_EXE_midihook"))
        .arg("render")
        .arg(case)
        .current_dir(&here)
        .output()
        .unwrap();
    assert_eq!(found.status.code(), Some(0));
    assert!(
        String::from_utf8(found.stderr)
            .unwrap()
            .contains("the song is called \"song\"")
    );
    assert!(here.join("song.mid").exists());
}

/// Each line is an argument list; `body.json` is the input.
#[cfg(unix)]
#[test]
fn no_output_destroys_the_input_or_another_output() {
    use std::{fs, os::unix::fs::symlink};

    let here = directory("same");
    let body = fs::read("../../events/callback-success.json").unwrap();
    let run = |arguments: &str, stdin: Option<fs::File>, stdout: Option<fs::File>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midihook"));
        command.arg("render").args(arguments.split(' ')).current_dir(&here);
        command
            .stdin(stdin.map_or(Stdio::null(), Stdio::from))
            .stdout(stdout.map_or(Stdio::piped(), Stdio::from));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    fs::write(here.join("body.json"), &body).unwrap();
    fs::write(here.join("old.mid"), "old").unwrap();
    fs::write(here.join("body-01-drums.mid"), &body).unwrap();
    fs::hard_link(here.join("body.json"), here.join("hard.mid")).unwrap();
    symlink("body.json", here.join("link.mid")).unwrap();
    symlink("to-come", here.join("one")).unwrap();
    symlink("to-come", here.join("two")).unwrap();
    fs::create_dir(here.join("in")).unwrap();
    let files = || {
        let names = fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = names.map(|path| (path.clone(), fs::read(path).ok())).collect();
        files.sort();
        files
    };
    let before = files();
    for arguments in [
        "body.json -o body.json",
        "body.json -o ./in/../body.json",
        "body.json -o link.mid",
        "body.json -o hard.mid",
        "body.json --svg body.json",
        "body.json --svg link.mid",
        "link.mid -o body.json",
        "body.json -o s.mid --svg s.mid",
        "body.json -o old.mid --svg ./old.mid",
        "body.json -o one --svg two",
        "body.json -o body.mid --svg body-01-drums.mid --split",
        "body-01-drums.mid -o body.mid --split",
    ] {
        let (code, err) = run(arguments, None, None);
        assert_eq!(code, Some(2), "{arguments}: {err}");
        assert!(err.contains("same file"), "{arguments}: {err}");
        assert!(files() == before, "{arguments}");
    }
    let input = || fs::File::open(here.join("body.json")).unwrap();
    let (code, err) = run("- -o body.json", Some(input()), None);
    assert!(code == Some(2) && files() == before, "{err}");
    let appended = fs::OpenOptions::new().append(true).open(here.join("old.mid")).unwrap();
    let (code, err) = run("body.json -o old.mid", None, Some(appended));
    assert!(code == Some(2) && files() == before, "{err}");

    for arguments in ["body.json -o -", "body.json -o a.mid --json"] {
        let appended = fs::OpenOptions::new()
            .append(true)
            .open(here.join("body.json"))
            .unwrap();
        let (code, err) = run(arguments, None, Some(appended));
        assert!(code == Some(2) && files() == before, "{arguments}: {err}");
    }

    // A named pipe is an input, too.
    let pipe = here.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = thread::spawn(move || fs::write(pipe, body));
    assert_eq!(run("pipe -o piped.mid", None, None).0, Some(0));
    writer.join().unwrap().unwrap();

    // What is no file loses nothing, and an old output is replaced as a whole.
    assert_eq!(run("body.json -o /dev/null --svg /dev/null", None, None).0, Some(0));
    fs::write(here.join("old.mid"), vec![b'x'; 100_000]).unwrap();
    assert_eq!(run("body.json -o old.mid", None, None).0, Some(0));
    assert!(fs::metadata(here.join("old.mid")).unwrap().len() < 1000);
}

#[test]
fn render_writes_one_thing_to_standard_output() {
    let song = directory("stdout").join("song.mid");
    let arguments = ["render", "../../events/callback-success.json"];
    let (code, out, _) = outcome(
        &[&arguments[..], &["--svg", "-", "-o", song.to_str().unwrap()]].concat(),
        b"",
    );
    assert_eq!(code, Some(0));
    assert!(out.starts_with("<svg") && out.contains("</svg>"));
    assert!(song.exists() && !Path::new("-").exists());
    for two in [
        &["--svg", "-", "-o", "-"][..],
        &["--svg", "-", "--json"],
        &["-o", "-", "--json"],
    ] {
        let (code, out, err) = outcome(&[&arguments[..], two].concat(), b"");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{two:?}: {err}");
    }
}
