//! The part of a command line that others may see: the program and its script. Not the arguments:
//! they may contain secrets, and backups and packages pick up the ledger.

use rootlock_sys::process;

/// Programs that run a script, without version numbers, each with the letters of its flags that
/// take program text instead of a script.
const INTERPRETERS: &[(&str, &str)] = &[
    ("bash", "c"),
    ("bun", "ep"),
    ("dash", "c"),
    ("deno", ""),
    ("ksh", "c"),
    ("lua", "e"),
    ("node", "ep"),
    ("nodejs", "ep"),
    ("perl", "eE"),
    ("php", "r"),
    ("pypy", "c"),
    ("python", "c"),
    ("ruby", "e"),
    ("sh", "c"),
    ("tsx", "ep"),
    ("zsh", "c"),
];

/// Flags whose value is the next argument, which must not be mistaken for the script.
const WITH_VALUE: &[&str] = &[
    "-C",
    "-r",
    "-W",
    "-X",
    "--conditions",
    "--config",
    "--cwd",
    "--env-file",
    "--experimental-loader",
    "--import",
    "--loader",
    "--preload",
    "--require",
    "--title",
];

/// The command of a process; empty if unknown.
pub fn of(pid: u32) -> String {
    short(&process::arguments(pid))
}

/// The program's name without its folder and, for an interpreter, its script.
fn short(arguments: &[String]) -> String {
    let Some((program, rest)) = arguments.split_first() else { return String::new() };
    if !rest.is_empty() && program.contains("/qemu-") {
        // The system's way of running the program named next.
        return short(rest);
    }
    // A process that has set its own title has it here, arguments and all.
    let title = program.split(" -").next().unwrap_or_default();
    let name = title.rsplit(std::path::is_separator).next().unwrap_or(title);
    match script(name, rest) {
        Some(script) => format!("{name} {script}"),
        None => name.to_owned(),
    }
}

fn script<'a>(program: &str, arguments: &'a [String]) -> Option<&'a str> {
    let program = program.strip_suffix(".exe").unwrap_or(program);
    let family = program.trim_end_matches(|end: char| end.is_ascii_digit() || end == '.');
    let (_, texts) = INTERPRETERS.iter().find(|(name, _)| *name == family)?;
    let runs_files = matches!(family, "bun" | "deno");
    let mut arguments = arguments.iter().map(String::as_str);
    loop {
        let argument = arguments.next()?;
        if WITH_VALUE.contains(&argument) && !(family == "php" && argument == "-r") {
            arguments.next();
        } else if let Some(flag) = argument.strip_prefix("--") {
            // The script follows the bare `--`.
            if ["eval", "print", "command", "run"].iter().any(|text| flag.starts_with(text)) {
                return None;
            }
        } else if let Some(letters) = argument.strip_prefix('-') {
            if letters.contains(|letter| texts.contains(letter)) {
                return None;
            }
        } else if runs_files && argument == "eval" {
            return None;
        } else if !(runs_files && matches!(argument, "run" | "test" | "x")) {
            return Some(argument);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_script_and_drops_its_arguments() {
        for (line, told) in [
            (&["/usr/bin/node", "worker.js", "--token", "s3cret"][..], "node worker.js"),
            (&["node", "--enable-source-maps", "dist/worker.js", "s3cret"], "node dist/worker.js"),
            (&["node", "-r", "./hook.js", "worker.js", "s3cret"], "node worker.js"),
            (&["node", "--import", "tsx", "worker.ts"], "node worker.ts"),
            (&["node", "--", "worker.js", "s3cret"], "node worker.js"),
            (&["node"], "node"),
            (&["node", "-e", "login('s3cret')"], "node"),
            (&["node", "--eval=login('s3cret')"], "node"),
            (&["node", "--input-type=module", "-pe", "login('s3cret')"], "node"),
            (&["/bin/sh", "-c", "curl -u me:s3cret example.org"], "sh"),
            (&["bash", "-lc", "curl -u me:s3cret example.org"], "bash"),
            (&["bash", "deploy.sh", "s3cret"], "bash deploy.sh"),
            (&["/usr/bin/python3.12", "-u", "job.py", "s3cret"], "python3.12 job.py"),
            (&["python3", "-c", "login('s3cret')"], "python3"),
            (&["python", "-m", "pytest", "--pw=s3cret"], "python pytest"),
            (&["perl", "-ne", "s3cret"], "perl"),
            (&["php", "-r", "s3cret"], "php"),
            (&["ruby", "job.rb"], "ruby job.rb"),
            (&["deno", "run", "--allow-net", "main.ts", "s3cret"], "deno main.ts"),
            (&["deno", "eval", "s3cret"], "deno"),
            (&["bun", "test", "x.test.ts"], "bun x.test.ts"),
            (&["/usr/bin/qemu-aarch64-static", "/usr/bin/node", "worker.js"], "node worker.js"),
            (&["flock", "data.json", "sleep", "5"], "flock"),
            (&["curl", "-u", "me:s3cret"], "curl"),
            (&["npm run build --token=s3cret"], "npm run build"),
            (&[""], ""),
            (&[], ""),
        ] {
            let line: Vec<_> = line.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(short(&line), told, "{line:?}");
        }
    }
}
